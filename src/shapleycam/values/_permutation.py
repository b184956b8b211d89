"""Permutation sampling: each player's mean marginal contribution over random orders, with a standard error.

Source: Castro, Gómez & Tejada 2009. An order together with its reverse is exact for games of pairs (antithetic
sampling: Mitchell et al. 2022, arXiv:2104.12199). Here one sample is four orders, in which each player comes once
early, once late and twice in between. For the same number of orders the error is a third to two thirds of that with
pairs of orders (bench/results/shapley.md). `_orders` draws the orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ToleranceWarning, warn
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.values._contributions import FEWEST, control_variate, marginals, order_streams
from shapleycam.values._control_variate import ControlVariate
from shapleycam.values._cut_short import behind_the_cut, cut_short, with_cut
from shapleycam.values._rare import note_rare
from shapleycam.values._stream_sums import StreamSums
from shapleycam.values._surrogate_control import SurrogateControl, surrogate_control
from shapleycam.values.progress import Progress
from shapleycam.values.shares import ShapleyValues
from shapleycam.values.tolerance import check_tolerance
from shapleycam.wording import percent

MOST = 2048
"""Maximum number of samples of four orders."""
_FIRST_SINGLE = 5
"""Single orders of the first round, for images whose control variate leaves almost nothing to sample."""
_MARGIN = 2
"""Safety factor on the tolerance for these few orders, whose standard error is itself uncertain."""
_CUT = "most orders were cut short, since the first players decide most"


def permutation(
    game: Game,
    orders: int | None = None,
    tolerance: float = 0.01,
    seed: Seed = 0,
    *,
    most_orders: int = 4 * MOST,
    progress: Progress | None = None,
) -> ShapleyValues:
    """Sample Shapley values (b, n) with standard errors; they sum to v(N) for any number of orders.

    Args:
        game: the images' games; an image's values do not depend on the other images of the batch.
        orders: the number of orders, rounded up to a multiple of four; None samples to a tolerance.
        tolerance: ‖stderr‖ / ‖values‖ at which sampling ends if `orders` is None; 0.01 is 1%.
        seed: the orders are drawn from this seed and the image's content.
        most_orders: the maximum number of orders if `orders` is None. There is a warning if the tolerance is not
            reached.
        progress: a function that is called after each round with the number of orders so far and the largest
            ‖stderr‖ / ‖values‖ of the images that are sampled together.

    Returns:
        The values and their standard errors, both (b, n), in units of the utility, in float64.

    Raises:
        OptionError: the number of orders or the tolerance is not positive.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import permutation
        >>> _ = torch.manual_seed(0)
        >>> pool = torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), pool, torch.nn.Flatten())
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8))
        >>> shares = permutation(game, orders=32)
        >>> shares.values.shape, shares.stderr.shape, shares.samples
        (torch.Size([1, 4]), torch.Size([1, 4]), tensor([8]))
    """
    _check_options(orders, most_orders, tolerance)
    sampling = _Sampling(game, seed, (orders, tolerance, most_orders), progress)
    for images in game.image_groups(sampling.first_coalitions):
        sampling.sample(torch.tensor(images, device="cpu"))
    return sampling.shares()


class _Sampling:
    """The samples of a batch's games, which are drawn for one group of images after the other."""

    def __init__(
        self, game: Game, seed: Seed, limits: tuple[int | None, float, int], progress: Progress | None
    ) -> None:
        self._game, self._seed, self._progress = game, seed, progress
        self._orders, self._tolerance, self._most_orders = limits
        self._streams = order_streams(game, seed)
        self._sums = StreamSums.none(game)
        self._cut: dict[int, ShapleyValues] = {}
        self._control_note = ""

    @property
    def first_coalitions(self) -> int:
        """Return how many coalitions of each image the first samples take."""
        return 4 * min(FEWEST, self._most_samples) * (self._game.n_players - 1)

    def sample(self, images: Int[Tensor, " a"]) -> None:
        """Draw all samples of some images."""
        game, sums = self._game, self._sums
        control = control_variate(game, self.first_coalitions, self._seed, images)
        if control is not None:
            sums.use(control, images)
            self._control_note = control.note
        surrogates = surrogate_control(game, self._most_samples) if control is None else None
        active = images
        for number, (count, each) in enumerate(_rounds(self._orders, self._most_orders, control)):
            drawn = torch.stack([self._streams[image].draw(count) for image in active.tolist()])[:, :, :each]
            gained, errors = marginals(game, control, drawn, active)
            sums.add(gained.mean(2) - errors, errors, active, each)
            if surrogates is not None:
                surrogates.add(drawn, gained, active)
                surrogates.correct(sums, game, active, None if self._orders else self._tolerance)
            reached = sums.shares(game).uncertainty.cpu()
            if self._progress is not None:
                self._progress(int(sums.count[images].sum(1).max()), float(reached[images].max()))
            if self._orders is not None:
                continue
            # Single orders decide only for images with a close control variate: otherwise errors have heavy tails.
            if control is not None and each == 1:
                reached = torch.where(control.is_near, reached * (_MARGIN if number == 0 else 1), torch.inf)
            elif number == 0:
                self._try_cutting_short(dict(zip(images.tolist(), behind_the_cut(gained, drawn).tolist(), strict=True)))
            active = _unfinished(reached, active, self._cut, self._tolerance)
            if not len(active):
                break

    def shares(self) -> ShapleyValues:
        """Return the estimates, with notes; warn of images that did not reach the tolerance."""
        shares = self._sums.shares(self._game)
        if self._orders is None:
            reached = shares.uncertainty.cpu()
            for image, of_image in self._cut.items():
                reached[image] = float(of_image.uncertainty)
            _check_reached(reached, self._tolerance, self._most_orders)
        return with_cut(shares, self._cut, _notes(self._game, self._control_note, self._sums, self._cut))

    @property
    def _most_samples(self) -> int:
        return _samples(self._orders, self._most_orders)

    def _try_cutting_short(self, back: Mapping[int, float]) -> None:
        limits = self._tolerance, self._most_orders
        self._cut |= cut_short(self._game, self._streams, self._sums, back, limits)


def _samples(orders: int | None, most: int) -> int:
    """Return the maximum number of samples of four orders."""
    return -(-(most if orders is None else orders) // 4)


def _rounds(orders: int | None, most: int, control: ControlVariate | None) -> Iterator[tuple[int, int]]:
    """Yield the number of samples of each round, and the number of orders of a sample; each round adds about a quarter.

    Samples of single orders come first if a control variate leaves little to sample: they may already reach the
    tolerance. They are weighted by their number of orders. The drawn orders do not depend on the sizes of the rounds.
    """
    last, done = _samples(orders, most), 0
    if control is not None and control.tries_single_orders and orders is None and last >= FEWEST:
        first = _FIRST_SINGLE if bool(control.is_near.any()) else FEWEST
        yield first, 1
        if first < FEWEST:
            yield FEWEST - first, 1
        last -= FEWEST // 4
    while done < last:
        step = min(max(2, done // 8 * 2) if done else FEWEST, last - done)
        yield step, 4
        done += step


def _notes(
    game: Game, control_note: str, sums: StreamSums, cut: dict[int, ShapleyValues]
) -> tuple[tuple[str, ...], ...]:
    """Return notes for each image on how it was sampled and what may be unreliable; empty if no image has notes."""
    rare = note_rare(game, sums.deviations, sums.count > 0, sums.mean)
    notes: list[tuple[str, ...]] = []
    for image, has_control in enumerate((sums.square > 0).any(1).tolist()):
        sentences = {control_note: has_control}
        sentences[_CUT] = image in cut
        sentences[SurrogateControl.note] = image not in cut and bool((sums.fitted[image] != 0).any())
        notes.append((*(sentence for sentence, holds in sentences.items() if holds), *rare.get(image, ())))
    return tuple(notes) if any(notes) else ()


def _check_options(orders: int | None, most_orders: int, tolerance: float) -> None:
    """Refuse options that are not positive.

    Raises:
        OptionError: a number of orders, or the tolerance, is not positive.
    """
    if orders is not None and orders < 1:
        raise OptionError(f"orders is {orders}; expected 1 or more")
    if most_orders < 1:
        raise OptionError(f"most_orders is {most_orders}; expected 1 or more")
    check_tolerance(tolerance)


def _unfinished(
    reached: Float[Tensor, " b"], active: Int[Tensor, " a"], cut: dict[int, ShapleyValues], tolerance: float
) -> Int[Tensor, " open"]:
    """Return the images to sample further; write into `reached` the relative errors of images with cut orders."""
    for image, shares in cut.items():
        reached[image] = float(shares.uncertainty)
    goes_on = [image for image in active.tolist() if image not in cut and not float(reached[image]) <= tolerance]
    return torch.tensor(goes_on, dtype=torch.long, device="cpu")


def _check_reached(reached: Float[Tensor, " b"], tolerance: float, most: int) -> None:
    """Warn of images that did not reach the tolerance."""
    images = (~(reached <= tolerance)).nonzero().flatten().tolist()
    if images:
        which = ", ".join(map(str, images))
        warn(
            ToleranceWarning,
            f"after {most} orders the standard error is up to {percent(float(reached.max()), 2)} of the values "
            f"(image {which} of the batch), where {percent(tolerance, 2)} was asked; allow more orders, a larger "
            "tolerance, or group cells with players=",
        )
