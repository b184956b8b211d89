"""Some hundred damaged files for every reader (bench/fuzz.py tries a hundred thousand), and the harness itself."""

from __future__ import annotations

import gc
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from shapleycam.errors import ImageError, ShapleyCamWarning

sys.path.append(str(Path(__file__).parents[1] / "bench"))

import fuzz_containers
import fuzz_trial
from fuzz import Findings, text_of
from fuzz_readers import READERS, Reader
from fuzz_trial import FAULT, Trial, damaged_file, prepare, try_file

FILES = 120
NOT_ACCEPTED = {"7.tif", "a.eps"}
"""Valid files that are no photographs: floats without a white, and a program for a printer."""

by_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


@by_reader
def test_damaged_files_are_accepted_or_refused_in_one_line(reader, tmp_path):
    prepare(reader, tmp_path)
    gc.collect()  # what other tests left open is none of the reader's faults
    trials = [try_file(reader, tmp_path, *damaged_file(reader, 0, index), index) for index in range(FILES)]
    assert [trial for trial in trials if trial.outcome.startswith(FAULT)] == []
    assert {trial.outcome for trial in trials} != {"accepted"}


@by_reader
def test_valid_files_are_accepted(reader, tmp_path):
    prepare(reader, tmp_path)
    trials = {seed.name: try_file(reader, tmp_path, seed.name, seed.content()) for seed in reader.valid()}
    assert {name for name, trial in trials.items() if trial.outcome != "accepted"} <= NOT_ACCEPTED


def test_a_number_gives_the_same_file_again():
    files = [damaged_file(READERS[0], 3, index) for index in range(20)]
    assert files == [damaged_file(READERS[0], 3, index) for index in range(20)]
    assert len(set(files)) > 15


def faulty_reader(fault) -> Reader:
    """Return a reader of one small file that does what `fault` does."""
    return Reader("faulty", lambda: [fuzz_containers.Seed("a.txt", (b"content",))], lambda path: fault())


def raise_error(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (lambda: None, "accepted"),
        (lambda: raise_error(ImageError("a.txt: damaged; get it again")), "refused (ImageError)"),
        (lambda: raise_error(KeyError("size")), f"{FAULT}KeyError"),
        (lambda: raise_error(MemoryError()), f"{FAULT}MemoryError"),
        (lambda: raise_error(ImageError("x" * 3000)), f"{FAULT}a message that is not one short line"),
        (lambda: warnings.warn("by a library", stacklevel=1), f"{FAULT}a library's warning"),
        (lambda: [warnings.warn("ours", ShapleyCamWarning, stacklevel=1) for _ in range(9)], f"{FAULT}many warnings"),
        (lambda: sum(range(10_000_000)), f"{FAULT}slow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_harness_sees_faults(fault, outcome, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_trial, "SECONDS", 0.05)
    reader = faulty_reader(fault)
    prepare(reader, tmp_path)
    assert try_file(reader, tmp_path, "a.txt", b"damaged").outcome == outcome
    assert (tmp_path / "a.txt").read_bytes() == b"content"


def test_the_harness_sees_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz_trial, "MEGABYTES", 50)
    peaks = iter((100, 151))
    monkeypatch.setattr(fuzz_trial, "_peak_megabytes", lambda: next(peaks))
    reader = faulty_reader(lambda: None)
    prepare(reader, tmp_path)
    assert try_file(reader, tmp_path, "a.txt", b"damaged").outcome == f"{FAULT}memory"


@pytest.mark.parametrize("kind", ["png", "zipped", "tar", "safetensors"])
def test_files_are_put_together_as_they_were(kind):
    import fuzz_seeds

    makers = {
        "png": fuzz_seeds.masks,
        "zipped": fuzz_seeds.archives,
        "tar": fuzz_seeds.shards,
        "safetensors": lambda: [next(seed for seed in fuzz_seeds.checkpoints() if seed.name.endswith("safetensors"))],
    }
    for seed in makers[kind]():
        again = getattr(fuzz_containers, kind)(seed.name, seed.content())
        assert again.parts == seed.parts
        assert again.content() == seed.content()


def test_the_table_counts_faults():
    findings = Findings(faults={"x": "KeyError (/tmp/x)"})
    findings.outcomes.update({"accepted": 3, "refused (ImageError)": 4, f"{FAULT}KeyError": 1})
    text = text_of({"photograph": replace(findings, seconds=2)})
    assert "| photograph | 8 | 3 | 4 ImageError | 1 | 2 |" in text
    assert "- photograph: KeyError (/tmp/x)" in text
    assert Trial(0, "accepted").detail == ""
