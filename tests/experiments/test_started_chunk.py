"""The file of what is kept of a chunk that is not complete: read as it was written, or refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from shapleycam.errors import OptionError
from shapleycam.experiments import started_chunk
from shapleycam.experiments.started_chunk import StartedChunk
from shapleycam.experiments.storage import open_storage

CPU = torch.device("cpu")
FILE = "started/tiny/0000000-0000031"


def opened(location, run="1f"):
    return StartedChunk(SimpleNamespace(storage=open_storage(location), identity=run), "tiny", range(32))


def keep(chunk, layer="input", **numbers):
    """Keep numbers by name, or return what is kept under these names."""
    kept = chunk.of_layer(layer)
    return {name: kept.utilities([name.encode()], lambda each=each: each, CPU) for name, each in numbers.items()}


@pytest.mark.parametrize("remote", [False, True], ids=["folder", "url"])
def test_numbers_come_back_in_their_precision(tmp_path, remote):
    location = f"memory://{tmp_path.name}" if remote else tmp_path
    numbers = {
        "single": torch.rand(2, 3),
        "double": torch.rand(1, 2, dtype=torch.float64),
        "half": torch.rand(1, 1).to(torch.bfloat16),
    }
    chunk = opened(location)
    keep(chunk, **numbers)
    chunk.save()
    again = opened(location)
    for name, found in keep(again, **dict.fromkeys(numbers)).items():
        assert found.dtype == numbers[name].dtype
        assert torch.equal(found, numbers[name])
    again.remove()
    assert open_storage(location).names("started/tiny") == []


def test_another_layer_or_run_finds_nothing(tmp_path):
    chunk, other = opened(tmp_path), torch.ones(1, 1)
    keep(chunk, number=torch.zeros(1, 1))
    chunk.save()
    for elsewhere, layer in ((opened(tmp_path), "0"), (opened(tmp_path, run="2e"), "input")):
        assert torch.equal(keep(elsewhere, layer, number=other)["number"], other)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"{}\n", lambda _: b"\xff"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    chunk = opened(tmp_path)
    keep(chunk, number=torch.zeros(1, 1))
    chunk.save()
    (tmp_path / FILE).write_bytes(damage((tmp_path / FILE).read_bytes()))
    with pytest.raises(OptionError, match=rf"{FILE}: damaged \(.*\); delete it and evaluate again, which measures"):
        opened(tmp_path)


def test_it_is_written_once_a_while_and_when_the_work_is_stopped(tmp_path, monkeypatch):
    chunk = opened(tmp_path)
    keep(chunk, first=torch.zeros(1, 1))
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), chunk.saved_when_stopped():
        raise KeyboardInterrupt
    assert (tmp_path / FILE).exists()
    before = (tmp_path / FILE).stat().st_size
    monkeypatch.setattr(started_chunk, "SECONDS", 0)
    keep(chunk, second=torch.zeros(1, 1))
    assert (tmp_path / FILE).stat().st_size > before
