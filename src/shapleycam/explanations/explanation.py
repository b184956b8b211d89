"""`Explanation`: heatmaps and signed values of a batch, with everything that is needed to draw, save and read them."""

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
"""Utilities that read outputs without classes."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """One method's explanation of b images.

    For volumes and videos, heatmap, values and stderr have the depth before the height.

    Attributes:
        method: the name of the method.
        layer: the layer's dotted name; names of several layers, whose heatmaps were fused, are joined by " + ".
        utility_name: the name of the utility.
        heatmap: (b, H, W), in [0, 1], at the size of the input.
        values: (b, h, w), signed, before ReLU and scaling, in units of the utility if the method has these units.
        target: (b,), the classes that are explained.
        output: the model's raw output; None if it is not a single tensor, for example a detector's output.
        utility: (b,), the explained number U(head(A)).
        images: (b, c, H, W), the network's inputs.
        sources: where each image came from.
        stderr: (b, h, w), the standard errors of `values`; None for methods that do not sample.
        prefix: (b,), the values of the prefix tokens; None if the layer has none.
        curvature: (b,), 0 for a linear head and below 1; None if it was not computed, which takes second derivatives.
        labels: the class names; None if classes have only numbers.
        preprocess: the preprocessing of photographs; None if it is not known.
        form: the kind of numbers in `output`, for example logits; None if they are not class scores.
        remark: what the user should know about `output`; None if there is nothing.
        channels: the axis of the channels in `images`: 1, or 2 for videos (b, t, c, h, w).
        removal: what replaced the content of absent places. Methods that do not divide the score (layercam,
            gradcam++, randomcam) have the same values for every removal.
        precision: the precision before the layer: "full" (the model's own) or "bfloat16".
        smooth: the smoothings, in the order of their table; empty for the method's own map. Smoothed values do not add
            up to the score, so `prefix` is None; everything except `heatmap`, `values` and `stderr` is that of the
            unchanged image.
        coalition_cost: the cost of evaluating a coalition behind the layer, with the reason; None for methods that
            evaluate no coalitions.
        notes: for each image, sentences on how its values were estimated and on their limits; empty if there are none.
        utility_removed: (b,), U(head(R)) at layer "input": the utility of an image whose content was removed
            completely; None at other layers.
        regions: (b, h, w), the number of each place's region; None if places are the players.
        region_names: the regions' names by number; empty if they have no names.

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
        """Return the number of explained images."""
        return len(self.heatmap)

    def __getitem__(self, index: int) -> Explanation:
        """Return the explanation of one image, as a batch of size one.

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
        """Return whether the values are in units of the utility, so that their sum can be compared with its change.

        This is false if the method has other units, and for smoothed values.
        """
        return METHODS[self.method].in_units and not self.smooth

    @property
    def uncertain(self) -> Bool[Tensor, "b *grid"] | None:
        """Return where a value's sign is not certain (|value| < 2 standard errors); None without standard errors."""
        return None if self.stderr is None else is_unsure(self.values, self.stderr)

    def region_values(self, index: int = 0) -> list[RegionValue]:
        """Return the values of one image's regions, largest absolute value first; empty if places are the players.

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
        """Return the name of the explained class of one image."""
        return class_name(int(self.target[index]), self.labels)

    def probabilities(self, index: int = 0) -> Float[Tensor, " classes"] | None:
        """Return the model's class probabilities for one image; None if its output has no class scores."""
        if self.output is None or self.output.dim() > 2 or self.utility_name in NO_CLASSES or self.form is None:
            return None
        return probabilities(self.output[index][None], self.utility_name, self.form)[0]

    def picture(self, index: int = 0, frame: int | None = None) -> UInt8[Tensor, "H W 3"]:
        """Return one image's network input as pixels.

        If the normalisation is unknown and the input has numbers outside of [0, 1], it is rescaled to [0, 1]. For a
        volume or video, one frame is returned: `frame`, or the frame with the most heat.
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
        """Return a picture of one image with its heatmap, its signed values, or the cells whose sign is not certain.

        The picture has no text. `figure` adds a title and a colour bar; `shapleycam.drawing.grid` combines several
        pictures.

        Args:
            index: the image's index in the batch.
            on: "photo" draws over the whole original photograph, with the map in the network's crop; "input" draws over
                the network's input; None takes the photograph if it still exists.
            kind: "heatmap", "values" or "uncertain"; None draws the values if regions are the players, else the
                heatmap. Each region has one colour, with borders between regions; a region whose value is nearer to
                zero than two standard errors is grey with stripes.
            opacity: the opacity of the strongest colour, in [0, 1]; contours are always opaque, and regions have no
                borders if it is 0.
            frame: the frame of a volume or video; None for the frame with the most heat.
            style: `colours`, `contours`, `top_value`, `top_area`, `sign` and `plain`; see
                `shapleycam.drawing.MapStyle`.

        Raises:
            ImageError: `on` is "photo", but the photograph or the crop's position in it is not known.
            OptionError: an unknown `on` or `kind`, an `opacity` outside of [0, 1], "uncertain" for values without
                standard errors, or a style that cannot be drawn.

        Examples:
            >>> import matplotlib, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> e = shapleycam.Explainer("efficientnet_lite0", device="cpu").explain(photo, "hirescam")
            >>> e.overlay(kind="values", colours="coolwarm", contours=3, top_value=0.8).size
            (512, 600)
        """
        return pictures.overlay(self, DrawnMap(index, on, kind, opacity, frame, MapStyle(**style)))

    def is_over_photo(self, index: int = 0, on: Ground = None) -> bool:
        """Return whether `overlay` draws over an image's whole photograph, rather than over the network's input."""
        return pictures.is_over_photo(self, index, on)

    def shade(
        self,
        index: int = 0,
        kind: Kind | None = None,
        opacity: float = 1.0,
        frame: int | None = None,
        **style: Unpack[StyleKeywords],
    ) -> Image.Image:
        """Return the map's colours without the photograph, as RGBA at the size of the network's input.

        Contours and borders are not included, because they are drawn at the size of the picture below them. `style` is
        as in `overlay`.

        Raises:
            OptionError: "uncertain" for values without standard errors, or a style that cannot be drawn.
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
        """Return a figure of the photograph and its map side by side, with a title and a colour bar with its unit.

        With `side_by_side=False` the figure has only the map. Other arguments and errors are as in `overlay`.

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
        """Draw a map into matplotlib axes, with a title and a colour bar with its unit.

        Args:
            ax: the axes; None creates a figure with `matplotlib.pyplot`, which a notebook shows.
            index: the image's index in the batch.
            on: as in `overlay`.
            kind: as in `overlay`.
            opacity: as in `overlay`.
            frame: as in `overlay`.
            colour_bar: whether to draw a colour bar, which takes some space from the axes.
            style: as in `overlay`.

        Returns:
            The axes.

        Raises:
            OptionError: `ax` is not matplotlib axes; others as in `overlay`.

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
        """Write the explanation to an NPZ file and return its path.

        The file has arrays, and everything else as JSON under `metadata`. It has the network's inputs as pixels, and
        the paths of photographs that were given by path, but not the photographs.

        Raises:
            OptionError: the folder cannot be written.
        """
        return write_atomically(Path(path), self.write)

    def write(self, file: IO[bytes]) -> None:
        """Write the content of an NPZ file, as `save` does, to an open file."""
        pictures = np.stack([self._picture_array(index) for index in range(len(self))])
        storage.write_fields(file, {each.name: getattr(self, each.name) for each in fields(self)}, pictures)

    @classmethod
    def load(cls, path: str | Path) -> Explanation:
        """Return an explanation from a file that `save` wrote; its `images` are the saved pictures, in [0, 1].

        Raises:
            OptionError: the file is missing, is not such a file, or has the format of a later version.
        """
        return storage.read_fields(path, cls)

    def __repr__(self) -> str:
        """Return a text with the options and the first explained classes."""
        names = ", ".join(self.label(index) for index in range(min(len(self), 3)))
        more = f" and {len(self) - 3} more" if len(self) > 3 else ""
        question = f"layer {self.layer}, utility {self.utility_name}{removal_phrase(self.removal)}"
        question += precision_phrase(self.precision) + smoothing_phrase(self.smooth)
        return f"Explanation({self.method}, {question}, {counted(len(self), 'image')}: {names}{more})"

    def _repr_html_(self) -> str:
        return notebook.explanation_html(self)

    def _picture_array(self, index: int) -> Any:
        """Return one image's network input as an array of pixels (H, W, 3), or (frames, H, W, 3)."""
        if self.images.dim() == 4:
            return storage.to_array(self.picture(index))
        return np.stack([storage.to_array(self.picture(index, frame)) for frame in range(count_frames(self))])
