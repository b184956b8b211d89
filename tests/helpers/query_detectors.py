"""Tiny untrained detectors of transformers, whose queries are not all alike."""

from __future__ import annotations

import torch
import transformers
from torch import nn

NAMES = {0: "cat", 1: "dog", 2: "bird"}
_SIZES = {"encoder_ffn_dim": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "d_model": 16, "decoder_layers": 1}
_SIZES |= {"decoder_ffn_dim": 16, "decoder_attention_heads": 2, "num_queries": 5, "id2label": NAMES}


def _build(kind: type[nn.Module], config: transformers.PretrainedConfig) -> nn.Module:
    """Return the same model each time, with weights by which all its queries differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config)
        for weight in model.parameters():
            weight.data.add_(torch.randn_like(weight), alpha=0.1)
    return model.eval()


def detr() -> nn.Module:
    """Return a DETR: learned queries, scores by softmax."""
    backbone = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"])
    config = transformers.DetrConfig(
        backbone_config=backbone, backbone=None, use_timm_backbone=False, use_pretrained_backbone=False, **_SIZES
    )
    return _build(transformers.DetrForObjectDetection, config)


def rt_detr() -> nn.Module:
    """Return an RT-DETR: queries chosen among the places of each image, scores by sigmoid."""
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"]
    )
    config = transformers.RTDetrConfig(
        backbone_config=backbone, backbone=None, use_timm_backbone=False, use_pretrained_backbone=False,
        encoder_hidden_dim=16, encoder_in_channels=[8, 16, 16], encoder_ffn_dim=16, encoder_layers=1,
        encoder_attention_heads=2, d_model=16, decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, num_queries=5,
        decoder_layers=1, decoder_attention_heads=2, id2label=NAMES, feat_strides=[8, 16, 32], anchor_image_size=None,
    )  # fmt: skip
    return _build(transformers.RTDetrForObjectDetection, config)


def yolos() -> nn.Module:
    """Return a YOLOS: tokens of queries beside those of the image, scores by softmax."""
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=[64, 64],
        patch_size=16, num_detection_tokens=4, id2label=NAMES,
    )  # fmt: skip
    return _build(transformers.YolosForObjectDetection, config)
