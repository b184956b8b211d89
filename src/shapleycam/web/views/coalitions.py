"""The fourth tab: the game itself, playable: which places are in, what that is worth, and what was predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.utilities import UTILITIES
from shapleycam.values._permutation import Progress, permutation
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import ShapleyValues
from shapleycam.web import markup
from shapleycam.web.markup import text
from shapleycam.web.question import Question

_SIDE = 8
"""Cells a side at most: larger grids are played by regions."""
_ORDERS = 32
"""That the Shapley values are sampled by: their error is shown."""


@dataclass(frozen=True)
class Board:
    """A game to be played, with the class's probability in it, its Shapley values, and the size of the grid."""

    game: Game
    chance: Game | None
    shares: ShapleyValues
    explanation: Explanation
    rows: int
    columns: int

    @property
    def cells(self) -> int:
        """How many players have a place; prefix tokens are one more, which always plays."""
        return self.rows * self.columns

    def coalition(self, bits: str | None) -> Bool[Tensor, " n"]:
        """The players that are in: a 0 or 1 for each cell, row by row; None for all of them.

        Raises:
            OptionError: not of that form.
        """
        if bits is None:
            return torch.ones(self.game.n_players, dtype=torch.bool)
        if len(bits) != self.cells or set(bits) - {"0", "1"}:
            raise OptionError(
                f"a coalition of {len(bits)} signs; expected {self.cells}, each 0 or 1: begin the game again"
            )
        chosen = [bit == "1" for bit in bits] + [True] * (self.game.n_players - self.cells)
        return torch.tensor(chosen)


def board_of(question: Question, progress: Progress | None = None) -> Board:
    """The question's game, made once as long as it is kept."""
    board: Board = question.loaded.games.get(question.key, lambda: _made(question, progress))
    return board


@torch.no_grad()
def _made(question: Question, progress: Progress | None) -> Board:
    traced_batch = question.trace("hirescam")
    regions = question.regions(traced_batch, _SIDE)
    game = traced_batch.game(question.target, question.utility, regions)
    rows, columns = regions or game.layout.grid
    explanation = traced_batch.compare(["hirescam"], question.target, question.utility, EstimatorOptions())["hirescam"]
    name = "sigmoid_probability" if question.utility_name.startswith("sigmoid") else "probability"
    chance = None if question.utility_name == "value" else traced_batch.game(question.target, UTILITIES[name], regions)
    shares = permutation(game, _ORDERS, progress=progress)
    return Board(game, chance, shares, explanation, rows, columns)


def board_shown(question: Question, progress: Progress | None = None) -> str:
    """The cells over what the network saw; the page keeps which are in."""
    board = board_of(question, progress)
    picture = markup.picture_uri(Image.fromarray(board.explanation.picture(0).cpu().numpy()))
    cells = "".join(
        f'<button type="button" class="sc-cell" aria-pressed="true" aria-label="row {place // board.columns + 1}, '
        f'column {place % board.columns + 1}"></button>'
        for place in range(board.cells)
    )
    name = text(board.explanation.sources[0].name)
    return (
        '<div class="sc-play"><p class="sc-where">Choose cells to take places out of the photograph, and put them back.'
        "</p>"
        f'<div class="sc-board" style="--columns:{board.columns}">'
        f'<img src="{picture}" alt="{name} as the network sees it">'
        f'<div class="sc-cells" role="group" aria-label="places of the photograph">{cells}</div></div>'
        '<p class="sc-downloads">'
        + "".join(f'<button type="button" class="sc-button" data-all="{how}">{how}</button> ' for how in _ALL)
        + "</p></div>"
    )


_ALL = ("everybody", "nobody", "the others")


@torch.no_grad()
def worth_shown(question: Question, bits: str | None) -> str:
    """What a coalition is worth, and what its members' Shapley values predict."""
    board = board_of(question)
    chosen = board.coalition(bits)
    worth = float(board.game.value(chosen[None])[0, 0])
    predicted = float(board.shares.values[0, chosen.to(board.shares.values.device)].sum())
    pairs = [
        ("in", f"{int(chosen.sum())} of {board.game.n_players} players"),
        *_chance(board, chosen),
        ("v(S)", f"{worth:.4f}"),
        ("predicted by Shapley values", f"{predicted:.4f}"),
        ("standard error of these values", f"{float(board.shares.uncertainty[0]):.2%}"),
        ("v(S) less the prediction", f"{worth - predicted:+.4f}"),
        ("v(N), everybody", f"{float(board.game.grand[0]):.4f}"),
    ]
    label = f"{board.explanation.label()}, {board.game.utility.name}"
    return f'<p class="sc-answer"><strong>{text(label)}</strong></p><div role="status">{markup.facts(pairs)}</div>'


def _chance(board: Board, chosen: Tensor) -> list[tuple[str, str]]:
    if board.chance is None:
        return []
    found = float(board.chance.value(chosen[None])[0, 0] + board.chance.empty[0])
    return [("probability of the class", f"{found:.2%}")]
