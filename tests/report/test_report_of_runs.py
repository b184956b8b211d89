"""The report of an evaluation: what it says, what it shows again, and what it refuses to run."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from helpers.html_reader import assert_stands_alone
from helpers.small_evaluations import QUICK, folder_of, picture, run_evaluation, tiny_network
from shapleycam.errors import ShapleyCamError
from shapleycam.experiments import Protocol, Store
from shapleycam.experiments.manifest import run_identity
from shapleycam.experiments.merging import summarise_runs
from shapleycam.experiments.results import find_disagreements
from shapleycam.metrics import MetricOptions
from shapleycam.models import zoo
from shapleycam.report import render_runs
from shapleycam.report.map_reproducer import MapReproducer

EVIL = "<script>alert('x')<"
"""A folder that, with a file script>.jpg in it, gives a photograph a name that is a script."""


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    return folder_of(tmp_path_factory.mktemp("report") / "shots", 5)


@pytest.fixture(scope="module")
def known(shots) -> Store:
    """A run of the default model, which anybody can load."""
    protocol = replace(QUICK, metrics=("complexity", "average_drop", "insertion"), options=MetricOptions(steps=3))
    return run_evaluation(shots, shots.parent / "known", zoo.DEFAULT, protocol)


def map_reproducer(store: Store, **options: str) -> MapReproducer:
    return MapReproducer([store], options.get("trusted"), options.get("data"), "cpu")


def changed(store: Store, to: Path, change) -> Store:
    """Copy a run, changing its manifest."""
    manifest = json.loads(store.storage.read("manifest.json"))
    change(manifest)
    to.mkdir()
    (to / "manifest.json").write_text(json.dumps({**manifest, "identity": run_identity(manifest)}))
    return Store(to)


def test_says_what_was_done_and_has_the_tables(known):
    page = render_runs([known], None)
    actual = assert_stands_alone(page)
    for expected_text in (
        "Decisions of 1 network on 5 photographs were explained by 3 methods: gradcam, shapleycam, layercam.",
        "What is explained is the class that the model predicts.",
        "RISE, Petsiuk 2018, arXiv:1806.07421",
        "5 of 5 photographs measured",
        "shapley_tolerance 0.005",
        known.manifest["models"][zoo.DEFAULT]["weights"][:12],
        "Another number of images: 5, and 50,000 in print.",
    ):
        assert expected_text in actual.text
    for cell in summarise_runs([known]).cells:
        assert f"{100 * cell.mean:.2f} ± {100 * cell.half:.2f}" in actual.text


def test_shows_the_photographs_on_which_methods_differ_most(known):
    page = render_runs([known], map_reproducer(known), maps=2)
    actual = assert_stands_alone(page)
    where = {"model": zoo.DEFAULT, "layer": "before-pool", "utility": "rest"}
    expected = find_disagreements(known.rows(), "average_drop", **where)
    for row in expected:
        assert f"{row.image} {zoo.DEFAULT} {row.best} {100 * row.best_value:.1f}% {row.worst}" in actual.text
    of_maps = [image["alt"] for image in actual.all("img") if "heatmap of" in image["alt"]]
    named = [f"{method} heatmap of {row.image} for " for row in expected[:2] for method in QUICK.methods]
    assert len(of_maps) == len(named)
    assert all(alt.startswith(name) for alt, name in zip(of_maps, named, strict=True))


def test_maps_made_again_are_those_that_were_measured(known):
    reproducer = map_reproducer(known)
    for row in known.rows().filter(pl.col("index") < 2).iter_rows(named=True):
        maps = reproducer.maps(zoo.DEFAULT, "before-pool", "rest", row["index"], row["target"])
        assert float(maps[row["method"]].heatmap.mean()) == pytest.approx(row["complexity"], abs=1e-5)


def test_of_several_runs_of_one_model_a_photograph_has_the_methods_of_all(known, shots, tmp_path):
    second_run = run_evaluation(
        shots, tmp_path / "other", zoo.DEFAULT, replace(QUICK, methods=("hirescam",), metrics=("complexity",))
    )
    maps = MapReproducer([known, second_run]).maps(zoo.DEFAULT, "before-pool", "rest", 0, 1)
    assert list(maps) == [*QUICK.methods, "hirescam"]


def test_photographs_may_have_moved(known, shots, tmp_path):
    moved = shots.rename(tmp_path / "moved")
    try:
        with pytest.raises(ShapleyCamError, match="no such file or folder"):
            map_reproducer(known).maps(zoo.DEFAULT, "before-pool", "rest", 0, 1)
        assert list(map_reproducer(known, data=str(moved)).maps(zoo.DEFAULT, "before-pool", "rest", 0, 1)) == list(
            QUICK.methods
        )
    finally:
        moved.rename(shots)


def test_where_maps_cannot_be_made_again_one_line_says_why(known, tmp_path):
    other_folder = folder_of(tmp_path / "other", 5, first=7)
    actual = assert_stands_alone(render_runs([known], map_reproducer(known, data=str(other_folder))))
    assert f"Maps are not shown: {other_folder} holds other photographs than the run measured" in actual.text
    assert not [image for image in actual.all("img") if "heatmap of" in image["alt"]]


@pytest.mark.parametrize(
    ("change", "expected_message"),
    [
        (lambda m: m["models"][zoo.DEFAULT].update(weights="0"), "is another one now: it has other weights"),
        (lambda m: m["sessions"][-1].update(dataset="hf:somebody/photos"), "give data='hf:somebody/photos'"),
        (lambda m: m["dataset"].update(fingerprint="0"), "holds other photographs"),
    ],
)
def test_what_is_not_what_it_was_is_refused(known, tmp_path, change, expected_message):
    changed_run = changed(known, tmp_path / "run", change)
    with pytest.raises(ShapleyCamError, match=expected_message):
        map_reproducer(changed_run).maps(zoo.DEFAULT, "before-pool", "rest", 0, 1)


def test_of_a_run_that_notes_little_there_is_a_report_all_the_same(shots, tmp_path):
    store = run_evaluation(shots, tmp_path / "run")
    store.manifest["models"]["tiny"] = {}
    store.manifest["sessions"] = []
    actual = assert_stands_alone(render_runs([store], map_reproducer(store)))
    assert "tiny not known" in actual.text
    assert "Maps are not shown: the dataset's path is empty" in actual.text


def test_code_that_only_the_run_names_does_not_run(known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')\n")
    name = "evil.py:network"

    def change(manifest):
        manifest["order"] = [name]
        manifest["models"] = {name: manifest["models"][zoo.DEFAULT]}

    store = changed(known, tmp_path / "run", change)
    with pytest.raises(ShapleyCamError, match=r"run only if asked: give trusted='evil\.py:network'"):
        map_reproducer(store).maps(name, "before-pool", "rest", 0, 1)


def test_the_protocols_preprocessing_is_used_again(shots, tmp_path):
    protocol = replace(Protocol.paper(), methods=("gradcam",), metrics=("complexity",))
    store = run_evaluation(shots, tmp_path / "run", zoo.DEFAULT, protocol)
    actual = map_reproducer(store).maps(zoo.DEFAULT, "last-conv", "rest", 0, 1)["gradcam"]
    assert actual.preprocess == Protocol.paper().preprocess
    assert actual.layer == store.manifest["models"][zoo.DEFAULT]["layers"]["last-conv"]


def test_names_of_users_are_text(tmp_path):
    shots = folder_of(tmp_path / "shots", 2)
    (shots / EVIL).mkdir()
    picture(5).save(shots / EVIL / "script>.jpg")
    (shots / EVIL / "broken>.jpg").write_bytes(b"nothing")
    network = tiny_network(name="<b onclick=alert(1)>", labels=tuple(f"</script><i>{c}" for c in "abcdefghij"))
    page = render_runs([run_evaluation(shots, tmp_path / "run", network)], None)
    actual = assert_stands_alone(page)
    assert len(actual.all("script")) == 1
    assert not actual.all("b")
    assert escape(f"{EVIL}/script>.jpg") in page.decode().replace("&#39;", "&#x27;")
    assert "1 could not be read or explained" in actual.text
    assert f"{EVIL}/broken>.jpg" in actual.text


def test_several_networks_and_settings_have_a_section_and_ranks_each(tmp_path):
    shots = folder_of(tmp_path / "shots", 4)
    protocol = replace(QUICK, utilities=("rest", "log_probability"), metrics=("coherency", "complexity"))
    networks = [tiny_network(seed, f"tiny{seed}") for seed in range(4)]
    actual = assert_stands_alone(render_runs([run_evaluation(shots, tmp_path / "run", networks, protocol)], None))
    assert actual.text.startswith("Evaluation of 4 networks")
    assert "Layer before-pool, utility log_probability" in actual.text
    assert actual.text.count("Ranks by Coh") == 2
    drawn = [image for image in actual.all("img") if image["src"].startswith("data:image/svg+xml")]
    assert len(drawn) == 2 * 3  # of each utility: one metric against the other, and two metrics' ranks


def test_the_same_run_gives_the_same_page(known):
    assert render_runs([known], map_reproducer(known), 1) == render_runs([known], map_reproducer(known), 1)


def test_the_users_random_numbers_are_left_alone(known):
    torch.manual_seed(3)
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    render_runs([known], map_reproducer(known), 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
