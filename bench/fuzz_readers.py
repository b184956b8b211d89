"""The readers that are tried: what each reads, and what holds where it accepts a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
from PIL import Image

import fuzz_seeds
from fuzz_containers import Seed
from shapleycam import Explanation
from shapleycam.experiments import Store
from shapleycam.experiments.datasets.annotations.opening import open_annotations
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.datasets.regions import masks_of
from shapleycam.images import PIXEL_LIMIT, open_photograph
from shapleycam.models.checkpoint import fill_model, read_checkpoint


@dataclass(frozen=True)
class Reader:
    """Valid files, words of their format, and a function that reads a file and checks what came of it.

    `beside` are files that lie beside the damaged one, and are whole.
    """

    name: str
    seeds: Callable[[], Iterable[Seed]]
    read: Callable[[Path], None]
    tokens: tuple[bytes, ...] = ()
    beside: Callable[[], Iterable[Seed]] = tuple

    @cache  # noqa: B019  there are a dozen readers, for as long as the process
    def valid(self) -> tuple[Seed, ...]:
        """The valid files, made once."""
        return tuple(self.seeds())


class WrongResultError(AssertionError):
    """A file was accepted, and what came of it is not what the reader promises."""


def _check(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise WrongResultError(message)


def _read_photograph(path: Path) -> None:
    image = open_photograph(path)
    _check(image.mode == "RGB" and 0 < image.width * image.height <= PIXEL_LIMIT, f"{image.mode} {image.size}")


def _read_checkpoint(path: Path) -> None:
    weights = read_checkpoint(path)
    for name, tensor in weights.items():
        plain = type(tensor) in {torch.Tensor, torch.nn.Parameter} and tensor.layout is torch.strided
        _check(isinstance(name, str) and plain and not tensor.is_meta, f"{name!r}: {type(tensor)}")
    fill_model(fuzz_seeds.network(), weights, str(path))


def _read_dataset(path: Path) -> None:
    dataset = open_dataset(path)
    names = list(dataset.names)
    _check(
        0 < len(names) == len(dataset.labels) == len(set(names)), f"{len(names)} names, {len(dataset.labels)} labels"
    )
    _check(all(isinstance(name, str) for name in names), "names that are not text")
    dataset.fingerprint()
    for index in range(min(3, len(names))):
        photo = dataset.open(index)
        if isinstance(photo, Image.Image):
            open_photograph(photo)


def _read_annotations(path: Path, *, whole_folder: bool) -> None:
    regions = open_annotations(path.parent if whole_folder else path).regions_of("a.jpg") or []
    mask = masks_of(regions, (0, 0, 24, 18), (24, 18), (9, 12)).any(0)
    _check(mask.shape == (9, 12), f"a mask of {tuple(mask.shape)}")


def _read_explanation(path: Path) -> None:
    explanation = Explanation.load(path)
    _check(len(explanation) == len(explanation.sources) == len(explanation.images), "numbers of images that differ")
    for index in range(min(2, len(explanation))):
        _check(isinstance(explanation.label(index), str), "a label that is no text")
        explanation.overlay(index, on="input")
    repr(explanation)


def _read_run(path: Path) -> None:
    folder = path if (path / "manifest.json").is_file() else path.parent
    while not (folder / "manifest.json").is_file():
        folder = folder.parent
    rows = Store(folder).rows()
    _check(len(rows) == 4, f"{len(rows)} rows of 2 photographs and 2 methods")


_PICTURES = (b"IHDR", b"IDAT", b"sBIT", b"tRNS", b"iCCP", b"eXIf", b"zTXt", b"acTL", b"fcTL", b"fdAT", b"IEND")
_JPEG = (
    b"\xff\xd8",
    b"\xff\xda",
    b"\xff\xc0",
    b"\xff\xc2",
    b"\xff\xc4",
    b"\xff\xdb",
    b"\xff\xe1",
    b"Exif\0\0",
    b"\xff\xd9",
)
_OTHERS = (b"II*\0", b"MM\0*", b"GIF89a", b"!\xff\x0b", b"RIFF", b"WEBPVP8X", b"ANIM", b"ANMF", b"BM", b"P6\n", b"%!PS")
_PICKLE = (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"cbuiltins\nbytearray\n", b"\x8a\x08")
_OPCODES = (
    b"R",
    b"b",
    b"Q",
    b"\x81",
    b"\x85",
    b"\x86",
    b"\x87",
    b"(",
    b"t",
    b"u",
    b"s",
    b"e",
    b"h\x00",
    b"q\x01",
    b".",
)
_SAFETENSORS = (
    b'"data_offsets":',
    b'"dtype":"F32"',
    b'"shape":[',
    b"[0,0]",
    b'"__metadata__":',
    b'"I64"',
    b'"F8_E5M2"',
)
_CSV = (b"\n", b",", b";", b"\t", b'"', b"\0", b"\xff\xfe", b"path", b"label", b"../", b"/", b"1.0", b"nan", b"\xe9")
_TAR = (b"ustar\x0000", b"ustar  \0", b"././@LongLink", b"path=", b"size=", b"GNU.sparse.major=1", b"../", b"\x80\xff")
_JSON = (b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b'"\\ud800"', b"NaN", b"1e400", b"-1", b'"counts":')
_XML = (b"<!DOCTYPE a [", b"<!ENTITY b 'c'>", b"&b;", b"<object>", b"</object>", b"<![CDATA[", b"<?xml version='1.0'?>")
_NPY = (b"\x93NUMPY", b"'descr': '|O'", b"'<f4'", b"'shape': (", b"True", b"'<U99'", b"(2, 0)", b"'<c16'", b"'<M8[s]'")

READERS = (
    Reader("photograph", fuzz_seeds.photographs, _read_photograph, (*_PICTURES, *_JPEG, *_OTHERS)),
    Reader("checkpoint", fuzz_seeds.checkpoints, _read_checkpoint, (*_PICKLE, *_OPCODES, *_SAFETENSORS)),
    Reader("manifest", partial(fuzz_seeds.runs, ".json"), _read_run, _JSON, partial(fuzz_seeds.runs, ".parquet")),
    Reader("list", fuzz_seeds.lists, _read_dataset, _CSV),
    Reader("results", partial(fuzz_seeds.runs, ".parquet"), _read_run, (b"PAR1",), partial(fuzz_seeds.runs, ".json")),
    Reader("shard", fuzz_seeds.shards, _read_dataset, _TAR),
    Reader("zip", fuzz_seeds.archives, _read_dataset, (b"PK\x01\x02", b"PK\x05\x06", b"../", b"\x01\x00\x10\x00")),
    Reader("explanation", fuzz_seeds.explanations, _read_explanation, (*_NPY, *_JSON)),
    Reader("coco", fuzz_seeds.coco, partial(_read_annotations, whole_folder=False), _JSON),
    Reader("voc", fuzz_seeds.voc, partial(_read_annotations, whole_folder=True), _XML),
    Reader("masks", fuzz_seeds.masks, partial(_read_annotations, whole_folder=True), _PICTURES),
)
