"""The front door: from a model and photographs to explanations."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.compute import EstimatorOptions
from shapleycam.errors import LayerError, OptionError
from shapleycam.explaining import warnings
from shapleycam.explaining.fusing import check_fusion, fused
from shapleycam.explaining.inputs import Batch, Images, Inputs, Target, batch_of
from shapleycam.explaining.traced_batch import ExplainerSettings, TracedBatch
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.game import MEMORY
from shapleycam.game.players import Regions
from shapleycam.images import Seed
from shapleycam.layers import BEFORE_POOL, RULES, Solid, check_solid, chosen, rule_of, share_proofs
from shapleycam.models.greyscale import takes_greyscale, to_greyscale
from shapleycam.models.layout import Layout
from shapleycam.models.network import Network, Transform
from shapleycam.models.outputs import OutputChoice, make_selector
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import default_device, move_to_device, name_without_wrappers, resolve_network
from shapleycam.models.transforms import as_transform
from shapleycam.tracing._trace import Select, whole
from shapleycam.tracing.calls import layer_name
from shapleycam.tracing.checked import share_checks
from shapleycam.tracing.finals import Finals
from shapleycam.tracing.isolation import device_of, isolated, run
from shapleycam.tracing.scores import Returned, in_rows, is_of_classes, scores_of
from shapleycam.tracing.suspension import without_autocast
from shapleycam.utilities import Function, Utility, resolve_utility
from shapleycam.values._path import Nodes
from shapleycam.values._permutation import Progress

LayerChoice: TypeAlias = "str | nn.Module | Sequence[str | nn.Module] | None"
UtilityChoice: TypeAlias = "str | Utility | Function | None"


class Explainer:
    """Explains the decisions of one model at one layer, or at several.

    Args:
        model: a name from the zoo ("efficientnet_lite0", "timm:resnet50", …), a `Network`, or any torch module that
            maps images (b, c, h, w) to logits (b, classes), or to something with them in it. It is left as it was
            found. Of what torch.compile or DataParallel returned the model inside is explained.
        layer: "before-pool" (the default: found by running the model), "last-conv", a dotted name, a module, or a list
            of these, whose heatmaps are fused.
        utility: what is explained: a name ("rest", "logit", …), a question of `shapleycam.utilities`, or a callable
            (output, target) -> (b,).
        preprocess: RGB PIL image to tensor (c, h, w), or an image processor of transformers; needed for photographs
            where the model declares none.
        labels: class names in the order of the logits.
        device: where to run; None leaves a module where it is, and puts a named model on the GPU if there is one.
        memory: about how many bytes a batch of coalitions may take.
        output: which part of what the model returns is explained, by name, position or function; None finds it.
        layout: how the layer's activation is laid out, where it cannot be proven: "NCHW", "NHWC", "NCDHW", "NDHWC" or
            "tokens 14x14 after 1" (prefix tokens).
        images: what images of five dimensions are, "volume" (b, c, d, h, w) or "video" (b, t, c, h, w); None finds the
            channels by running the model.
        fuse: how the heatmaps of several layers become one: "mean", "maximum" or "product".

    Raises:
        ModelError, LayerError, OptionError: the model, layer or another choice is unknown.
    """

    def __init__(  # noqa: PLR0913  # what a model does not declare of itself; most calls need the first two
        self,
        model: str | nn.Module | Network,
        layer: LayerChoice = None,
        utility: str | Utility | Function = "rest",
        preprocess: Any = None,
        labels: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        memory: int = MEMORY,
        *,
        output: OutputChoice = None,
        layout: str | Layout | None = None,
        fuse: str = "mean",
        images: Solid = None,
    ) -> None:
        if isinstance(model, str):
            device = device or default_device()
        network = resolve_network(model)
        self.model = (
            network.model if device is None else move_to_device(network.model, device, device_of(network.model))
        )
        transform: Transform | None = as_transform(preprocess) if preprocess else network.preprocess
        self.preprocess = to_greyscale(transform) if transform and takes_greyscale(self.model) else transform
        self.labels = tuple(labels) if labels is not None else network.labels
        self.utility = resolve_utility(utility)
        self.name = network.name
        self.origin = network.origin
        self.select = make_selector(output)
        self._settings = ExplainerSettings(
            self.model, self.labels, self.preprocess, memory, layout, check_solid(images)
        )
        self._fuse = check_fusion(fuse)
        self._layers = [self._named(one, network) for one in _several(layer)]

    @property
    def layer(self) -> str:
        """The layer's dotted name, found by running the model where none was given; several joined by " + ".

        Raises:
            LayerError: it must be found, and the size of the images is not known yet.
        """
        if any(name in RULES for name in self._layers):
            if not isinstance(self.preprocess, Preprocess):
                raise LayerError("the layer is found at the first images; explain some, or give layer=")
            weight = next(self.model.parameters(), torch.empty(0))
            size = (1, len(self.preprocess.mean), *self.preprocess.crop)
            noise = torch.rand(size, generator=torch.Generator().manual_seed(0))
            self._find_layers(Batch(noise.to(weight.device), ()), self._output_for(self.utility))
        return " + ".join(self._layers)

    def explain(  # noqa: PLR0913  # every one has a default that most calls leave
        self,
        images: Images,
        method: str = "shapleycam",
        target: Target = None,
        utility: UtilityChoice = None,
        *,
        nodes: Nodes = 8,
        tolerance: float = 0.01,
        players: Regions = None,
        seed: Seed = 0,
        inputs: Inputs = None,
    ) -> Explanation:
        """Explain one class of each image by one method.

        Args:
            images: a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w); volumes
                (b, c, d, h, w) and videos (b, t, c, h, w) for models that take them.
            method: a name from `shapleycam.methods()`, in any spelling ("Grad-CAM").
            target: None for the predicted class; a number or label for all images; a tensor (b,) or a list for each.
            utility: in place of the explainer's own.
            nodes: gradients along the path, for the path methods; "auto" takes as many as its values need.
            tolerance: ‖standard error‖ / ‖values‖ to which sampledshapley samples.
            players: for sampledshapley and exactshapley, None for each position by itself; (rows, columns) of a grid
                of regions; or whole numbers (h, w) or (b, h, w) that name each cell's region.
            seed: for randomcam and sampledshapley, with the image's content.
            inputs: further inputs of a model that takes several: a mapping of its forward's keyword names, or a tuple
                of the arguments after the images. Tensors whose first dimension is the number of images belong to them
                row by row.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        return self.compare(
            images,
            [method],
            target,
            utility,
            nodes=nodes,
            tolerance=tolerance,
            players=players,
            seed=seed,
            inputs=inputs,
        )[method]

    def explain_each(
        self,
        images: Images,
        targets: Sequence[Target] | int,
        method: str = "shapleycam",
        utility: UtilityChoice = None,
        **how: Any,
    ) -> list[Explanation]:
        """Explain several classes of each image from one forward pass: one explanation for each of `targets`.

        So each label of a multi-label model gets its map (utility "sigmoid_rest"). A number as `targets` means that
        many of the likeliest classes of each image. Other arguments and errors are as in `explain`.
        """
        return [found[method] for found in self.compare_each(images, [method], targets, utility, **how)]

    def compare(  # noqa: PLR0913  # every one has a default that most calls leave
        self,
        images: Images,
        methods: Sequence[str],
        target: Target = None,
        utility: UtilityChoice = None,
        *,
        nodes: Nodes = 8,
        tolerance: float = 0.01,
        players: Regions = None,
        seed: Seed = 0,
        curvature: bool = False,
        progress: Progress | None = None,
        inputs: Inputs = None,
    ) -> Comparison:
        """Explain by several methods from one forward pass; arguments and errors as in `explain`.

        `methods` may hold the sets "paper" and "all"; `seed` may be one for each image, in place of its content.
        `curvature` measures it also where no second-order method is asked for, if the model has second derivatives.
        `progress` is told of the sampling: orders so far, and ‖stderr‖ / ‖values‖.
        """
        return self.compare_each(
            images,
            methods,
            [target],
            utility,
            players=players,
            curvature=curvature,
            inputs=inputs,
            nodes=nodes,
            tolerance=tolerance,
            seed=seed,
            progress=progress,
        )[0]

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    @without_autocast()
    def compare_each(
        self,
        images: Images,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        utility: UtilityChoice = None,
        *,
        players: Regions = None,
        curvature: bool = False,
        inputs: Inputs = None,
        **effort: Any,
    ) -> list[Comparison]:
        """Explain several classes by several methods from one forward pass (one a layer, where there are several).

        `targets` are as in `explain_each`; `effort` are nodes, tolerance, seed and progress as in `compare`.
        """
        spent = EstimatorOptions(**effort)
        asked = self._utility(utility)
        batch = batch_of(images, self.preprocess, self.model, inputs)
        self._find_layers(batch, self._output_for(asked))
        by_layer = []
        for layer in self._layers:  # one after the other, as each traced batch holds a graph
            traced_batch = self._look(layer, batch, methods, asked, replay=False, twice=curvature)
            by_layer.append(
                [
                    traced_batch.compare(methods, target, asked, spent, players, curvature=curvature)
                    for target in traced_batch.each(targets, asked)
                ]
            )
        if len(by_layer) == 1:
            return by_layer[0]
        return [self._fused(layers) for layers in zip(*by_layer, strict=True)]

    @torch.inference_mode(mode=False)
    @without_autocast()
    def game(
        self,
        images: Images,
        target: Target = None,
        utility: UtilityChoice = None,
        players: Regions = None,
        inputs: Inputs = None,
    ) -> Game:
        """The CRG game of each image, with derivatives at any activation; arguments and errors as in `explain`.

        Raises:
            OptionError: the explainer has several layers; a game is played at one.
        """
        asked, batch = self._utility(utility), batch_of(images, self.preprocess, self.model, inputs)
        return self._looked(batch, (), asked, replay=True, twice=True).game(target, asked, players)

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    @without_autocast()
    def trace(
        self,
        images: Images,
        methods: Sequence[str],
        utility: UtilityChoice = None,
        *,
        replay: bool = False,
        inputs: Inputs = None,
    ) -> TracedBatch:
        """One forward pass, of which several utilities can be explained by `methods`, and with `replay` games played.

        Arguments and errors are as in `explain`; `utility` is one of those that will be asked of it.

        Raises:
            OptionError: the explainer has several layers; a traced batch is of one.
        """
        batch = batch_of(images, self.preprocess, self.model, inputs)
        return self._looked(batch, methods, self._utility(utility), replay=replay, twice=False)

    @torch.inference_mode(mode=False)
    def output(self, images: Images, utility: UtilityChoice = None, inputs: Inputs = None) -> Any:
        """What the model returns for images, or what `output=` chooses of it: an embedding, say, to compare with.

        `utility` is the one that will be asked of it, in place of the explainer's own: some ask of all of it.

        Raises:
            ModelError, ImageError: as in `explain`.
        """
        batch, asked = batch_of(images, self.preprocess, self.model, inputs), self._utility(utility)
        with isolated(self.model) as model:
            output = self._output_for(asked)(run(model, batch.images, batch.extra))
        return in_rows(output, len(batch.images), "images", "output" if asked.reads == "output" else "numbers")

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def scores(self, images: Images, utility: UtilityChoice = None) -> Float[Tensor, "b classes"] | None:
        """What a target is chosen among, as in `explain`: the largest is the predicted class. None without classes.

        Raises:
            ModelError, ImageError: as in `explain`.
        """
        batch, asked = batch_of(images, self.preprocess, self.model), self._utility(utility)
        select = self._output_for(asked)
        if asked.reads != "scores":
            return asked.scores(self.output(batch, asked), self.labels)
        with isolated(self.model) as model:
            with torch.enable_grad(), Finals() as finals:  # only a graph shows how the scores can be had
                leaf = batch.first.images.clone().requires_grad_()
                first = in_rows(select(run(model, leaf, batch.first.extra)), 1, "images", "scores")
                returned = Returned.of(first, None, finals)
                how = scores_of(first, returned, leaf) if is_of_classes(first) else None
            with Finals() as finals:
                rows = in_rows(select(run(model, batch.images, batch.extra)), len(batch.images), "images", "scores")
                return asked.scores(rows if how is None else how.of(rows, finals), self.labels)

    def like(self, model: nn.Module) -> Explainer:
        """The same explainer of another model of the same make, with other weights say."""
        other = copy(self)
        other.model = model
        share_proofs(model, self.model)
        share_checks(model, self.model)
        other._settings = replace(self._settings, model=model, ignores_scale={})  # noqa: SLF001
        return other

    def __repr__(self) -> str:
        """The model, and the layer if it is known."""
        name = self.name or type(self.model).__name__
        return f"Explainer({name}, layer {' + '.join(self._layers)}, utility {self.utility.name})"

    def _looked(
        self, batch: Batch, methods: Sequence[str], utility: Utility, *, replay: bool, twice: bool
    ) -> TracedBatch:
        """The batch traced at the only layer."""
        if len(self._layers) > 1:
            raise OptionError(f"the explainer has {len(self._layers)} layers, and a game is played at one; give one")
        self._find_layers(batch, self._output_for(utility))
        return self._look(self._layers[0], batch, methods, utility, replay=replay, twice=twice)

    def _look(
        self, layer: str, batch: Batch, methods: Sequence[str], utility: Utility, *, replay: bool, twice: bool
    ) -> TracedBatch:
        select = self._output_for(utility)
        return TracedBatch(self._settings, batch, layer, select, methods, replay=replay, twice=twice)

    def _fused(self, layers: Sequence[Comparison]) -> Comparison:
        """By method, the explanations of one target at all layers as one."""
        whole = Comparison({name: fused([found[name] for found in layers], self._fuse) for name in layers[0]})
        for explanation in whole.values():
            warnings.about_nothing_in_common(explanation)
        return whole

    def _utility(self, choice: UtilityChoice) -> Utility:
        return self.utility if choice is None else resolve_utility(choice)

    def _output_for(self, utility: Utility) -> Select:
        return whole if utility.raw else self.select

    def _named(self, layer: str | nn.Module, network: Network) -> str:
        """A layer's name, or the rule by which it is found once the size of the images is known."""
        rule = rule_of(layer, dict(self.model.named_modules()))
        if rule is not None:
            return network.layers.get(rule, rule)
        return layer_name(self.model, name_without_wrappers(layer, self.model) if isinstance(layer, str) else layer)

    def _find_layers(self, batch: Batch, select: Select) -> None:
        first, solid = batch.first, self._settings.solid
        self._layers = [
            chosen(self.model, first.images, name, select, solid, first.extra) if name in RULES else name
            for name in self._layers
        ]


def _several(layer: LayerChoice) -> Sequence[str | nn.Module]:
    if layer is None:
        return [BEFORE_POOL]
    return [layer] if isinstance(layer, (str, nn.Module)) or not isinstance(layer, Sequence) else layer or [BEFORE_POOL]
