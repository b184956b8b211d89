"""The calls of the soak: what a service asks of the library, right and wrong, each drawn at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch import Tensor, nn

from shapleycam import METHODS, Explainer, Explanation, metrics, utilities, values
from shapleycam.errors import ImageError, LayerError, ModelError, OptionError, TargetError
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import fidelity
from soak_models import MODELS, Small, noise_of_any_size

REGIONS = (2, 3)
UTILITIES = ("rest", "logit", "log_probability", "probability", "log_odds")
QUESTIONS: tuple[tuple[Callable[[], utilities.Utility], int | None], ...] = (
    (lambda: utilities.contrast(3), 0),
    (lambda: utilities.any_of([1, 2]), None),
    (lambda: utilities.resolve_utility(lambda output, _: output[:, 0] - 2 * output[:, 1]), None),
)
"""Questions, made anew for each call as a service does, and the class that is explained."""


@dataclass(frozen=True)
class Service:
    """What lives as long as the process: one explainer for each model, and photographs on disk."""

    explainers: dict[str, Explainer]
    photographs: list[Path]
    damaged: list[Path]

    @classmethod
    def start(cls, folder: Path, photo: Path) -> Service:
        """Return a service with photographs of several forms, made of one, and some that cannot be read."""
        with Image.open(photo) as opened:
            picture = opened.convert("RGB")
        forms = {"tall.png": (300, 420), "wide.jpg": (900, 310), "tiny.png": (40, 56), "square.webp": (224, 224)}
        paths = [photo]
        for name, size in forms.items():
            picture.resize(size).save(folder / name)
            picture.resize(size).convert("L").save(folder / f"grey-{name}")
            paths += [folder / name, folder / f"grey-{name}"]
        (folder / "damaged.jpg").write_bytes((folder / "wide.jpg").read_bytes()[:5000])
        (folder / "text.png").write_text("no photograph")
        damaged = [folder / "damaged.jpg", folder / "text.png", folder / "missing.png"]
        return cls({name: Explainer(make()) for name, make in MODELS.items()}, paths, damaged)

    def photos(self, draw: random.Random, most: int = 8) -> list[Path]:
        """Return a batch of photographs."""
        return draw.choices(self.photographs, k=draw.randint(1, most))

    def named(self, draw: random.Random) -> tuple[str, Explainer]:
        """Return one of the explainers, with its name."""
        return draw.choice(list(self.explainers.items()))

    def images(self, name: str, draw: random.Random, most: int = 8) -> list[Path] | Tensor:
        """Return a batch for a model: photographs, or noise where it declares no preprocessing."""
        if self.explainers[name].preprocess is None:
            return torch.rand(draw.randint(1, most), 3, 48, 48)
        return self.photos(draw, most if name == "efficientnet_lite0" else min(most, 4))


def explain(service: Service, draw: random.Random) -> None:
    """One method."""
    name, explainer = service.named(draw)
    method = draw.choice(list(METHODS))
    is_sampled = METHODS[method].spread is None
    explainer.explain(
        service.images(name, draw), method, utility=draw.choice(UTILITIES), players=REGIONS if is_sampled else None
    )


def compare(service: Service, draw: random.Random) -> None:
    """Several methods from one pass, of the predicted or another class."""
    name, explainer = service.named(draw)
    methods = draw.sample([method for method in METHODS if METHODS[method].spread is not None], 4)
    target = draw.choice([None, 2, 4])
    explainer.compare(service.images(name, draw), methods, target, draw.choice(UTILITIES))


def compare_all(service: Service, draw: random.Random) -> None:
    """Every method of the table."""
    name, explainer = service.named(draw)
    explainer.compare(service.images(name, draw, most=2), ["all"], players=REGIONS)


def explain_classes(service: Service, draw: random.Random) -> None:
    """The likeliest classes, by a question."""
    name, explainer = service.named(draw)
    images = service.images(name, draw, most=3)
    explainer.explain_each(images, 2, draw.choice(["shapleycam", "gradcam++"]))
    make_question, target = draw.choice(QUESTIONS)
    explainer.explain(images, "hirescam", target, utility=make_question())


def play(service: Service, draw: random.Random) -> None:
    """The game: coalitions, exact values, interactions."""
    name, explainer = service.named(draw)
    game = explainer.game(service.images(name, draw, most=2), players=REGIONS)
    game.value(torch.rand(20, game.n_players) < 0.5)
    draw.choice([values.exact, values.interactions, values.permutation])(game)


def keep(service: Service, draw: random.Random) -> None:
    """Save, load and draw."""
    explanation = service.explainers["efficientnet_lite0"].explain(
        service.photos(draw, 2), "sampledshapley", players=(3, 3)
    )
    with TemporaryDirectory() as folder:
        loaded = Explanation.load(explanation.save(Path(folder) / "explanation.npz"))
        loaded.overlay(kind=draw.choice(["heatmap", "values", "uncertain"]), on="input").save(Path(folder) / "map.png")
    explanation.overlay()


def judge(service: Service, _: random.Random) -> None:
    """Metrics, and distances from the true values."""
    explainer = service.explainers["user's module"]
    images = torch.rand(2, 3, 48, 48)
    maps = explainer.compare(images, ["gradcam", "shapleycam", "randomcam"])
    metrics.measure(explainer, images, maps, ["paper"])
    fidelity(explainer, [batch_of(images, None, explainer.model)], ["rest"], ["paper"], players=REGIONS)


def arrive(_: Service, draw: random.Random) -> None:
    """A new model, explained and dropped."""
    make = draw.choice([make for name, make in MODELS.items() if name != "efficientnet_lite0"])
    Explainer(make()).explain(torch.rand(1, 3, 224, 224), draw.choice(["shapleycam", "pathcam", "gradcam"]))


def explain_new_size(service: Service, draw: random.Random) -> None:
    """Images of a size that was probably never seen before, as a fully convolutional model takes them."""
    service.explainers["user's module"].explain(noise_of_any_size(draw), draw.choice(["gradcam", "pathcam-h"]))


def reference(service: Service, _: random.Random) -> Tensor:
    """The call whose answer must stay what it is."""
    return service.explainers["efficientnet_lite0"].explain(service.photographs[0], "shapleycam").values


def _damaged(service: Service, draw: random.Random) -> None:
    photos = [*service.photos(draw, 3), draw.choice(service.damaged)]
    service.explainers["efficientnet_lite0"].explain(photos, "gradcam")


def _no_layer(service: Service, draw: random.Random) -> None:
    Explainer(service.named(draw)[1].model, layer="layer5.7")


def _no_class(service: Service, draw: random.Random) -> None:
    name, explainer = service.named(draw)
    explainer.explain(service.images(name, draw, 2), target=1_000_000)


def _no_method(service: Service, draw: random.Random) -> None:
    name, explainer = service.named(draw)
    explainer.explain(service.images(name, draw, 2), "gradcan")


def _nan(_: Service, draw: random.Random) -> None:
    model = Small()
    with torch.no_grad():
        model.stem[0].weight[0] = torch.nan
    Explainer(model, layer="body").explain(noise_of_any_size(draw), draw.choice(list(METHODS)), players=REGIONS)


def _raises(_: Service, draw: random.Random) -> None:
    model = Small()
    model.head = nn.Linear(3, 5)  # expects another number of channels
    Explainer(model, layer="body").explain(noise_of_any_size(draw), "pathcam")


def _interrupted_sampling(service: Service, _: random.Random) -> None:
    def progress(*_: object) -> None:
        raise KeyboardInterrupt

    service.explainers["efficientnet_lite0"].explain(service.photographs[1], "sampledshapley", progress=progress)


CALLS: tuple[Callable[[Service, random.Random], object], ...] = (
    *(explain, explain, explain, compare, compare, compare_all, explain_classes, play, keep, judge),
    *(arrive, explain_new_size),
)
"""Right calls; one that is named twice is drawn twice as often."""
WRONG_CALLS: dict[str, tuple[Callable[[Service, random.Random], object], type[BaseException], str]] = {
    "a photograph that cannot be read": (_damaged, ImageError, r"damaged\.jpg|text\.png|missing\.png"),
    "a layer that is missing": (_no_layer, LayerError, "layer5"),
    "a class out of range": (_no_class, TargetError, "1000000"),
    "a method that is unknown": (_no_method, OptionError, "gradcan"),
    "a model of NaN": (_nan, ModelError, "is not finite"),
    "a model that raises": (_raises, ModelError, "RuntimeError"),
    "an interrupt inside sampling": (_interrupted_sampling, KeyboardInterrupt, ""),
}
"""Calls with an error on purpose: the call, the class of the error, and a pattern in its message."""
