"""`Explainer`: from a model and photographs to explanations."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.table import DEFAULT_METHOD
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
            maps images (b, c, h, w) to logits (b, classes), or to an output that contains logits. The model is not
            changed. Where torch.compile or DataParallel wraps a model, the wrapped model is explained.
        layer: "before-pool" (the default: found by running the model), "last-conv", a dotted name, a module, "input"
            (the preprocessed image; the head is then the whole model), or a list of these, whose heatmaps are fused.
        utility: what is explained: a name ("rest", "logit", …), a question of `shapleycam.utilities`, or a callable
            (output, target) -> (b,).
        preprocess: a function from an RGB PIL image to a tensor (c, h, w), or an image processor of transformers.
            Photographs need it if the model declares no preprocessing.
        labels: class names in the order of the logits.
        device: where to run; None leaves a module where it is, and puts a named model on the GPU if there is one.
        memory: about how many bytes a batch of coalitions may take.
        output: which part of the model's output is explained, by name, position or function; None finds it.
        layout: the layout of the layer's activation, if it cannot be proven: "NCHW", "NHWC", "NCDHW", "NDHWC" or
            "tokens 14x14 after 1" (prefix tokens).
        images: what images with five dimensions are: "volume" (b, c, d, h, w) or "video" (b, t, c, h, w). None finds
            the axis of the channels by running the model.
        fuse: how the heatmaps of several layers become one: "mean", "maximum" or "product".
        removal: what replaces the content of positions that are absent from a coalition.
            "zero": zeros, as in the paper.
            "mean": at each position the layer's mean over the `reference` photographs; without these, each image's own
            mean over its positions, and prefix tokens stay as they are.
            A tensor, shaped as the layer's activation (b, ...), as that of one image, or (channels,).
            A function that returns such a tensor for a copy of the activation. It must treat each image independently
            and return the same at each call: a function that mixes images or draws random numbers is refused.
            Only at layer "input": "blur", the image under a Gaussian filter.
            Only at layer "input" and for methods that evaluate coalitions: "impute" fills absent pixels in from the
            present ones; "drop" gives a plain vision transformer no tokens of absent patches; "samples" replaces
            absent pixels with those of each `reference` photograph in turn, and the value of a coalition is the mean.
        reference: the photographs for removal "mean" or "samples", as `explain` takes them.
        precision: "bfloat16" runs the layers before the explained one in bfloat16. That takes a third of the time on
            CPUs that compute in bfloat16, and changes values by about 1% (`fidelity` measures it). "full" is the
            model's own precision.

    Raises:
        ModelError, LayerError, OptionError: the model, layer or another choice is unknown.

    Examples:
        >>> import matplotlib, shapleycam
        >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> explainer = shapleycam.Explainer("efficientnet_lite0", device="cpu")
        >>> explanation = explainer.explain(photo, target="military uniform")
        >>> explanation.values.shape, explainer
        (torch.Size([1, 7, 7]), Explainer(efficientnet_lite0, layer bn2, utility rest))
    """

    def __init__(  # noqa: PLR0913  # what a model may not declare itself; most calls need the first two
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
        """Return the layer's dotted name; several names are joined by " + ".

        A layer that was given by name is known at once. A layer that a rule finds is known after the first explanation
        or a call of `find_layer`.

        Raises:
            LayerError: it is not known yet.
        """
        return self._tracer.layers.known()

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    @torch.no_grad()
    @in_full_precision()
    def find_layer(self, images: Images | None = None) -> str:
        """Return the layer's dotted name; run the model to find the layer if it is not known.

        Several names are joined by " + ". All later images are explained at this layer. Without `images` the model runs
        on noise, of the size that its preprocessing makes.

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
        method: str = DEFAULT_METHOD,
        target: Target = None,
        utility: UtilityChoice = None,
        **options: Unpack[ExplainKeywords],
    ) -> Explanation:
        """Explain one class of each image by one method.

        Args:
            images: a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w); volumes
                (b, c, d, h, w) and videos (b, t, c, h, w) for models that take them.
            method: a name from `shapleycam.methods()`, in any spelling ("Grad-CAM"). The default, "pathcam-h", runs
                the head again along a path. "shapleycam" needs a single run, for models whose head cannot run again.
            target: None for the predicted class; a number or label for all images; a tensor (b,) or a list for each.
            utility: overrides the explainer's utility.
            options: any of these keywords.
                `removal`: overrides the explainer's removal.
                `reference`: photographs for removal "mean" or "samples"; overrides the explainer's.
                `inputs`: further inputs of a model that takes several: a mapping from the keyword names of its forward,
                or a tuple of the arguments after the images. A tensor whose first dimension is the number of images
                has one row for each image.
                `smooth`: one or several smoothings of the map: "augment" (the mean heatmap of the image and its mirror
                image at three intensities), "eigen" (the first principal component of the channels in place of their
                sum) and "noise" (the mean values of noisy images). Smoothed values do not sum to the score. Do not use
                "augment" for an output that depends on left and right, such as a steering angle.
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
        method: str = DEFAULT_METHOD,
        utility: UtilityChoice = None,
        **options: Unpack[ExplainKeywords],
    ) -> list[Explanation]:
        """Explain several classes of each image from one forward pass: one explanation for each of `targets`.

        For example, each label of a multi-label model gets its own map (utility "sigmoid_rest"). An integer k as
        `targets` means the k most probable classes of each image. Other arguments and errors are as in `explain`.
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

        `methods` may contain the names of sets: "paper", "all" and "field" ("all" and slower methods). `seed` may be a
        list with one seed for each image; these replace the seeds from the images' content. `curvature=True` measures
        the curvature even if no method is of second order, provided the model has second derivatives.
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
        """Explain several classes by several methods, from one forward pass for each layer.

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
    def compare_with(  # noqa: PLR0913  # `compare_each` passes all its arguments on to this method
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
        """Explain as `compare_each` does; the estimators' options are one object.

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

        With `players="channels"` the players are the layer's channels instead of its positions. The functions of
        `shapleycam.values` compute the values of a game.

        Raises:
            OptionError: the explainer has several layers; a game has one layer.
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
        """Run the model once and return the traced batch, which explains several utilities by `methods`.

        With `replay=True` the head can run again, as games need it. `utility` is one of the utilities that will be
        explained. Other arguments and errors are as in `explain`.

        Raises:
            OptionError: the explainer has several layers; a traced batch has one layer.
        """
        question = self._question(images, utility, removal, reference, inputs)
        return self._tracer.trace_only_layer(question, methods, replay=replay, twice=False)

    @restore_when_interrupted
    @torch.inference_mode(mode=False)
    def output(self, images: Images, utility: UtilityChoice = None, inputs: Inputs = None) -> Any:
        """Return the model's output for images, or the part that `output=` selects (an embedding, for example).

        `utility` overrides the explainer's utility. Some utilities read the whole output, whatever `output=` selects.

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
        """Return the class scores that targets index; None for an output without classes.

        The predicted class is the one with the largest score.

        Raises:
            ModelError, ImageError: as in `explain`.
        """
        chosen_utility, batch = self._utility(utility), self._batch(images, None)
        return class_scores(self.model, batch, self._tracer.select_for(chosen_utility), chosen_utility, self.labels)

    def like(self, model: nn.Module) -> Explainer:
        """Return a copy of this explainer for another model of the same architecture, as one with other weights."""
        share_proofs(model, self.model)
        share_checks(model, self.model)
        explainer = self._with_tracer(self._tracer.of_model(model))
        explainer.model = model
        return explainer

    def at_layer(
        self, layer: LayerChoice, *, removal: RemovalOption = None, reference: Images | None = None
    ) -> Explainer:
        """Return a copy of this explainer at other layers of the same model; arguments and errors as in `Explainer`.

        Without `removal` and `reference` the copy keeps the explainer's removal.

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
        """Return the precision of the layers before the explained one: "full" (the model's own) or "bfloat16"."""
        return self._tracer.settings.precision

    def in_full_precision(self) -> Explainer:
        """Return a copy of this explainer that runs the whole model in its own precision."""
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
        """Return the question that a method's arguments ask; None means the explainer's own choice."""
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
