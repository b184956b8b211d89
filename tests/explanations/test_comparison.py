"""What `compare` returns: a dictionary that a notebook shows side by side."""

from __future__ import annotations

import pickle
import re
from base64 import b64decode
from io import BytesIO

import pytest
from PIL import Image

from helpers.random_explanations import explanation_of_noise
from shapleycam.explanations.comparison import Comparison
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
