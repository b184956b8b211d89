"""Missing or hidden derivatives are detected, refused with the reason, or not needed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao import quantization
from torch.nn import functional as F

from helpers.user_models import Small, assert_untouched, first_order, pictures, state_of, values
from shapleycam import Explainer, methods
from shapleycam.errors import DerivativeError, LayerError, ModelError, ReplayError
from shapleycam.tracing import trace

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.ao.quantization is deprecated", "ignore:.*autograd kernel")
NONE = r"what comes after the layer has no derivative: an operation there \(quantised, of a foreign kernel"
INDEPENDENT = "runs, but the output does not depend on it, or has no derivative by it"


def model_with_function(function):
    """Return the small network whose head gets its activation through a function."""

    class Changed(Small):
        def head(self, values):
            return super().head(function(values))

    return Changed().eval()


class WithoutGraph(torch.autograd.Function):
    """v², whose backward is cut off from autograd."""

    @staticmethod
    def forward(ctx, values):
        ctx.values = values.detach()
        return values * values

    @staticmethod
    def backward(ctx, gradient):
        with torch.no_grad():
            return 2 * ctx.values * gradient


class InNumpy(WithoutGraph):
    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(np.asarray(2 * ctx.values.numpy() * gradient.detach().numpy()))


class OnceOnly(WithoutGraph):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.values * gradient


class RaisesTwice(WithoutGraph):
    @staticmethod
    def backward(ctx, gradient):
        if torch.is_grad_enabled():
            raise RuntimeError("no double backward")
        return 2 * ctx.values * gradient


class Right(torch.autograd.Function):
    """v², right twice."""

    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values * values

    @staticmethod
    def backward(ctx, gradient):
        (values,) = ctx.saved_tensors
        return 2 * values * gradient


@pytest.mark.parametrize("function", [WithoutGraph, InNumpy, OnceOnly, RaisesTwice])
@pytest.mark.parametrize("place", ["deep inside", "at the end"])
def test_no_second_derivative_is_refused_and_the_first_is_right(function, place):
    model = model_with_function(function.apply) if place == "deep inside" else Small().eval()
    plain = model_with_function(torch.square) if place == "deep inside" else Small().eval()
    if place == "at the end":
        model = nn.Sequential(model, nn.Identity())
        model[1].forward = function.apply
        plain = nn.Sequential(plain, nn.Identity())
        plain[1].forward = torch.square
    layer = "body" if place == "deep inside" else "0.body"
    if function is not RaisesTwice:
        torch.testing.assert_close(values(model, "hirescam", layer), first_order(plain, pictures(), layer))
    with pytest.raises(DerivativeError, match=r"second derivative|no derivative of the order"):
        values(model, "shapleycam-h", layer)


@pytest.mark.parametrize("slope", [4.0, 40.0])
def test_a_custom_function_that_is_right_twice_is_accepted(slope):
    model, plain = (
        model_with_function(lambda v: F.relu(Right.apply(slope * v) - 0.3)),
        model_with_function(lambda v: F.relu((slope * v) ** 2 - 0.3)),
    )
    torch.testing.assert_close(values(model, "shapleycam-h"), values(plain, "shapleycam-h"), rtol=1e-3, atol=1e-5)


@torch.library.custom_op("shapleycam_tests::square", mutates_args=())
def custom_square(values: torch.Tensor) -> torch.Tensor:
    return values * values


@torch.library.custom_op("shapleycam_tests::half", mutates_args=())
def custom_half(values: torch.Tensor) -> torch.Tensor:
    return values * 0.5


custom_square.register_autograd(
    lambda ctx, gradient: 2 * ctx.saved_tensors[0] * gradient,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)


def test_custom_operators_with_and_without_a_registered_derivative():
    torch.testing.assert_close(
        values(model_with_function(custom_square), "shapleycam-h"),
        values(model_with_function(torch.square), "shapleycam-h"),
    )
    half, images = model_with_function(lambda v: custom_half(v) + 0.5 * v), pictures()
    for method in ("hirescam", "shapleycam-h", "pathcam-h"):
        with pytest.raises(DerivativeError, match=NONE):
            values(half, method)
    torch.testing.assert_close(
        values(half, "sampledshapley"), values(model_with_function(lambda v: v * 1.0), "sampledshapley")
    )
    assert values(half, "sampledshapley", images=images).abs().max() > 0


def gated_model(detach):
    def gate(v):
        gates = torch.exp(8 * v.mean((2, 3), keepdim=True))
        return v * (gates.detach() if detach else gates)

    return model_with_function(gate)


def blurred_without_gradient(v):
    with torch.no_grad():
        mean = F.avg_pool2d(v, 3, 1, 1)
    return v * mean * 3


@pytest.mark.parametrize(
    "model", [gated_model(True), model_with_function(blurred_without_gradient)], ids=["gate", "blur"]
)
@pytest.mark.parametrize("count", [1, 3])
def test_parts_hidden_from_autograd_are_refused(model, count):
    with pytest.raises(
        DerivativeError, match=r"the gradient of utility 'rest' there is \d+% away from .*\(no_grad, detach"
    ):
        values(model, "hirescam", images=pictures(count))
    torch.testing.assert_close(
        values(gated_model(False), "hirescam"), first_order(gated_model(False), pictures(), "body")
    )


class FrozenBackbone(Small):
    """The usual way to train a head alone: everything before it runs under no_grad."""

    def forward(self, x):
        with torch.no_grad():
            values = self.body(F.gelu(self.stem(x)))
        return self.head(values)


class Decorated(Small):
    @torch.inference_mode()
    def forward(self, x):
        return super().forward(x)


class WithAutocast(Small):
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = self.body(F.gelu(self.stem(x)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.head(values)


@pytest.mark.parametrize("kind", [FrozenBackbone, Decorated, WithAutocast])
@pytest.mark.parametrize("layer", [None, "stem", "body"])
def test_contexts_around_the_layer_do_not_matter(kind, layer):
    model, layer_of_plain = kind(), layer or "body"
    before = state_of(model)
    for method in ("hirescam", "shapleycam-h", "sampledshapley"):
        torch.testing.assert_close(values(model, method, layer), values(Small(), method, layer_of_plain))
    assert_untouched(before, model)


def in_numpy(v):
    return torch.from_numpy(v.detach().numpy() * 1)


def rounded(v):
    with torch.no_grad():
        return (v * 1024).round() / 1024


@pytest.mark.parametrize("function", [in_numpy, rounded])
def test_sampling_needs_no_derivative(function):
    model = model_with_function(function)
    with pytest.raises(LayerError, match=INDEPENDENT):
        values(model, "hirescam")
    with pytest.raises(DerivativeError, match=NONE):
        values(model, "pathcam-h")
    torch.testing.assert_close(values(model, "sampledshapley"), values(Small(), "sampledshapley"), rtol=0.02, atol=1e-4)
    with pytest.raises(LayerError, match="the output has no derivative by the images: something is quantised"):
        values(model, "hirescam", None)


WITHOUT_DERIVATIVES = [
    method.name
    for method in methods()
    if not method.basis.needs_derivatives and not method.basis.fewest_runs and not method.basis.is_conditional
]


@pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
@pytest.mark.parametrize("method", [*WITHOUT_DERIVATIVES, "occlusion"])
@pytest.mark.parametrize("layer", ["body", "input"])
@pytest.mark.parametrize("count", [1, 2])
def test_methods_without_derivatives_need_none(method, layer, count):
    """Values are those of the same network whose derivatives are not hidden."""
    model, images = model_with_function(in_numpy), pictures(count, size=8)
    actual, expected = (Explainer(each, layer=layer).explain(images, method, 1) for each in (model, Small().eval()))
    torch.testing.assert_close(actual.values, expected.values, rtol=1e-4, atol=1e-5)
    assert {"randomcam", "eigencam", "scorecam", "rise"} <= set(WITHOUT_DERIVATIVES)


@pytest.mark.parametrize("method", ["attentionrollout", "opticam", "guidedbackprop", "finercam"])
def test_methods_with_a_backward_pass_of_their_own_say_that_there_is_none(method):
    with pytest.raises((LayerError, DerivativeError), match=r"has no derivative|passes no gradient"):
        values(model_with_function(in_numpy), method)


@pytest.mark.parametrize("shift", [-20.0, 20.0])
def test_logits_of_one_sign_without_derivatives_are_logits(shift):
    """Every sum over classes is the same in all rows if there is one row, and proves nothing."""
    model = Small().eval()
    model.fc.bias.data += shift
    model.head = lambda v: Small.head(model, in_numpy(v))
    e = Explainer(model, layer="body", utility="logit").explain(pictures(1), "occlusion", 1)
    assert (e.form, e.remark) == ("logits", None)


def test_a_layer_without_influence_is_refused_by_masked_images_too():
    class Unused(Small):
        def forward(self, x):
            self.body(self.stem(x))
            return torch.from_numpy(self.fc(x.mean((2, 3)).repeat(1, 3)[:, :7]).detach().numpy())

    with pytest.raises(LayerError, match=INDEPENDENT):
        values(Unused(), "occlusion")


def test_a_layer_without_influence_is_refused_by_sampling_too():
    class Unused(Small):
        def forward(self, x):
            self.body(self.stem(x))
            return torch.from_numpy(self.fc(x.mean((2, 3)).repeat(1, 3)[:, :7]).detach().numpy())

    with pytest.raises(LayerError, match=INDEPENDENT):
        values(Unused(), "sampledshapley")


def straight_through(v):
    return v + (torch.round(v * 16) / 16 - v).detach()


@pytest.mark.parametrize("function", [
    straight_through,
    lambda v: torch.fake_quantize_per_tensor_affine(v, 0.02, 0, -128, 127),
    lambda v: v.bfloat16().float(),
])  # fmt: skip
def test_straight_through_estimators_are_accepted(function):
    model = model_with_function(function)
    torch.testing.assert_close(values(model, "hirescam"), first_order(model, pictures(), "body"))
    values(model, "shapleycam-h")


class Static(nn.Module):
    """A convolution, a quantised one, and a head of floating-point numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.before, self.quantised = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 6, 3)
        self.behind, self.fc = nn.Softplus(), nn.Linear(6, 3)
        self.enter, self.leave = quantization.QuantStub(), quantization.DeQuantStub()
        self.qconfig = quantization.default_qconfig
        self.before.qconfig = self.fc.qconfig = None

    def forward(self, x):
        return self.fc(self.behind(self.leave(self.quantised(self.enter(self.before(x))))).mean((2, 3)))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantised_networks():
    torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
    prepared = quantization.prepare(Static().eval())
    prepared(pictures(4))
    model = quantization.convert(prepared)
    with pytest.raises(
        LayerError, match=r"'quantised' returns quantised numbers \(torch.quint8\), which have no deriv"
    ):
        values(model, "sampledshapley", "quantised")
    with pytest.raises(LayerError, match=INDEPENDENT):
        values(model, "gradcam", "before")
    assert values(model, "sampledshapley", "before").abs().max() > 0
    actual = values(model, "hirescam", "behind", layout="NCHW")
    torch.testing.assert_close(actual, first_order(model, pictures(), "behind"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_dynamic_quantisation_has_no_derivative_and_no_game():
    model = nn.Sequential(Small().body, nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4)).eval()
    torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
    dynamic = quantization.quantize_dynamic(nn.Sequential(nn.Conv2d(3, 5, 1), *model), {nn.Linear})
    with pytest.raises(DerivativeError, match=NONE):
        values(dynamic, "gradcam", "1", pictures(1))
    with pytest.raises(ReplayError, match="the rows of a batch influence each other"):
        values(dynamic, "sampledshapley", "1", pictures(1))


@pytest.mark.parametrize("where", ["before", "at", "behind"])
@pytest.mark.parametrize("draw", [
    lambda v: F.dropout(v, 0.5, training=True),
    lambda v: v * (0.5 + 20 * np.random.rand()),  # noqa: NPY002
])  # fmt: skip
def test_random_models_are_refused(draw, where):
    class Drawing(Small):
        def forward(self, x):
            stem = F.gelu(self.stem(draw(x) if where == "before" else x))
            return self.head(self.body(stem) if where != "behind" else draw(self.body(stem)))

    model = Drawing()
    if where == "at":
        model.body.register_forward_hook(lambda module, inputs, output: draw(output))
    for method in ("hirescam", "sampledshapley"):
        with pytest.raises(ModelError, match=r"draws at random|another output at each run"):
            values(model, method)


def test_a_view_made_before_the_layer_may_be_written_behind_it():
    class Residual(Small):
        def forward(self, x):
            stem = self.stem(x).view(-1, 5, 8, 8)
            stem += 0.5 * self.body(F.gelu(stem))[:, :5]
            return self.fc(F.softplus(stem).mean((2, 3)).repeat(1, 2)[:, :7])

    model = Residual().eval()
    torch.testing.assert_close(values(model, "hirescam"), first_order(model, pictures(), "body"))
    traced = trace(model, pictures(), "body", replay=True)
    torch.testing.assert_close(traced.head(traced.activation.detach()), traced.output.detach())
    assert Explainer(model, layer="body").explain(pictures(), "pathcam-h").values.abs().max() > 0
