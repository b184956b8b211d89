"""Files of explanations: their format number, older files, and those of a later version."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers.random_explanations import explanation_of_noise
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.storage import FORMAT


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
    assert metadata["format"] == FORMAT == 1


def test_a_file_without_a_number_is_read(path):
    expected = Explanation.load(path)
    rewrite_metadata(path, format=None)
    assert np.array_equal(Explanation.load(path).values, expected.values)


def test_a_file_of_a_later_version_is_refused_in_one_line(path):
    rewrite_metadata(path, format=2, version="9.0")
    with pytest.raises(
        OptionError, match=r"an explanation of format 2, written by shapleycam 9\.0; expected format 1"
    ) as e:
        Explanation.load(path)
    assert "\n" not in str(e.value)
