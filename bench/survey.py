"""Which models work: writes the table of docs/models.md, one row an architecture of architectures.py.

Of each: the layer that is found, its grid, whether head(A) is the model's output, whether the maps are sound, whether
one image alone has the values that it has in a batch of two, whether the first order is what plain hooks and autograd
give, by which shortcut coalitions are evaluated, and what one ShapleyCAM costs in forward passes.

    python bench/survey.py                      # all, about fifteen minutes on two cores
    python bench/survey.py levit hiera          # those with one of these words in their name; prints, writes nothing
    python bench/survey.py --shortcuts          # writes the column of shortcuts anew, about five minutes on two cores
"""

from __future__ import annotations

import gc
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

import shapleycam
from architectures import ARCHITECTURES, Architecture
from by_hand import ByHand
from measure import THREADS, machine, time_ratios
from shapleycam.errors import ShapleyCamError, ShapleyCamWarning
from shapleycam.game import Game
from shapleycam.models.layout import Layout
from shapleycam.tracing.nested import tensors_of

PAGE = Path(__file__).parents[1] / "docs/models.md"
BEGIN, END = "<!-- survey: made by bench/survey.py -->\n", "<!-- end of the survey -->\n"
METHODS = ("gradcam", "shapleycam", "pathcam")
EXACT = 1e-5
"""How far head(A) may be from the model's output, as a share of the largest number in it."""
TITLES = (
    *("family", "source", "network", "layer", "activation", "layout"),
    *("head(A)", "maps", "alone", "first order", "shortcut", "cost"),
)
CLOSE = 1e-3
"""How far two ways of computing the values may be apart, ‖difference‖ / ‖values‖, in float32."""


@dataclass(frozen=True)
class Row:
    """What was found for one architecture; `fault` is empty where all is well."""

    architecture: Architecture
    layer: str = ""
    shape: tuple[int, ...] = ()
    layout: Layout | None = None
    head_error: float = float("nan")
    alone_error: float = float("nan")
    first_error: float = float("nan")
    fault: str = ""
    shortcut: str = ""
    ratio: float = float("nan")

    @property
    def works(self) -> bool:
        """Whether nothing is wrong with it."""
        close = self.alone_error <= CLOSE and self.first_error <= CLOSE  # not true of NaN
        return not self.fault and self.head_error <= EXACT and close


def survey(architecture: Architecture, rounds: int = 3) -> Row:
    """One row of the table; `rounds` of 0 takes no times."""
    model = architecture.build()
    images = _image(architecture)
    explainer = shapleycam.Explainer(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShapleyCamWarning)
            game = explainer.game(images)
            explanations = explainer.compare(images, METHODS)
    except ShapleyCamError as error:
        return Row(architecture, fault=str(error))
    with torch.no_grad():
        output = _logits(model(images))
        replayed = _logits(game._trace.head(game.activation))  # noqa: SLF001  # what the game itself is played on
    error = float((replayed - output).abs().max() / output.abs().max())
    faults = [
        *([f"head(A) is {error:.1e} off"] if not error <= EXACT else []),
        *(fault for name in METHODS for fault in _faults(name, explanations[name], game.layout, architecture.size)),
    ]
    errors = first_order_errors(model, explainer, images, game)
    ratio = _ratio(model, explainer, images, rounds) if rounds else float("nan")
    shape = tuple(game.activation.shape[1:])
    sound_and_cost = "; ".join(faults), shortcut_of(game), ratio
    return Row(architecture, game.layer, shape, game.layout, error, *errors, *sound_and_cost)


def shortcut_of(game: Game) -> str:
    """The name of the shortcut that a game has for many coalitions, in words of the table."""
    game.windows(10**6)  # a table of windows is made where the head has one
    return (game.shortcut or "none").replace("_", " ")


def replace_shortcuts(text: str) -> str:
    """The table with its column of shortcuts made anew: of each network no more than one pass and its head's proof."""
    lines = text.splitlines(keepends=True)
    for place, old in enumerate(lines):
        cells = old.split(" | ")
        name = ":".join(cells[1:3])
        for architecture in ARCHITECTURES:
            if architecture.name == name and len(cells) == len(TITLES):
                game = shapleycam.Explainer(architecture.build()).game(_image(architecture))
                cells[TITLES.index("shortcut")] = shortcut_of(game)
                lines[place] = " | ".join(cells)
                print(name, shortcut_of(game), flush=True)
                gc.collect()
    return "".join(lines)


def first_order_errors(
    model: torch.nn.Module, explainer: shapleycam.Explainer, image: torch.Tensor, game: Game
) -> tuple[float, float]:
    """How far the first-order values of one image are, relative to their norm, from those that it has beside another
    image; and those of the two from plain hooks and autograd.
    """
    second_image = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    both, target = torch.cat([image, second_image]), game.target.repeat(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShapleyCamWarning)
        alone, together = (explainer.explain(batch, "hirescam", int(game.target)) for batch in (image, both))
    hand = ByHand(model, game.layer, both, explainer.utility.name, _logits)
    products = game.layout.positions(hand.activation * hand.gradient(target)).sum(2)
    prefix, cells = products[:, : game.layout.prefix], products[:, game.layout.prefix :]
    by_hand = torch.cat([cells, prefix.sum(1, keepdim=True)], 1)
    return _difference(_everything(alone), _everything(together)[:1]), _difference(_everything(together), by_hand)


def line(row: Row) -> str:
    """A row of the table in Markdown."""
    source, _, name = row.architecture.name.partition(":")
    if row.layout is None:
        return f"| {row.architecture.family} | {source} | {name} | | | | | **no**: {row.fault} | | | | |"
    shape = " x ".join(map(str, row.shape))
    sound = f"**no**: {row.fault}" if row.fault else "yes"
    cells = (
        *(row.architecture.family, source, name, f"`{row.layer}`", shape, row.layout),
        *(_verdict(row.head_error, EXACT), sound),
        *(_verdict(row.alone_error, CLOSE), _verdict(row.first_error, CLOSE), row.shortcut),
    )
    return f"| {' | '.join(map(str, cells))} | {row.ratio:.2f} |"


def table(rows: list[Row]) -> str:
    """The whole table, what it says in a sentence, and where it was made."""
    good = [row for row in rows if row.works]
    families = {row.architecture.family for row in rows}
    median = sorted(row.ratio for row in good)[len(good) // 2] if good else float("nan")
    counts = f"{len(good)} of {len(rows)} architectures of {len(families)} families work without an option"
    return "\n".join((
        f"{counts}; one ShapleyCAM of one image costs {median:.2f} forward passes in the median.",
        "",
        f"| {' | '.join(TITLES)} |",
        "|" + "---|" * len(TITLES),
        *map(line, rows),
        "",
        f"({machine('timm', 'torchvision', 'transformers')})",
        "",
    ))  # fmt: skip


def main(words: list[str]) -> None:
    """Survey the architectures, and write the page if all of them were."""
    torch.set_num_threads(THREADS)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    old, after = rest.split(END)
    if words == ["--shortcuts"]:
        PAGE.write_text(f"{before}{BEGIN}{replace_shortcuts(old)}{END}{after}", encoding="utf-8")
        return
    rows = []
    for architecture in ARCHITECTURES:
        if words and not any(word in architecture.name for word in words):
            continue
        start = time.perf_counter()
        try:
            rows.append(survey(architecture))
        except Exception as error:  # noqa: BLE001  # a defect of ours is a row too, and the others go on
            traceback.print_exc()
            rows.append(Row(architecture, fault=f"{type(error).__name__}: {error}"))
        gc.collect()
        print(f"{time.perf_counter() - start:5.1f} s {line(rows[-1])}", flush=True)
    text = table(rows)
    if words:
        print(text)
        return
    PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")


def _image(architecture: Architecture) -> torch.Tensor:
    """The image of noise that every row is made of."""
    return torch.randn(1, 3, architecture.size, architecture.size, generator=torch.Generator().manual_seed(0))


def _verdict(error: float, most: float) -> str:
    return "yes" if error <= most else f"**{error:.0e}**"


def _everything(explanation: shapleycam.Explanation) -> torch.Tensor:
    """The values of an explanation (b, n), that of the prefix tokens last (0 where there are none)."""
    prefix = torch.zeros(len(explanation)) if explanation.prefix is None else explanation.prefix
    return torch.cat([explanation.values.flatten(1), prefix[:, None]], 1)


def _difference(values: torch.Tensor, expected: torch.Tensor) -> float:
    values, expected = values.double(), expected.double()  # the squares of what is left of a faint signal
    return float((values - expected).norm() / expected.norm())


def _faults(name: str, explanation: shapleycam.Explanation, layout: Layout, size: int) -> list[str]:
    heatmap, values = explanation.heatmap, explanation.values
    return [
        *([f"{name} not finite"] if not bool(torch.isfinite(heatmap).all() & torch.isfinite(values).all()) else []),
        *([f"{name} blank"] if not bool(heatmap.any()) else []),
        *([f"{name} of shape {tuple(heatmap.shape)}"] if heatmap.shape != (1, size, size) else []),
        *([f"{name} values {tuple(values.shape)}"] if values.shape != (1, *layout.grid) else []),
    ]


def _ratio(model: torch.nn.Module, explainer: shapleycam.Explainer, images: torch.Tensor, rounds: int) -> float:
    def forward() -> None:
        with torch.inference_mode():
            model(images)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShapleyCamWarning)
        return time_ratios(
            forward, {"cam": lambda: explainer.explain(images, "shapleycam")}, rounds, torch.device("cpu")
        )[1]["cam"]


def _logits(output: object) -> torch.Tensor:
    return tensors_of(output)[0]


if __name__ == "__main__":
    main(sys.argv[1:])
