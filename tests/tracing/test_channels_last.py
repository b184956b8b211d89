"""Images in channels_last up to the layer: where it is used, that nothing else shows it, and where it must not be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer, trace
from shapleycam.tracing import library_code
from shapleycam.tracing.channels_last import MemoryOrder, form_of
from shapleycam.tracing.isolation import private_copy

LIBRARIES = library_code._LIBRARIES


class Net(nn.Module):
    """Convolutions, a layer, a head; it notes the strides of what enters the body and the head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)
        self.eval()

    def before(self, x):
        return self.stem(x)

    def after(self, x):
        return self.fc(self.last(x).relu().mean((2, 3)))

    def forward(self, x):
        return self.after(self.body(self.before(x)))


class WithView(Net):
    def before(self, x):
        return self.stem(x).view(len(x), -1).view(len(x), 8, *x.shape[2:])


class WithViewOfSeveral(Net):
    """A view that channels_last allows for one image, not for two."""

    def before(self, x):
        y = self.stem(x)
        return y.view(len(y) * y.shape[1], *y.shape[2:]).view(y.shape)


class ReadsMemory(Net):
    """Code that takes the default layout for granted, and gives other numbers in another one, in silence."""

    def before(self, x):
        y = self.stem(x)
        return torch.as_strided(y, y.shape, (y[0].numel(), y.shape[2] * y.shape[3], y.shape[3], 1)).clone()


class DependsOnStrides(Net):
    def before(self, x):
        y = self.stem(x)
        return y if y.is_contiguous() else 2 * y


class WithSkip(Net):
    """What goes around the layer would reach the head in channels_last."""

    def forward(self, x):
        y = self.before(x)
        return self.after(torch.cat([self.body(y)[:, :4], y[:, 4:]], 1))


class ViewInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.view(-1).view(gradient.shape)


class WithViewInBackward(Net):
    def after(self, x):
        return self.fc(ViewInBackward.apply(self.last(x)).relu().mean((2, 3)))


REFUSED = [WithView, WithViewOfSeveral, ReadsMemory, DependsOnStrides, WithSkip]


@pytest.fixture
def images():
    return torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def entered(monkeypatch):
    """Whether each convolution's input was contiguous, in the order of the calls."""
    calls = []
    original = torch.nn.functional.conv2d

    def conv2d(values, *args, **kwargs):
        calls.append(values.is_contiguous())
        return original(values, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    return calls


def expected_gradient(model, images, target=1):
    """The gradient at the layer's output by autograd alone, of the model as the user runs it."""
    kept = []
    handle = model.body.register_forward_hook(lambda *call: kept.append(call[-1]) or call[-1].retain_grad())
    with torch.enable_grad():
        model(images)[:, target].sum().backward()
    handle.remove()
    model.zero_grad()
    return kept[0].detach(), kept[0].grad


@pytest.fixture(autouse=True)
def _networks_of_this_file_are_tried(monkeypatch):
    """As if they were a library's, so that the proof has something to find."""
    monkeypatch.setattr(library_code, "_LIBRARIES", (*LIBRARIES, __name__))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("call", ["first", "second"])
def test_what_runs_before_the_layer_gets_channels_last_and_the_head_does_not(images, entered, count, call):
    model, images = Net(), images[:count]
    if call == "second":
        trace(model, images, "body")
        entered.clear()
    trace(model, images, "body")
    in_pass = entered[-3:] if call == "second" else entered[3:6]  # the first image by default, the pass, then checks
    assert in_pass == [False, False, True]


@pytest.mark.parametrize("kind", [Net, *REFUSED, WithViewInBackward])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("replay", [False, True])
def test_numbers_are_those_of_the_model_itself(images, kind, count, replay):
    model, images = kind(), images[:count]
    activation, gradient = expected_gradient(model, images)
    for _ in range(2):
        traced = trace(model, images, "body", replay=replay)
        assert traced.activation.view(-1).shape == activation.reshape(-1).shape  # as contiguous as by default
        (actual,) = torch.autograd.grad(traced.output[:, 1].sum(), traced.activation, retain_graph=True)
        torch.testing.assert_close(traced.output, model(images), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(traced.activation.detach(), activation, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(actual, gradient, rtol=1e-5, atol=1e-6)
        assert actual.stride() == gradient.stride()


@pytest.mark.parametrize("kind", REFUSED)
def test_models_that_are_not_the_same_in_it_run_by_default(images, entered, kind):
    model = kind()
    trace(model, images, "body")
    entered.clear()
    trace(model, images, "body")
    assert all(entered)


def test_a_view_in_a_backward_function_gets_what_it_gets_by_default(images):
    model = WithViewInBackward()
    explanation = Explainer(model, layer="body").explain(images, "hirescam", target=1, utility="logit")
    activation, gradient = expected_gradient(model, images)
    torch.testing.assert_close(explanation.values, (activation * gradient).sum(1), rtol=1e-4, atol=1e-6)


def test_an_output_of_pixels_is_laid_out_as_by_default(images):
    class Pixels(Net):
        def after(self, x):
            return self.last(x)

    model = Pixels()
    seen = []

    def select(output):
        seen.append(output.is_contiguous())
        return output.view(len(output), -1)[:, :5]

    trace(model, images, "body", select=select)
    assert seen
    assert all(seen)


def test_hooks_and_a_forward_of_a_module_s_own_leave_the_default(images, entered):
    hooked, patched = Net(), Net()
    shown = []
    hooked.stem.register_forward_hook(lambda _module, _inputs, output: shown.append(output.view(-1).shape))
    patched.stem.forward = lambda x: nn.functional.conv2d(x, patched.stem.weight, patched.stem.bias, padding=1)
    for model in (hooked, patched):
        trace(model, images, "body")
    assert all(entered)
    assert shown == [torch.Size([2 * 8 * 12 * 10])]


@pytest.mark.parametrize("change", ["hook", "class", "instance"])
def test_what_is_known_of_a_model_does_not_outlive_a_change_of_its_code(images, monkeypatch, change):
    model = Net()
    for _ in range(2):
        trace(model, images, "body")
    if change == "hook":
        model.stem.register_forward_hook(lambda _module, _inputs, y: ReadsMemory.before(Passing(y), y))
    elif change == "class":
        monkeypatch.setattr(Net, "forward", lambda self, x: self.after(self.body(ReadsMemory.before(self, x))))
    else:
        model.forward = lambda x: model.after(model.body(ReadsMemory.before(model, x)))
    expected = model(images)
    torch.testing.assert_close(trace(model, images, "body").output, expected, rtol=1e-5, atol=1e-6)


class Passing:
    """Stands for a network whose stem has run."""

    def __init__(self, output):
        self.output = output

    def stem(self, _):
        return self.output


def test_an_image_that_tells_nothing_proves_nothing(images):
    model = ReadsMemory()
    for uniform in (torch.zeros_like(images), torch.ones_like(images)):
        trace(model, uniform, "body")
    torch.testing.assert_close(trace(model, images, "body").output, model(images), rtol=1e-5, atol=1e-6)


def test_the_bits_of_an_explanation_do_not_depend_on_what_was_explained_before(images):
    batches = {"black": torch.zeros_like(images), "noise": images, "mirrored": images + images.flip(3)}
    outputs = {}
    for order in (list(batches), list(batches)[::-1]):
        model = Net()
        for name in order:
            outputs.setdefault(name, []).append(trace(model, batches[name], "body").output)
    for first, second in outputs.values():
        assert torch.equal(first, second)


def test_a_model_that_refuses_noise_runs_by_default(images, entered):
    class OfBlack(Net):
        def before(self, x):
            assert not x.any()
            return super().before(x)

    model = OfBlack()
    for _ in range(2):
        trace(model, torch.zeros_like(images), "body")
    assert all(entered)


def test_an_error_of_the_model_s_own_is_raised_and_forbids_nothing(images, entered):
    class Refuses(Net):
        def before(self, x):
            if float(x.max()) > 10:
                raise ValueError("too bright")
            return super().before(x)

    model = Refuses()
    trace(model, images, "body")
    with pytest.raises(Exception, match="too bright"):
        trace(model, 100 * images, "body")
    entered.clear()
    trace(model, images, "body")
    assert entered == [False, False, True]


def test_forms_that_are_not_tried(images):
    net = Net()
    assert form_of(net, images, "body") is not None
    assert form_of(net, images.double(), "body") is None
    assert form_of(net, images[:, :, None], "body") is None
    assert form_of(net, images.flip(3).transpose(2, 3), "body") is None
    many_weights = nn.Sequential(nn.Conv2d(3, 512, 5), nn.Conv2d(512, 64, 5))
    assert form_of(many_weights, images, "body") is None  # 857,600 weights for 240 pixels
    tokens = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(2), nn.Linear(6, 6), nn.Linear(6, 6))
    assert form_of(tokens, images, "body") is None


def test_memory_order_restores_what_a_tensor_had(images):
    for permuted in (images, images.to(memory_format=torch.channels_last), images.permute(1, 0, 3, 2)):
        order = MemoryOrder.of(permuted)
        restored = order.apply(permuted.contiguous())
        assert restored.stride() == permuted.stride()
        assert torch.equal(restored, permuted)
    assert MemoryOrder.of(images[..., ::2]) is None
    assert MemoryOrder.of(images[:, :1].expand(-1, 3, -1, -1)) is None


def test_changed_images_go_the_same_way(images, entered):
    model = Net()
    traced = trace(model, images, "body")
    masked = images * (images > 0.5)
    samples = torch.tensor([0, 1])
    for _ in range(2):
        entered.clear()
        torch.testing.assert_close(traced.output_of(masked, samples), model(masked), rtol=1e-5, atol=1e-6)
        entered.pop(), entered.pop(), entered.pop()  # the test's own run
    assert entered == [False, False, True]


def test_weights_stay_where_they_are(images):
    model = Net()
    before = [(weight.data_ptr(), weight.stride(), weight._version) for weight in model.parameters()]
    trace(model, images, "body", replay=True)
    assert [(weight.data_ptr(), weight.stride(), weight._version) for weight in model.parameters()] == before
    assert private_copy(model).stem.weight.data_ptr() == model.stem.weight.data_ptr()


def test_an_image_that_was_not_changed_has_the_output_that_was_explained_to_the_last_bit(images, entered):
    model = Net()
    explainer = Explainer(model, layer="body")
    for batch in (images, images[:1]):
        game = explainer.game(batch, target=1, utility="logit")
        entered.clear()
        assert torch.equal(game.score_images(batch, torch.arange(len(batch))), game.full)
        assert torch.equal(explainer.output(batch)[:, 1], game.full)
        assert entered == [False, False, True] * 2


def test_code_that_reads_the_order_of_memory_for_some_images_alone_runs_by_default(monkeypatch):
    """What the first image proves does not hold for the second, which takes another path through the code."""
    monkeypatch.setattr(library_code, "_LIBRARIES", LIBRARIES)

    class ForBright(Net):
        def forward(self, x):
            y = self.stem(x)
            if float(x.mean()) > 0:
                channels, rows, columns = y.shape[1:]
                y = torch.as_strided(y, y.shape, (channels * rows * columns, rows * columns, columns, 1))
            return self.fc(self.body(y).mean((2, 3)))

    torch.manual_seed(0)
    model = ForBright().eval()
    noise = torch.randn(2, 3, 64, 64)
    explainer = Explainer(model, layer="body", device="cpu")
    explainer.explain(noise - 1, "gradcam", 1)
    with torch.no_grad():
        torch.testing.assert_close(explainer.explain(noise + 1, "gradcam", 1).output, model(noise + 1))
