"""A GPU gives the values that the CPU gives in float64: every method, utility, estimator and metric."""

from __future__ import annotations

import copy

import pytest
import torch

from helpers.device_networks import NETWORKS, make_images, make_network, relative_difference
from helpers.small_evaluations import SIDE, Tiny
from shapleycam import METHODS, Explainer, utilities, values
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import fidelity
from shapleycam.images import content_seeds
from shapleycam.metrics import METRICS, measure
from shapleycam.metrics.table import needs_objects
from shapleycam.utilities import UTILITIES

AGREEMENT = 1e-4
"""‖difference‖ / ‖values‖ that float32 leaves on any device."""
OF_ROUNDING = 5
"""How many times what float32 leaves on the CPU, where sums cancel and that is more than `AGREEMENT`."""
OF_QUOTIENTS = 30
"""The same of methods that divide by a sum of signed activations: see the conditioning in tests/test_conformance.py."""
QUOTIENTS = {"xgradcam", "shapleycam-x", "pathcam-x", "gradcam++"}
OF_SOME_NETWORKS = {
    **dict.fromkeys(["attentionrollout", "gradientrollout", "legrad"], "deit_small"),
    **dict.fromkeys(["guidedbackprop", "guidedgradcam", "cam", "finercam"], "resnet18"),
}
"""Methods that need attention, ReLUs or a classifier behind a mean, and a network that has it."""
METHOD_NAMES = [name for name, method in METHODS.items() if method.in_all and name not in OF_SOME_NETWORKS]
OF_MANY_PASSES = [name for name in METHODS if name not in {*METHOD_NAMES, *OF_SOME_NETWORKS}]
"""Methods that are compared on a small network only: some take thousands of passes."""
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

CASES = [(name, layer) for name, case in NETWORKS.items() for layer in case.layers]


@pytest.fixture(scope="module", params=CASES, ids="|".join)
def compared(request, gpu):
    """Comparisons by all methods: on the GPU, on the CPU, and on the CPU in float64."""
    name, layer = request.param
    model, images = make_network(name), make_images(NETWORKS[name].side)
    doubled = copy.deepcopy(model).double()
    options = {"players": (2, 2), "nodes": 4, "tolerance": 0.05}
    on_cpu = Explainer(model, layer=layer).compare(images, METHOD_NAMES, target=3, **options)
    precise = Explainer(doubled, layer=layer).compare(images.double(), METHOD_NAMES, target=3, **options)
    on_gpu = Explainer(model.to(gpu), layer=layer).compare(images, METHOD_NAMES, target=3, **options)
    return on_gpu, on_cpu, precise


def test_seeds_are_those_of_the_cpu(gpu):
    images = torch.randn(40, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    assert content_seeds(images.to(gpu), 7) == content_seeds(images, 7)


def test_methods_of_some_networks_are_all_that_not_every_network_has():
    assert set(OF_SOME_NETWORKS) == {name for name, method in METHODS.items() if method.basis.is_conditional}


@pytest.mark.parametrize("method", OF_MANY_PASSES)
def test_values_of_methods_of_many_passes(gpu, method):
    images = make_images(SIDE)
    on_gpu, on_cpu = (
        Explainer(Tiny().to(device, dtype), layer="features").explain(images.to(dtype), method, target=1)
        for device, dtype in ((gpu, torch.float32), ("cpu", torch.float64))
    )
    assert relative_difference(on_gpu.values, on_cpu.values) <= 1e-3


@pytest.mark.parametrize("method", OF_SOME_NETWORKS)
def test_values_of_methods_that_only_some_networks_have(gpu, method):
    case = NETWORKS[OF_SOME_NETWORKS[method]]
    model, images = make_network(OF_SOME_NETWORKS[method]), make_images(case.side)
    on_cpu = Explainer(model, layer=case.layers[0]).explain(images, method, target=3)
    on_gpu = Explainer(model.to(gpu), layer=case.layers[0]).explain(images, method, target=3)
    assert on_gpu.values.device.type == gpu.type
    assert relative_difference(on_gpu.values, on_cpu.values) <= AGREEMENT


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_values_of_every_method(compared, gpu, method):
    on_gpu, on_cpu, precise = (comparison[method] for comparison in compared)
    assert on_gpu.values.device.type == on_gpu.heatmap.device.type == gpu.type
    assert on_gpu.values.dtype == torch.float32
    rounding = relative_difference(on_cpu.values, precise.values)
    factor = OF_QUOTIENTS if method in QUOTIENTS else OF_ROUNDING
    assert relative_difference(on_gpu.values, precise.values) <= max(AGREEMENT, factor * rounding)


UTILITY_CASES = {
    **{name: name for name in UTILITIES if name != "value"},
    "contrast": utilities.contrast(5),
    "any of": utilities.any_of([1, 3, 7]),
    "similarity": utilities.similarity(torch.linspace(-1, 1, 10)),
}


@pytest.mark.parametrize("utility", UTILITY_CASES.values(), ids=UTILITY_CASES.keys())
def test_values_of_every_utility(gpu, utility):
    images = make_images(SIDE)
    target = None if isinstance(utility, utilities.Utility) and utility.name.startswith("similarity") else 3
    on_gpu, on_cpu = (
        Explainer(Tiny().to(device, dtype), layer="features", utility=utility).explain(
            images.to(dtype), "shapleycam", target=target
        )
        for device, dtype in ((gpu, torch.float32), ("cpu", torch.float64))
    )
    assert relative_difference(on_gpu.values, on_cpu.values) <= AGREEMENT


ESTIMATORS = {
    "exact": values.exact,
    "permutation": lambda game: values.permutation(game, orders=32),
    "kernel": lambda game: values.kernel(game, 512),
    "path": values.path,
    "taylor": values.taylor,
}
INTERACTIONS = {
    "interactions": values.interactions,
    "sampled interactions": lambda game: values.sampled_interactions(game, rounds=2),
}


def _games(gpu, players, make_model):
    images = make_images(SIDE)
    for device, dtype in ((gpu, torch.float32), ("cpu", torch.float64)):
        model = make_model().to(device, dtype)
        yield Explainer(model, layer="features").game(images.to(dtype), players=players)


def make_deep_head() -> torch.nn.Module:
    """Return a network whose head is neither a sum nor a function of the mean."""
    model = Tiny()
    model.pool = torch.nn.Sequential(torch.nn.Conv2d(12, 12, 3, padding=1), torch.nn.GELU(), model.pool)
    torch.nn.init.constant_(model.pool[0].bias, 0.1)
    generator = torch.Generator().manual_seed(5)
    model.pool[0].weight.data = torch.randn(12, 12, 3, 3, generator=generator) / 8
    return model


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS.keys())
@pytest.mark.parametrize("make_model", [Tiny, make_deep_head])
def test_values_of_every_estimator(gpu, estimator, make_model):
    on_gpu, on_cpu = (estimator(game) for game in _games(gpu, (3, 3), make_model))
    assert relative_difference(on_gpu.values, on_cpu.values) <= AGREEMENT
    if on_cpu.stderr is not None:
        assert relative_difference(on_gpu.stderr, on_cpu.stderr) <= 1e-2


@pytest.mark.parametrize("estimator", INTERACTIONS.values(), ids=INTERACTIONS.keys())
def test_interactions(gpu, estimator):
    on_gpu, on_cpu = (estimator(game) for game in _games(gpu, (2, 3), make_deep_head))
    assert relative_difference(on_gpu.pairs, on_cpu.pairs) <= 1e-3  # differences of four utilities
    assert on_gpu.strongest(0, 3)[0][:2] == on_cpu.strongest(0, 3)[0][:2]


def test_fidelity(gpu):
    measured = []
    for device in (gpu, "cpu"):
        explainer = Explainer(Tiny().to(device), layer="features")
        batch = batch_of(make_images(SIDE), None, explainer.model)
        measured.append(fidelity(explainer, [batch], methods=["gradcam", "pathcam"], players=(3, 3)))
    for on_gpu, on_cpu in zip(measured[0].distances, measured[1].distances, strict=True):
        assert on_gpu.error == pytest.approx(on_cpu.error, rel=1e-3)
        assert on_gpu.curvature == pytest.approx(on_cpu.curvature, rel=1e-2, abs=1e-4)
        assert on_gpu.seconds > 0


@pytest.mark.parametrize("metric", METRICS)
def test_metrics(gpu, metric):
    """In float64: what removes pixels in order changes by 0.003 where rounding exchanges two."""
    images = make_images(SIDE, 4).double()
    objects = torch.zeros(4, SIDE, SIDE, dtype=torch.bool)
    objects[:, 4:20, 6:30] = True
    measured = []
    for device in (gpu, "cpu"):
        explainer = Explainer(Tiny().double().to(device), layer="features")
        explanations = explainer.compare(images, ["gradcam", "pathcam"], target=3)
        given = {"objects": objects} if needs_objects([metric]) else {}
        measured.append(measure(explainer, images, explanations, [metric], **given)[metric])
    for method, numbers in measured[1].items():
        torch.testing.assert_close(measured[0][method].cpu(), numbers, rtol=1e-3, atol=1e-4, equal_nan=True)
