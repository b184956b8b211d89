"""Small valid files of every kind that the package reads, made by the package or by the libraries that write them."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image, features
from safetensors.torch import save
from torch import nn

import shapleycam
from fuzz_containers import Seed, png, safetensors, tar, zipped
from shapleycam.experiments import Protocol, RunSettings, evaluate

NAMES = ("ant/a.png", "bee/b.jpg")


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 18)) -> Image.Image:
    """A small picture with smooth shapes."""
    y, x = np.mgrid[: size[1], : size[0]]
    colours = np.stack([x * 9, y * 12, (x * y) % 251], axis=-1).astype(np.uint8)
    return Image.fromarray(colours).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as the content of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photographs() -> Iterable[Seed]:
    """Every format that photographs come in, with what programs write into them beside the pixels."""
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010E: "a picture"})
    colour, grey, palette = picture(), picture("L"), picture("P")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    yield Seed("a.jpg", (encoded(colour, "JPEG", exif=exif, icc_profile=b"no profile"),))
    yield Seed("b.jpg", (encoded(colour, "JPEG", progressive=True, comment=b"a comment"),))
    yield Seed("c.jpg", (encoded(picture("CMYK"), "JPEG"),))
    yield png("a.png", encoded(colour, "PNG", exif=exif, icc_profile=b"no profile"))
    yield png("b.png", encoded(palette, "PNG", transparency=bytes(range(20))))
    yield png("c.png", encoded(deep, "PNG"))
    yield png("d.png", _with_chunk(encoded(deep, "PNG"), b"sBIT", b"\x0c"))
    yield png("e.png", _with_chunk(encoded(grey, "PNG", transparency=9), b"tEXt", b"Comment\0text"))
    yield png("f.png", encoded(colour, "PNG", save_all=True, append_images=[picture().rotate(90)]))
    yield Seed("a.gif", (encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(180)], transparency=3),))
    yield Seed("a.webp", (encoded(colour, "WEBP"),))
    yield Seed("b.webp", (encoded(picture("RGBA"), "WEBP", lossless=True, save_all=True, append_images=[colour]),))
    for number, compression in enumerate((None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")):
        yield Seed(f"{number}.tif", (encoded(colour, "TIFF", compression=compression, exif=exif),))
    yield Seed("5.tif", (encoded(deep, "TIFF", save_all=True, append_images=[deep]),))
    yield Seed("6.tif", (encoded(picture("1"), "TIFF", compression="group4"),))
    yield Seed("7.tif", (encoded(picture("F"), "TIFF"),))
    for number, mode in enumerate(("RGB", "L", "P", "1")):
        yield Seed(f"{number}.bmp", (encoded(picture(mode), "BMP"),))
    yield Seed("a.ppm", (encoded(colour, "PPM"),))
    yield Seed("b.ppm", (encoded(deep, "PPM"),))
    yield Seed("c.ppm", (b"P3\n# comment\n2 2\n255\n" + b"1 2 3 " * 4,))
    for kind in ("TGA", "SGI", "PCX", "ICO", "DDS"):
        yield Seed(f"a.{kind.lower()}", (encoded(colour, kind),))
    if features.check("jpg_2000"):
        yield Seed("a.jp2", (encoded(colour, "JPEG2000"),))
    if features.check("avif"):
        yield Seed("a.avif", (encoded(colour, "AVIF"),))
    yield Seed("a.eps", (encoded(colour, "EPS"),))


def network() -> nn.Module:
    """A network of a few weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        return nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.BatchNorm2d(4), *head).eval()


def checkpoints() -> Iterable[Seed]:
    """State dicts as torch and safetensors write them, alone and in what training programs save."""
    weights = network().state_dict()
    training = {"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1, "betas": (0.9, 0.99), "steps": [1, 2]}}
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    for number, content in enumerate((weights, training, half)):
        yield zipped(f"{number}.pth", _torch_file(content))
        yield Seed(f"{number}-legacy.pth", (_torch_file(content, _use_new_zipfile_serialization=False),))
    yield safetensors("a.safetensors", save(weights, {"format": "pt"}))


def lists() -> Iterable[Seed]:
    """Lists of photographs as text and as Parquet."""
    rows = {"path": list(NAMES), "label": [1, 2]}
    yield Seed("a.csv", (b"path,label\nant/a.png,1\nbee/b.jpg,2\n",))
    yield Seed("b.csv", (b'\xef\xbb\xbfimage,class\r\n"ant/a.png",ant\r\n"bee/b,c.jpg","bee ""x"""\r\n',))
    yield Seed("c.csv", (b"path,label\nant/a.png,1.0\nbee/b.jpg,\n",))
    yield Seed("a.tsv", (b"filename\ttarget\nant/a.png\t1\nbee/b.jpg\t2\n",))
    yield Seed("a.parquet", (_parquet(pl.DataFrame(rows)),))
    yield Seed("b.parquet", (_parquet(pl.DataFrame({"file": list(NAMES), "class": ["ant", "bee"]})),))


def shards() -> Iterable[Seed]:
    """Shards of photographs with labels, in two forms of tar."""
    members = {
        "a.png": encoded(picture(), "PNG"),
        "a.cls": b"3",
        "b.jpg": encoded(picture(), "JPEG"),
        "b.json": b'{"label": "bee"}',
    }
    for number, form in enumerate((tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(f"folder/{'é' * (60 * number)}{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        yield tar(f"{number}.tar", file.getvalue())


def archives() -> Iterable[Seed]:
    """Zip archives of photographs, with folders as classes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in NAMES:
            kind = "PNG" if name.endswith("png") else "JPEG"
            archive.writestr(zipfile.ZipInfo(name), encoded(picture(), kind), zipfile.ZIP_DEFLATED)
    yield zipped("a.zip", file.getvalue())


def coco() -> Iterable[Seed]:
    """COCO annotations with boxes, polygons and both forms of run lengths."""
    objects: list[dict[str, Any]] = [
        {"segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]], "bbox": [1, 1, 8, 8]},
        {"segmentation": {"size": [4, 6], "counts": [0, 3, 5, 16]}, "bbox": [0, 0, 6, 4]},
        {"segmentation": {"size": [4, 6], "counts": "035="}, "bbox": [0.5, 0, 2, 2]},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 6, "height": 4}],
        "annotations": [{"id": number, "image_id": 1, "category_id": 7, **each} for number, each in enumerate(objects)],
        "categories": [{"id": 7, "name": "cat"}],
    }
    yield Seed("a.json", (json.dumps(content).encode(),))


def voc() -> Iterable[Seed]:
    """An annotation of PASCAL VOC."""
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>4</ymax></bndbox>"
    size = "<size><width>6</width><height>4</height><depth>3</depth></size>"
    yield Seed("a.xml", (f"<annotation>{size}<object><name>cat</name>{box}</object></annotation>".encode(),))


def masks() -> Iterable[Seed]:
    """Masks in PNG."""
    values = Image.fromarray((np.arange(24 * 18).reshape(18, 24) // 200).astype(np.uint8))
    yield png("a.png", encoded(values, "PNG"))
    yield png("a.png", encoded(values.convert("P"), "PNG"))
    yield png("a.png", encoded(Image.fromarray(np.asarray(values).astype(np.uint16)), "PNG"))


def photograph_files() -> list[Path]:
    """Two photographs in a folder of their own, which stays until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="shapleycam-fuzz-"))
    paths = [folder / "a.png", folder / "b.png"]
    for path, size in zip(paths, [(40, 36), (36, 40)], strict=True):  # one again would be no further observation
        path.write_bytes(encoded(picture("RGB", size), "PNG"))
    return paths


def small_network() -> shapleycam.Network:
    """The network with its preprocessing and labels."""
    half = (0.5, 0.5, 0.5)
    return shapleycam.Network(network(), shapleycam.Preprocess(32, (32, 32), half, half), ("ant", "bee", "cat"), "tiny")


def explanations() -> Iterable[Seed]:
    """An explanation as it is saved."""
    tiny = small_network()
    explainer = shapleycam.Explainer(tiny, device="cpu", layer="0")
    file = io.BytesIO()
    explainer.explain(photograph_files(), "gradcam").write(file)
    yield zipped("a.npz", file.getvalue())


def runs(name: str) -> Iterable[Seed]:
    """All files of the results of a run whose names end with `name`."""
    with tempfile.TemporaryDirectory() as folder:
        protocol = Protocol(methods=("gradcam", "shapleycam"), metrics="complexity")
        photos, out = photograph_files()[0].parent, Path(folder) / "out"
        evaluate(small_network(), photos, out, protocol, settings=RunSettings(workers=0))
        for path in sorted(out.rglob(f"*{name}")):
            yield Seed(path.relative_to(out).as_posix(), (path.read_bytes(),))


def _torch_file(content: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def _parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


def _with_chunk(content: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with a further chunk behind its header; the checksum is put right when the seed is packed."""
    return content[:33] + struct.pack(">I", len(data)) + kind + data + bytes(4) + content[33:]
