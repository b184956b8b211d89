"""Maps in styles: what `overlay`, `shade`, `figure` and `plot` draw of an explanation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from helpers.random_explanations import explanation_of_noise
from shapleycam.cams.heatmaps import heatmap
from shapleycam.drawing.overlays import shade_of, signed_shade_of
from shapleycam.errors import BlankHeatmapWarning, OptionError
from shapleycam.explanations.explanation import Explanation

VALUES = torch.tensor([[[4.0, -3.0], [1.0, -1.0]]])
"""Of the four quarters of an image of 8 x 8 pixels."""


@pytest.fixture
def e() -> Explanation:
    size = (8, 8)
    return explanation_of_noise(1, values=VALUES, heatmap=heatmap(VALUES, size), images=torch.ones(1, 3, *size))


def alphas(e: Explanation, **wish) -> np.ndarray:
    """Return how strongly each quarter is covered, at its outer corner."""
    return np.array(e.shade(**wish))[::7, ::7, 3]


def test_negative_heat_is_that_of_the_opposite_values(e):
    expected = shade_of(heatmap(-VALUES, (8, 8))[0], 0.5)
    assert e.shade(opacity=0.5, sign="negative").tobytes() == expected.tobytes()
    assert e.shade(opacity=0.5, sign="positive").tobytes() == e.shade(opacity=0.5).tobytes()


@pytest.mark.parametrize(
    ("wish", "shown"),
    [
        ({"top_value": 0.8}, [[True, False], [False, False]]),
        ({"top_value": 0.81}, [[True, False], [True, False]]),
        ({"top_area": 0.25, "sign": "negative"}, [[False, True], [False, False]]),
        ({"top_area": 0.5, "kind": "values"}, [[True, True], [False, False]]),
        ({"top_area": 1.0, "kind": "values", "sign": "negative"}, [[False, True], [False, True]]),
    ],
)
def test_only_the_places_of_the_top_share_are_covered(e, wish, shown):
    assert ((alphas(e, **wish) > 0) == shown).all()


def test_contours_are_drawn_over_the_photograph_at_any_opacity(e):
    bare, lined = (np.array(e.overlay(opacity=0, contours=count)) for count in (0, 2))
    assert np.array_equal(bare, e.picture().numpy())
    assert (bare != lined).any()
    assert e.shade(contours=2).tobytes() == e.shade().tobytes()


def test_a_volume_shows_the_frame_that_is_asked_for():
    values = torch.zeros(1, 2, 2, 2)
    values[0, 1, 0, 0], values[0, 0, 1, 1] = 5, 4
    volume = explanation_of_noise(
        1, values=values, heatmap=heatmap(values, (4, 8, 8)), images=torch.ones(1, 3, 4, 8, 8)
    )
    covered = [np.array(volume.shade(frame=frame, top_value=0.5))[..., 3].any() for frame in range(4)]
    assert covered == [False, False, True, True]  # the share is of the whole volume
    assert volume.overlay(contours=2, colours="magma").size == (8, 8)


def test_colours_of_signed_values_mean_what_the_bar_says():
    """A peak of one cell is interpolated to less than its value; a plateau of half the value has half the scale."""
    values = torch.zeros(1, 8, 8)
    values[0, 1, 1], values[0, 4:, 4:] = 1.0, 0.5
    e = explanation_of_noise(1, values=values, heatmap=torch.zeros(1, 16, 16), images=torch.ones(1, 3, 16, 16))
    colours = np.array(e.shade(kind="values"))
    assert colours[12, 12].tolist() == np.array(signed_shade_of(torch.tensor([[0.5, 1.0]]), 1.0))[0, 0].tolist()
    # The strongest pixel of the peak has (3/4)² of its value: weaker than what the bar has at its end.
    assert colours[2, 2].tolist() == np.array(signed_shade_of(torch.tensor([[0.5625, 1.0]]), 1.0))[0, 0].tolist()


def test_colours_of_signed_values_mean_the_same_in_all_frames():
    values = torch.zeros(1, 2, 2, 2)
    values[0, 0], values[0, 1] = 0.5, 1.0
    volume = explanation_of_noise(1, values=values, heatmap=torch.rand(1, 2, 8, 8), images=torch.ones(1, 3, 2, 8, 8))
    weak, strong = (np.array(volume.shade(kind="values", frame=frame))[0, 0] for frame in (0, 1))
    expected = np.array(signed_shade_of(torch.tensor([[0.5, 1.0]]), 1.0))[0]
    assert [weak.tolist(), strong.tolist()] == expected.tolist()
    lined = [np.array(volume.overlay(kind="values", frame=frame, contours=3, opacity=0)) for frame in (0, 1)]
    assert all((each == 255).all() for each in lined)  # each frame is flat


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"opacity": 2}, "opacity is 2; expected 0"),
        ({"opacity": "0.5"}, "opacity is '0.5'; expected 0"),
        (
            {"kind": "signed"},
            "kind='signed'; expected on 'photo' or 'input', kind one of 'heatmap', 'values', 'uncertain'",
        ),
        ({"sign": "both"}, "a heatmap shows one sign, expected 'positive' or 'negative'; for both draw kind='values'"),
        ({"colours": "virids"}, "did you mean 'viridis'"),
        ({"kind": "uncertain", "contours": 2}, "kind='uncertain' has one colour and shows all places"),
        ({"top_value": 2}, "top_value=2; expected a share"),
    ],
)
def test_refusals(e, wish, message):
    for draw in (e.overlay, e.shade, e.figure, e.plot):
        with pytest.raises(OptionError) as caught:
            draw(**wish)
        assert message in str(caught.value)


def test_a_map_of_a_sign_that_no_value_has_is_warned_of():
    e = explanation_of_noise(1, values=VALUES.abs())
    with pytest.warns(BlankHeatmapWarning, match="the map of negative values for .* is blank: no value is negative"):
        e.overlay(sign="negative")


# Figures


def test_side_by_side_the_photograph_is_left_and_the_colour_bar_below(e):
    alone, beside = e.figure(side_by_side=False), e.figure()
    assert beside.size[0] > alone.size[0]
    left, right = np.array(beside)[:, : beside.size[0] // 2], np.array(beside)[:, beside.size[0] // 2 :]
    middle = slice(beside.size[1] // 3, beside.size[1] // 2)
    assert (left[middle, 100:-100] == 255).all()  # the photograph is white
    assert (right[middle, 100:-100] != 255).any()
    assert e.figure(kind="values").size[0] == beside.size[0]


def test_what_is_not_sure_has_a_figure_without_a_bar():
    e = explanation_of_noise(1, stderr=torch.rand(1, 2, 2))
    assert e.figure(kind="uncertain").size[1] < e.figure().size[1]


# matplotlib


def test_plot_draws_into_the_axes_that_are_given_and_returns_them(e):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert e.plot(left, kind="values", colours="PiYG", colour_bar=False) is left
    assert np.array_equal(left.images[0].get_array(), np.array(e.overlay(kind="values", colours="PiYG")))
    assert len(figure.axes) == 2
    assert not right.images
    assert e.method in left.get_title()
    assert e.label() in left.get_title()


@pytest.mark.parametrize(
    ("wish", "label", "limits"),
    [
        ({}, "heat, relative to the strongest place", (0, 1)),
        ({"kind": "values"}, "value of each place for the class, in units of rest", (-4, 4)),
    ],
)
def test_its_colour_bar_states_numbers_and_unit(e, wish, label, limits):
    figure = Figure()
    e.plot(figure.subplots(), **wish)
    _, bar = figure.axes
    assert label in bar.get_ylabel()
    assert bar.get_ylim() == limits
    figure.canvas.draw()
    assert not any("\N{MINUS SIGN}" in text.get_text() for text in bar.get_yticklabels())


def test_values_without_units_and_blank_maps_have_a_bar_too():
    e = explanation_of_noise(1, method="layercam", values=torch.zeros(1, 2, 2))
    figure = Figure()
    e.plot(figure.subplots(), kind="values")
    assert "units of the method's own" in figure.axes[1].get_ylabel()
    figure.canvas.draw()


def test_without_axes_it_makes_a_new_figure_that_a_notebook_shows(e):
    before = plt.get_fignums()
    axes = e.plot(index=-1)
    assert len(plt.get_fignums()) == len(before) + 1
    assert axes.figure.number not in before
    plt.close(axes.figure)


@pytest.mark.parametrize("ax", [0, "axes", np.zeros(2)])
def test_what_are_no_axes_is_refused(e, ax):
    with pytest.raises(OptionError, match=r"ax is a .*; expected the axes of one plot, or None for a new figure"):
        e.plot(ax)
