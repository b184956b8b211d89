"""From runs on disk to one summary: which columns, one model at a time, and what is unlike the published figures."""

from __future__ import annotations

import json
import math
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from torch import nn

from helpers.result_rows import failed_row, measured_rows, metrics_named
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol, Store, merging
from shapleycam.experiments.chunk_files import path_of
from shapleycam.experiments.deviations import PUBLISHED_IMAGES, PUBLISHED_WEIGHTS, describe_deviations
from shapleycam.experiments.manifest import run_identity
from shapleycam.experiments.merging import find_leads_of_runs, read_curves, summarise_runs
from shapleycam.experiments.results import ADCC_OF_MEANS, columns_of, summarise, summarise_frames
from shapleycam.experiments.results.text_tables import text_tables
from shapleycam.experiments.rows import metrics_in, to_table
from shapleycam.experiments.run_opening import open_run
from shapleycam.metrics import MetricOptions
from shapleycam.models import paper

PARTS = ("average_drop", "coherency", "complexity")
IMAGES = 70
PUBLISHED = {"origin": PUBLISHED_WEIGHTS[0], "preprocess": Protocol.paper().as_data()["preprocess"]}


def random_values(*metrics: str, methods: tuple[str, ...] = ("gradcam", "layercam"), seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    return {method: {name: generator.uniform(0.1, 0.9, IMAGES).tolist() for name in metrics} for method in methods}


def write_finished_run(
    path: Path, rows: list[dict[str, Any]], protocol: Protocol, images: int = IMAGES, **facts: Any
) -> Store:
    """Write a finished run of these rows."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    expected = {
        "protocol": protocol.as_data(),
        "order": models,
        "models": {model: {"weights": model, "layers": {}, **PUBLISHED, **facts} for model in models},
        "dataset": {"images": images, "fingerprint": "f"},
        "sessions": [{}],
    }
    with open_run(path, expected, 16) as store:
        for model in models:
            of_model = [row for row in rows if row["model"] == model]
            for chunk in store.pending(model) if images == IMAGES else ():
                chunk_rows = [row for row in of_model if row["index"] in chunk]
                store.write(model, chunk, to_table(chunk_rows, protocol.metrics))
    return store


def write_run_of(path: Path, *metrics: str, models: tuple[str, ...] = ("resnet18", "vgg16"), **rest: Any) -> Store:
    """Write a finished run of these metrics, with random values."""
    rows = [
        row
        for number, model in enumerate(models)
        for row in measured_rows(random_values(*metrics, seed=number, **rest), model=model)
    ]
    return write_finished_run(path, rows, Protocol(metrics=metrics))


def column_names(store: Store, *metrics: str) -> list[str]:
    return [column.name for column in summarise_runs([store], metrics or None).columns]


def test_the_rows_of_a_model_are_its_part_of_all_rows(tmp_path):
    store = write_run_of(tmp_path, *PARTS)
    whole, of_model = store.rows(), store.model_rows("vgg16")
    assert of_model["method"].dtype == pl.Categorical
    assert whole["method"].dtype == pl.String
    assert of_model.with_columns(pl.col(pl.Categorical).cast(pl.String)).equals(whole.filter(model="vgg16"))
    assert store.model_rows("vgg16", ["complexity", "index"]).equals(of_model.select("complexity", "index"))
    assert store.model_rows("vgg16", image=40).equals(of_model.filter(index=40))
    assert len(store.model_rows("vgg16", image=40)) == 2


def test_the_figures_are_those_of_all_rows_to_the_last_bit(tmp_path):
    rows = [
        *measured_rows(random_values(*PARTS), "vgg16"),
        *measured_rows(random_values(*PARTS, seed=1), "resnet18"),
        failed_row(69, "error", "x", "vgg16"),
    ]
    rows = [row for row in rows if row["status"] != "ok" or row["model"] != "vgg16" or row["index"] != 69]
    rows[5]["average_drop"] = math.nan
    store = write_finished_run(tmp_path, rows, Protocol(metrics=PARTS))
    assert repr(summarise_runs([store])) == repr(summarise(store.rows(), metrics_named(*PARTS)))


def write_run_with(path: Path, model: str, method: str, **facts: Any) -> Store:
    """Write a finished run of one model and method, with these facts in the model's record."""
    rows = measured_rows(random_values("complexity", methods=(method,)), model)
    return write_finished_run(path, rows, Protocol(metrics=("complexity",), methods=(method,)), **facts)


def test_other_weights_are_refused_also_where_the_first_run_does_not_have_the_model(tmp_path):
    first = write_run_with(tmp_path / "a", "resnet18", "gradcam")
    second = write_run_with(tmp_path / "b", "vgg16", "gradcam")
    third = write_run_with(tmp_path / "c", "vgg16", "layercam", weights="others")
    with pytest.raises(OptionError, match=r"b and .*c cannot share a table: vgg16: it has other weights"):
        summarise_runs([first, second, third])


def test_resamples_are_enough_for_the_leads_of_all_runs_together(tmp_path, monkeypatch):
    first = write_run_of(tmp_path / "a", "complexity", "coherency", methods=("gradcam", "layercam"))
    second = write_run_of(
        tmp_path / "b", "complexity", "coherency", models=("vgg16", "resnet50"), methods=("hirescam",)
    )
    monkeypatch.setattr(merging, "resamples_for", lambda leads: 100 * leads)
    leads = find_leads_of_runs([first, second], ("gradcam", "layercam"))
    assert leads.resamples == 100 * 3 * 2  # three networks, two metrics
    assert "600 resamples" in leads.text_tables()[0].notes[0]


def test_a_run_that_is_not_finished_is_said_below_its_tables(tmp_path):
    store = write_run_of(tmp_path, "complexity")  # 70 images in chunks of 32
    for path in (path_of("resnet18", range(32, 64)), path_of("vgg16", range(64, 70))):
        (tmp_path / path).unlink()
    expected = (
        "Not finished: 32 of 70 images are not measured yet (resnet18); 6 of 70 images are not measured yet (vgg16). "
        "The figures are those of the others; the same command goes on."
    )
    (table,) = text_tables(summarise_runs([store]))
    assert table.notes[0] == expected
    assert table.caption.endswith("38 to 64 images")
    (table,) = find_leads_of_runs([store], ("gradcam", "layercam")).text_tables()
    assert expected in table.notes


def test_a_network_of_which_nothing_is_measured_yet_is_not_passed_over(tmp_path):
    store = write_run_of(tmp_path, "complexity")
    for chunk in store.chunks():
        (tmp_path / path_of("vgg16", chunk)).unlink()
    (table,) = text_tables(summarise_runs([store]))
    assert table.notes[0].startswith("Not finished: 70 of 70 images are not measured yet (vgg16).")


def test_one_name_of_a_layer_is_one_module_in_all_runs(tmp_path):
    first = write_run_with(tmp_path / "a", "vgg16", "gradcam", layers={"before-pool": "30", "0": "0"})
    second = write_run_with(tmp_path / "b", "vgg16", "layercam", layers={"before-pool": "29"})
    third = write_run_with(tmp_path / "c", "vgg16", "layercam", layers={"before-pool": "30", "1": "1"})
    with pytest.raises(OptionError, match=r"vgg16: layers.before-pool was '30', is '29'"):
        summarise_runs([first, second])
    assert {cell.method for cell in summarise_runs([first, third]).cells} == {"gradcam", "layercam"}


def test_a_model_is_read_by_itself_with_the_columns_that_are_needed(tmp_path, monkeypatch):
    store = write_run_of(tmp_path, *PARTS, "insertion")
    requested: list[tuple[str, set[str]]] = []
    read = Store.model_rows

    def noted(self, model, columns=None, image=None):
        requested.append((model, set(columns)))
        return read(self, model, columns, image)

    monkeypatch.setattr(Store, "model_rows", noted)
    monkeypatch.setattr(Store, "rows", None)
    summarise_runs([store], ["complexity"])
    assert [model for model, _ in requested] == ["resnet18", "vgg16"]
    for _, columns in requested:
        assert set(metrics_in(columns)) == {"complexity"}
        assert not columns & {"label", "target", "probability", "insertion_curve"}


def test_one_models_rows_are_gone_before_the_next_are_read(tmp_path):
    store = write_run_of(tmp_path, "coherency")
    alive: list[weakref.ref] = []

    class Handed:
        """Models' rows, without a reference of its own to what it hands out."""

        def __init__(self):
            self.models = ["vgg16", "resnet18"]

        def __iter__(self):
            return self

        def __next__(self):
            assert not any(reference() is not None for reference in alive)
            if not self.models:
                raise StopIteration
            frame = store.model_rows(self.models.pop())
            alive.append(weakref.ref(frame))
            return frame

    summarise_frames(Handed(), columns_of(metrics_named("coherency"), ["coherency"]))
    assert len(alive) == 2


def test_a_set_means_what_was_measured_of_it(tmp_path):
    store = write_run_of(tmp_path, "coherency", "insertion", "adcc")
    assert column_names(store, "all") == ["coherency", "adcc", "insertion"]
    assert column_names(store, "paper") == ["coherency", "adcc"]
    assert column_names(store, "insertion", "paper") == ["insertion", "coherency", "adcc"]
    assert column_names(store, "insertion", "insertion") == ["insertion"]


def test_a_metric_by_its_own_name_must_have_been_measured(tmp_path):
    store = write_run_of(tmp_path, "insertion")
    with pytest.raises(OptionError, match=rf"metric 'road' was not measured in {tmp_path}; expected some of insertion"):
        summarise_runs([store], ["road"])
    with pytest.raises(OptionError, match="'average_drop' of 'paper' was not measured"):
        summarise_runs([store], ["paper"])
    with pytest.raises(OptionError, match="metric 'rode' is unknown; did you mean 'road'"):
        summarise_runs([store], ["rode"])
    with pytest.raises(OptionError, match=f"metric 'coherency' of '{ADCC_OF_MEANS}' was not measured"):
        summarise_runs([store], [ADCC_OF_MEANS])


def test_the_adcc_of_means_is_there_with_that_of_images_and_by_name(tmp_path):
    store = write_run_of(tmp_path, *PARTS, "adcc")
    assert column_names(store, "adcc") == ["adcc", ADCC_OF_MEANS]
    assert column_names(store, ADCC_OF_MEANS) == [ADCC_OF_MEANS]
    assert column_names(store, "adcc", ADCC_OF_MEANS) == ["adcc", ADCC_OF_MEANS]
    assert column_names(store, "complexity") == ["complexity"]
    whole = summarise_runs([store]).by_key
    for cell in summarise_runs([store], [ADCC_OF_MEANS]).cells:
        assert cell.mean == whole[cell.key].mean


def test_what_one_run_did_not_measure_is_no_figure_and_not_undefined(tmp_path):
    first = write_run_of(tmp_path / "1", "coherency", "complexity", models=("vgg16",))
    second = write_run_of(tmp_path / "2", "coherency", "insertion", models=("vgg16",), methods=("pathcam",))
    actual = summarise_runs([first, second])
    assert [column.name for column in actual.columns] == ["coherency", "complexity", "insertion"]
    assert {(cell.method, cell.metric) for cell in actual.cells if cell.measured} == {
        *((method, metric) for method in ("gradcam", "layercam") for metric in ("coherency", "complexity")),
        ("pathcam", "coherency"),
        ("pathcam", "insertion"),
    }
    assert not any(cell.undefined for cell in actual.cells)


def test_two_runs_with_the_same_figures_are_refused(tmp_path):
    first, second = (write_run_of(tmp_path / name, "coherency", models=("vgg16",)) for name in "ab")
    with pytest.raises(OptionError, match=r"both have vgg16, before-pool, rest, \w+; leave one"):
        summarise_runs([first, second])


def test_a_metric_that_this_version_does_not_know_is_said(tmp_path):
    store = write_run_of(tmp_path, "coherency")
    file = tmp_path / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["protocol"]["metrics"] = ["coherence"]
    file.write_text(json.dumps({**manifest, "identity": run_identity(manifest)}))
    store = Store(tmp_path)
    for requested in (None, ["coherency"]):
        with pytest.raises(OptionError, match=r"metric 'coherence' that this version does not know; did you mean 'coh"):
            summarise_runs([store], requested)


def test_curves_are_of_all_runs_and_none_without_curves(tmp_path):
    plain = write_run_of(tmp_path / "plain", "coherency", models=("vgg16",))
    assert read_curves([plain]) is None
    rows = measured_rows(random_values("insertion"))
    for row in rows:
        row["insertion_curve"] = [row["insertion"], row["index"] / 100]
    curved = write_finished_run(tmp_path / "curved", rows, Protocol(metrics=("insertion",)))
    actual = read_curves([plain, curved])
    assert [(curve.model, curve.method, curve.curve, curve.lengths) for curve in actual] == [
        ("resnet18", method, "insertion_curve", (2,)) for method in ("gradcam", "layercam")
    ]
    for curve in actual:
        values = [row["insertion_curve"] for row in rows if row["method"] == curve.method]
        assert curve.mean == pytest.approx(np.mean(values, axis=0), abs=1e-6)  # curves are kept as float32


class TestUnlikePublished:
    def remarks(self, path: Path, protocol: Protocol, images: int = PUBLISHED_IMAGES, **facts: Any) -> tuple[str, ...]:
        return describe_deviations(
            [write_finished_run(path, measured_rows(random_values("coherency")), protocol, images, **facts)]
        )

    def test_the_published_protocol_has_no_remark(self, tmp_path):
        assert self.remarks(tmp_path / "paper", Protocol.paper()) == ()
        # The model's own is the paper's.
        protocol = Protocol(layers=("last-conv",), methods=("pathcam",), metrics=("adcc",))
        assert self.remarks(tmp_path / "own", protocol) == ()

    def test_each_choice_that_differs_is_named(self, tmp_path):
        changed = replace(
            Protocol.paper(),
            class_rule="label",
            players=(7, 7),
            options=MetricOptions(baseline="blur", mask_space="pixels"),
        )
        (remark,) = self.remarks(tmp_path, changed)
        assert remark == (
            "Another protocol than the published one: class_rule was 'prediction', is 'label'; options.baseline was "
            "'zero', is 'blur'; options.mask_space was 'normalised', is 'pixels'; players was None, is [7, 7]."
        )

    def test_the_preprocessing_is_that_which_the_model_had(self, tmp_path):
        (remark,) = self.remarks(tmp_path, Protocol(), preprocess={**PUBLISHED["preprocess"], "resize": 235})
        assert remark == ("Another preprocessing than the published one: resnet18 (preprocess.resize was 256, is 235).")

    @pytest.mark.parametrize(
        ("origin", "expected_message"), [("untrained", "untrained"), ("r18.pth", "r18.pth"), ("", "unknown")]
    )
    def test_weights_that_are_not_the_published_ones(self, tmp_path, origin, expected_message):
        (remark,) = self.remarks(tmp_path, Protocol.paper(), origin=origin)
        assert remark.startswith("Weights that are not known to be the published ones: resnet18 (")
        assert expected_message in remark

    def test_a_number_of_images_that_is_not_the_published_one(self, tmp_path):
        (remark,) = self.remarks(tmp_path, Protocol.paper(), images=1234)
        assert remark == "Another number of images: 1,234, and 50,000 in print."

    @pytest.mark.parametrize("name", paper.NETWORKS)
    def test_the_published_weights_are_known_by_what_networks_say_of_them(self, name, monkeypatch):
        monkeypatch.setattr(paper.torchvision.models, "get_model", lambda *_, **__: nn.Identity())
        monkeypatch.setattr("timm.create_model", lambda *_, **__: nn.Identity())
        assert paper.load_paper_network(name, pretrained=True).origin in PUBLISHED_WEIGHTS
        assert paper.load_paper_network(name, pretrained=False).origin not in PUBLISHED_WEIGHTS
