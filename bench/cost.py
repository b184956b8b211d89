"""What an explanation costs, as a ratio to the plain forward pass: ours, and the peers' on the same network and batch.

python bench/cost.py [--rounds N] [--device cpu|cuda]        prints the tables and writes bench/results/cost.md

Without --device all devices of this machine are measured. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
import torchvision
from torch import Tensor, nn

from measure import THREADS, machine, peak_of_process, peak_on_gpu, peak_resident, report, time_ratios
from shapleycam import METHODS, Explainer, trace
from shapleycam.cams.table import expand_methods
from shapleycam.errors import ShapleyCamWarning

NETWORKS = {"resnet50": ("layer4", 8), "mobilenet_v2": ("features", 16)}
PAPER = [name for name, method in METHODS.items() if method.in_paper]
ALL = expand_methods(["all"], players=49)
"""Those that apply to the 7 x 7 cells of both networks."""
CHANNELS = ["ablationcam", "channelshapley"]
"""Of channels as players: behind a mean and a linear layer all coalitions are products of matrices."""
FLOOR = "plain inference"
PROCESSES = 3
"""Whose median peak is taken where there is a budget: that of one and the same call differs by a tenth (malloc)."""
BUDGETS: dict[tuple[str, str], tuple[str, str]] = {  # ratios to the plain pass, as (time, memory)
    ("resnet50", "shapleycam"): ("0.88", "1.1"),
    ("mobilenet_v2", "shapleycam"): ("0.80", "1.1"),
    ("resnet50", "all ten paper methods"): ("0.95", "1.1"),
    ("mobilenet_v2", "all ten paper methods"): ("0.90", "1.1"),
    **{(net, name): ("1.2", "") for net in NETWORKS for name in METHODS if name.startswith("pathcam")},
    **{(net, "sampledshapley"): ("2", "") for net in NETWORKS},
    **{(net, name): ("1.5", "") for net in NETWORKS for name in CHANNELS},
}

Call = Callable[[], object]


def network(name: str, device: str, batch: int | None = None) -> tuple[nn.Module, Tensor]:
    """An untrained network and a batch: the cost does not depend on the weights."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name).eval().to(device)
    return model, torch.rand(batch or NETWORKS[name][1], 3, 224, 224, device=device)


def floor(model: nn.Module, images: Tensor) -> Call:
    """The plain forward pass."""

    def call() -> None:
        with torch.inference_mode():
            model(images)

    return call


def ours(model: nn.Module, layer: str, images: Tensor, methods: list[str], precision: str = "full") -> Call:
    """Our explanation by these methods, from pixels to heatmaps."""
    explainer = Explainer(model, layer=layer, precision=precision)
    return lambda: explainer.compare(images, methods)


def gradcam_package(model: nn.Module, layer: str, images: Tensor, method: str) -> Call:
    """pytorch-grad-cam."""
    import pytorch_grad_cam

    cam = getattr(pytorch_grad_cam, method)(model=model, target_layers=[model.get_submodule(layer)])
    return lambda: cam(input_tensor=images, targets=None)


def torchcam_package(model: nn.Module, layer: str, images: Tensor) -> Call:
    """torch-cam."""
    from torchcam.methods import GradCAM

    cam = GradCAM(model, target_layer=layer)

    def call() -> None:
        scores = model(images)
        cam(scores.argmax(1).tolist(), scores)

    return call


def captum_package(model: nn.Module, layer: str, images: Tensor) -> Call:
    """captum, which is given the classes."""
    from captum.attr import LayerGradCam

    cam = LayerGradCam(model, model.get_submodule(layer))
    with torch.inference_mode():
        classes = model(images).argmax(1)
    classes = classes.clone()
    return lambda: cam.attribute(images, target=classes)


def contestants() -> dict[str, Callable[[nn.Module, str, Tensor], Call]]:
    """Each method, all of the paper's at once, and the peers."""
    one_each = {name: lambda m, la, x, name=name: ours(m, la, x, [name]) for name in [*ALL, *CHANNELS]}
    peers = {
        "grad-cam: GradCAM": ("pytorch_grad_cam", lambda m, la, x: gradcam_package(m, la, x, "GradCAM")),
        "grad-cam: ShapleyCAM": ("pytorch_grad_cam", lambda m, la, x: gradcam_package(m, la, x, "ShapleyCAM")),
        "torch-cam: GradCAM": ("torchcam", torchcam_package),
        "captum: LayerGradCam": ("captum", captum_package),
    }
    return {
        **one_each,
        "all ten paper methods": lambda m, la, x: ours(m, la, x, PAPER),
        "all our methods": lambda m, la, x: ours(m, la, x, ALL),
        "shapleycam, bfloat16": lambda m, la, x: ours(m, la, x, ["shapleycam"], "bfloat16"),
        **{name: make for name, (module, make) in peers.items() if find_spec(module)},
    }


def peak(name: str, contestant: str, device: str) -> float:
    """The peak memory of three calls, in MB: of a fresh process, or of the GPU."""
    model, images = network(name, device)
    call = floor(model, images) if contestant == FLOOR else contestants()[contestant](model, NETWORKS[name][0], images)
    if device == "cuda":
        return peak_on_gpu(call)
    for _ in range(3):
        call()
    return peak_resident()


def cost_table(name: str, device: str, rounds: int) -> str:
    """One network's table."""
    model, images = network(name, device)
    layer, batch = NETWORKS[name]
    makers = contestants()
    # torch-cam and the like leave hooks on the model while they live: each peer gets a model of its own.
    calls = {
        contestant: make(network(name, device)[0] if ":" in contestant else model, layer, images)
        for contestant, make in makers.items()
    }
    plain, ratios = time_ratios(floor(model, images), calls, rounds, torch.device(device))
    del calls

    def memory(contestant: str) -> float:
        if device == "cuda":
            return peak(name, contestant, device)
        processes = PROCESSES if contestant == FLOOR or BUDGETS.get((name, contestant), ("", ""))[1] else 1
        return median(peak_of_process(Path(__file__), "--peak", name, contestant) for _ in range(processes))

    base = memory(FLOOR)
    lines = [
        f"### {name}, layer {layer}, batch {batch}, {device}",
        "",
        f"{FLOOR}: {plain * 1e3:.0f} ms (median), peak {base:.0f} MB" + (" on the GPU" if device == "cuda" else ""),
        "",
        "| what | time / floor | budget | peak memory / floor | budget |",
        "|---|---|---|---|---|",
    ]
    for contestant, ratio in ratios.items():
        time_budget, memory_budget = BUDGETS.get((name, contestant), ("", ""))
        lines.append(
            f"| {contestant} | {ratio:.2f} | {time_budget} | {memory(contestant) / base:.2f} | {memory_budget} |"
        )
    return "\n".join(lines)


def single_table(device: str, rounds: int) -> str:
    """One photograph at a time, as a service explains them."""
    methods = ("gradcam", "shapleycam", "pathcam", "sampledshapley", *CHANNELS)
    lines = [
        f"### One photograph at a time, {device}",
        "",
        f"Budgets: pathcam (8 nodes) 1.2, {' and '.join(CHANNELS)} 1.5.",
        "",
        f"| network | {FLOOR} | {' | '.join(methods)} |",
        f"|---|---|{'---|' * len(methods)}",
    ]
    for name, (layer, _) in NETWORKS.items():
        model, images = network(name, device, 1)
        calls = {method: ours(model, layer, images, [method]) for method in methods}
        plain, ratios = time_ratios(floor(model, images), calls, rounds, torch.device(device))
        lines.append(f"| {name} | {plain * 1e3:.0f} ms | {' | '.join(f'{r:.2f}' for r in ratios.values())} |")
    return "\n".join(lines)


def coalition_heads(model: nn.Module, layer: str) -> nn.Module:
    """What comes after the layer of a ResNet, written out by hand."""
    after = [module for name, module in model.named_children() if name in {"layer4", "avgpool"} and name != layer]
    return nn.Sequential(*after, nn.Flatten(), model.fc)


def coalition_table(device: str, rounds: int) -> str:
    """256 coalitions of one ResNet-18 image: the replayed head against the same modules called by hand."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval().to(device)
    image = torch.rand(1, 3, 224, 224, device=device)
    lines = [
        f"### 256 coalitions of one ResNet-18 image, {device}",
        "",
        "The floor is the modules after the layer, called by hand on the same 256 masked activations.",
        "",
        "| layer | head by hand | trace.head / by hand | full forward of 256 images / trace.head |",
        "|---|---|---|---|",
    ]
    for layer in ("layer4", "layer3"):
        traced = trace(model, image, layer, replay=True)
        activation = traced.activation.detach()
        masks = torch.rand(256, 1, *activation.shape[2:], device=device) < 0.5
        coalitions = activation * masks
        by_hand = coalition_heads(model, layer)
        plain, ratios = time_ratios(
            floor(by_hand, coalitions),
            {"head": lambda t=traced, c=coalitions: t.head(c), "full": floor(model, image.repeat(256, 1, 1, 1))},
            rounds,
            torch.device(device),
        )
        lines.append(
            f"| {layer} | {plain * 1e3:.1f} ms | {ratios['head']:.2f} | {ratios['full'] / ratios['head']:.0f} |"
        )
    if device == "cuda":
        return "\n".join(lines)
    by_hand, ours = (peak_of_process(Path(__file__), "--coalitions", side) for side in ("hand", "head"))
    lines += ["", f"Peak memory of the process at layer4: {ours / by_hand:.2f} x that of the head by hand."]
    return "\n".join(lines)


def coalition_peak(side: str) -> float:
    """The peak memory of a process that evaluates the 256 coalitions one way."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval()
    traced = trace(model, torch.rand(1, 3, 224, 224), "layer4", replay=True)
    coalitions = traced.activation.detach() * (torch.rand(256, 1, 7, 7) < 0.5)
    call = floor(coalition_heads(model, "layer4"), coalitions) if side == "hand" else lambda: traced.head(coalitions)
    for _ in range(3):
        call()
    return peak_resident()


def hessian_table(device: str, rounds: int) -> str:
    """ShapleyCAM far from the output: our convolutions against PyTorch's double backward of them."""
    explainer = Explainer("efficientnet_lite0", device=device)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)
    lines = [
        f"### A Hessian-vector product at early layers of efficientnet_lite0 (depthwise), one image, {device}",
        "",
        "| layer | shapleycam-h / floor | the same by PyTorch's own double backward / floor |",
        "|---|---|---|",
    ]
    for layer in ("blocks.2", "blocks.4"):
        at = Explainer(explainer.model, layer=layer)
        calls = {
            "ours": lambda at=at: at.explain(image, "shapleycam-h"),
            "theirs": lambda layer=layer: double_backward(explainer.model, layer, image),
        }
        _, ratios = time_ratios(floor(explainer.model, image), calls, rounds, torch.device(device))
        lines.append(f"| {layer} | {ratios['ours']:.1f} | {ratios['theirs']:.1f} |")
    return "\n".join(lines)


def double_backward(model: nn.Module, layer: str, image: Tensor) -> Tensor:
    """ReST's g - ½ H·A with nothing but autograd."""
    leaves: list[Tensor] = []

    def replace_by_leaf(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        torch.set_grad_enabled(mode=True)
        return leaves[0].clone()

    handle = model.get_submodule(layer).register_forward_hook(replace_by_leaf)
    with torch.no_grad():
        output = model(image)
    handle.remove()
    with torch.enable_grad():
        z = output.amax(1)
        (gradient,) = torch.autograd.grad((2 * z - output.logsumexp(1)).sum(), leaves[0], create_graph=True)
        (curved,) = torch.autograd.grad((gradient * leaves[0].detach()).sum(), leaves[0])
    return gradient.detach() - curved / 2


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--peak", nargs=2, metavar=("NETWORK", "CONTESTANT"), help=argparse.SUPPRESS)
    parser.add_argument("--coalitions", choices=("hand", "head"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    if options.peak:
        print(peak(*options.peak, "cpu"))
        return
    if options.coalitions:
        print(coalition_peak(options.coalitions))
        return
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    devices = [options.device] if options.device else devices
    tables = [cost_table(name, device, options.rounds) for device in devices for name in NETWORKS]
    tables += [
        table(device, options.rounds) for device in devices for table in (single_table, coalition_table, hessian_table)
    ]
    modules = {"grad-cam": "pytorch_grad_cam", "torchcam": "torchcam", "captum": "captum"}
    peers = [package for package, module in modules.items() if find_spec(module)]
    text = f"""# What an explanation costs

`python bench/cost.py --rounds {options.rounds}` on: {machine("torchvision", *peers)}.

Time: median of the ratios to the plain forward pass (`inference_mode`) measured just before, warm; {THREADS}
threads for both. Memory: peak resident memory of a fresh process that makes three calls, as a ratio to one that makes
three plain passes with the same network and batch; the median of {PROCESSES} processes where there is a budget.
Ours ends with heatmaps at input size, as grad-cam's; torch-cam's and captum's end with maps at the layer's size.

"""
    report("cost.md", text + "\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
