"""The option `--players FILE`: objects outlined in a photograph are its players."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from shapleycam.cli.parsing import is_grid, parse_regions
from shapleycam.errors import DatasetWarning, ImageError, OptionError, warn
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_file, is_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapleycam.experiments.datasets.regions import Annotations, Region
    from shapleycam.game.named_regions import NamedRegions
    from shapleycam.game.players import Regions
    from shapleycam.models.network import Transform
    from shapleycam.values.options import EstimatorOptions

_SUFFIXES = frozenset({".png", ".json"})


@dataclass(frozen=True)
class Outlines:
    """A path with annotations of objects: a PNG mask of one photograph, or a form that `evaluate --objects` accepts."""

    path: Path

    def check(self) -> None:
        """Refuse a path that does not exist.

        Raises:
            OptionError: there is no such file or folder.
        """
        if not is_there(self.path):
            raise OptionError(
                f"--players {self.path}: no such file; expected a PNG mask, a COCO .json, a folder of .xml or .png, or "
                "rows x columns"
            )

    def check_photographs(self, photos: Sequence[Path]) -> None:
        """Refuse several photographs that would all get the same outlines.

        Raises:
            OptionError: there is one mask for several photographs, or photographs have the same name, by which their
                objects are found.
        """
        if self._is_one_mask() and len(photos) > 1:
            raise OptionError(
                f"--players {self.path}: one mask for {len(photos)} photographs; expected a folder of masks, each "
                "called as its photograph"
            )
        stem, count = Counter(photo.stem for photo in photos).most_common(1)[0]
        if count > 1:
            raise OptionError(
                f"--players {self.path}: {count} photographs are called {printable_name(stem)!r}, and objects are "
                "found by that name; give one of them at a time"
            )

    def players_of(self, photo: Path, transform: Transform | None) -> NamedRegions:
        """Return the photograph's objects inside the network's crop, as players at the input.

        Each object outside of the crop is left out with a `DatasetWarning`.

        Raises:
            OptionError: there are no such objects, or the crop's position in the photograph is not known.
            ImageError: the annotations are damaged, or do not belong to this photograph.
        """
        from shapleycam.experiments.datasets.regions import masks_of
        from shapleycam.explaining.outlined_objects import players_from_masks
        from shapleycam.images import open_with_orientation
        from shapleycam.models.preprocess import Preprocess

        if not isinstance(transform, Preprocess):
            raise OptionError(
                f"--players {self.path}: where the network's crop lies in a photograph is not known, since preprocess= "
                f"is a {type(transform).__name__}; expected a shapleycam.Preprocess, or players as a grid"
            )
        regions, (upright, orientation) = self._regions_of(photo), open_with_orientation(photo)
        size = upright.size
        masks = masks_of(regions, transform.box(size), size, transform.crop, orientation)
        names = [_name(region) for region in regions]
        is_seen = masks.flatten(1).any(1).tolist()
        seen = [place for place, is_in in enumerate(is_seen) if is_in]
        name = printable_name(photo.name)
        if not seen:
            raise OptionError(
                f"--players {self.path}: {name} has no outlined object that the network sees; give players as a grid"
            )
        for unseen in (names[place] for place in range(len(regions)) if place not in seen):
            warn(
                DatasetWarning, f"{name}: {unseen} of {self.path} is outside of what the network sees, and is left out"
            )
        return players_from_masks(masks[seen], [names[place] for place in seen])

    def _is_one_mask(self) -> bool:
        return is_file(self.path) and self.path.suffix.lower() == ".png"

    def _regions_of(self, photo: Path) -> Sequence[Region]:
        if self._is_one_mask():
            from shapleycam.experiments.datasets.annotations.masks import read_regions

            return read_regions(self.path)
        regions = _open_annotations(self.path).regions_of(photo.name)
        if regions is None:
            raise ImageError(f"{printable_name(photo.name)}: {self.path} has no annotation of it; expected one")
        return regions


def outlines_of(text: str | None) -> Outlines | None:
    """Return the outlines if `--players` names a path; None if it is a grid or a name such as "superpixels:30"."""
    if text is None or is_grid(text):
        return None
    path = Path(text)
    is_path = path.suffix.lower() in _SUFFIXES or path.name != text
    return Outlines(path) if is_path or (is_there(path) and not _is_region_name(text)) else None


def with_outlines(
    options: EstimatorOptions, outlines: Outlines | None, photo: Path, transform: Transform | None
) -> EstimatorOptions:
    """Return options whose players are a photograph's outlined objects; the options unchanged if `outlines` is None.

    Raises:
        OptionError, ImageError: the photograph has no such objects, or they cannot be read.
    """
    return options if outlines is None else replace(options, players=outlines.players_of(photo, transform))


def regions_of_photograph(text: str | None, photo: Path, transform: Transform | None) -> Regions:
    """Return the players for one photograph from the text of `--players`.

    Raises:
        OptionError, ImageError: the text cannot be parsed, or the photograph's objects cannot be read.
    """
    outlines = outlines_of(text)
    return parse_regions(text) if outlines is None else outlines.players_of(photo, transform)


@lru_cache(maxsize=1)
def _open_annotations(path: Path) -> Annotations:
    """Return annotations; they are cached, because one file may annotate many photographs."""
    from shapleycam.experiments.datasets.annotations.opening import open_annotations

    return open_annotations(path)


def _is_region_name(text: str) -> bool:
    """Return whether a text is a name of image regions; a folder may have the same name."""
    from shapleycam.explaining.image_regions import check_region_name

    try:
        return bool(check_region_name(text))
    except OptionError:
        return False


def _name(region: Region) -> str:
    """Return an object's name: its class, or its number in a mask."""
    if region.label is None:
        return "object"
    return region.label if isinstance(region.label, str) else f"value {region.label}"
