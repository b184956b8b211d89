"""Taylor and path derivatives against pencil, finite differences and the Shapley sum itself."""

from __future__ import annotations

from itertools import chain, combinations
from math import factorial

import pytest
import torch

from helpers.networks import Once, Smooth, Toy, linear, power, quadratic
from shapleycam import Explainer
from shapleycam.errors import DerivativeError, OptionError, ReplayError
from shapleycam.game import Game
from shapleycam.models.layout import Layout
from shapleycam.tracing import trace
from shapleycam.utilities import UTILITIES
from shapleycam.values._path import mean_gradient
from shapleycam.values._taylor import first_order, second_order


def game_of(model, images, utility="logit", target=0):
    return Explainer(model, layer="features").game(images, target=target, utility=utility)


def values_of_derivative(game, derivative):
    """φ_j = Σ_k A_kj D_kj, position by position."""
    return game.layout.positions(game.activation * derivative).sum(2)


def exact_shapley_values(game):
    """The Shapley sum over all coalitions of one image's positions."""
    n = game.n_players
    mask = torch.zeros_like(game.layout.positions(game.activation))

    def worth(coalition):
        masked = mask.clone()
        masked[:, list(coalition)] = 1
        return float(game.utility_at(game.activation * masked.transpose(1, 2).reshape(game.activation.shape)))

    shares = torch.zeros(n, dtype=torch.float64)
    for player in range(n):
        others = [opponent for opponent in range(n) if opponent != player]
        for coalition in chain.from_iterable(combinations(others, size) for size in range(n)):
            weight = factorial(len(coalition)) * factorial(n - len(coalition) - 1) / factorial(n)
            shares[player] += weight * (worth((*coalition, player)) - worth(coalition))
    return shares


@pytest.fixture
def image():
    return torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def small_image():
    return torch.randn(1, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("utility", UTILITIES)
def test_gradient_against_finite_differences(image, utility):
    game = game_of(Smooth(), image, utility)
    gradient, step = game.gradient(), 1e-5
    for index in range(0, gradient.numel(), 7):
        probe = torch.zeros_like(gradient)
        probe.view(-1)[index] = step
        slope = (game.utility_at(game.activation + probe) - game.utility_at(game.activation - probe)) / (2 * step)
        assert float(gradient.view(-1)[index]) == pytest.approx(float(slope), abs=1e-8)


@pytest.mark.parametrize("utility", UTILITIES)
def test_hvp_against_finite_differences_of_the_gradient(image, utility):
    game, step = game_of(Smooth(), image, utility), 1e-5
    A = game.activation
    slope = (game.gradient(A + step * A) - game.gradient(A - step * A)) / (2 * step)
    torch.testing.assert_close(game.hvp(A), slope, rtol=1e-6, atol=1e-9)
    assert slope.abs().max() > 1e-5
    torch.testing.assert_close(second_order(game), game.gradient() - slope / 2, rtol=1e-6, atol=1e-9)


def test_each_image_has_its_own_hessian(image):
    both = torch.cat([image, image.flip(3) * 2])
    model = Smooth()
    together = game_of(model, both, "rest", target=[0, 3])
    for index, target in enumerate([0, 3]):
        alone = game_of(model, both[index : index + 1], "rest", target=target)
        torch.testing.assert_close(together.hvp(together.activation)[index : index + 1], alone.hvp(alone.activation))


def test_every_order_is_exact_for_a_linear_head(small_image):
    weight = torch.arange(8, dtype=torch.float64).reshape(2, 2, 2) - 3
    game = game_of(linear(weight), small_image)
    expected = (small_image[0] * weight).sum(0).flatten()
    for derivative in (first_order(game), second_order(game), mean_gradient(game, 1)[0], mean_gradient(game, 5)[0]):
        torch.testing.assert_close(values_of_derivative(game, derivative)[0], expected)
    assert not game.hvp(game.activation).any()


@pytest.mark.parametrize("exponent", [2, 3, 4, 5, 6])
def test_path_values_of_a_power_by_pencil(small_image, exponent):
    """For U = S^p, S = Σ a: ∫ p (tS)^(p-1) dt a_j = a_j S^(p-1), with K nodes exact up to p = 2K."""
    game = game_of(power(exponent), small_image)
    total = small_image.sum()
    expected = small_image[0].sum(0).flatten() * total ** (exponent - 1)
    for nodes in (1, 2, 3):
        path_values = values_of_derivative(game, mean_gradient(game, nodes)[0])[0]
        if exponent <= 2 * nodes:
            torch.testing.assert_close(path_values, expected)
        else:
            assert (path_values - expected).abs().max() > 1e-3 * expected.abs().max()


def test_second_order_of_a_power_by_pencil(small_image):
    """For U = S³: g = 3S², H·A = 6S·S in every place, so D = 3S² - 3S² = 0."""
    game = game_of(power(3), small_image)
    torch.testing.assert_close(second_order(game), torch.zeros_like(small_image), atol=1e-12, rtol=0)


def test_quadratic_heads_have_one_answer(small_image):
    """Path with one node, second order and the Shapley sum itself are one and the same."""
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(8, dtype=torch.float64, generator=generator)
    matrix = torch.randn(8, 8, dtype=torch.float64, generator=generator)
    game = game_of(quadratic(weight, matrix + matrix.T), small_image)
    truth = exact_shapley_values(game)
    torch.testing.assert_close(values_of_derivative(game, mean_gradient(game, 1)[0])[0], truth, atol=1e-9, rtol=0)
    torch.testing.assert_close(values_of_derivative(game, second_order(game))[0], truth, atol=1e-9, rtol=0)
    assert (values_of_derivative(game, first_order(game))[0] - truth).abs().max() > 0.1
    empty = float(game.utility_at(torch.zeros_like(small_image)))
    assert float(truth.sum()) == pytest.approx(float(game.full) - empty)


def test_methods_agree_on_a_quadratic_head(small_image):
    generator = torch.Generator().manual_seed(7)
    matrix = torch.randn(8, 8, dtype=torch.float64, generator=generator)
    model = quadratic(torch.ones(8, dtype=torch.float64), matrix + matrix.T)
    explainer = Explainer(model, layer="features", utility="logit")
    comparison = explainer.compare(small_image, ["pathcam-h", "shapleycam-h"], target=0, nodes=1)
    truth = exact_shapley_values(explainer.game(small_image, target=0)).float().reshape(2, 2)
    torch.testing.assert_close(comparison["pathcam-h"].values[0], truth)
    torch.testing.assert_close(comparison["shapleycam-h"].values[0], truth)


def test_path_sums_to_the_utility_of_a_smooth_head(image):
    game = game_of(Smooth(), image, "rest")
    gap = game.full - game.utility_at(torch.zeros_like(game.activation))
    torch.testing.assert_close(
        values_of_derivative(game, mean_gradient(game, 12)[0]).sum(1), gap, rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("nodes", [0, -3])
def test_a_path_needs_nodes(image, nodes):
    with pytest.raises(OptionError, match=f"nodes is {nodes}; expected 1 or more"):
        mean_gradient(game_of(Smooth(), image), nodes)


def test_a_pass_without_what_is_asked_says_so(image):
    traced = trace(Smooth(), image, "features")
    game = Game(traced, Layout("NCHW", (4, 4)), UTILITIES["rest"], torch.tensor([0]))
    with pytest.raises(ReplayError, match="first derivatives only; trace the model with twice_differentiable=True"):
        game.hvp(game.activation)
    with pytest.raises(ReplayError, match="not recorded for replay; trace the model with replay=True"):
        game.gradient(game.activation)


def test_an_operation_without_second_derivative_is_named_where_nothing_follows_it(small_image):
    """The gradient that reaches it is constant, so that autograd would take its square for linear."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, gradient):
            return 2 * context.saved_tensors[0] * gradient

    sums = linear(torch.ones(2, 2, 2, dtype=torch.float64))
    game = game_of(Toy(lambda a: sums.head(Once.apply(a))), small_image)
    with pytest.raises(DerivativeError, match="once_differentiable"):
        game.hvp(game.activation)


def test_an_operation_without_second_derivative_is_named(image):
    model = Smooth()
    model.after.append(torch.nn.Identity())
    model.after[-1].forward = Once.apply
    explainer = Explainer(model, layer="features")
    assert explainer.explain(image, "gradcam").values.shape == (1, 4, 4)
    with pytest.raises(
        DerivativeError, match=r"after the layer has no derivative of the order.*once_differentiable.*use a first-order"
    ):
        explainer.explain(image, "shapleycam")


def test_a_utility_that_is_cut_off_from_the_output_is_refused(image):
    def cut(output, target):
        return output.detach()[:, 0]

    with pytest.raises(OptionError, match=r"utility 'cut' does not depend on the model's output, or detaches it"):
        game_of(Smooth(), image, cut)
