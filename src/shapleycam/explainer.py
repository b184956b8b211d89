"""The front door: from a model and photographs to explanations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam import advice
from shapleycam.cams.compute import CamValues, Effort, Found, cam_values, curvature_of, find
from shapleycam.cams.table import METHODS, Derivative, Method, expand
from shapleycam.errors import DerivativeError, LayerError, OptionError
from shapleycam.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.crg import MEMORY
from shapleycam.game.players import Regions
from shapleycam.heatmaps import heatmap
from shapleycam.inputs import Batch, Images, Target, batch_of, targets_of
from shapleycam.layers import before_pool, candidates, layout_at
from shapleycam.models import zoo
from shapleycam.models.network import Network, Transform, declared_by_timm
from shapleycam.models.preprocess import Preprocess
from shapleycam.trace import Trace, trace
from shapleycam.trace.calls import layer_name
from shapleycam.trace.guest import device_of
from shapleycam.utilities import Function, Utility, check_logits, utility_of
from shapleycam.values.path import Nodes
from shapleycam.values.permutation import Progress
from shapleycam.values.scale import about_scale, cancels, ignores_scale
from shapleycam.values.taylor import second_order

_REPLAYED: frozenset[Derivative] = frozenset({"path", "sampled", "exact"})
"""What runs the head again, at other activations than the image's own."""


class Explainer:
    """Explains the decisions of one model at one layer.

    Args:
        model: a name from the zoo ("efficientnet_lite0", "timm:resnet50", …), a `Network`, or any torch module that
            maps images (b, c, h, w) to logits (b, classes). It is left as it was found.
        layer: dotted name or module; None finds the one before pooling by running the model.
        utility: "rest", "logit", "log_probability", "probability", or a callable (output, target) -> (b,).
        preprocess: RGB PIL image to tensor (c, h, w); needed for photographs where the model declares none.
        labels: class names in the order of the logits.
        device: where to run; None leaves a module where it is, and puts a named model on the GPU if there is one.
        memory: about how many bytes a batch of coalitions may take.

    Raises:
        ModelError, LayerError, OptionError: the model, layer or utility is unknown.
    """

    def __init__(
        self,
        model: str | nn.Module | Network,
        layer: str | nn.Module | None = None,
        utility: str | Utility | Function = "rest",
        preprocess: Transform | None = None,
        labels: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        memory: int = MEMORY,
    ) -> None:
        if isinstance(model, str):
            device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        network = _network(model)
        self.model = network.model if device is None else _moved(network.model, device)
        self.preprocess = preprocess or network.preprocess
        self.labels = tuple(labels) if labels is not None else network.labels
        self.utility = utility_of(utility)
        self.memory = memory
        self.name = network.name
        self.origin = network.origin
        self._layer = None if layer is None else layer_name(self.model, layer)
        self._ignores_scale: dict[Utility, bool] = {}

    @property
    def layer(self) -> str:
        """The layer's dotted name; found by running the model where none was given.

        Raises:
            LayerError: it must be found, and the size of the images is not known yet.
        """
        if self._layer is None:
            if not isinstance(self.preprocess, Preprocess):
                raise LayerError("the layer is found at the first images; explain some, or give layer=")
            weight = next(self.model.parameters(), torch.empty(0))
            noise = torch.rand((1, 3, *self.preprocess.crop), generator=torch.Generator().manual_seed(0))
            self._layer = self._found_layer(noise.to(weight.device, weight.dtype))
        return self._layer

    def explain(
        self,
        images: Images,
        method: str = "shapleycam",
        target: Target = None,
        utility: str | Utility | Function | None = None,
        *,
        nodes: Nodes = 8,
        tolerance: float = 0.01,
        players: Regions = None,
        seed: int = 0,
    ) -> Explanation:
        """Explain one class of each image by one method.

        Args:
            images: a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w).
            method: a name from `shapleycam.methods()`.
            target: None for the predicted class; a number or label for all images; a tensor (b,) or a list for each.
            utility: in place of the explainer's own.
            nodes: gradients along the path, for the path methods; "auto" takes as many as its values need.
            tolerance: ‖standard error‖ / ‖values‖ to which sampledshapley samples.
            players: for sampledshapley and exactshapley, None for each position by itself; (rows, columns) of a grid
                of regions; or whole numbers (h, w) or (b, h, w) that name each cell's region.
            seed: for randomcam and sampledshapley, with the image's content.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        return self.compare(
            images, [method], target, utility, nodes=nodes, tolerance=tolerance, players=players, seed=seed
        )[method]

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def compare(  # noqa: PLR0913  # every one has a default that most calls leave
        self,
        images: Images,
        methods: Sequence[str],
        target: Target = None,
        utility: str | Utility | Function | None = None,
        *,
        nodes: Nodes = 8,
        tolerance: float = 0.01,
        players: Regions = None,
        seed: int = 0,
        curvature: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Explanation]:
        """Explain by several methods from one forward pass; arguments and errors as in `explain`.

        `methods` may hold the sets "paper" and "all". `curvature` measures it also where no second-order method is
        asked for, if the model has second derivatives. `progress` is told of the sampling: orders so far, and
        ‖stderr‖ / ‖values‖.
        """
        needed = {METHODS[name].derivative for name in expand(methods)}
        batch = batch_of(images, self.preprocess, self.model)
        twice = curvature or "second" in needed
        replay = bool(needed & _REPLAYED)
        game, traced = self._play(batch, target, utility, players, replay=replay, twice_differentiable=twice)
        rows = [METHODS[name] for name in expand(methods, game.n_players)]
        needed = {row.derivative for row in rows}
        found = find(game, needed, Effort(nodes, tolerance, seed, progress))
        self._advise_on_scale(game, batch, target, needed)
        bent = _curvature(game, found, wanted=curvature)
        if bent is not None and "second" in needed:
            advice.about_curvature(bent, traced.layer, game.utility.name)
        values = cam_values(game, rows, found)
        return {row.name: self._explanation(row, values[row.name], game, traced, batch, bent) for row in rows}

    @torch.inference_mode(mode=False)
    def game(
        self,
        images: Images,
        target: Target = None,
        utility: str | Utility | Function | None = None,
        players: Regions = None,
    ) -> Game:
        """The CRG game of each image, with derivatives at any activation; arguments and errors as in `explain`."""
        batch = batch_of(images, self.preprocess, self.model)
        return self._play(batch, target, utility, players, replay=True, twice_differentiable=True)[0]

    def __repr__(self) -> str:
        """The model, and the layer if it is known."""
        name = self.name or type(self.model).__name__
        return f"Explainer({name}, layer {self._layer or 'before pooling'}, utility {self.utility.name})"

    def _play(
        self,
        batch: Batch,
        target: Target,
        utility: str | Utility | Function | None,
        players: Regions = None,
        *,
        replay: bool,
        twice_differentiable: bool,
    ) -> tuple[Game, Trace]:
        chosen = self.utility if utility is None else utility_of(utility)
        if self._layer is None:
            self._layer = self._found_layer(batch.images[:1])
        traced = trace(self.model, batch.images, self.layer, replay=replay, twice_differentiable=twice_differentiable)
        check_logits(traced.output)
        classes = targets_of(target, traced.output, self.labels)
        layout = layout_at(self.model, traced.layer, traced.activation, batch.images)
        return Game(traced, layout, chosen, classes, players, self.memory), traced

    def _explanation(
        self,
        method: Method,
        values: CamValues,
        game: Game,
        traced: Trace,
        batch: Batch,
        bent: Float[Tensor, " b"] | None,
    ) -> Explanation:
        explanation = Explanation(
            method=method.name,
            layer=traced.layer,
            utility_name=game.utility.name,
            heatmap=heatmap(values.cells, (batch.images.shape[-2], batch.images.shape[-1])),
            values=values.cells,
            target=game.target,
            output=traced.output.detach(),
            utility=game.full,
            images=batch.images,
            sources=batch.sources,
            stderr=values.stderr,
            prefix=values.prefix,
            curvature=bent,
            labels=self.labels,
            preprocess=self.preprocess,
        )
        advice.about_blank(explanation)
        return explanation

    def _found_layer(self, image: Float[Tensor, "1 c h w"]) -> str:
        return before_pool(candidates(self.model, image)).name

    def _advise_on_scale(self, game: Game, batch: Batch, target: Target, needed: set[Derivative]) -> None:
        """Look once a utility whether the head ignores scale; for derivatives at A only where they look like it."""
        utility = game.utility
        if utility not in self._ignores_scale:
            if "path" in needed:
                self._ignores_scale[utility] = ignores_scale(game)
            elif needed & {"first", "second"} and cancels(game):
                again, _ = self._play(batch, target, utility, replay=True, twice_differentiable=False)
                self._ignores_scale[utility] = ignores_scale(again)
        if self._ignores_scale.get(utility) and needed & {"first", "second", "path"}:
            about_scale(self.layer, utility.name)


def _curvature(game: Game, found: Found, *, wanted: bool) -> Float[Tensor, " b"] | None:
    """The curvature, where a second-order method has paid for it, or where it is wanted and can be had."""
    if "second" in found.derivatives:
        return curvature_of(game, found.derivatives["second"])
    if not wanted:
        return None
    try:
        return curvature_of(game, game.layout.positions(second_order(game)))
    except DerivativeError:
        return None


def _network(model: str | nn.Module | Network) -> Network:
    if isinstance(model, Network):
        return model
    if isinstance(model, str):
        return zoo.load(model)
    if not isinstance(model, nn.Module):
        raise OptionError(f"model is a {type(model).__name__}; expected a name, a Network or a torch.nn.Module")
    preprocess, labels = declared_by_timm(model)
    return Network(model, preprocess, labels, type(model).__name__)


def _moved(model: nn.Module, device: str | torch.device) -> nn.Module:
    try:
        return model if device_of(model) == torch.device(device) else model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {str(device)!r} cannot be used ({reason}); use 'cpu', 'cuda' or 'mps'") from None
