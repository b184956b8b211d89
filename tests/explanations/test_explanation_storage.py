"""Files of explanations: their format number, older files, and those of a later version."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.random_explanations import explanation_of_noise
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation


@pytest.fixture
def path(tmp_path):
    return explanation_of_noise(2).save(tmp_path / "e.npz")


def rewrite_metadata(path, **metadata):
    """Write the file again with other metadata; None takes a key out."""
    with np.load(path) as file:
        arrays = dict(file)
    changed = {**json.loads(str(arrays["metadata"])), **metadata}
    arrays["metadata"] = np.array(json.dumps({name: value for name, value in changed.items() if value is not None}))
    np.savez(path, **arrays)


def test_files_carry_the_format_number(path):
    with np.load(path) as file:
        metadata = json.loads(str(file["metadata"]))
    assert metadata["format"] == 1


def test_another_removal_is_a_format_that_older_versions_refuse(path):
    """They would take it for zero."""
    replace(Explanation.load(path), removal="mean").save(path)
    with np.load(path) as file:
        assert json.loads(str(file["metadata"]))["format"] == 2
    assert Explanation.load(path).removal == "mean"
    assert "removal mean" in repr(Explanation.load(path))


def test_a_smoothed_one_is_a_format_that_older_versions_refuse(path):
    """They would take its values for shares of the score."""
    replace(Explanation.load(path), smooth=("augment", "noise")).save(path)
    with np.load(path) as file:
        assert json.loads(str(file["metadata"]))["format"] == 3
    assert Explanation.load(path).smooth == ("augment", "noise")


@pytest.mark.parametrize("smooth", ["ab", [3], [["noise"]], {"a": 1}, 7])
def test_a_smoothing_that_is_no_list_of_names_is_refused(path, smooth):
    rewrite_metadata(path, smooth=smooth)
    with pytest.raises(OptionError, match="not an explanation saved by shapleycam"):
        Explanation.load(path)


@pytest.mark.parametrize("version", [{"smooth": None}, {"smooth": None, "format": None}])
def test_a_file_without_a_smoothing_has_none(path, version):
    rewrite_metadata(path, **version)
    assert Explanation.load(path).smooth == ()


@pytest.mark.parametrize("version", [{"removal": None}, {"removal": None, "format": None}])
def test_a_file_without_a_removal_is_of_zero(path, version):
    rewrite_metadata(path, **version)
    assert Explanation.load(path).removal == "zero"


def test_a_removal_that_is_no_text_is_refused(path):
    rewrite_metadata(path, removal=3)
    with pytest.raises(OptionError, match="is no text"):
        Explanation.load(path)


def test_a_file_without_a_number_is_read(path):
    expected = Explanation.load(path)
    rewrite_metadata(path, format=None)
    assert np.array_equal(Explanation.load(path).values, expected.values)


def test_a_file_of_a_later_version_is_refused_in_one_line(path):
    rewrite_metadata(path, format=4, version="9.0")
    with pytest.raises(
        OptionError, match=r"an explanation of format 4, written by shapleycam 9\.0; expected format 3"
    ) as e:
        Explanation.load(path)
    assert "\n" not in str(e.value)


def test_what_a_coalition_cost_and_the_notes_are_kept(tmp_path):
    written = explanation_of_noise(2, coalition_cost="a sum each", notes=((), ("most orders were cut short",)))
    read = Explanation.load(written.save(tmp_path / "n.npz"))
    assert (read.coalition_cost, read.notes) == (written.coalition_cost, written.notes)
    assert read[1].notes == (("most orders were cut short",),)


def test_a_file_from_before_there_were_notes_is_read(path):
    rewrite_metadata(path, notes=None, coalition_cost=None)
    read = Explanation.load(path)
    assert (read.coalition_cost, read.notes) == (None, ())


@pytest.mark.parametrize("notes", [[["a"]], [["a"], [1]], [["a"], 3]])
def test_notes_that_are_not_of_each_image_are_refused(path, notes):
    rewrite_metadata(path, notes=notes)
    with pytest.raises(OptionError, match="not an explanation saved by shapleycam"):
        Explanation.load(path)


class Payload:
    """A pickle that writes a file when it is opened as pickles are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def with_arrays(path: Path, **arrays) -> Path:
    """Write the explanation's file again with some arrays exchanged; None leaves one out."""
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files} | arrays
    np.savez(path, **{name: array for name, array in kept.items() if array is not None})
    return path


@pytest.mark.parametrize("name", ["metadata", "values"])
def test_objects_in_a_file_are_not_unpickled(name, path, tmp_path):
    trace = tmp_path / "it ran"
    with_arrays(path, **{name: np.array([Payload(trace)], dtype=object)})
    with pytest.raises(OptionError, match=r"not an explanation saved by shapleycam \(ValueError: Object arrays"):
        Explanation.load(path)
    assert not trace.exists()
    np.load(path, allow_pickle=True)[name]
    assert trace.exists()  # the payload was live


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"heatmap": lambda array: array * 2 + 1}, "the heatmap is not between 0 and 1"),
        ({"heatmap": lambda array: array * np.nan}, "heatmap holds NaN or infinity"),
        ({"heatmap": lambda array: array[:, :-1]}, "heatmap is of shape"),
        ({"values": lambda array: array.astype(np.int32)}, "values holds torch.int32"),
        ({"values": lambda array: array[:0]}, "values is of shape"),
        ({"values": lambda array: array / 0}, "values holds NaN or infinity"),
        ({"target": lambda array: array - 10_000}, "target is not the number of a class"),
        ({"target": lambda array: array[:0]}, "target is of shape"),
        ({"pictures": lambda array: array[..., :2]}, "pictures of shape"),
        ({"pictures": lambda _: None}, "KeyError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_file_that_was_edited_is_refused_in_one_line(change, reason, path):
    with np.load(path) as file:
        changed = {name: edit(file[name]) for name, edit in change.items()}
    with pytest.raises(OptionError) as refused:
        Explanation.load(with_arrays(path, **changed))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("labels", [1, 2], "a name, a label, a smoothing or a note is no text"),
        ("method", None, "a name, a label, a smoothing or a note is no text"),
        ("form", "guesses", "the form of the output is 'guesses'"),
        ("sources", [], "is of shape"),
        ("sources", [{"name": "a", "photo": None, "box": [0, 0, 1e400, 1]}] * 2, "a source is not a name and a box"),
        ("sources", [{"name": "a", "photo": None, "box": [0, 0]}] * 2, "a source is not a name and a box"),
        ("sources", [{"name": 3, "photo": None, "box": None}] * 2, "a source is not a name and a box"),
    ],
)
def test_metadata_that_was_edited_is_refused_in_one_line(field, value, reason, path):
    with np.load(path) as file:
        metadata = json.loads(str(file["metadata"])) | {field: value}
    with pytest.raises(OptionError, match=reason):
        Explanation.load(with_arrays(path, metadata=np.array(json.dumps(metadata))))
