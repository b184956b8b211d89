"""What notebooks show, in Chromium: it has its style sheet, and the notebook around it stays as it is."""

from __future__ import annotations

import pytest

from helpers.random_explanations import explanation_of_noise
from shapleycam.explanations.comparison import Comparison

AROUND = """<!doctype html><body style="color: rgb(1, 2, 3); background: white">
<h2 id="before">Before</h2><figure><figcaption>a figure</figcaption></figure><table><td>1</td></table>
"""
COLLECT = """() => [...document.querySelectorAll("body, #before, body > figure, body > figure > figcaption, table, td")]
  .map((each) => JSON.stringify(Object.fromEntries([...getComputedStyle(each)]
    .filter((name) => !/height|block-size|origin|inline-size|width/.test(name))
    .map((name) => [name, getComputedStyle(each)[name]]))))"""


@pytest.fixture(scope="module")
def outputs() -> dict[str, str]:
    explanations = {method: explanation_of_noise(2, method=method) for method in ("gradcam", "shapleycam")}
    return {
        "explanation": explanations["gradcam"]._repr_html_(),
        "comparison": Comparison(explanations)._repr_html_(),
    }


@pytest.mark.parametrize("kind", ["explanation", "comparison"])
def test_the_style_sheet_is_for_the_output_alone(kind, outputs, chromium):
    page = chromium.new_page(color_scheme="dark")  # of the system: the notebook's theme is light
    page.set_content(AROUND)
    before = page.evaluate(COLLECT)
    page.set_content(AROUND + outputs[kind])
    assert page.evaluate(COLLECT) == before
    style = page.evaluate("""() => Object.fromEntries([".colours", "figcaption", ".bar"].map((name) => {
      const each = document.querySelector(`.notebook ${name}`);
      return [name, {color: getComputedStyle(each).color, display: getComputedStyle(each).display,
                     bar: getComputedStyle(each, "::before").backgroundImage}];
    }))""")
    assert style[".colours"]["bar"].startswith("linear-gradient(to right, rgb(")
    assert style[".bar"]["display"] == "grid"
    assert style["figcaption"]["color"] == "rgb(1, 2, 3)"
    page.close()
