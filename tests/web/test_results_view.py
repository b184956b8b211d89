"""The tab Results: a run as the library reads it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import colour_network
from helpers.small_evaluations import HERE, QUICK, folder_of, run_evaluation
from helpers.web_views import Views, rows_of, text_of
from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments import Store
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.experiments.results import find_disagreements
from shapleycam.html import template_environment
from shapleycam.report.pictures import SVG
from shapleycam.web.question import Question
from shapleycam.web.run_results import run_results
from shapleycam.web.views import VIEWS

COLOURS = f"{colour_network.__file__}:network"


@pytest.fixture(scope="module")
def store(evaluated):
    """A run of a model that the page offers too, so that maps can be made again."""
    return Store(evaluated)


@pytest.fixture(scope="module")
def views(store):
    return Views(colour_network.network(), [str(store.storage)], COLOURS)


@pytest.fixture(scope="module")
def html(views):
    (html,) = views.states("results")
    return html


def tables_of(html):
    """Return the rows of each table by its caption's first words."""
    parts = re.findall(r"<caption>(.*?)</caption>(.*?</tbody>)", html, re.DOTALL)
    return {text_of(caption).split(",")[0]: rows_of(body) for caption, body in parts}


class TestRun:
    def test_means_are_those_of_the_rows(self, html, store):
        rows = {method: figures for method, *figures in tables_of(html)["Layer before-pool"]}
        assert set(rows) == set(QUICK.methods)
        for method, figures in rows.items():
            of_method = store.rows().filter(method=method)
            for figure, metric in zip(figures, ("average_drop", "coherency"), strict=True):
                assert float(figure.split()[0]) == pytest.approx(100 * of_method[metric].mean(), abs=0.006)

    def test_first_what_came_out(self, html, store):
        means = {method: store.rows().filter(method=method)["average_drop"].mean() for method in QUICK.methods}
        best = min(means, key=means.get)
        sentence = text_of(re.search(r'<p class="answer">(.*?)</p>', html, re.DOTALL)[1])
        assert best in sentence
        assert f"{100 * means[best]:.1f}%" in sentence
        assert "AD is how much of the class's probability is lost if only what the map shows is kept." in text_of(html)
        assert "4 photographs, colour_network:network, 3 methods, 2 metrics." in text_of(html)

    def test_photographs_on_which_methods_differ(self, html, store):
        where = {"model": COLOURS, "layer": "before-pool", "utility": "rest"}
        expected = find_disagreements(store.rows(), "average_drop", **where)
        shown = tables_of(html)["Photographs on which the methods differ most"]
        assert [(row[0], row[2], row[4]) for row in shown] == [(d.image, d.best, d.worst) for d in expected]
        assert html.count("heatmap of") == 3 * min(3, len(expected))

    def test_by_another_metric(self, views, html, store):
        (other,) = views.states("results", metric="coherency")
        where = {"model": COLOURS, "layer": "before-pool", "utility": "rest"}
        expected = find_disagreements(store.rows(), "coherency", **where)
        shown = tables_of(other)["Photographs on which the methods differ most"]
        assert [row[0] for row in shown] == [d.image for d in expected]
        assert tables_of(other)["Layer before-pool"] == tables_of(html)["Layer before-pool"]
        assert 'href="results?metric=coherency"' in html
        with pytest.raises(OptionError, match="metric 'insertion' was not measured in this run"):
            views.states("results", metric="insertion")

    def test_its_pictures_are_at_their_addresses(self, views, html):
        pictures = run_results(views.resolved()).pictures
        addresses = re.findall(r'<img src="picture\?part=(\S+)&amp;kind=(run-\w+)&amp;server=\w+"', html)
        assert len(addresses) == len(pictures)
        for (part, kind), picture in zip(addresses, pictures, strict=True):
            assert views.picture(kind, part=part) == picture.content
            assert kind == ("run-drawing" if picture.media_type == SVG else "run-map")
        with pytest.raises(OptionError, match="the run has no picture"):
            views.picture("run-map", part="0.99")

    def test_neither_it_nor_its_pictures_tell_where_the_server_has_its_files(self, views, html):
        folders = [str(Path(COLOURS).parent), *views.resources.runs.places]
        contents = [html, *(picture.content.decode("latin1") for picture in run_results(views.resolved()).pictures)]
        assert len(contents) > 2
        assert [folder for folder in folders for content in contents if folder in content] == []

    def test_an_answer_is_small(self, html):
        assert len(html.encode()) < 50_000


class TestOthers:
    def test_more_results_are_shown_once_they_are_there(self, store, tmp_path):
        part = run_evaluation(folder_of(tmp_path / "shots", 4), tmp_path / "run", protocol=QUICK)
        chunk = next((tmp_path / "run").glob("parts/*/*.parquet"))
        views = Views(runs=[str(tmp_path / "run")])
        content = chunk.read_bytes()
        chunk.unlink()
        with pytest.raises(OptionError):
            views.states("results")
        chunk.write_bytes(content)
        (html,) = views.states("results")
        assert f"{part.images} photographs, tiny" in text_of(html)
        assert not VIEWS["results"].lasts

    def test_a_run_in_the_place_of_another_is_shown(self, tmp_path):
        """Of as many photographs, in as many chunks: both are whole."""
        shots, run = folder_of(tmp_path / "shots", 2), tmp_path / "run"
        run_evaluation(shots, run, protocol=QUICK)
        views = Views(runs=[str(run)])
        (before,) = views.states("results")
        pictures = views.resolved()
        state = run_results(pictures).state
        shutil.rmtree(run)
        fewer = replace(QUICK, methods=QUICK.methods[:2])
        run_evaluation(shots, run, protocol=fewer)
        (after,) = views.states("results")
        assert ("3 methods" in text_of(before), "2 methods" in text_of(after)) == (True, True)
        with pytest.raises(OptionError, match="the run has no picture"):
            views.picture("run-drawing", part=f"{state}.0")

    def test_a_chunk_that_is_measured_anew_is_shown(self, tmp_path, monkeypatch):
        """As by `evaluate --retry-errors`: a photograph that could not be read can be read now."""
        shots, opened = folder_of(tmp_path / "shots", 2), FileDataset.open

        def open_but_the_last(dataset, index):
            if index == 1:
                raise ImageError(f"{dataset.names[index]}: cannot be read (the network is away)")
            return opened(dataset, index)

        with monkeypatch.context() as patch:
            patch.setattr(FileDataset, "open", open_but_the_last)
            run_evaluation(shots, tmp_path / "run", protocol=QUICK)
        views = Views(runs=[str(tmp_path / "run")])
        (before,) = views.states("results")
        run_evaluation(shots, tmp_path / "run", protocol=QUICK, settings=replace(HERE, retry_errors=True))
        (after,) = views.states("results")
        assert "the network is away" in text_of(before)
        assert "the network is away" not in text_of(after)

    def test_why_maps_are_not_there(self, tmp_path):
        run_evaluation(folder_of(tmp_path / "shots", 2), tmp_path / "run", protocol=QUICK)
        (html,) = Views(runs=[str(tmp_path / "run")]).states("results")
        assert "Maps are not shown: model tiny is code of its user's own" in text_of(html)

    def test_without_a_run_there_is_no_empty_box(self):
        template = template_environment("shapleycam.web").get_template("results_controls.html")
        assert "<select" not in template.render(runs=[])
        assert "No run is offered here." in template.render(runs=[])
        assert 'value="two"' in template.render(runs=["one", "two"], question=Question())

    def test_without_a_run_it_is_said_how_to_make_one(self):
        (html,) = Views().states("results")
        assert text_of(html).startswith("No run is offered here.")
        assert "shapleycam evaluate PHOTOGRAPHS --out run shapleycam web --run run" in text_of(html)

    def test_another_run_is_not_opened(self, views):
        with pytest.raises(OptionError, match="run '/etc' is not offered by this page"):
            views.states("results", run="/etc")
