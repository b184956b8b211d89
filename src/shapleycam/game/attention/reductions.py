"""Operations that combine several channels of a row: norms, softmaxes, means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shapleycam.game.attention.forms import ROW, UNKNOWN, Form, RowChoice, Rows, Scores, has, without_rows
from shapleycam.game.attention.operation import Kind, Operation
from shapleycam.game.axes import make_axis


class Reduction(Kind):
    """Combines the numbers along some dimensions; the result may have these dimensions, or not."""

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        form = operation.forms[0]
        if not isinstance(form, Rows) or len(operation.dependent) != 1:
            return None
        dims = self._dims(operation, form)
        together = [form.axes[dim] for dim in dims]
        if not dims or has(together, "batch"):
            return None
        whole = without_rows(form, operation.prefix) if has(together, ROW) else form
        if whole is None:
            return None
        shape = operation.shapes[0]
        is_dropped = len(shape) < len(whole.axes)
        axes = tuple(
            axis if dim not in dims or (not is_dropped and shape[dim] > 1) else ()
            for dim, axis in enumerate(whole.axes)
            if not (is_dropped and dim in dims)
        )
        return [replace(whole, axes=axes), *[UNKNOWN] * (len(operation.shapes) - 1)]

    def demand(self, operation: Operation, result: int, rows: RowChoice) -> list[RowChoice]:
        form = operation.forms[0]
        mixes_rows = isinstance(form, Rows) and has([form.axes[dim] for dim in self._dims(operation, form)], ROW)
        return [None if mixes_rows else rows, *super().demand(operation, result, rows)[1:]]

    def _dims(self, operation: Operation, form: Rows) -> set[int]:
        dims = operation.argument("dim")
        return {dim % len(form.axes) for dim in ([dims] if isinstance(dims, int) else dims or [])}


class LayerNorm(Reduction):
    """Normalises the last dimensions; weight and bias are constants of their shape."""

    def _dims(self, operation: Operation, form: Rows) -> set[int]:
        count = len(operation.argument("normalized_shape"))
        return set(range(len(form.axes) - count, len(form.axes)))


class Softmax(Reduction):
    """Turns attention scores into weights, over the keys; for other tensors it is a reduction that keeps the shape."""

    def forms(self, operation: Operation) -> Sequence[Form] | None:
        form = operation.forms[0]
        dim = int(operation.argument("dim"))
        if isinstance(form, Scores):
            is_of_keys = form.axes[dim] == make_axis("key", len(form.keys), 1) and not form.is_normalized
            return [replace(form, is_normalized=True)] if is_of_keys else None
        if isinstance(form, Rows) and form.tokens is not None and has((form.axes[dim],), ROW):
            return self._of_constant_queries(form, dim)
        return super().forms(operation)

    @staticmethod
    def _of_constant_queries(form: Rows, dim: int) -> Sequence[Form] | None:
        """Return the form of weights whose queries are constant: each score depends only on the token of its key."""
        keys = make_axis(ROW, len(form.tokens or ()), 1)
        if form.axes[dim] != keys:
            return None
        axes = list(form.axes)
        axes[dim] = make_axis("key", len(form.tokens or ()), 1)
        return [Scores(tuple(axes), form.tokens or (), is_normalized=True)]


_REDUCTIONS = (
    *("mean", "sum", "amax", "amin", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm", "logsumexp"),
    "prod",
)
REDUCTIONS: dict[str, Kind] = {
    **dict.fromkeys(_REDUCTIONS, Reduction()),
    **dict.fromkeys(("native_layer_norm", "layer_norm"), LayerNorm()),
    **dict.fromkeys(("_fused_rms_norm", "rms_norm"), LayerNorm()),
    **dict.fromkeys(("_softmax", "_safe_softmax"), Softmax()),
    "_log_softmax": Reduction(),
}
"""The kinds by the names of PyTorch's operations."""
