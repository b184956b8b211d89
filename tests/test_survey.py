"""The table of docs/models.md: a sample of its rows is made again; and what it must hold."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "bench"))

from architectures import ARCHITECTURES  # noqa: E402
from survey import BEGIN, END, line, survey  # noqa: E402

TABLE = (ROOT / "docs/models.md").read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
ROWS = {":".join(cells[1:3]): cells for row in TABLE.splitlines() if (cells := re.split(r" ?\| ?", row)[1:-1])[2:]}
SAMPLE = [
    "torchvision:squeezenet1_1",
    "timm:efficientformer_l1",
    "timm:levit_128s",
    "timm:tnt_s_patch16_224",
    "timm:pvt_v2_b0",
    "timm:mobilenetv4_conv_small",
    "transformers:Dinov2WithRegisters",
    "transformers:Hiera",
]
"""Small networks of every layout, and those that once went wrong."""

REQUIRED = """ResNet, ResNeXt, VGG, DenseNet, Inception, GoogLeNet, MobileNet v2, MobileNet v3, MobileNet v4,
EfficientNet, EfficientNet v2, RegNet, ShuffleNet, SqueezeNet, MnasNet, ConvNeXt, ConvNeXt v2, ViT, DeiT,
BEiT, DINOv2, SigLIP, EVA, Swin, Swin v2, MaxViT, CoAtNet, LeViT, EfficientFormer, PoolFormer, MLP-Mixer,
CrossViT, NFNet, HRNet, Xception, FastViT, MobileViT, PVT v2, Twins, CaiT, XCiT, Hiera"""


@pytest.mark.parametrize("name", SAMPLE)
def test_a_row_is_found_again(name):
    (architecture,) = [a for a in ARCHITECTURES if a.name == name]
    cells = re.split(r" ?\| ?", line(survey(architecture, rounds=0)))[1:-1]
    assert cells[:-1] == ROWS[name][:-1]  # all but the time
    assert cells[6:10] == ["yes"] * 4


def test_every_architecture_has_a_row():
    listed = {key for key in ROWS if key.split(":")[0] in {"torchvision", "timm", "transformers"}}
    assert listed == {architecture.name for architecture in ARCHITECTURES}
    assert len(listed) >= 80


def test_the_families_that_people_use_are_there():
    families = {architecture.family for architecture in ARCHITECTURES}
    assert set(re.split(r",\s+", REQUIRED)) <= families
    assert len(families) >= 40


def test_the_sentence_above_the_table_counts_its_rows():
    rows = [cells for key, cells in ROWS.items() if key.split(":")[0] in {"torchvision", "timm", "transformers"}]
    good = [cells for cells in rows if cells[6:10] == ["yes"] * 4]
    families = {cells[0] for cells in rows}
    assert f"{len(good)} of {len(rows)} architectures of {len(families)} families" in TABLE
