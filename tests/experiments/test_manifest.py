"""Manifests that somebody edited: refused in one line, or without an effect on a number."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shapleycam.errors import OptionError, ignore_warnings
from shapleycam.experiments import Protocol, Store
from shapleycam.experiments.deviations import describe_deviations
from shapleycam.experiments.manifest import run_identity
from shapleycam.experiments.manifest_check import find_manifest_problem
from shapleycam.experiments.merging import summarise_runs
from shapleycam.experiments.rows import to_table
from shapleycam.experiments.run_opening import open_run
from shapleycam.models import paper
from shapleycam.report import protocol_in_words

PROTOCOL = Protocol(methods=("gradcam", "layercam"), metrics=("average_drop", "insertion"), preprocess=paper.PREPROCESS)
ORDER = ["resnet18", "vgg16"]
RECORD = {
    "origin": "timm",
    "weights": "5f",
    "code": "1c",
    "layers": {"before-pool": "layer4"},
    "preprocess": PROTOCOL.as_data()["preprocess"],
    "labels": ["cat", "dog"],
}
REQUESTED = {
    "protocol": PROTOCOL.as_data(),
    "order": ORDER,
    "models": {name: dict(RECORD) for name in ORDER},
    "dataset": {"images": 40, "fingerprint": "f", "objects": "o"},
    "sessions": [{"versions": {"torch": "2"}, "machine": {"cores": 2}, "engine": "local", "dataset": "photos"}],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 100) | st.floats() | st.text(max_size=5) | st.sampled_from(ORDER),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def write_run(folder: Path) -> pl.DataFrame:
    """Write a finished run, and return its rows."""
    with open_run(folder, copy.deepcopy(REQUESTED), 16) as store:
        for model in ORDER:
            for chunk in store.chunks():
                head = {"model": model, "layer": "before-pool", "utility": "rest", "status": "ok"}
                rows = [
                    {**head, "index": index, "image": f"{index}.jpg", "method": method, "average_drop": index / 40}
                    for index in chunk
                    for method in PROTOCOL.methods
                ]
                store.write(model, chunk, to_table(rows, PROTOCOL.metrics))
    return store.rows()


@pytest.fixture(scope="module", params=["present", "earlier"])
def written_run(request, tmp_path_factory) -> tuple[Path, dict[str, Any], pl.DataFrame]:
    """A run of this version, and one as an earlier version wrote it, without identities: folder, manifest, rows."""
    folder = tmp_path_factory.mktemp("run")
    rows = write_run(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if request.param == "earlier":
        manifest["format"] = 1
        del manifest["identity"]
        for chunk in folder.rglob("*.parquet"):
            pq.write_table(pq.read_table(chunk), chunk, write_page_checksum=True)
    return folder, manifest, rows


def records_and_lists(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all records and lists in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [found for key, item in inner for found in records_and_lists(item, (*path, key))]
    return [path, *below] if isinstance(value, (dict, list)) else below


@st.composite
def edits(draw: st.DrawFn, manifest: dict[str, Any]) -> dict[str, Any]:
    """Draw a manifest with one value deleted, replaced, moved or added, anywhere in it."""
    edited = copy.deepcopy(manifest)
    target: Any = edited
    for key in draw(st.sampled_from(records_and_lists(manifest))):
        target = target[key]
    keys = list(target) if isinstance(target, dict) else list(range(len(target)))
    edit = draw(st.sampled_from(["delete", "replace", "add", "reorder"]))
    if edit == "add" or not keys:
        new_key = draw(st.text(max_size=3))
        target.update({new_key: draw(JSON)}) if isinstance(target, dict) else target.append(draw(JSON))
    elif edit == "reorder" and isinstance(target, list):
        target[:] = draw(st.permutations(target))
    elif edit == "delete":
        del target[draw(st.sampled_from(keys))]
    else:
        target[draw(st.sampled_from(keys))] = draw(JSON)
    return edited


def read_all(folder: Path) -> pl.DataFrame:
    """Read a run as `table` and `report` do, and return its rows."""
    store = Store(folder)
    rows = store.rows()
    summarise_runs([store])
    describe_deviations([store])
    protocol_in_words.describe_protocol([store])
    protocol_in_words.list_choices([store])
    return rows


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(sorted(rows.columns)).sort("model", "index", "method")


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_an_edited_manifest_is_refused_in_one_line_or_harmless(written_run, data):
    folder, manifest, rows = written_run
    edited = data.draw(edits(manifest))
    (folder / "manifest.json").write_text(json.dumps(edited), encoding="utf-8")
    with ignore_warnings():
        try:
            read = read_all(folder)
        except OptionError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert in_order(read).equals(in_order(rows))
            assert run_identity(edited) == run_identity(manifest) or "identity" not in edited
        try:
            with open_run(folder, copy.deepcopy(REQUESTED), 16) as store:
                assert all(store.pending(model) == [] for model in ORDER)
                assert in_order(store.rows()).equals(in_order(rows))
        except OptionError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("images_per_part",), None, "images_per_part is None, expected a whole number of 1 or more"),
        (("images_per_part",), True, "images_per_part is True, expected a whole number of 1 or more"),
        (("sessions",), None, "sessions is None, expected a list"),
        (("sessions", 0, "machine"), "mine", "sessions[0].machine is 'mine', expected a record"),
        (("dataset", "images"), 7.0, "dataset.images is 7.0, expected a whole number of 1 or more"),
        (("order",), ["vgg16", "vgg16"], "order is ['vgg16', 'vgg16'], expected the models ['resnet18', 'vgg16']"),
        (("order",), [], "order is [], expected the models"),
        (("dataset", "images"), 10**30, "dataset.images is 1000000000000000000000000000000, expected at most 10000000"),
        (("models", "vgg16", "origin"), [], "models.vgg16.origin is [], expected a text or null"),
        (("protocol", "metrics"), [], "protocol.metrics is empty"),
        (("protocol", "preprocess", "mean"), 0.5, "protocol.preprocess.mean is 0.5, expected a list"),
        (("protocol", "class_rule"), "any", "protocol.class_rule is 'any', expected one of prediction, label, correct"),
        (("format",), "2", "format is '2', expected a whole number"),
        (("format",), 3, "format 3, expected 1 or 2"),
    ],
)
def test_a_value_of_another_form_is_named(path, value, expected):
    manifest = copy.deepcopy({"format": 2, "identity": "", "images_per_part": 32, **REQUESTED})
    assert find_manifest_problem(manifest, (1, 2)) is None
    target: Any = manifest
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    assert str(find_manifest_problem(manifest, (1, 2))).startswith(expected)


def test_what_may_be_edited(tmp_path):
    """Who ran it and where the weights came from, which may be nobody's business."""
    rows = write_run(tmp_path)
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    manifest["sessions"] = []
    manifest["models"]["vgg16"]["origin"] = None
    file.write_text(json.dumps(manifest), encoding="utf-8")
    assert Store(tmp_path).rows().equals(rows)


@pytest.mark.parametrize("name", ["origin", "format", "sessions", "images_per_part", "identity"])
def test_a_model_is_compared_whatever_its_name(tmp_path, name):
    requested = {**REQUESTED, "order": [name], "models": {name: RECORD}}
    with open_run(tmp_path, copy.deepcopy(requested), 16) as store:
        chunk = store.chunks()[0]
        rows = [{"model": name, "index": index, "image": f"{index}", "status": "error"} for index in chunk]
        store.write(name, chunk, to_table(rows, PROTOCOL.metrics))
    requested["models"] = {name: {**RECORD, "weights": "other"}}
    with pytest.raises(OptionError, match="has other weights"), open_run(tmp_path, requested, 16):
        pass
