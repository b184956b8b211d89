"""The report of photographs: what it says of each is what the explainer says."""

from __future__ import annotations

import pytest
import torch

from helpers.html_reader import assert_stands_alone
from helpers.small_evaluations import picture, tiny_network
from shapleycam import Explainer, Preprocess
from shapleycam.errors import ReplayError
from shapleycam.explaining.inputs import batch_of
from shapleycam.explanations.drawn_map import DrawnMap
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.figures import map_bar
from shapleycam.explanations.image_summary import describe_curvature
from shapleycam.report import make_pages, render_photographs
from shapleycam.report.pictures import photograph_picture

METHODS = ("gradcam", "layercam", "pathcam-h")


@pytest.fixture
def explainer() -> Explainer:
    return Explainer(tiny_network(), device="cpu")


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(2)]
    for index, path in enumerate(paths):
        picture(index).save(path)
    return paths


def pages(explainer, photos, methods=METHODS, **options):
    return make_pages(explainer, batch_of(photos, explainer.preprocess, explainer.model), methods, **options)


def test_each_photograph_has_its_classes_evidence_and_curvature(explainer, photos):
    actual = assert_stands_alone(render_photographs(pages(explainer, photos), []))
    compared = explainer.compare(photos, METHODS, curvature=True)
    for index, photo in enumerate(photos):
        first = compared["gradcam"]
        chances = torch.softmax(explainer.output(photos), 1)[index].topk(5)
        top = [f"{explainer.labels[c]} {100 * p:.1f}%" for p, c in zip(*map(torch.Tensor.tolist, chances), strict=True)]
        assert " ".join(top) in actual.text
        assert str(photo) in actual.text
        assert f"Explained: {first.label(index)}, rest {float(first.utility[index]):.4g}." in actual.text
        assert f"By gradcam: {describe_evidence(first.values[index])}." in actual.text
        assert f"Curvature {describe_curvature(float(first.curvature[index]))}." in actual.text
    assert len(actual.all("img")) == 2 * (1 + 2 * len(METHODS))


def test_the_efficiency_gap_is_that_of_the_game(explainer, photos):
    (page, _) = pages(explainer, photos)
    game = explainer.game(photos[:1])
    everything, nothing = (torch.full((1, game.n_players), present) for present in (True, False))
    total = float(game.value(everything) - game.value(nothing))
    assert float(page.grand) == pytest.approx(total, rel=1e-3)
    for place, method in ((0, "gradcam"), (2, "pathcam-h")):
        actual = float(explainer.explain(photos[:1], method).values.sum())
        gap = abs(actual - total) / abs(total)
        gap_text = f"{gap:.1%}" if gap >= 0.0005 else "<0.1%"
        assert page.maps[place].sum == f"{actual:.4g}, efficiency gap {gap_text}"
    assert page.maps[1].sum == "not in units of the score"


def test_values_are_printed_as_they_lie(explainer, photos):
    (page, _) = pages(explainer, photos)
    values = explainer.explain(photos[:1], "gradcam").values[0]
    printed = [[float(text) for text in row] for row in page.maps[0].values]
    torch.testing.assert_close(torch.tensor(printed), values, rtol=5e-3, atol=1e-6)
    assert page.maps[0].bar.high == f"+{float(values.abs().max()):.3g}"
    assert page.maps[0].bar.caption.endswith("in units of rest")


def test_without_a_game_there_is_no_gap_and_the_page_says_so(explainer, photos, monkeypatch):
    def refused(*_):
        raise ReplayError("it writes in place")

    monkeypatch.setattr(explainer, "game", refused)
    actual = pages(explainer, photos, ("gradcam",))
    total = float(explainer.explain(photos[:1], "gradcam").values.sum())
    assert actual[0].maps[0].sum == f"{total:.4g}"
    assert "What there is to share out is not known" in assert_stands_alone(render_photographs(actual, [])).text


def test_a_fine_grid_is_not_printed(photos):
    network = tiny_network(preprocess=Preprocess(96, (96, 96), (0.5,) * 3, (0.25,) * 3))  # whose grid is 24 x 24
    actual = pages(Explainer(network, device="cpu"), photos)
    assert actual[0].maps[0].values is None
    assert "too fine to print" in assert_stands_alone(render_photographs(actual, [])).text


def test_a_target_is_explained_in_place_of_the_prediction(explainer, photos):
    assert all(page.summary.explained[0].label == "hen" for page in pages(explainer, photos, target="hen"))


def test_what_could_not_be_read_is_listed(explainer, photos):
    page = render_photographs(pages(explainer, photos), [("<i>gone</i>.jpg", "<i>gone</i>.jpg: no such file")])
    actual = assert_stands_alone(page)
    assert "1 could not be read: they are listed below." in actual.text
    assert actual.text.count("<i>gone</i>.jpg: no such file") == 1
    assert not actual.all("i")


def test_names_of_files_and_labels_are_text(tmp_path):
    evil = "<script>alert('x')<script>"
    photo = tmp_path / f"{evil}\udcff.png"  # whose last character is no text
    picture(0).save(photo)
    labels = tuple(f"</script><script>alert({c})</script>" for c in range(10))
    explainer = Explainer(tiny_network(labels=labels, name="<b>"), device="cpu")
    actual = assert_stands_alone(render_photographs(pages(explainer, [photo]), []))
    assert len(actual.all("script")) == 1
    assert not actual.all("b")
    assert evil in actual.text
    assert "</script><script>alert(" in actual.text


def test_values_of_regions_are_drawn_as_explain_draws_them(photos):
    explainer = Explainer(tiny_network(), layer="input", device="cpu")
    page = pages(explainer, photos[:1], ["exactshapley"], players=(2, 2))[0]
    e = explainer.explain(photos[0], "exactshapley", players=(2, 2))
    assert page.maps[0].signed.content == photograph_picture(e.overlay(), "").content
    assert page.maps[0].bar.high == map_bar([e], DrawnMap()).high
