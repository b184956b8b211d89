"""float32 is float32 while something is explained, whatever PyTorch is allowed to do, and the settings stay."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import backends

from helpers.user_models import METHODS, Small, pictures, values
from shapleycam.errors import ModelError
from shapleycam.tracing.float32_precision import full_float32

HAS_NEWER = hasattr(backends.cudnn, "conv")
newer = pytest.mark.skipif(not HAS_NEWER, reason="this PyTorch has no fp32_precision")
OPERATIONS = {
    "convolutions on a GPU": lambda: backends.cudnn.conv.fp32_precision,
    "recurrent networks on a GPU": lambda: backends.cudnn.rnn.fp32_precision,
    "products on a GPU": lambda: backends.cuda.matmul.fp32_precision,
    "convolutions on the CPU": lambda: backends.mkldnn.conv.fp32_precision,
    "products on the CPU": lambda: backends.mkldnn.matmul.fp32_precision,
}
OLDER = {
    "cudnn": lambda: backends.cudnn.allow_tf32,
    "cublas": lambda: backends.cuda.matmul.allow_tf32,
    "matmul": torch.get_float32_matmul_precision,
}
GENERAL = {
    "all": lambda: backends.fp32_precision,
    "cudnn": lambda: backends.cudnn.fp32_precision,
    "mkldnn": lambda: backends.mkldnn.fp32_precision,
}


def _read(read):
    try:
        return read()
    except RuntimeError:  # an older setting that a newer one contradicts
        return "contradicted"


def settings() -> dict[str, object]:
    """Return all of PyTorch's settings of float32 arithmetic."""
    newer_ones = {**OPERATIONS, **GENERAL} if HAS_NEWER else {}
    return {f"{kind} {name}": _read(read) for kind, table in (("older", OLDER), ("newer", newer_ones))
            for name, read in table.items()}  # fmt: skip


@pytest.fixture(autouse=True)
def defaults():
    """PyTorch's defaults, before and after a test."""

    def reset() -> None:
        if HAS_NEWER:
            for holder in (backends, backends.cudnn, backends.mkldnn):
                holder.fp32_precision = "none"
        backends.cudnn.allow_tf32 = True
        backends.cuda.matmul.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        if HAS_NEWER:
            for operation in (backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul, backends.mkldnn.rnn):
                operation.fp32_precision = "none"

    reset()
    yield
    reset()


def _set(holder: object, name: str, value: object):
    return lambda: setattr(holder, name, value)


CASES = {
    "PyTorch's defaults": lambda: None,
    "no TensorFloat-32": _set(backends.cudnn, "allow_tf32", value=False),
    "products too": _set(backends.cuda.matmul, "allow_tf32", value=True),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
}
NEWER_CASES = {
    "everything": lambda: _set(backends, "fp32_precision", "tf32"),
    "cudnn": lambda: _set(backends.cudnn, "fp32_precision", "tf32"),
    "convolutions in full": lambda: _set(backends.cudnn.conv, "fp32_precision", "ieee"),
    "products": lambda: _set(backends.cuda.matmul, "fp32_precision", "tf32"),
    "the CPU": lambda: _set(backends.mkldnn, "fp32_precision", "bf16"),
    "products on the CPU": lambda: _set(backends.mkldnn.matmul, "fp32_precision", "bf16"),
}


def assert_full_inside(before: dict[str, object]) -> None:
    """Check that float32 is computed in full inside the context, and that all settings stay, readable as they were."""
    with full_float32():
        inside = settings()
        if HAS_NEWER:
            assert {read() for read in OPERATIONS.values()} <= {"ieee", "none"}
        assert inside["older cudnn"] in (False, "contradicted")
        assert inside["older matmul"] in ("highest", "contradicted")
        assert [name for name in inside if inside[name] == "contradicted" != before[name]] == []
    assert settings() == before


@pytest.mark.parametrize("allow", CASES.values(), ids=CASES.keys())
def test_older_settings(allow):
    allow()
    assert_full_inside(settings())


@newer
@pytest.mark.parametrize("first", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("allow", NEWER_CASES.values(), ids=NEWER_CASES.keys())
def test_newer_settings_with_older_ones(allow, first):
    first()
    allow()()
    assert_full_inside(settings())


@newer
def test_an_operation_follows_the_general_setting_again():
    backends.fp32_precision = "tf32"
    with full_float32():
        pass
    assert backends.cuda.matmul.fp32_precision == "tf32"
    backends.fp32_precision = "ieee"
    assert backends.cuda.matmul.fp32_precision == "ieee"


class Notes(torch.autograd.Function):
    """The identity; notes the setting in both passes."""

    seen: ClassVar[list[bool]] = []

    @staticmethod
    def forward(ctx, x):
        Notes.seen.append(backends.cudnn.allow_tf32)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        Notes.seen.append(backends.cudnn.allow_tf32)
        return gradient.view_as(gradient)


class Noting(Small):
    def see(self, values):
        return Notes.apply(values)


@pytest.mark.parametrize("method", METHODS)
def test_each_pass_of_an_explanation_is_in_full(method):
    Notes.seen.clear()
    values(Noting(), method, images=pictures(1))
    assert Notes.seen
    assert not any(Notes.seen)
    assert backends.cudnn.allow_tf32


def test_after_an_error_the_settings_stay():
    class Raises(Small):
        def see(self, values):
            raise ValueError

    before = settings()
    with pytest.raises(ModelError, match="ValueError"):
        values(Raises(), "gradcam")
    assert settings() == before
