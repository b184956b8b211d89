"""Do the maps agree with those of pytorch-grad-cam and torch-cam? By method and network, on photographs.

python bench/agreement.py [PHOTOGRAPH ...]     prints a Markdown table; by default of matplotlib's photograph, twice
python bench/agreement.py --write [...]        also writes bench/results/agreement.md

Networks of torchvision and timm have no trained weights here, the default network has. The number is the largest
difference of a pixel between our heatmap and the peer's, both in [0, 1] and of the photograph's size. Methods that take
a forward pass for each channel there are compared at 64 × 64 pixels, the others at 224 × 224.

Where the difference is over 1e-3, the last column says why, and the text below it which side is right, and what proves
it. What is proven by this program itself is the class of the reason: "sign" where the negative of our values gives
their map; "rounding" where in float64 the two agree; "constants" where they agree as soon as BatchNorm's statistics are
those of the photographs, so that activations are of ordinary size. Anything else is "unexplained". Where maps are
blank on both sides, which shows little, it says so.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms.functional import normalize, resize, to_tensor

from shapleycam import Explainer, ShapleyCamError
from shapleycam.cams.heatmaps import heatmap, min_max
from shapleycam.compat import grad_cam, torchcam

ENOUGH, TARGET = 1e-3, 3
SIZE, SMALL_SIZE = 224, 64
DEAR = {"ablationcam", "scorecam"}
"""Methods that take a pass for each channel in the peers."""
DRAWN = {"randomcam", "sscam", "smoothgradcam++"}
"""Methods with random numbers of their own on either side."""
OTHERWISE_DEFINED = {"iscam"}
"""Another formula in the peer, at ten passes for each channel."""
NOT_COMPARED = DRAWN | OTHERWISE_DEFINED


def classes_of(module: Any) -> dict[str, str]:
    """Return the peer's class of each method that compat has and that can be compared."""
    named = {getattr(getattr(module, name), "method", None): name for name in dir(module)}
    return {method: name for method, name in named.items() if isinstance(method, str) and method not in NOT_COMPARED}


KNOWN = {
    ("torch-cam", "gradcam++"): "denominator",
    ("pytorch-grad-cam", "shapleycam"): "fails there",
    ("pytorch-grad-cam", "fullgrad"): "fails there",
    ("pytorch-grad-cam", "ablationcam"): "removal",
    ("pytorch-grad-cam", "scorecam"): "masks",
    ("torch-cam", "scorecam"): "masks",
}
"""Reasons that are held by tests: tests/test_peers.py, tests/compat/."""
REASONS = """
## Which side is right

**sign** (eigencam, eigengradcam, kpcacam). A singular vector has no sign of its own; theirs is that of the vector
which LAPACK returns and changes with the library. Here the sum of the vector's projections has the sign of the sum
over channels (docs/methods.md). Neither side is wrong; here the map is the same on every machine. Proof: the negative
of our values gives their map to 1e-3.

**rounding**. Without trained weights, maps of ReLUs have inputs that are zero but for rounding. Neither side is
wrong. Proof: in float64 they agree.

**constants**. MobileNet-V2 without trained weights has activations of at most 2e-8 at this layer, and the sums of its
channels are about 1e-7. Both sides add a constant to divisors: 1e-7 here and in pytorch-grad-cam, 1e-8 in torch-cam,
to a map's maximum and (XGradCAM) to a channel's sum. Computed in float64 with no constants, GradCAM's map is 3e-3
from ours and 3e-4 from torch-cam's, so that torch-cam is nearer; XGradCAM's map is far (up to 1) from both: below
1e-7 neither is XGradCAM. It is no question of a ReLU: the same sums, with the constants exchanged, give the other
side's map. Networks with trained weights have activations of about 1, where a constant of 1e-7 changes a map by 1e-7.
Proof: with BatchNorm's statistics of the photographs, all else the same, the two agree; `tests/test_peers.py` has
both maps from the same sums by the two constants.

**denominator** (gradcam++ of torch-cam 0.5). It divides a copy of its weights by their denominator and sums what was
not divided, so that Σ g² ReLU(g) is left. Here are the weights of equation 19 of the paper. Proof: torch-cam's own
extractor with the division in place gives our map to 1e-4 on these networks (`tests/compat/test_torchcam_agrees.py`).

**removal** (ablationcam of pytorch-grad-cam). A channel is replaced by the activation's smallest number, less 10^7
where that is not zero, so that wherever the activation has a negative number the score is asked far from anything
that the network has seen; the paper's equation 3 and its text set the channel to zero, as here. Proof: behind a ReLU,
where the smallest number is zero, the two agree (ResNet-18 and VGG-11 here, and
`tests/compat/test_grad_cam_interface.py`).

**masks** (scorecam). The paper resizes a channel to the image, then scales it to [0, 1], as here. torch-cam scales
first, so that a resized mask need not reach 1; pytorch-grad-cam lays the corners of a channel on those of the image.
Proof: at a layer of the image's size, and with corners as here, the maps agree to 1e-4 (`tests/compat/`).

**fails there** (shapleycam of pytorch-grad-cam on tokens). Its hooks cannot detach a view, or apply
`reshape_transform` to weights only. Proof: `tests/test_peers.py` holds both errors, and shapleycam's values of tokens
are compared with plain autograd elsewhere. Its FullGrad lays every bias along the second of four dimensions, which
tokens have not.

**refused here** (cam). Zhou's map is of networks that average the positions and are linear behind the mean. torch-cam
multiplies the last linear layer's weights with whatever activation it is given. Here it is refused where that is not
proven. (Its default scaling has no ReLU, though the formula of its documentation has; the maps are compared with
one.)

Not in the table: randomcam, smoothgradcam++ and sscam, which draw numbers of their own on either side; iscam, whose
shares of a mask are a running sum in torch-cam (0.1 to 5.5), and 0.1 to 1 here and in the paper (docs/coming-from.md).
"""


@dataclass(frozen=True)
class NetworkCase:
    """A network for images of some size, its layer, and the reshape transform that the peers need for it."""

    make: Callable[[int], nn.Module]
    layer: str
    reshape: Callable[[torch.Tensor], torch.Tensor] | None = None
    small_size: int = SMALL_SIZE

    def build(self, size: int) -> nn.Module:
        """Return the network; always the same."""
        torch.manual_seed(0)
        model = self.make(size).eval()
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # an in-place ReLU overwrites what hooks keep (docs/coming-from.md)
        return model


def patches(tokens: torch.Tensor) -> torch.Tensor:
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)


NETWORKS = {
    "ResNet-18": NetworkCase(lambda _: torchvision.models.resnet18(), "layer4.1"),
    "MobileNet-V2": NetworkCase(lambda _: torchvision.models.mobilenet_v2(), "features.17"),
    "VGG-11": NetworkCase(lambda _: torchvision.models.vgg11(), "features.18"),
    "ViT-tiny": NetworkCase(
        lambda size: timm.create_model("vit_tiny_patch16_224", img_size=size), "blocks.11.norm1", patches
    ),
    "Swin-tiny": NetworkCase(
        lambda size: timm.create_model("swin_tiny_patch4_window7_224", img_size=size),
        "layers.3.blocks.1.norm1",
        lambda cells: cells.permute(0, 3, 1, 2),
        small_size=112,
    ),
    "EfficientNet-Lite0": NetworkCase(lambda _: Explainer("efficientnet_lite0", device="cpu").model, "bn2"),
}


def photographs(paths: list[str], size: int) -> torch.Tensor:
    """Return photographs as networks take them, (b, 3, size, size)."""
    if not paths:
        paths = [mpl.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)]
    pictures = [resize(Image.open(path).convert("RGB"), [size, size]) for path in paths]
    images = torch.stack([normalize(to_tensor(picture), [0.5] * 3, [0.5] * 3) for picture in pictures])
    return images if len(images) > 1 else torch.cat([images, images.flip(3)])


def calibrate(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Give BatchNorm the statistics of the images."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        model(images)
    return model.eval()


def of_pytorch_grad_cam(model: nn.Module, case: NetworkCase, images: torch.Tensor, name: str) -> np.ndarray:
    """Return pytorch-grad-cam's maps."""
    import pytorch_grad_cam
    from pytorch_grad_cam.ablation_layer import AblationLayerVit
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    is_of_tokens = case.reshape is not None and name == "AblationCAM"
    options = {"ablation_layer": AblationLayerVit()} if is_of_tokens else {}
    layers = [model.get_submodule(case.layer)]
    cam = getattr(pytorch_grad_cam, name)(model, layers, reshape_transform=case.reshape, **options)
    return cam(images.clone(), [ClassifierOutputTarget(TARGET)] * len(images))


def of_torchcam(model: nn.Module, case: NetworkCase, images: torch.Tensor, name: str) -> np.ndarray:
    """Return torch-cam's maps, resized as ours are."""
    from torchcam import methods

    options = (
        {"fc_layer": [n for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]} if name == "CAM" else {}
    )
    with getattr(methods, name)(model, case.layer, reshape_transform=case.reshape, **options) as extractor:
        scores = model(images.clone())
        arguments = [] if name in {"CAM", "ScoreCAM"} else [scores]
        maps = extractor(TARGET, *arguments, normalized=name != "CAM")[0]  # which it scales without a ReLU
    return min_max(heatmap(maps, tuple(images.shape[2:]))).detach().numpy()


PEERS = {
    "pytorch-grad-cam": (of_pytorch_grad_cam, classes_of(grad_cam)),
    "torch-cam": (of_torchcam, classes_of(torchcam.methods)),
}


@dataclass(frozen=True)
class Comparison:
    """One method of one peer on one network."""

    network: str
    method: str
    peer: str

    @property
    def case(self) -> NetworkCase:
        return NETWORKS[self.network]

    @property
    def size(self) -> int:
        return self.case.small_size if self.method in DEAR else SIZE

    def values(self, model: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return our values."""
        layer = (
            "input" if self.method == "fullgrad" else self.case.layer
        )  # which adds up all layers at the image's size
        explainer = Explainer(model, layer=layer, utility="logit")
        return explainer.explain(images, self.method, target=TARGET).values

    def map_of_peer(self, model: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return the peer's maps."""
        make_maps, names = PEERS[self.peer]
        return torch.from_numpy(np.float32(make_maps(model, self.case, images, names[self.method])))

    def difference(self, model: nn.Module, images: torch.Tensor) -> float:
        """Return the largest difference of a pixel."""
        return largest_difference(self.values(model, images), self.map_of_peer(model, images))

    def row(self, paths: list[str]) -> tuple[str, ...]:
        """Return the difference and its reason."""
        images, model = photographs(paths, self.size), self.case.build(self.size)
        known = KNOWN.get((self.peer, self.method), "unexplained")  # "fails there" explains no difference of maps
        try:
            values = self.values(model, images)
        except ShapleyCamError as error:
            return (*self.names, "-", "refused here" if self.method == "cam" else str(error))
        try:
            theirs = self.map_of_peer(model, images)
        except (RuntimeError, ValueError):
            return (*self.names, "fails there", known)
        largest = largest_difference(values, theirs)
        reason = self.reason(values, theirs, paths, known) if largest > ENOUGH else told_of_blank(theirs)
        return (*self.names, f"{largest:.0e}", reason)

    @property
    def names(self) -> tuple[str, str, str]:
        return self.network, self.method, self.peer

    def reason(self, values: torch.Tensor, theirs: torch.Tensor, paths: list[str], known: str) -> str:
        """Return why maps differ, by a proof of its own where there is one."""
        signs = torch.stack([per_image(sign * values, theirs) for sign in (1, -1)])
        if float(signs.amin(0).max()) < ENOUGH:
            return "sign"
        if known not in {"unexplained", "fails there"}:
            return known
        images = photographs(paths, self.size)
        if self.difference(self.case.build(self.size).double(), images.double()) < ENOUGH:
            return "rounding"
        if self.difference(calibrate(self.case.build(self.size), images), images) < ENOUGH:
            return "constants"
        return "unexplained"


def per_image(values: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    return (heatmap(values.float(), tuple(theirs.shape[1:])) - theirs).abs().amax((1, 2))


def told_of_blank(maps: torch.Tensor) -> str:
    """Return how many maps are blank: that two such agree shows little."""
    blank = int((maps.flatten(1).amax(1) == maps.flatten(1).amin(1)).sum())
    return f"{blank} of {len(maps)} maps are blank on both sides" if blank else ""


def largest_difference(values: torch.Tensor, theirs: torch.Tensor) -> float:
    return float(per_image(values, theirs).max())


def main() -> None:
    warnings.filterwarnings("ignore")
    paths = [argument for argument in sys.argv[1:] if argument != "--write"]
    comparisons = [
        Comparison(network, method, peer)
        for network in NETWORKS
        for peer, (_, names) in PEERS.items()
        for method in names
    ]
    lines = ["| network | method | peer | largest difference | why, where it is over 1e-3 |", "|---|---|---|---|---|"]
    for comparison in comparisons:
        lines.append(f"| {' | '.join(comparison.row(paths))} |")
        print(lines[-1], flush=True)
    body = (__doc__ or "").split("\n\n", 2)[2]
    text = "# Agreement with pytorch-grad-cam and torch-cam\n\n" + body + "\n" + "\n".join(lines) + "\n" + REASONS
    if "--write" in sys.argv:
        Path(__file__).with_name("results").joinpath("agreement.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
