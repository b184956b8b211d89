"""From a region of the photograph to the pixels of the network's input, with a pencil."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.regions import Region, masks_of
from shapleycam.models.preprocess import Preprocess

PHOTO = (100, 50)
WHOLE = (0.0, 0.0, 100.0, 50.0)


def cells(mask: torch.Tensor) -> list[str]:
    """A mask as rows of # and dots."""
    assert mask.dtype == torch.bool
    return ["".join("#" if cell else "." for cell in row) for row in mask.tolist()]


def mask_of(regions, box, photo_size, size) -> torch.Tensor:
    """The pixels that are in one of the regions."""
    return masks_of(regions, box, photo_size, size).any(0)


class TestBoxes:
    def test_half_of_the_photograph(self):
        """The centres are at x 12.5, 37.5, 62.5, 87.5 and y 12.5, 37.5."""
        actual = mask_of([Region("a", (50, 0, 100, 25))], WHOLE, PHOTO, (2, 4))
        assert cells(actual) == ["..##", "...."]

    def test_centres_decide(self):
        """12.5 belongs to a box that begins there, 37.5 not to one that ends there."""
        actual = mask_of([Region("a", (12.5, 12.4, 37.5, 12.6))], WHOLE, PHOTO, (2, 4))
        assert cells(actual) == ["#...", "...."]

    def test_crop_of_the_middle(self):
        """The middle 50 x 50 of 100 x 50 on 5 x 5: centres at x 30, 40, 50, 60, 70 and y 5, 15, 25, 35, 45."""
        actual = mask_of([Region("a", (0, 0, 45, 20))], (25, 0, 75, 50), PHOTO, (5, 5))
        assert cells(actual) == ["##...", "##...", ".....", ".....", "....."]

    def test_what_was_added_around_is_outside(self):
        """Input of twice the photograph's height: y -12.5, 12.5, 37.5, 62.5 and x 12.5 ... 87.5."""
        actual = mask_of([Region("a", (-50, -50, 200, 200))], (0, -25, 100, 75), PHOTO, (4, 4))
        assert cells(actual) == ["....", "####", "####", "...."]

    def test_union(self):
        regions = [Region("a", (0, 0, 25, 25)), Region("b", (75, 25, 100, 50)), Region("b", (75, 25, 100, 50))]
        assert cells(mask_of(regions, WHOLE, PHOTO, (2, 4))) == ["#...", "...#"]

    def test_nothing(self):
        assert not mask_of([], WHOLE, PHOTO, (2, 4)).any()
        assert not mask_of([Region("a")], WHOLE, PHOTO, (2, 4)).any()

    def test_annotation_of_another_size(self):
        """Annotated at 200 x 100: its x 100 is the photograph's 50, its y 50 the photograph's 25."""
        actual = mask_of([Region("a", (100, 50, 200, 100), size=(200, 100))], WHOLE, PHOTO, (2, 4))
        assert cells(actual) == ["....", "..##"]

    @pytest.mark.parametrize("size", [(50, 100), (100, 100), (200, 98)])
    def test_of_another_picture(self, size):
        """A turned photograph, a square crop, and a copy that is two pixels too low for its width."""
        masks = Region("a", mask=np.ones(size[::-1], dtype=np.bool_))
        for region in (Region("a", (0, 0, 1, 1), size=size), masks):
            with pytest.raises(ImageError, match=rf"annotation of {size[0]} x {size[1]} pixels .* of 100 x 50"):
                mask_of([region], WHOLE, PHOTO, (2, 4))

    @pytest.mark.parametrize("size", [(33, 17), (33, 16), (3, 1), (3, 2), (1000, 500)])
    def test_copy_with_rounded_sides(self, size):
        """A third of 100 x 50 is 33.3 x 16.7."""
        assert mask_of([Region("a", (0, 0, *size), size=size)], WHOLE, PHOTO, (2, 4)).all()


class TestPhotographThatItsFileTurns:
    """Whether an annotation is of the upright photograph: known where the orientation exchanges its sides."""

    @pytest.mark.parametrize(
        ("orientation", "photo", "size"),
        [(3, PHOTO, PHOTO), (2, PHOTO, None), (6, PHOTO, None), (6, (50, 50), (50, 50)), (8, (50, 50), (25, 25))],
    )
    def test_annotation_of_either(self, orientation, photo, size):
        with pytest.raises(ImageError, match=rf"EXIF orientation \({orientation}\) turns, and an annotation that fits"):
            masks_of([Region("a", (0, 0, 1, 1), size=size)], (0, 0, *photo), photo, (2, 4), orientation)

    def test_mask_of_either(self):
        with pytest.raises(ImageError, match="save its pixels turned"):
            masks_of([Region(1, mask=np.ones((50, 100), dtype=np.bool_))], WHOLE, PHOTO, (2, 4), 4)

    @pytest.mark.parametrize("orientation", [5, 6, 7, 8])
    def test_annotation_of_the_upright_photograph(self, orientation):
        region = Region("a", (50, 0, 100, 25), size=PHOTO)
        assert cells(masks_of([region], WHOLE, PHOTO, (2, 4), orientation)[0]) == ["..##", "...."]

    def test_no_objects(self):
        assert masks_of([], WHOLE, PHOTO, (2, 4), 3).shape == (0, 2, 4)


class TestMasks:
    def test_pixel_by_pixel(self):
        mask = np.zeros((2, 4), dtype=np.bool_)
        mask[0, 1] = mask[1, 3] = True
        assert cells(mask_of([Region(1, mask=mask)], (0, 0, 4, 2), (4, 2), (2, 4))) == [".#..", "...#"]

    def test_of_another_size(self):
        """Each of its 2 x 2 pixels is 50 x 25 of the photograph."""
        mask = np.array([[True, False], [False, True]])
        assert cells(mask_of([Region(1, mask=mask)], WHOLE, PHOTO, (2, 4))) == ["##..", "..##"]

    def test_goes_before_the_box(self):
        mask = np.array([[True, False]])
        actual = mask_of([Region(1, (0, 0, 100, 50), mask)], WHOLE, PHOTO, (1, 4))
        assert cells(actual) == ["##.."]

    def test_does_not_leave_the_photograph(self):
        mask = np.ones((5, 10), dtype=np.bool_)
        actual = mask_of([Region(1, mask=mask)], (-50, 0, 150, 50), PHOTO, (1, 8))
        assert cells(actual) == ["..####.."]


@pytest.mark.parametrize("size", [(640, 480), (333, 500), (224, 224), (1000, 90)])
@pytest.mark.parametrize("resize", [256, (240, 240), 200])
def test_as_the_network_sees_a_white_box(size, resize):
    """A photograph that is black but for the box, through the preprocessing itself, nearest pixels."""
    preprocess = Preprocess(resize, (224, 224), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    box = (size[0] // 3, size[1] // 4, size[0] * 2 // 3, size[1] * 3 // 4)
    photo = Image.new("RGB", size)
    photo.paste((255, 255, 255), box)
    seen = preprocess(photo)[0]
    actual = mask_of([Region("a", box)], preprocess.box(size), size, (224, 224))
    assert actual.any()
    clear = (seen < 0.02) | (seen > 0.98)  # away from the box's edges
    assert clear.float().mean() > 0.9
    blurred = torch.nn.functional.avg_pool2d(actual[None].float(), 3, 1, 1)[0]
    inner = clear & ((blurred == 0) | (blurred == 1))
    assert inner.float().mean() > 0.8
    assert torch.equal(actual[inner], seen[inner] > 0.5)
