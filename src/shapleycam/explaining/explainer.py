"""`Explainer`: from a model and photographs to explanations."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.explaining.comparing import ComparisonRequest, compare
from shapleycam.explaining.fusing import check_fusion
from shapleycam.explaining.inputs import Batch, Images, Inputs, Target, batch_of
from shapleycam.explaining.layer_search import LayerChoice, LayerSearch, noise_batch
from shapleycam.explaining.layer_tracer import LayerTracer
from shapleycam.explaining.model_output import class_scores, selected_output
from shapleycam.explaining.question import ExplainKeywords, Question, RemovalOption, UtilityChoice
from shapleycam.explaining.reference import AnyRemoval, ReferenceRemoval, choose_removal
from shapleycam.explaining.settings import ExplainerMemory, ExplainerSettings
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.game import MEMORY
from shapleycam.game.players import Regions
from shapleycam.game.removal import RemovalChoice
from shapleycam.layers import ImageKind, check_image_kind, share_proofs
from shapleycam.models.greyscale import takes_greyscale, to_greyscale
from shapleycam.models.labels import check_labels
from shapleycam.models.layout import Layout
from shapleycam.models.network import Network, Transform
from shapleycam.models.outputs import OutputChoice, make_selector
from shapleycam.models.resolve import default_device, move_to_device, resolve_network
from shapleycam.models.transforms import as_transform
from shapleycam.smoothing import SmoothChoice, parse_smoothing
from shapleycam.tracing.checks import share_checks
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.isolation import device_of
from shapleycam.tracing.reduced_precision import Precision, check_precision
from shapleycam.tracing.suspension import in_full_precision
from shapleycam.utilities import Function, Utility, resolve_utility
from shapleycam.values.options import EstimatorKeywords, EstimatorOptions
from shapleycam.wording import precision_phrase, removal_phrase

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Explainer:
    """Explains the decisions of one model at one layer, or at several.

    Args:
        model: a name from the zoo ("efficientnet_lite0", "timm:resnet50", …), a `Network`, or any torch module that
            maps images (b, c, h, w) to logits (b, classes), or to something with them in it. It is left as it was
            found. Of what torch.compile or DataParallel returned the model inside is explained.
        layer: "before-pool" (the default: found by running the model), "last-conv", a dotted name, a module, "input"
            (the preprocessed image, with the whole model behind it), or a list of these, whose heatmaps are fused.
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
        removal: what stands in for the content of places that are absent from a coalition. "zero": zeros, as in the
            paper. "mean": at each place the layer's mean over the `reference` photographs; without these each image's
            own mean over its places, where prefix tokens stay as they are. A tensor, shaped as the layer's activation
            (b, ...), as that of one image, or (channels,). Or a function that makes such a tensor of a copy of the
            activation, of each image by itself and always the same: one that mixes images or draws is refused. At
            layer "input" also "blur": the image under a Gaussian; and for methods that play the game "impute": absent
            pixels are filled in from the present ones; "drop": a plain vision transformer gets no tokens of absent
            patches; "samples": each of the `reference` photographs stands in, and a coalition is worth the mean.
        reference: the photographs for removal "mean" or "samples", as `explain` takes them.
        precision: "bfloat16" runs what comes before the layer in bfloat16, which takes a third of the time on CPUs that
            compute in it, and changes values by about a hundredth (`fidelity` measures it); "full" is the model's own.

    Raises:
        ModelError, LayerError, OptionError: the model, layer or another choice is unknown.

    Examples:
        >>> import matplotlib, shapleycam
        >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> explainer = shapleycam.Explainer("efficientnet_lite0", device="cpu")
        >>> explanation = explainer.explain(photo, "shapleycam", target="military uniform")
        >>> explanation.values.shape, explainer
        (torch.Size([1, 7, 7]), Explainer(efficientnet_lite0, layer bn2, utility rest))
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
        images: ImageKind = None,
        removal: RemovalChoice | ReferenceRemoval = "zero",
        reference: Images | None = None,
        precision: str = "full",
    ) -> None:
        if isinstance(model, str):
            device = device or default_device()
        network = resolve_network(model)
        self.model = (
            network.model if device is None else move_to_device(network.model, device, device_of(network.model))
        )
        transform: Transform | None = as_transform(preprocess) if preprocess else network.preprocess
        self.preprocess = to_greyscale(transform) if transform and takes_greyscale(self.model) else transform
        given_labels = network.labels if labels is None else labels
        self.labels = None if given_labels is None else check_labels(given_labels)
        self.utility = resolve_utility(utility)
        self.name = network.name
        self.origin = network.origin
        self.select = make_selector(output)
        image_kind, fusion = check_image_kind(images), check_fusion(fuse)
        settings = ExplainerSettings(
            self.model, self.labels, self.preprocess, memory, layout, image_kind, check_precision(precision)
        )
        layers = LayerSearch(layer, network.layers, self.model)
        self._tracer = LayerTracer(settings, ExplainerMemory(), layers, self.select, fusion)
        self.removal = choose_removal(removal, reference, self._photographs)

    @property
    def layer(self) -> str:
        """Return the layer's dotted name, several joined by " + ", once it is known.

        A layer given by name is known at once; one that is found by running the model, after the first explanation or
        a call of `find_layer`.

        Raises:
            LayerError: it is not known yet.
        """
        return self._tracer.layers.known()

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    @in_full_precision()
    def find_layer(self, images: Images | None = None) -> str:
        """Return the layer's dotted name, several joined by " + ", finding it by running the model where needed.

        All later images are explained there. Without `images` the model sees noise of the size that its preprocessing
        makes.

        Raises:
            LayerError: it must be found, and the size of the images is not known; or no layer fits.

        Examples:
            >>> import shapleycam
            >>> shapleycam.Explainer("efficientnet_lite0", device="cpu").find_layer()
            'bn2'
        """
        if not self._tracer.layers.is_done:
            batch = noise_batch(self.model, self.preprocess) if images is None else self._batch(images, None)
            self._tracer.find_layers(batch, self.utility)
        return self.layer

    def explain(
        self,
        images: Images,
        method: str = "shapleycam",
        target: Target = None,
        utility: UtilityChoice = None,
        **options: Unpack[ExplainKeywords],
    ) -> Explanation:
        """Explain one class of each image by one method.

        Args:
            images: a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w); volumes
                (b, c, d, h, w) and videos (b, t, c, h, w) for models that take them.
            method: a name from `shapleycam.methods()`, in any spelling ("Grad-CAM").
            target: None for the predicted class; a number or label for all images; a tensor (b,) or a list for each.
            utility: in place of the explainer's own.
            options: any of these keywords.
                `removal`: in place of the explainer's own.
                `reference`: photographs for removal "mean" or "samples", in place of the explainer's own.
                `inputs`: further inputs of a model that takes several: a mapping of its forward's keyword names, or a
                tuple of the arguments after the images. Tensors whose first dimension is the number of images belong
                to them row by row.
                `smooth`: a smoothing of the map, or several of "augment" (the mean heatmap of the image and its mirror
                image at three intensities), "eigen" (the first principal component of the channels in place of their
                sum) and "noise" (the mean values of noisy images). Smoothed values divide no score. What depends on
                left and right, as a steering angle, is not for "augment".
                `nodes` (8), `tolerance` (0.01), `seed` (0), `players`, `progress` and `runs` (None), as
                `shapleycam.values.EstimatorOptions` explains them.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        return self.compare(images, [method], target, utility, **options)[method]

    def explain_each(
        self,
        images: Images,
        targets: Sequence[Target] | int,
        method: str = "shapleycam",
        utility: UtilityChoice = None,
        **options: Unpack[ExplainKeywords],
    ) -> list[Explanation]:
        """Explain several classes of each image from one forward pass: one explanation for each of `targets`.

        So each label of a multi-label model gets its map (utility "sigmoid_rest"). A number as `targets` means that
        many of the likeliest classes of each image. Other arguments and errors are as in `explain`.
        """
        comparisons = self.compare_each(images, [method], targets, utility, **options)
        return [comparison[method] for comparison in comparisons]

    def compare(
        self,
        images: Images,
        methods: Sequence[str],
        target: Target = None,
        utility: UtilityChoice = None,
        *,
        curvature: bool = False,
        **options: Unpack[ExplainKeywords],
    ) -> Comparison:
        """Explain by several methods from one forward pass; arguments and errors as in `explain`.

        `methods` may hold the sets "paper", "all" and "field" (all, and what takes longer); `seed` may be one for each
        image, in place of its content. `curvature` measures it also where no second-order method is asked for, if the
        model has second derivatives.
        """
        return self.compare_each(images, methods, [target], utility, curvature=curvature, **options)[0]

    def compare_each(  # noqa: PLR0913  # all keywords of `explain`, written out here once
        self,
        images: Images,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        utility: UtilityChoice = None,
        *,
        curvature: bool = False,
        removal: RemovalOption = None,
        reference: Images | None = None,
        inputs: Inputs = None,
        smooth: SmoothChoice = None,
        **options: Unpack[EstimatorKeywords],
    ) -> list[Comparison]:
        """Explain several classes by several methods from one forward pass (one a layer, where there are several).

        `targets` are as in `explain_each`; other arguments and errors are as in `compare`.
        """
        estimator, chosen = EstimatorOptions(**options), self._removal(removal, reference)
        return self.compare_with(
            estimator,
            images,
            methods,
            targets,
            utility,
            curvature=curvature,
            removal=chosen,
            inputs=inputs,
            smooth=smooth,
        )

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    @in_full_precision()
    def compare_with(  # noqa: PLR0913  # as `compare_each`, which hands all of them down
        self,
        options: EstimatorOptions,
        images: Images,
        methods: Sequence[str],
        targets: Sequence[Target] | int,
        utility: UtilityChoice = None,
        *,
        curvature: bool = False,
        removal: RemovalOption = None,
        inputs: Inputs = None,
        smooth: SmoothChoice = None,
    ) -> list[Comparison]:
        """Explain as `compare_each` does, with the estimators' options as one object.

        Examples:
            >>> import matplotlib, shapleycam
            >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
            >>> explainer = shapleycam.Explainer("efficientnet_lite0", device="cpu")
            >>> options = shapleycam.values.EstimatorOptions(nodes=4)
            >>> [comparison] = explainer.compare_with(options, photo, ["gradcam", "pathcam"], [None])
            >>> list(comparison)
            ['gradcam', 'pathcam']
        """
        smoothings = parse_smoothing(smooth)
        question = self._question(images, utility, removal, None, inputs)
        return compare(
            self._tracer, ComparisonRequest(question, methods, targets, options, smoothings, curvature=curvature)
        )

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    @in_full_precision()
    def game(
        self,
        images: Images,
        target: Target = None,
        utility: UtilityChoice = None,
        players: Regions = None,
        inputs: Inputs = None,
        *,
        removal: RemovalOption = None,
        reference: Images | None = None,
    ) -> Game:
        """Return the CRG game of each image, with derivatives at any activation; arguments and errors as in `explain`.

        `players` may also be "channels": the layer's channels are played in place of its positions. A game's values are
        had of `shapleycam.values`.

        Raises:
            OptionError: the explainer has several layers; a game is played at one.
        """
        question = self._question(images, utility, removal, reference, inputs)
        traced_batch = self._tracer.trace_only_layer(question, (), replay=True, twice=True)
        return traced_batch.game(target, question.utility, players)

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    @in_full_precision()
    def trace(
        self,
        images: Images,
        methods: Sequence[str],
        utility: UtilityChoice = None,
        *,
        replay: bool = False,
        removal: RemovalOption = None,
        reference: Images | None = None,
        inputs: Inputs = None,
    ) -> TracedBatch:
        """Run the model once; of the pass several utilities are explained by `methods`, and with `replay` games played.

        Arguments and errors are as in `explain`; `utility` is one of those that will be asked of it.

        Raises:
            OptionError: the explainer has several layers; a traced batch is of one.
        """
        question = self._question(images, utility, removal, reference, inputs)
        return self._tracer.trace_only_layer(question, methods, replay=replay, twice=False)

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    def output(self, images: Images, utility: UtilityChoice = None, inputs: Inputs = None) -> Any:
        """Return the model's output for images, or what `output=` selects of it: an embedding, say, to compare with.

        `utility` is the one that will be asked of it, in place of the explainer's own: some ask of all of it.

        Raises:
            ModelError, ImageError: as in `explain`.
        """
        chosen_utility, batch = self._utility(utility), self._batch(images, inputs)
        select, layers = self._tracer.select_for(chosen_utility), self._tracer.layers.names
        return selected_output(self.model, batch, select, chosen_utility, layers, self.precision)

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def scores(self, images: Images, utility: UtilityChoice = None) -> Float[Tensor, "b classes"] | None:
        """Return the scores that a target is chosen among: the largest is the predicted class. None without classes.

        Raises:
            ModelError, ImageError: as in `explain`.
        """
        chosen_utility, batch = self._utility(utility), self._batch(images, None)
        return class_scores(self.model, batch, self._tracer.select_for(chosen_utility), chosen_utility, self.labels)

    def like(self, model: nn.Module) -> Explainer:
        """Return this explainer for another model of the same architecture, such as one with other weights."""
        share_proofs(model, self.model)
        share_checks(model, self.model)
        explainer = self._with_tracer(self._tracer.of_model(model))
        explainer.model = model
        return explainer

    def at_layer(
        self, layer: LayerChoice, *, removal: RemovalOption = None, reference: Images | None = None
    ) -> Explainer:
        """Return this explainer at other layers of the same model; arguments and errors are as of `Explainer`.

        A removal that is not given is the explainer's own.

        Examples:
            >>> import shapleycam
            >>> explainer = shapleycam.Explainer("efficientnet_lite0", device="cpu")
            >>> explainer.at_layer("input", removal="blur")
            Explainer(efficientnet_lite0, layer input, utility rest, removal blur)
        """
        chosen = self._removal(removal, reference)
        explainer = self._with_tracer(self._tracer.at(self._tracer.layers.at(layer, self.model)))
        explainer.removal = chosen
        return explainer

    @property
    def precision(self) -> Precision:
        """Return the precision of what comes before the layer: "full", the model's own, or "bfloat16"."""
        return self._tracer.settings.precision

    def in_full_precision(self) -> Explainer:
        """Return this explainer with the model's own precision before the layer too."""
        return self._with_tracer(self._tracer.in_full_precision())

    def __repr__(self) -> str:
        """Return the model, and the layer if it is known."""
        name = self.name or type(self.model).__name__
        choices = removal_phrase(self.removal.name) + precision_phrase(self.precision)
        return f"Explainer({name}, layer {self._tracer.layers}, utility {self.utility.name}{choices})"

    def _with_tracer(self, tracer: LayerTracer) -> Explainer:
        """Return a copy of this explainer with another tracer."""
        explainer: Explainer = copy(self)
        explainer._tracer = tracer
        return explainer

    def _question(
        self, images: Images, utility: UtilityChoice, removal: RemovalOption, reference: Images | None, inputs: Inputs
    ) -> Question:
        """Return what is asked by the arguments of a method; the explainer's own choices stand in for None."""
        chosen_utility, batch = self._utility(utility), self._batch(images, inputs)
        return Question(batch, chosen_utility, self._removal(removal, reference))

    def _batch(self, images: Images, inputs: Inputs) -> Batch:
        return batch_of(images, self.preprocess, self.model, inputs)

    def _photographs(self, reference: Images) -> Batch:
        return self._batch(reference, None)

    def _removal(self, choice: RemovalOption, reference: Images | None) -> AnyRemoval:
        if choice is None and reference is None:
            return self.removal
        return choose_removal(self.removal if choice is None else choice, reference, self._photographs)

    def _utility(self, choice: UtilityChoice) -> Utility:
        return self.utility if choice is None else resolve_utility(choice)
