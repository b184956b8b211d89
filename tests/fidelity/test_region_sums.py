"""Sums of maps over regions: cells are divided by area, by pencil."""

from __future__ import annotations

import pytest
import torch

from shapleycam.errors import OptionError
from shapleycam.fidelity.region_sums import region_sums
from shapleycam.game.players import make_players
from shapleycam.models.layout import Layout

CPU = torch.device("cpu")


def regions(players, size=(4, 4), images=1):
    return make_players(players, Layout("NCHW", size), images, CPU)


def test_cells_that_are_the_regions_keep_their_values():
    values = torch.tensor([[[1.0, -2.0], [3.0, 4.5]], [[0.0, 1.0], [0.5, -1.0]]])
    sums = region_sums(values, regions((2, 2), images=2))
    torch.testing.assert_close(sums, values.flatten(1).double())


def test_a_cell_on_the_border_of_two_regions_counts_in_each_by_its_area():
    values = torch.tensor([[[1.0, 4.0, 2.0]]])
    torch.testing.assert_close(region_sums(values, regions((1, 2), (6, 6))), torch.tensor([[3.0, 4.0]]).double())
    uneven = torch.tensor([[0, 1, 1, 1]]).expand(4, 4)  # a quarter of the width, and three
    sums = region_sums(values, regions(uneven))
    torch.testing.assert_close(sums, torch.tensor([[0.75 * 1, 0.25 * 1 + 4 + 2]]).double())


def test_no_value_is_lost_whatever_the_sizes():
    values = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 4, (2, 7, 11), generator=torch.Generator().manual_seed(1))
    sums = region_sums(values, regions(labels, (7, 11), images=2))
    torch.testing.assert_close(sums.sum(1), values.double().sum((1, 2)))


def test_pixels_are_summed_by_their_labels():
    values = torch.arange(16.0).reshape(1, 4, 4)
    labels = torch.arange(16).reshape(4, 4) % 2
    assert region_sums(values, regions(labels)).tolist() == [[0 + 2 + 4 + 6 + 8 + 10 + 12 + 14, 64]]


def test_a_grid_that_has_no_place_in_the_image_is_refused():
    with pytest.raises(OptionError, match="the layer's grid has 3 dimensions and the image 2"):
        region_sums(torch.zeros(1, 2, 2, 2), regions((2, 2)))
