"""Models as users have them: compiled, in parallel, scripted, made by a function of an installed package."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

import shapleycam
from shapleycam import Explainer
from shapleycam.errors import LayerError, ModelError, OptionError
from shapleycam.models import zoo
from shapleycam.models.resolve import name_without_wrappers, resolve_network, unwrap_model

METHODS = ["gradcam", "shapleycam-h", "pathcam", "sampledshapley"]
# Maps of noise are often blank; nothing here is about what the maps show.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), nn.ReLU(inplace=True))
        self.features = nn.Conv2d(6, 6, 3, padding=1)
        self.after = nn.Sequential(nn.GELU(), nn.Conv2d(6, 6, 3, padding=1), nn.Softplus())
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(self.after(self.features(self.stem(x))).mean((2, 3)))


@pytest.fixture
def small() -> nn.Module:
    return Small().eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def expected(images):
    return Explainer(Small().eval(), layer="features").compare(images, METHODS, players=(2, 2))


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, e in actual.items():
        assert torch.equal(e.values, expected[name].values), name
        assert torch.equal(e.heatmap, expected[name].heatmap), name
        assert torch.equal(e.output, expected[name].output), name


class Backend:
    """A compiler backend that counts its compilations and the runs of its code."""

    def __init__(self):
        self.compilations = self.runs = 0

    def __call__(self, graph, _):
        self.compilations += 1

        def code(*args):
            self.runs += 1
            return graph(*args)

        return code


@pytest.fixture
def backend():
    torch._dynamo.reset()
    yield Backend()
    torch._dynamo.reset()


# Wrappers

WRAPPERS = {
    "compile": lambda model: torch.compile(model, backend="eager"),
    "DataParallel": DataParallel,
    "compile of DataParallel": lambda model: torch.compile(DataParallel(model), backend="eager"),
    "DataParallel of compile": lambda model: DataParallel(torch.compile(model, backend="eager")),
}
in_every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())


@in_every_wrapper
def test_the_model_inside_a_wrapper_is_explained(small, images, expected, wrap):
    wrapped = wrap(small)
    explainer = Explainer(wrapped, layer="features")
    assert explainer.model is small
    assert explainer.name == "Small"
    assert_same(explainer.compare(images, METHODS, players=(2, 2)), expected)


@in_every_wrapper
def test_the_layer_inside_a_wrapper_is_found(small, images, wrap):
    assert Explainer(wrap(small)).explain(images).layer == Explainer(small).explain(images).layer


@in_every_wrapper
def test_a_layer_may_be_called_by_its_name_in_the_wrapper(small, wrap):
    wrapped = wrap(small)
    (name,) = {name for name, module in wrapped.named_modules() if module is small.after[1]}
    assert name.endswith(".after.1")
    assert Explainer(wrapped, layer=name).find_layer() == "after.1"
    assert Explainer(wrapped, layer="after.1").find_layer() == "after.1"
    assert Explainer(wrapped, layer=small.after[1]).find_layer() == "after.1"
    assert Explainer(wrapped, layer=[name, "features"]).find_layer() == "after.1 + features"


@in_every_wrapper
def test_a_network_of_a_wrapper_keeps_what_it_says(small, images, wrap):
    network = shapleycam.Network(wrap(small), labels=tuple("abcde"), name="mine", layers={"last-conv": "features"})
    explainer = Explainer(network, layer="last-conv")
    assert (explainer.model, explainer.find_layer(), explainer.labels) == (small, "features", tuple("abcde"))
    assert explainer.explain(images, target="c").label() == "c"


@in_every_wrapper
def test_what_a_wrapped_model_declares_is_found(wrap):
    model = timm.create_model("test_resnet").eval()
    explainer = Explainer(wrap(model))
    plain = Explainer(model)
    assert isinstance(explainer.preprocess, shapleycam.Preprocess)
    assert (explainer.preprocess, explainer.labels) == (plain.preprocess, plain.labels)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without torch.distributed")
def test_the_model_inside_distributed_data_parallel_is_explained(small, images, expected, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(small)
        explainer = Explainer(wrapped, layer="module.features")
        assert (explainer.model, explainer.find_layer()) == (small, "features")
        assert_same(explainer.compare(images, METHODS, players=(2, 2)), expected)
        wrapped(images).sum().backward()  # still runs, and in parallel
        assert small.fc.weight.grad is not None
    finally:
        torch.distributed.destroy_process_group()


def test_a_wrapped_model_is_left_in_its_modes(small, images):
    wrapped = DataParallel(small).train()
    small.after.eval()
    before = [module.training for module in wrapped.modules()]
    Explainer(wrapped, layer="features").compare(images, METHODS, players=(2, 2))
    assert [module.training for module in wrapped.modules()] == before


def test_a_compiled_model_runs_its_compiled_code_afterwards_and_not_meanwhile(small, images, backend):
    compiled = torch.compile(small, backend=backend)
    with torch.no_grad():
        expected = compiled(images)
    compilations, runs = backend.compilations, backend.runs
    assert compilations
    assert runs
    Explainer(compiled, layer="features").compare(images, METHODS, players=(2, 2))
    assert (backend.compilations, backend.runs) == (compilations, runs)
    with torch.no_grad():
        assert torch.equal(compiled(images), expected)
    assert (backend.compilations, backend.runs) == (compilations, 2 * runs)


# Compiled in place, and in part


@pytest.mark.parametrize("part", ["", "features", "after", "stem"])
def test_a_model_compiled_in_place_is_explained_as_it_was_written(small, images, expected, backend, part):
    module = small.get_submodule(part)
    module.compile(backend=backend)
    with torch.no_grad():
        small(images)
    code, compilations, runs = module._compiled_call_impl, backend.compilations, backend.runs
    assert runs or not isinstance(module, type(small))  # PyTorch 2.6 compiles no module of its own in place
    assert_same(Explainer(small, layer="features").compare(images, METHODS, players=(2, 2)), expected)
    assert module._compiled_call_impl is code
    assert (backend.compilations, backend.runs) == (compilations, runs)
    with torch.no_grad():
        small(images)
    assert (backend.compilations, backend.runs) == (compilations, 2 * runs)


def test_a_model_compiled_in_place_is_put_back_after_an_error(small, images, backend):
    small.compile(backend=backend)
    code = small._compiled_call_impl
    with pytest.raises(ModelError, match="the model raised RuntimeError"):
        Explainer(small, layer="features").explain(images[:, :2])
    assert small._compiled_call_impl is code


def test_the_layer_of_a_model_compiled_in_place_is_found(small, images, backend):
    plain = Explainer(Small().eval()).explain(images).layer
    small.compile(backend=backend)
    assert Explainer(small).explain(images).layer == plain


@pytest.mark.parametrize("part", ["stem", "after"])
def test_a_part_that_was_replaced_by_its_compiled_self_does_no_harm(small, images, expected, backend, part):
    setattr(small, part, torch.compile(getattr(small, part), backend=backend))
    assert_same(Explainer(small, layer="features").compare(images, METHODS, players=(2, 2)), expected)


def test_a_layer_inside_a_part_that_was_replaced_by_its_compiled_self_is_explained(small, images, backend):
    plain = Explainer(small, layer="after.1").compare(images, METHODS, players=(2, 2))
    small.after = torch.compile(small.after, backend=backend)
    with torch.no_grad():
        small(images)
    actual = Explainer(small, layer="after._orig_mod.1").compare(images, METHODS, players=(2, 2))
    assert_same(actual, plain)


@pytest.mark.parametrize("part", ["stem", "after"])
def test_a_part_in_parallel_does_no_harm(small, images, expected, part):
    setattr(small, part, DataParallel(getattr(small, part)))  # as in old examples of VGG
    assert_same(Explainer(small, layer="features").compare(images, METHODS, players=(2, 2)), expected)


# Names


def test_a_layer_that_is_really_called_so_keeps_its_name(images):
    model = nn.Sequential()
    model.add_module("module", nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.Softplus()))
    model.add_module("0", nn.Conv2d(4, 5, 1))
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flat", nn.Flatten())
    assert Explainer(model, layer="module.0").find_layer() == "module.0"
    assert Explainer(model, layer="0").find_layer() == "0"
    assert Explainer(DataParallel(model), layer="module.module.0").find_layer() == "module.0"
    assert Explainer(DataParallel(model), layer="module.0").find_layer() == "module.0"


def test_a_name_without_its_prefix_is_looked_up_once(small):
    assert name_without_wrappers("module._orig_mod.module.features", small) == "features"
    assert name_without_wrappers("features", small) == "features"
    with pytest.raises(LayerError, match="layer 'feature' is not in the model; did you mean 'features'"):
        Explainer(DataParallel(small), layer="module.feature")


# What is refused


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("wrap", [lambda model: model, DataParallel], ids=["bare", "DataParallel"])
def test_torchscript_is_refused_with_the_way_out(small, images, wrap):
    for scripted in (torch.jit.trace(small, images), torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 1)))):
        with pytest.raises(ModelError) as refused:
            Explainer(wrap(scripted))
        message = str(refused.value)
        assert message.startswith("model is a TorchScript ")
        assert message.endswith("give the Python model that it was made of, with its state_dict()")


@pytest.mark.parametrize(("model", "kind"), [(3, "int"), (None, "NoneType"), (Small, "type"), ({}, "dict")])
def test_what_is_no_model_is_refused(model, kind):
    with pytest.raises(OptionError, match=rf"model is a {kind}; expected a name, a Network or a torch\.nn\.Module"):
        Explainer(model)


def test_a_plain_module_is_taken_as_it_is(small):
    assert unwrap_model(small) is small
    network = resolve_network(small)
    assert (network.model, network.preprocess, network.labels, network.name) == (small, None, None, "Small")


def test_a_device_that_is_not_there_is_told(small):
    with pytest.raises(OptionError, match=r"device 'nowhere' cannot be used \(.*\); use 'cpu', 'cuda' or 'mps'"):
        Explainer(small, device="nowhere")


# A function of an installed package

CODE = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.fc = nn.Conv2d(3, 4, 2, stride=2), nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(nn.functional.softplus(self.features(x)).mean((2, 3)))

def make():
    return Mine().train()

def parallel():
    return nn.DataParallel(Mine())

def compiled():
    return torch.compile(Mine(), backend="eager")

def broken():
    raise RuntimeError("out of ideas")

_hidden = make
number = 3
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a user's package; return the name of its module with the functions."""
    name = f"package_{abs(hash(tmp_path))}"
    (tmp_path / name / "nets").mkdir(parents=True)
    for part in (tmp_path / name, tmp_path / name / "nets"):
        (part / "__init__.py").write_text("")
    (tmp_path / name / "nets" / "small.py").write_text(CODE)
    (tmp_path / name / "nets" / "wrong.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    return f"{name}.nets.small"


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = {"features.weight": (4, 3, 2, 2), "features.bias": (4,), "fc.weight": (3, 4), "fc.bias": (3,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_a_function_of_a_package_makes_the_model(package):
    network = zoo.load_network(f"{package}:make")
    assert type(network.model).__name__ == "Mine"
    assert not network.model.training
    assert (network.name, network.origin) == (f"{package}:make", package)


def test_a_function_of_a_package_is_filled_from_a_checkpoint_and_explained(package, tmp_path, images):
    save_file(weights(), tmp_path / "mine.safetensors")
    network = zoo.load_network(f"{package}:make", tmp_path / "mine.safetensors")
    assert network.origin == str(tmp_path / "mine.safetensors")
    w = weights()
    with torch.no_grad():
        a = nn.functional.conv2d(images, w["features.weight"], w["features.bias"], stride=2)
        z = nn.functional.softplus(a).mean((2, 3)) @ w["fc.weight"].T + w["fc.bias"]
        # dz_1/da = w softplus' / 36 = w σ(a) / 36
        values = (a * a.sigmoid() * w["fc.weight"][1][:, None, None]).sum(1) / 36
    e = Explainer(network, layer="features").explain(images, "hirescam", 1, "logit")
    torch.testing.assert_close(e.utility, z[:, 1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(e.values, values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_a_checkpoint_saved_from_a_wrapper_fits(package, tmp_path, prefix):
    torch.save({prefix + name: tensor for name, tensor in weights().items()}, tmp_path / "mine.pth")
    network = zoo.load_network(f"{package}:make", tmp_path / "mine.pth")
    assert torch.equal(network.model.fc.weight, weights()["fc.weight"])


@pytest.mark.parametrize("function", ["parallel", "compiled"])
def test_a_function_may_return_a_wrapper(package, tmp_path, function, images):
    torch.manual_seed(0)
    explainer = Explainer(f"{package}:{function}", layer="features", device="cpu")
    assert type(explainer.model).__name__ == "Mine"
    assert explainer.explain(images, target=0).values.shape == (2, 6, 6)


@pytest.mark.parametrize("function", ["parallel", "compiled"])
def test_a_checkpoint_of_the_plain_model_fits_a_wrapper(package, tmp_path, function):
    torch.save(weights(), tmp_path / "mine.pth")
    network = resolve_network(zoo.load_network(f"{package}:{function}", tmp_path / "mine.pth"))
    assert torch.equal(network.model.fc.weight, weights()["fc.weight"])


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("mak", r"has no function 'mak'; did you mean 'make'\?"),
        ("number", "has no function 'number'; known are "),
        ("_hidden", "has no function '_hidden'"),
        (
            "broken",
            r"could not be made \(RuntimeError: out of ideas\); mend .*small, so that broken\(\) returns a torch",
        ),
    ],
)
def test_a_function_that_cannot_be_used_is_told(package, function, text):
    with pytest.raises(ModelError, match=text):
        zoo.load_network(f"{package}:{function}")


def test_a_bug_in_the_users_package_is_told_as_one(package):
    wrong = package.replace("small", "wrong")
    with pytest.raises(
        ModelError, match=r"\(ModuleNotFoundError: No module named 'a_module_that_is_not_there'\); mend"
    ):
        zoo.load_network(f"{wrong}:make")


def test_a_package_that_is_not_installed_is_an_unknown_name():
    with pytest.raises(ModelError, match=r"model 'nowhere_at_all\.nets:make' is unknown"):
        zoo.load_network("nowhere_at_all.nets:make")
