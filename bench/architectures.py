"""Which architectures are surveyed: by family, from torchvision, timm and transformers, untrained and small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
import torchvision
from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A network to survey: its family, where it comes from (`source:name`), and the side of its images in pixels."""

    family: str
    name: str
    size: int

    def build(self) -> nn.Module:
        """The untrained network, with what starts at zero (classifiers, norms of residual branches) drawn anew."""
        torch.manual_seed(0)
        source, _, name = self.name.partition(":")
        model = {"timm": _of_timm, "torchvision": _of_torchvision, "transformers": _of_transformers}[source](
            name, self.size
        )
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter) and not bool(weight.any()):
                nn.init.normal_(weight, mean=float(weight.dim() == 1), std=0.02)
            if self.name in _FADING and isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.kaiming_normal_(weight)
        return model.eval()


def _of_timm(name: str, size: int) -> nn.Module:
    fixed = not timm.get_pretrained_cfg(name).to_dict()["fixed_input_size"] or _size(f"timm:{name}") == size
    return timm.create_model(name, **({} if fixed else {"img_size": size}))


def _of_torchvision(name: str, _: int) -> nn.Module:
    quick = {"init_weights": False} if name in {"inception_v3", "googlenet"} else {}
    return torchvision.models.get_model(name, weights=None, **quick)


def _of_transformers(name: str, size: int) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{name}Config")
    options: dict[str, Any] = {"num_labels": 100, **_SMALL.get(name, {})}
    if hasattr(config(), "image_size"):
        options["image_size"] = size if isinstance(config().image_size, int) else [size, size]
    return getattr(transformers, f"{name}ForImageClassification")(config(**options))


_FADING = {"timm:levit_128s", "transformers:Levit", "transformers:MobileViT", "transformers:MobileViTV2"}
"""As their authors draw them, the signal is lost before the last layer (equal at all positions, or below the smallest
float32), where only training would bring it through; so they are drawn as He (2015) proposes.
"""

_TINY = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
_SMALL: dict[str, dict[str, Any]] = {
    "ViT": _TINY,
    "DeiT": _TINY,
    "Beit": _TINY,
    "Data2VecVision": _TINY,
    "Dinov2": {"hidden_size": 192, "num_attention_heads": 3},
    "Dinov2WithRegisters": {"hidden_size": 192, "num_attention_heads": 3},
    "Siglip": {"vision_config": {**_TINY, "image_size": 224}},
    "ViTMSN": _TINY,
}
"""What makes a network of the hub's default size as small as the field's tiny ones."""

_TIMM = """
ResNet: resnet18 resnet26d | ResNeXt: resnext50_32x4d | SE-ResNet: seresnet18 | Res2Net: res2net50_26w_4s
ResNeSt: resnest14d | SK-ResNet: skresnet18 | BiT: resnetv2_50x1_bit | ECA-BotNet: botnet26t_256 | HaloNet: halonet26t
LambdaNet: lambda_resnet26t | VGG: vgg11_bn | DenseNet: densenet121 | RDNet: rdnet_tiny | Inception: inception_v4
MobileNet v2: mobilenetv2_100 | MobileNet v3: mobilenetv3_small_100 | MobileNet v4: mobilenetv4_conv_small
MobileNet v4: mobilenetv4_hybrid_medium | EfficientNet: efficientnet_b0 tf_efficientnet_lite0
EfficientNet v2: tf_efficientnetv2_b0 | RegNet: regnetx_002 regnety_002 | MnasNet: mnasnet_100 | MobileOne: mobileone_s0
ConvNeXt: convnext_atto | ConvNeXt v2: convnextv2_atto | InceptionNeXt: inception_next_atto
EdgeNeXt: edgenext_xx_small
ViT: vit_tiny_patch16_224 vit_medium_patch16_gap_240 vit_relpos_small_patch16_224 vit_tiny_r_s16_p8_224
NaFlexViT: naflexvit_base_patch16_gap
DeiT: deit_tiny_distilled_patch16_224 | BEiT: beit_base_patch16_224 | DINOv2: vit_small_patch14_reg4_dinov2
DINOv3: vit_small_patch16_dinov3 | SigLIP: vit_base_patch16_siglip_224 | EVA: eva02_tiny_patch14_224
Swin: swin_tiny_patch4_window7_224 | Swin v2: swinv2_tiny_window8_256 | MaxViT: maxvit_nano_rw_256
CoAtNet: coatnet_nano_rw_224 | LeViT: levit_128s | EfficientFormer: efficientformer_l1 efficientformerv2_s0
EfficientViT: efficientvit_b0 efficientvit_m0
PoolFormer: poolformer_s12 poolformerv2_s12 | CAFormer: caformer_s18 | MLP-Mixer: mixer_s32_224 | ResMLP: resmlp_12_224
gMLP: gmlp_ti16_224 | CrossViT: crossvit_tiny_240 | NFNet: nfnet_l0 | HRNet: hrnet_w18_small | Xception: legacy_xception
FastViT: fastvit_t8 | MobileViT: mobilevit_xxs mobilevitv2_050 | PVT v2: pvt_v2_b0 | Twins: twins_svt_small
Twins: twins_pcpvt_small | CaiT: cait_xxs24_224 | XCiT: xcit_nano_12_p16_224 | Hiera: hiera_tiny_224
Sequencer: sequencer2d_s | ConvMixer: convmixer_768_32 | CoaT: coat_tiny | ConViT: convit_tiny | DaViT: davit_tiny
FocalNet: focalnet_tiny_srf | GCViT: gcvit_xxtiny | GhostNet: ghostnet_100 | MViT v2: mvitv2_tiny | NesT: nest_tiny
PiT: pit_ti_distilled_224 | RepVGG: repvgg_a0 | ReXNet: rexnet_100 | TinyViT: tiny_vit_5m_224 | TNT: tnt_s_patch16_224
TResNet: tresnet_m | Visformer: visformer_tiny | VOLO: volo_d1_224 | VoVNet: ese_vovnet19b_dw | CSPNet: cs3darknet_s
DLA: dla34 | DPN: dpn48b | HardCoRe-NAS: hardcorenas_a | LCNet: lcnet_050 | RepViT: repvit_m0_9 | StarNet: starnet_s1
MambaOut: mambaout_femto | HGNet: hgnetv2_b0 | NextViT: nextvit_small | FasterNet: fasternet_t0
SwiftFormer: swiftformer_xs
"""
_TORCHVISION = """
ResNet: resnet18 resnet50 | VGG: vgg11 | AlexNet: alexnet | DenseNet: densenet121 | Inception: inception_v3
GoogLeNet: googlenet | ShuffleNet: shufflenet_v2_x0_5 | SqueezeNet: squeezenet1_1 | MnasNet: mnasnet0_5
MobileNet v2: mobilenet_v2 | MobileNet v3: mobilenet_v3_small | EfficientNet: efficientnet_b0 | RegNet: regnet_y_400mf
ConvNeXt: convnext_tiny | ViT: vit_b_32 | Swin: swin_t | Swin v2: swin_v2_t | MaxViT: maxvit_t
"""
_TRANSFORMERS = """
ViT: ViT | DeiT: DeiT | BEiT: Beit | DINOv2: Dinov2 Dinov2WithRegisters | SigLIP: Siglip | ViT-MSN: ViTMSN
Data2Vec: Data2VecVision | Swin: Swin | Swin v2: Swinv2 | ConvNeXt: ConvNext | ConvNeXt v2: ConvNextV2 | LeViT: Levit
MobileViT: MobileViT MobileViTV2 | MobileNet v2: MobileNetV2 | PoolFormer: PoolFormer | PVT v2: PvtV2 | PVT: Pvt
ResNet: ResNet | RegNet: RegNet | BiT: Bit | CvT: Cvt | FocalNet: FocalNet | SegFormer: Segformer | Hiera: Hiera
"""


def _listed(text: str, source: str) -> list[tuple[str, str]]:
    pairs = [entry.split(":") for line in text.strip().splitlines() for entry in line.split("|")]
    return [(family.strip(), f"{source}:{name}") for family, names in pairs for name in names.split()]


def _size(name: str) -> int:
    source, _, name = name.partition(":")
    if source == "timm":
        return int(timm.get_pretrained_cfg(name, allow_unregistered=False).input_size[-1])
    return {"inception_v3": 299}.get(name, 256 if name.startswith(("Swinv2", "MobileViT")) else 224)


ARCHITECTURES = tuple(
    Architecture(family, name, min(_size(name), 288) if name != "torchvision:inception_v3" else 299)
    for family, name in (
        *_listed(_TORCHVISION, "torchvision"),
        *_listed(_TIMM, "timm"),
        *_listed(_TRANSFORMERS, "transformers"),
    )
)
