"""What `compare` returns: a dictionary that a notebook shows side by side."""

from __future__ import annotations

import pickle
import re
from base64 import b64decode
from io import BytesIO

import pytest
import torch
from PIL import Image

from helpers.random_explanations import explanation_of_noise
from shapleycam.cams.heatmaps import heatmap
from shapleycam.drawing.map_style import MapStyle
from shapleycam.explanations.comparison import Comparison, group_by_map
from shapleycam.explanations.drawn_map import DrawnMap, drawn_numbers
from shapleycam.images import Source

METHODS = ("gradcam", "shapleycam")


def make_comparison(count: int = 2, **changes: object) -> Comparison:
    return Comparison({method: explanation_of_noise(count, method=method, **changes) for method in METHODS})


def test_compare_returns_a_dictionary_by_method(explainer, hopper):
    comparison = explainer.compare(hopper, METHODS)
    assert isinstance(comparison, Comparison)
    assert tuple(comparison) == METHODS
    (first,) = explainer.compare_each(hopper, METHODS, [None])
    assert isinstance(first, Comparison)


def test_it_equals_and_pickles_as_any_dictionary():
    comparison = make_comparison()
    assert comparison == dict(comparison)
    unpickled = pickle.loads(pickle.dumps(comparison))  # noqa: S301
    assert isinstance(unpickled, Comparison)
    assert list(unpickled) == list(comparison)


def test_a_figure_for_each_image_and_method():
    html = make_comparison(2)._repr_html_()
    embedded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert [Image.open(BytesIO(b64decode(text))).size for text in embedded] == [(8, 8)] * 4
    assert re.findall(r"<figcaption>([^<]+)", html) == [*METHODS, *METHODS]
    assert "image 1: <b>goldfish</b>" in html
    assert 'alt="shapleycam heatmap of image 1 for goldfish"' in html


@pytest.mark.parametrize(("count", "more"), [(4, ""), (6, "<p>and 2 more</p>")])
def test_of_many_images_four_are_shown(count, more):
    html = make_comparison(count)._repr_html_()
    assert html.count("<img") == 4 * len(METHODS)
    assert html.endswith(f"{more}\n</div></div>")


def test_names_are_escaped():
    evil = "<script>alert('x')</script>"
    html = make_comparison(1, sources=(Source(evil),), labels=(evil, "", ""), utility_name="<lambda>")._repr_html_()
    assert "<script" not in html
    assert "<lambda>" not in html
    assert "alert('" not in html


def test_of_nothing_it_says_so():
    assert Comparison()._repr_html_() == "<p>no methods</p>"


def test_one_map_is_what_looks_the_same():
    """Values that differ below zero, by a factor, or by what the smallest of them is."""
    values = {
        "a": torch.tensor([[[3.0, 1.0], [-1.0, -2.0]]]),
        "other below zero": torch.tensor([[[3.0, 1.0], [-3.0, 0.0]]]),
        "twice": torch.tensor([[[6.0, 2.0], [-2.0, -4.0]]]),
    }
    explanations = {
        name: explanation_of_noise(1, values=each, heatmap=heatmap(each, (8, 8))) for name, each in values.items()
    }

    def groups(**wish):
        return group_by_map({name: drawn_numbers(e, DrawnMap(**wish)) for name, e in explanations.items()})

    assert groups() == [["a", "other below zero", "twice"]]
    apart = [["a", "twice"], ["other below zero"]]
    assert groups(kind="values") == apart
    assert groups(style=MapStyle(sign="negative")) == apart
    shifted = {"a": torch.tensor([[[1.0, 2.0], [3.0, 3.0]]]), "b": torch.tensor([[[0.0, 1.0], [2.0, 2.0]]])}
    explanations = {
        name: explanation_of_noise(1, values=each, heatmap=heatmap(each, (8, 8))) for name, each in shifted.items()
    }
    assert groups() == [["a", "b"]]
    assert groups(style=MapStyle(top_value=0.8)) == [["a"], ["b"]]  # 3 + 3 + 2 of 9, but 2 + 2 of 5
