"""Do the maps agree with those of pytorch-grad-cam and torch-cam? By method and network, on photographs.

python bench/agreement.py [PHOTOGRAPH ...]     prints a Markdown table; by default of matplotlib's photograph, twice
python bench/agreement.py --write [...]        also writes bench/results/agreement.md

Networks of torchvision and timm have no trained weights here, the default network has. The number is the largest
difference of a pixel of the maps, which are in [0, 1]. Where it is over 1e-3, the last column says why: "sign" where
the negative of the values gives their map, "rounding" where in float64 they agree; anything else is "unexplained".
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms.functional import normalize, resize, to_tensor

from shapleycam import Explainer
from shapleycam.cams.heatmaps import heatmap, min_max
from shapleycam.compat import grad_cam

ENOUGH, TARGET = 1e-3, 3
PEER_CLASSES = {
    getattr(grad_cam, name).method: name
    for name in dir(grad_cam)
    if getattr(getattr(grad_cam, name), "method", None) not in {None, "randomcam"}
}
"""pytorch-grad-cam's class of each method."""
TORCHCAM_CLASSES = {"gradcam": "GradCAM", "gradcam++": "GradCAMpp", "xgradcam": "XGradCAM", "layercam": "LayerCAM"}
KNOWN = {
    ("torch-cam", "gradcam++"): "torch-cam divides a copy by its weights' denominator, so that g² ReLU(g) is left; "
    "the paper's equation 19 is here",
    ("pytorch-grad-cam", "shapleycam"): "pytorch-grad-cam fails: its hooks cannot read tokens",
}
"""Reasons that are held by tests (tests/test_peers.py)."""


def without_in_place_relus(model: nn.Module) -> nn.Module:
    """Return the model with ReLUs that leave what they read as it is, as hooks keep it."""
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model


NETWORKS = {
    "ResNet-18": (torchvision.models.resnet18, "layer4.1", None),
    "MobileNet-V2": (torchvision.models.mobilenet_v2, "features.17", None),
    "VGG-11": (lambda: without_in_place_relus(torchvision.models.vgg11()), "features.18", None),
    "ViT-tiny": (
        lambda: timm.create_model("vit_tiny_patch16_224"),
        "blocks.11.norm1",
        lambda tokens: tokens[:, 1:].unflatten(1, (14, 14)).permute(0, 3, 1, 2),
    ),
    "Swin-tiny": (
        lambda: timm.create_model("swin_tiny_patch4_window7_224"),
        "layers.3.blocks.1.norm1",
        lambda cells: cells.permute(0, 3, 1, 2),
    ),
    "EfficientNet-Lite0": (lambda: Explainer("efficientnet_lite0", device="cpu").model, "bn2", None),
}


def photographs(paths: list[str]) -> torch.Tensor:
    """Return photographs as networks take them, (b, 3, 224, 224)."""
    if not paths:
        paths = [mpl.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)]
    pictures = [resize(Image.open(path).convert("RGB"), [224, 224]) for path in paths]
    images = torch.stack([normalize(to_tensor(picture), [0.5] * 3, [0.5] * 3) for picture in pictures])
    return images if len(images) > 1 else torch.cat([images, images.flip(3)])


def of_pytorch_grad_cam(model: nn.Module, layer: str, reshape: object, images: torch.Tensor, name: str) -> np.ndarray:
    """Return pytorch-grad-cam's maps."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = getattr(pytorch_grad_cam, name)(model, [model.get_submodule(layer)], reshape_transform=reshape)
    return cam(images.clone(), [ClassifierOutputTarget(TARGET)] * len(images))


def of_torchcam(model: nn.Module, layer: str, reshape: object, images: torch.Tensor, name: str) -> np.ndarray:
    """Return torch-cam's maps, resized as ours are."""
    from torchcam import methods

    if reshape is not None:
        raise NotImplementedError
    with getattr(methods, name)(model, target_layer=layer, input_shape=tuple(images.shape[1:])) as extractor:
        maps = extractor(TARGET, model(images.clone()))[0]
    return min_max(heatmap(maps, tuple(images.shape[2:]))).detach().numpy()


PEERS = {"pytorch-grad-cam": (of_pytorch_grad_cam, PEER_CLASSES), "torch-cam": (of_torchcam, TORCHCAM_CLASSES)}


def difference(values: torch.Tensor, theirs: np.ndarray) -> float:
    """Return the largest difference of a pixel between the heatmap of values and a peer's map."""
    return float((heatmap(values, theirs.shape[1:]) - torch.from_numpy(theirs)).abs().max())


def reason_of(
    peer: str, method: str, network: str, images: torch.Tensor, values: torch.Tensor, theirs: np.ndarray
) -> str:
    """Return why maps differ."""
    size = theirs.shape[1:]
    both = torch.stack(
        [(heatmap(sign * values, size) - torch.from_numpy(theirs)).abs().amax((1, 2)) for sign in (1, -1)]
    )
    if float(both.amin(0).max()) < ENOUGH:
        return "sign: that of LAPACK's vector there, here by a rule (docs/methods.md)"
    if (peer, method) in KNOWN:
        return KNOWN[peer, method]
    make_maps, names = PEERS[peer]
    model, layer, reshape = build(network)
    precise, exact = model.double(), images.double()
    ours = Explainer(precise, layer=layer, utility="logit").explain(exact, method, target=TARGET).values
    if difference(ours.float(), np.float32(make_maps(precise, layer, reshape, exact, names[method]))) < ENOUGH:
        return "rounding: in float64 they agree"
    return "unexplained"


def build(network: str) -> tuple[nn.Module, str, object]:
    """Return a network, its layer and its reshape transform."""
    make, layer, reshape = NETWORKS[network]
    torch.manual_seed(0)
    return make().eval(), layer, reshape


def rows(images: torch.Tensor) -> list[tuple[str, ...]]:
    """Return network, method, peer, difference and reason."""
    table = []
    for network in NETWORKS:
        model, layer, reshape = build(network)
        comparison = Explainer(model, layer=layer, utility="logit").compare(images, list(PEER_CLASSES), target=TARGET)
        for peer, (make_maps, names) in PEERS.items():
            for method, name in names.items():
                values = comparison[method].values
                try:
                    theirs = np.float32(make_maps(model, layer, reshape, images, name))
                except NotImplementedError:
                    continue
                except (RuntimeError, ValueError):
                    table.append((network, method, peer, "fails there", KNOWN.get((peer, method), "unexplained")))
                    continue
                largest = difference(values, theirs)
                why = reason_of(peer, method, network, images, values, theirs) if largest > ENOUGH else ""
                table.append((network, method, peer, f"{largest:.0e}", why))
    return table


def main() -> None:
    warnings.filterwarnings("ignore")
    arguments = sys.argv[1:]
    paths = [argument for argument in arguments if argument != "--write"]
    lines = ["| network | method | peer | largest difference | why, where it is over 1e-3 |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(photographs(paths))]
    text = (
        "# Agreement with pytorch-grad-cam and torch-cam\n\n"
        + (__doc__ or "").split("\n\n", 2)[2]
        + "\n"
        + "\n".join(lines)
    )
    print(text)
    if "--write" in arguments:
        Path(__file__).with_name("results").joinpath("agreement.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
