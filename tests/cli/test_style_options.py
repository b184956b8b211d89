"""How maps are drawn by explain and compare: --sign, --colours, --contours, --top-value, --top-area, --side-by-side."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shapleycam.explanations.explanation import Explanation

LAYER = ("--model", "tiny.py:network", "--layer", "convolution", "--target", "dog", "--quiet")
NAME = "grace_hopper_dog-1_hirescam"


@pytest.fixture
def network(tiny, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)


def holds(figure: Image.Image, picture: Image.Image) -> bool:
    """Return whether a picture lies somewhere in the left column of a figure, pixel by pixel."""
    whole, part = np.array(figure), np.array(picture)
    lefts = whole[:, 12 : 12 + part.shape[1]]
    tops = range(len(whole) - len(part) + 1)
    return any(np.array_equal(lefts[top : top + len(part)], part) for top in tops if (lefts[top] == part[0]).all())


@pytest.mark.parametrize(
    ("arguments", "style"),
    [
        ((), {}),
        (("--sign", "both"), {"kind": "values"}),
        (("--sign", "negative", "--colours", "Viridis"), {"sign": "negative", "colours": "viridis"}),
        (("--contours", "3", "--top-value", "0.5"), {"contours": 3, "top_value": 0.5}),
        (("--sign", "both", "--top-area", "0.25"), {"kind": "values", "top_area": 0.25}),
    ],
)
def test_explain_draws_what_the_library_draws(network, run, hopper, tmp_path, arguments, style):
    assert run("explain", hopper, *LAYER, "--method", "hirescam", *arguments, "--save").code == 0
    e = Explanation.load(tmp_path / f"{NAME}.npz")
    (file,) = tmp_path.glob(f"{NAME}*.png")
    with Image.open(file) as figure:
        assert holds(figure, e.overlay(**style))


def test_side_by_side_has_the_photograph_too(network, run, hopper, tmp_path):
    sizes = []
    for command, file in (("explain", f"{NAME}.png"), ("compare", "grace_hopper_dog-1_compare.png")):
        for more in ((), ("--side-by-side",)):
            assert run(command, hopper, *LAYER, "--method", "hirescam", *more).code == 0
            with Image.open(tmp_path / file) as figure:
                sizes.append(figure.width)
    assert sizes[0] < sizes[1]
    assert sizes[2] < sizes[3]


def test_compare_draws_signed_values_in_other_colours(network, run, hopper, tmp_path):
    pictures = []
    for more in ((), ("--sign", "both"), ("--sign", "both", "--colours", "PiYG")):
        assert run("compare", hopper, *LAYER, "--method", "hirescam", "--method", "gradcam++", *more).code == 0
        end = "-both" if more else ""
        with Image.open(tmp_path / f"grace_hopper_dog-1_compare{end}.png") as figure:
            pictures.append(np.array(figure))
    assert len({picture.tobytes() for picture in pictures}) == 3


@pytest.mark.parametrize("command", ["explain", "compare"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--colours", "virids"), "colour map 'virids' is unknown; did you mean 'viridis'"),
        (("--contours", "-1"), "--contours -1; expected a whole number from 0 (no lines) to 50"),
        (("--top-value", "20"), "--top-value 20.0; expected a share above 0 and up to 1, such as 0.2 for 20%"),
        (("--top-area", "0"), "--top-area 0.0; expected a share above 0"),
        (("--top-value", "0.5", "--top-area", "0.5"), "--top-value 0.5 and --top-area 0.5 were both given"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_model_is_loaded(refused, command, arguments, message):
    assert message in refused(command, "missing.jpg", "--model", "nothing.py:net", *arguments)
