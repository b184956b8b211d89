"""The chunks of a run that are still to be measured, or to be measured again."""

from __future__ import annotations

import polars as pl

from shapleycam.experiments.decoding import CHANGED_DURING_RUN
from shapleycam.experiments.store import Store


def remaining_chunks(store: Store, model: str, *, retry_errors: bool = False) -> list[range]:
    """Return the chunks that a run has still to measure for a model, in their order.

    Those are the chunks without a file, and those with an image that was removed or changed while an earlier session
    went on: a run only goes on with the photographs that it began with, so that such an image is back. A chunk is
    measured again as a whole, in the batches of an undisturbed run, so that its rows are the same bit for bit.

    Args:
        store: the run, whose dataset has been compared with its manifest.
        model: a model of the run, by name.
        retry_errors: whether chunks with any error are measured again.

    Raises:
        OptionError: a chunk cannot be read.
    """
    errors = store.model_rows(model, ("index", "status", "message")).filter(pl.col("status") == "error")
    if not retry_errors:
        errors = errors.filter(pl.col("message").cast(pl.String).str.contains(CHANGED_DURING_RUN, literal=True))
    indices, pending = set(errors["index"].to_list()), store.pending(model)
    return [chunk for chunk in store.chunks() if chunk in pending or not indices.isdisjoint(chunk)]
