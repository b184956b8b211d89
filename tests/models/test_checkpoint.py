"""Weights from files: what fits is loaded, what does not is refused whole, and nothing in a file is ever run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import shapleycam
from shapleycam.errors import ModelError
from shapleycam.models.checkpoint import fill_model, read_checkpoint


def small_network(classes: int = 5) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    ).eval()


def equal_tensors(content, expected) -> bool:
    return content.keys() == expected.keys() and all(torch.equal(content[key], expected[key]) for key in content)


def copy_state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def save_content(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


# What fits


def test_safetensors_come_back(tmp_path):
    weights = small_network().state_dict()
    save_file(weights, tmp_path / "x.safetensors")
    assert equal_tensors(read_checkpoint(tmp_path / "x.safetensors"), weights)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_torch_files_come_back(new, tmp_path):
    weights = small_network().state_dict()
    torch.save(weights, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
    assert equal_tensors(read_checkpoint(tmp_path / "x.pth"), weights)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "state_dict_ema"])
def test_a_state_dict_is_found_in_what_training_scripts_save(key, tmp_path):
    weights = small_network().state_dict()
    assert equal_tensors(
        read_checkpoint(save_content({"epoch": 3, key: weights, "best": 0.7}, tmp_path / "x.pth")), weights
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_prefix_of_a_parallel_wrapper_is_dropped(suffix, tmp_path):
    trained, model = small_network(), small_network()
    file = tmp_path / f"x{suffix}"
    weights = nn.DataParallel(trained).state_dict()
    save_file(weights, file) if suffix == ".safetensors" else torch.save({"state_dict": weights}, file)
    fill_model(model, read_checkpoint(file), "x")
    assert equal_tensors(model.state_dict(), trained.state_dict())


def test_a_model_whose_own_names_begin_like_that_keeps_them(tmp_path):
    trained, model = nn.DataParallel(small_network()), nn.DataParallel(small_network())
    fill_model(model, read_checkpoint(save_content(trained.state_dict(), tmp_path / "x.pth")), "x")
    assert equal_tensors(model.state_dict(), trained.state_dict())


def test_an_old_file_without_batch_counters_fits():
    trained, model = small_network(), small_network()
    weights = {key: value for key, value in trained.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert len(weights) < len(trained.state_dict())
    fill_model(model, weights, "x")
    assert equal_tensors(model.state_dict(), trained.state_dict())


# What does not


class Payload:
    """A pickle that writes a file when it is opened as pickles are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "wrap", [lambda bad: bad, lambda bad: {"state_dict": small_network().state_dict(), "args": bad}]
)
def test_code_in_a_pickle_is_refused_and_not_run(wrap, tmp_path):
    trace = tmp_path / "it ran"
    file = save_content(wrap(Payload(trace)), tmp_path / "x.pth")
    with pytest.raises(ModelError) as refused:
        read_checkpoint(file)
    message = str(refused.value)
    assert message.startswith(f"checkpoint {file}: holds a builtins.")  # what finds the method touch of Path
    assert ", and objects are never unpickled; " in message
    assert "save model.state_dict()" in message
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists()  # the payload was live


def test_a_whole_pickled_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"never unpickled; save model\.state_dict\(\), best as \.safetensors"):
        read_checkpoint(save_content(small_network(), tmp_path / "x.pth"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"checkpoint .*absent\.pth: no such file; check the path"):
        read_checkpoint(tmp_path / "absent.pth")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("part", [0, 0.5, 0.95])
def test_a_file_cut_short_is_refused_with_the_remedy(name, part, tmp_path):
    whole = tmp_path / name
    save_file(small_network().state_dict(), whole) if name.endswith("s") else torch.save(
        small_network().state_dict(), whole
    )
    whole.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
    with pytest.raises(ModelError, match=r"not a readable .* file \(.+\); get the file again, or save "):
        read_checkpoint(whole)


@pytest.mark.parametrize(
    "damaged", [b"\x80\x02", b"\x80\x02K\x01.", b"h\x03.", b"R.", b"\x80\x02c", b"M\x01", b"hello"]
)
def test_bytes_that_are_no_checkpoint_are_refused_in_one_line(damaged, tmp_path):
    file = tmp_path / "x.pth"
    file.write_bytes(damaged)
    with pytest.raises(ModelError, match=r"^checkpoint .*x\.pth: [^\n]+$"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    ("content", "description"),
    [
        ([1, 2], "a list"),
        (torch.zeros(3), "a Tensor"),
        ({"epoch": 3}, "a int under 'epoch'"),
        ({0: torch.zeros(3)}, "a Tensor under 0"),
        ({"state_dict": {"a": torch.zeros(3), "names": ["b"]}}, "a list under 'names'"),
    ],
)
def test_what_is_no_state_dict_is_named(content, description, tmp_path):
    file = save_content(content, tmp_path / "x.pth")
    with pytest.raises(ModelError) as refused:
        read_checkpoint(file)
    expected = f"checkpoint {file}: holds {description}; expected tensors by name: save model.state_dict()"
    assert str(refused.value) == expected


def test_a_misfit_counts_and_names_tensors_and_leaves_the_model_as_it_was():
    model = small_network()
    before = copy_state(model)
    weights = {key: torch.full_like(value, 9) for key, value in before.items()}
    del weights["0.bias"], weights["1.running_var"]
    weights |= {"extra": torch.zeros(1), "5.weight": torch.zeros(7, 4)}
    with pytest.raises(ModelError) as refused:
        fill_model(model, weights, "mine.pth")
    message = str(refused.value)
    assert message.startswith("checkpoint mine.pth does not fit the model: tensors ")
    assert "2 missing (first: 0.bias)" in message
    assert "1 unexpected (first: extra)" in message
    assert "1 of another shape (first: 5.weight, (7, 4) in the file, (5, 4) in the model)" in message
    assert "give weights saved from this very model" in message
    assert equal_tensors(model.state_dict(), before)


def test_weights_that_are_not_finite_are_named_when_the_model_runs(images):
    model = small_network()
    weights = copy_state(model)
    weights["5.weight"][0, 0] = torch.nan
    fill_model(model, weights, "x")
    with pytest.raises(ModelError, match=r"NaN or infinity .* the weight '5\.weight' is not finite: get or train"):
        shapleycam.Explainer(model, layer="2").explain(images[..., :16, :16])
