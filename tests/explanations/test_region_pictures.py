"""Pictures of values of regions: flat signed colours, borders, and grey where a value is not sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from helpers.random_explanations import explanation_of_noise
from shapleycam.cams.heatmaps import heatmap
from shapleycam.drawing.overlays import signed_shade_of
from shapleycam.errors import OptionError
from shapleycam.explanations.comparison import group_by_map
from shapleycam.explanations.drawn_map import DrawnMap, drawn_numbers, resolve_kind
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.figures import map_bar, map_title
from shapleycam.explanations.regions import region_map

LABELS = torch.tensor([[[0, 0, 0, 1], [0, 0, 0, 1], [2, 2, 3, 3], [2, 2, 3, 3]]])
"""Regions of six, two, four and four cells."""
OF_REGIONS = torch.tensor([3.0, -2.0, 1.0, 0.0])
ERRORS = torch.tensor([1.0, 0.5, 0.6, 0.1])
"""The first is sure, at 3 standard errors, the second too, at 4; the third is not, at 1.7, and the fourth is at 0."""


def cells(of_regions: torch.Tensor) -> torch.Tensor:
    """Return each region's number, shared evenly by its cells."""
    sizes = torch.tensor([6.0, 2.0, 4.0, 4.0])
    return (of_regions / sizes)[LABELS]


@pytest.fixture
def e() -> Explanation:
    values = cells(OF_REGIONS)
    return explanation_of_noise(
        1,
        method="sampledshapley",
        values=values,
        stderr=cells(ERRORS),
        regions=LABELS,
        heatmap=heatmap(values, (128, 128)),
        images=torch.full((1, 3, 128, 128), 0.5),
    )


def test_a_region_has_the_colour_of_its_value_however_many_cells_it_has(e):
    shade = np.array(e.shade())
    expected = np.array(signed_shade_of(torch.tensor([[3.0, -2.0]]), 1.0))[0]
    assert (shade[:64, :96] == expected[0]).all()
    assert (shade[:64, 96:] == expected[1]).all()


def test_a_region_nearer_to_zero_than_two_standard_errors_is_grey_with_stripes(e):
    shade = np.array(e.shade())
    for grey in (shade[64:, :64], shade[64:, 64:]):
        assert (np.abs(grey[..., :3].astype(int) - 128) <= 1).all()
        assert len(np.unique(grey[..., 3])) == 2
    drawn = region_map(LABELS[0], e.values[0], e.stderr[0])
    assert (drawn.count_unsure, drawn.count, drawn.largest) == (2, 4, 3.0)


def test_values_without_errors_are_all_sure(e):
    exact = explanation_of_noise(1, method="exactshapley", values=e.values, regions=LABELS, heatmap=e.heatmap)
    drawn = region_map(LABELS[0], exact.values[0])
    assert not drawn.unsure.any()
    assert drawn.count_unsure is None
    assert "grey" not in map_bar([exact], DrawnMap()).caption


def test_borders_lie_over_the_colours_in_overlays_and_not_over_the_bare_photograph(e):
    overlay, plain = (np.array(e.overlay(**wish)) for wish in ({}, {"plain": True, "kind": "values"}))
    assert (overlay[10, 94:98] > 200).any()
    assert (plain[10, 94:98] < 200).all()
    assert np.array_equal(np.array(e.overlay(opacity=0)), e.picture().numpy())


def test_a_bar_states_the_largest_value_of_a_region_and_what_is_grey(e):
    bar = map_bar([e], DrawnMap())
    assert (bar.low, bar.high) == ("-3", "+3")
    assert bar.caption == (
        "value of each region for the class, in units of rest; grey: not sure, nearer to zero than 2 standard errors "
        "(2 of 4)"
    )
    figure = Figure()
    e.plot(figure.subplots())
    assert figure.axes[1].get_ylim() == (-3, 3)
    assert map_title(e, DrawnMap()) == "signed values of regions"


def test_the_kind_is_that_of_the_data_unless_it_is_given(e):
    places = explanation_of_noise(1)
    assert resolve_kind([e], DrawnMap()).kind == "values"
    assert resolve_kind([places], DrawnMap()).kind == "heatmap"
    assert resolve_kind([e, places], DrawnMap()).kind == "heatmap"
    assert e.shade().tobytes() == e.shade(kind="values").tobytes() != e.shade(kind="heatmap").tobytes()
    assert e.shade(plain=True).tobytes() == e.shade(kind="heatmap").tobytes()


def test_values_that_differ_within_a_region_are_drawn_as_those_of_places(e):
    """As a derivative's do, which regions beside it do not group."""
    values = e.values.clone()
    values[0, 0, 0] += 1
    derivative = explanation_of_noise(1, values=values, regions=LABELS)
    assert resolve_kind([derivative], DrawnMap()).kind == "heatmap"
    plain = explanation_of_noise(1, values=values)
    assert derivative.shade(kind="values").tobytes() == plain.shade(kind="values").tobytes()


def test_one_side_and_the_top_share_can_be_shown(e):
    negative = np.array(e.shade(sign="negative"))[..., 3]
    assert not negative[:64, :96].any()
    assert negative[:64, 96:].all()
    top = np.array(e.shade(top_area=0.1))[..., 3]  # the two cells of the second region have the largest values
    assert top[:64, 96:].all()
    assert not top[64:].any()


def test_maps_are_the_same_where_colours_and_grey_are(e):
    sure = explanation_of_noise(1, values=e.values, regions=LABELS, heatmap=e.heatmap)
    places = explanation_of_noise(1, values=e.values, heatmap=e.heatmap)
    drawn = DrawnMap(kind="values")
    maps = {name: drawn_numbers(each, drawn) for name, each in {"a": e, "b": e, "c": sure, "d": places}.items()}
    assert group_by_map(maps) == [["a", "b"], ["c"], ["d"]]


def test_contours_of_regions_are_refused_and_plain_ones_drawn(e):
    with pytest.raises(OptionError, match=r"contours=3 were asked for, and the values are of regions, which are flat"):
        e.overlay(contours=3)
    assert e.overlay(contours=3, plain=True).size == e.overlay(kind="heatmap", contours=3).size


def test_a_notebook_shows_the_bar_of_what_is_drawn(e):
    assert "value of each region for the class" in e._repr_html_()
    assert "heat, relative to the strongest place" in explanation_of_noise(1)._repr_html_()


def test_regions_of_a_volume_are_drawn_frame_by_frame():
    labels = torch.tensor([[[0, 0], [0, 0]], [[1, 1], [0, 0]]])[None]
    values = torch.tensor([6.0 / 6, -4.0 / 2])[labels]
    volume = explanation_of_noise(
        1, values=values, regions=labels, heatmap=heatmap(values, (2, 8, 8)), images=torch.ones(1, 3, 2, 8, 8)
    )
    first, second = (np.array(volume.shade(frame=frame)) for frame in (0, 1))
    expected = np.array(signed_shade_of(torch.tensor([[6.0, -4.0]]), 1.0, largest=6.0))[0]
    assert (first == expected[0]).all()
    assert (second[:4] == expected[1]).all()
    assert (second[4:] == expected[0]).all()


def test_names_are_written_over_their_regions_alone(e):
    """Of four regions the second has a name; by number, also where the image lacks a number before it."""
    named = replace(e, region_names=("", "cat", "", ""))
    changed = (np.array(named.overlay()) != np.array(e.overlay())).any(2)
    rows, columns = changed.nonzero()
    assert rows.max() < 64
    assert columns.min() > 70  # the region is narrow: the name is as wide as the letters are
    skipping = replace(e, regions=LABELS + 1, region_names=("absent", "", "cat", "", ""))
    assert np.array_equal(np.array(skipping.overlay()), np.array(named.overlay()))
    assert np.array_equal(np.array(named.overlay(plain=True)), np.array(e.overlay(plain=True)))
