"""The result of explaining: heatmaps, signed values, and all that is needed to draw, store and read them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.drawing.map_style import MapStyle, StyleKeywords
from shapleycam.drawing.overlays import Kind
from shapleycam.explanations import figures, notebook, pictures, storage
from shapleycam.explanations.drawn_map import DrawnMap, Ground, count_frames
from shapleycam.explanations.regions import RegionValue, is_unsure, region_values
from shapleycam.files import write_atomically
from shapleycam.images import Source
from shapleycam.models.labels import class_name
from shapleycam.models.network import Transform
from shapleycam.tracing.score_conversion import OutputKind
from shapleycam.utilities import probabilities
from shapleycam.wording import counted, precision_phrase, removal_phrase, smoothing_phrase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

NO_CLASSES = {"value", "similarity"}
"""Utilities of outputs that have no classes."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """One method's explanation of b images.

    Of volumes and videos heatmap, values and stderr have the depth before the height.

    Attributes:
        method: the name of the method.
        layer: the layer's dotted name; several, whose heatmaps were fused, are joined by " + ".
        utility_name: the name of the utility.
        heatmap: (b, H, W), in [0, 1], at the size of the input.
        values: (b, h, w), signed, before ReLU and scaling, in units of the utility where the method is.
        target: (b,), the classes that are explained.
        output: the model's raw output; None where that is no single tensor, as a detector's.
        utility: (b,), what was explained, U(head(A)).
        images: (b, c, H, W), the network's inputs.
        sources: where each image came from.
        stderr: (b, h, w), the standard errors of `values`; None for methods that do not sample.
        prefix: (b,), the values of the prefix tokens; None where the layer has none.
        curvature: (b,), 0 for a linear head and below 1; None where no second-order method was asked for.
        labels: the class names; None where classes are numbers only.
        preprocess: the preprocessing of photographs; None where it is not known.
        form: what the numbers of `output` are; None where they are not of classes.
        remark: what the user should know about `output`; None where there is nothing.
        channels: the axis of `images` that holds their channels: 1, and 2 for videos (b, t, c, h, w).
        removal: what stood in for the content of absent places. Methods that do not divide the score (layercam,
            gradcam++, randomcam) have the same values for every removal.
        precision: of what comes before the layer: "full", the model's own, or "bfloat16".
        smooth: the smoothings, in the order of their table; none for the method's own map. Smoothed values divide no
            score: `prefix` is None, and all but `heatmap`, `values` and `stderr` is of the image itself.
        coalition_cost: what a coalition costs behind the layer, and why; None for methods that play none.
        notes: of each image, sentences on how its values were estimated and on what to doubt; empty without any.
        utility_removed: (b,), U(head(R)) at layer "input", what the model still makes of an image of which everything
            was removed; None at other layers.
        regions: (b, h, w), the number of the region that each place belongs to; None where places are the players.
        region_names: what the regions are called, by number; empty where they have no names.

    Examples:
        >>> import matplotlib, shapleycam
        >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> explanation = shapleycam.Explainer("efficientnet_lite0", device="cpu").explain(photo, "gradcam")
        >>> explanation.label(), tuple(explanation.heatmap.shape), explanation.overlay().mode
        ('academic gown', (1, 224, 224), 'RGB')
    """

    method: str
    layer: str
    utility_name: str
    heatmap: Float[Tensor, "b *size"]
    values: Float[Tensor, "b *grid"]
    target: Int[Tensor, " b"]
    output: Float[Tensor, "b *classes"] | None
    utility: Float[Tensor, " b"]
    images: Float[Tensor, "b *image"]
    sources: tuple[Source, ...]
    stderr: Float[Tensor, "b *grid"] | None = None
    prefix: Float[Tensor, " b"] | None = None
    curvature: Float[Tensor, " b"] | None = None
    labels: tuple[str, ...] | None = None
    preprocess: Transform | None = None
    form: OutputKind | None = "logits"
    remark: str | None = None
    channels: int = 1
    removal: str = "zero"
    precision: str = "full"
    smooth: tuple[str, ...] = ()
    coalition_cost: str | None = None
    notes: tuple[tuple[str, ...], ...] = ()
    utility_removed: Float[Tensor, " b"] | None = None
    regions: Int[Tensor, "b *grid"] | None = None
    region_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return how many images were explained."""
        return len(self.heatmap)

    def __getitem__(self, index: int) -> Explanation:
        """Return the explanation of one image, as a batch of one.

        Raises:
            IndexError: there is no such image.
        """
        start = range(len(self))[index]
        tensors = {name: getattr(self, name) for name in (*storage.TENSORS, "images")}
        rows: dict[str, Any] = {
            name: None if tensor is None else tensor[start : start + 1] for name, tensor in tensors.items()
        }
        image = slice(start, start + 1)
        return replace(self, sources=self.sources[image], notes=self.notes[image], **rows)

    @property
    def divides_score(self) -> bool:
        """Return whether the values are in units of the utility, to be summed and compared with its change.

        They are not where the method's are not, nor where they are smoothed.
        """
        return METHODS[self.method].in_units and not self.smooth

    @property
    def uncertain(self) -> Bool[Tensor, "b *grid"] | None:
        """Return where values are nearer to zero than two standard errors: not even the sign is sure; None without."""
        return None if self.stderr is None else is_unsure(self.values, self.stderr)

    def region_values(self, index: int = 0) -> list[RegionValue]:
        """Return the values of one image's regions, the largest in size first; none where places are the players.

        Examples:
            >>> import matplotlib, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> explainer = shapleycam.Explainer("efficientnet_lite0", device="cpu")
            >>> explanation = explainer.explain(photo, "exactshapley", players=(2, 2))
            >>> [region.region for region in explanation.region_values()]  # the upper left one has the largest value
            [0, 2, 1, 3]
        """
        if self.regions is None:
            return []
        stderr = None if self.stderr is None else self.stderr[index]
        return region_values(self.regions[index], self.values[index], stderr, self.region_names)

    def label(self, index: int = 0) -> str:
        """Return the name of the class that was explained for one image."""
        return class_name(int(self.target[index]), self.labels)

    def probabilities(self, index: int = 0) -> Float[Tensor, " classes"] | None:
        """Return the model's probability of each class for one image; None where its output is not of classes."""
        if self.output is None or self.output.dim() > 2 or self.utility_name in NO_CLASSES or self.form is None:
            return None
        return probabilities(self.output[index][None], self.utility_name, self.form)[0]

    def picture(self, index: int = 0, frame: int | None = None) -> UInt8[Tensor, "H W 3"]:
        """Return what the network saw of one image, as pixels; stretched to [0, 1] where the normalisation is unknown.

        Of a volume or video it is one frame: the one with the most heat, or `frame`.
        """
        return pictures.picture(self, index, frame)

    def overlay(
        self,
        index: int = 0,
        *,
        on: Ground = None,
        kind: Kind | None = None,
        opacity: float = 0.75,
        frame: int | None = None,
        **style: Unpack[StyleKeywords],
    ) -> Image.Image:
        """Draw the heatmap over one image, or its signed values, or the cells whose sign is not sure.

        It is a bare picture, to be put together with others: `figure` adds a title and a colour bar, and
        `shapleycam.drawing.grid` puts several together.

        Args:
            index: of the image.
            on: "photo" draws over the whole original photograph, with the network's crop in its place; "input" over
                what the network saw; None takes the photograph where it still is.
            kind: "heatmap", "values" or "uncertain"; None for the values where they are of regions, and for the heatmap
                otherwise. Values of regions have one colour a region, with borders between them; those nearer to zero
                than two of their standard errors are grey, with stripes.
            opacity: of the strongest colour, in [0, 1]; contours are opaque, and with 0 regions have no borders.
            frame: of a volume or video; None for the one with the most heat.
            style: `colours`, `contours`, `top_value`, `top_area`, `sign` and `plain`, as `shapleycam.drawing.MapStyle`
                explains them.

        Raises:
            ImageError: the photograph was asked for, and it or the crop's place in it is not known.
            OptionError: an unknown `on` or `kind`, an `opacity` outside [0, 1], "uncertain" of values that have no
                standard error, or a style that cannot be drawn.

        Examples:
            >>> import matplotlib, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> e = shapleycam.Explainer("efficientnet_lite0", device="cpu").explain(photo, "hirescam")
            >>> e.overlay(kind="values", colours="coolwarm", contours=3, top_value=0.8).size
            (512, 600)
        """
        return pictures.overlay(self, DrawnMap(index, on, kind, opacity, frame, MapStyle(**style)))

    def is_over_photo(self, index: int = 0, on: Ground = None) -> bool:
        """Return whether `overlay` draws over the whole photograph of an image, and not over what the network saw."""
        return pictures.is_over_photo(self, index, on)

    def shade(
        self,
        index: int = 0,
        kind: Kind | None = None,
        opacity: float = 1.0,
        frame: int | None = None,
        **style: Unpack[StyleKeywords],
    ) -> Image.Image:
        """Return the colours alone, as RGBA in the size of the network's input; `style` is as in `overlay`.

        Contours and borders are no part of it: they are drawn at the size of the picture that they lie on.

        Raises:
            OptionError: "uncertain" of values that have no standard error, or a style that cannot be drawn.
        """
        return pictures.shade(self, DrawnMap(index, None, kind, opacity, frame, MapStyle(**style)))

    def figure(
        self,
        index: int = 0,
        *,
        on: Ground = None,
        kind: Kind | None = None,
        opacity: float = 0.75,
        frame: int | None = None,
        side_by_side: bool = True,
        **style: Unpack[StyleKeywords],
    ) -> Image.Image:
        """Draw a map with a title, and a colour bar that states its unit, beside the photograph without colours.

        Without `side_by_side` the map is alone; other arguments and errors are as in `overlay`.

        Examples:
            >>> import matplotlib, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> e = shapleycam.Explainer("efficientnet_lite0", device="cpu").explain(photo, "hirescam")
            >>> e.figure(kind="values").save("figure.png")
        """
        drawn = DrawnMap(index, on, kind, opacity, frame, MapStyle(**style))
        return figures.figure(self, drawn, side_by_side=side_by_side)

    def plot(
        self,
        ax: Axes | None = None,
        index: int = 0,
        *,
        on: Ground = None,
        kind: Kind | None = None,
        opacity: float = 0.75,
        frame: int | None = None,
        colour_bar: bool = True,
        **style: Unpack[StyleKeywords],
    ) -> Axes:
        """Draw a map into axes of matplotlib, with a title, and a colour bar that states its unit.

        Args:
            ax: the axes; None for those of a new figure of `matplotlib.pyplot`, which a notebook shows.
            index: of the image.
            on: as in `overlay`.
            kind: as in `overlay`.
            opacity: as in `overlay`.
            frame: as in `overlay`.
            colour_bar: whether a colour bar takes some of the axes' room.
            style: as in `overlay`.

        Returns:
            The axes.

        Raises:
            OptionError: `ax` is something else; others as in `overlay`.

        Examples:
            >>> import matplotlib, shapleycam
            >>> from matplotlib.figure import Figure
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> e = shapleycam.Explainer("efficientnet_lite0", device="cpu").explain(photo, "hirescam")
            >>> axes = Figure().subplots(1, 2)
            >>> e.plot(axes[0], kind="values") is axes[0]
            True
        """
        drawn = DrawnMap(index, on, kind, opacity, frame, MapStyle(**style))
        return figures.plot(self, ax, drawn, colour_bar=colour_bar)

    def save(self, path: str | Path) -> Path:
        """Write all of it to one NPZ file: arrays, and the rest as JSON under `metadata`.

        Photographs given by path are remembered by path; of others the network's input is kept.

        Raises:
            OptionError: the folder cannot be written.
        """
        return write_atomically(Path(path), self.write)

    def write(self, file: IO[bytes]) -> None:
        """Write as `save` does, into a file that is open."""
        pictures = np.stack([self._picture_array(index) for index in range(len(self))])
        storage.write_fields(file, {each.name: getattr(self, each.name) for each in fields(self)}, pictures)

    @classmethod
    def load(cls, path: str | Path) -> Explanation:
        """Read what `save` wrote; `images` then are the saved pictures, in [0, 1].

        Raises:
            OptionError: missing, not such a file, or written by a later version in another format.
        """
        return storage.read_fields(path, cls)

    def __repr__(self) -> str:
        """Return the choices that were made, and the classes that were explained."""
        names = ", ".join(self.label(index) for index in range(min(len(self), 3)))
        more = f" and {len(self) - 3} more" if len(self) > 3 else ""
        question = f"layer {self.layer}, utility {self.utility_name}{removal_phrase(self.removal)}"
        question += precision_phrase(self.precision) + smoothing_phrase(self.smooth)
        return f"Explanation({self.method}, {question}, {counted(len(self), 'image')}: {names}{more})"

    def _repr_html_(self) -> str:
        return notebook.explanation_html(self)

    def _picture_array(self, index: int) -> Any:
        """Return what the network saw of one image as an array of pixels (H, W, 3), with frames before the height."""
        if self.images.dim() == 4:
            return storage.to_array(self.picture(index))
        return np.stack([storage.to_array(self.picture(index, frame)) for frame in range(count_frames(self))])
