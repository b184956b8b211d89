"""`remaining_chunks`: the chunks of a run that must be measured, or measured again."""

from __future__ import annotations

import polars as pl

from shapleycam.experiments.decoding import CHANGED_DURING_RUN
from shapleycam.experiments.store import Store


def remaining_chunks(store: Store, model: str, *, retry_errors: bool = False) -> list[range]:
    """Return the chunks that a run still has to measure for a model, in order.

    These are:

    - chunks without a file;
    - chunks with an image that was removed or changed during an earlier session. A run only continues with the dataset
      that it began with, so the image is restored by now.
    - with `retry_errors`, chunks with any error.

    A chunk is always measured as a whole, in the same batches, so that its rows are the same bit for bit as in a run
    without interruptions.

    Args:
        store: the run; its dataset must have been compared with its manifest.
        model: the name of a model of the run.
        retry_errors: whether chunks with any error are measured again.

    Raises:
        OptionError: a chunk cannot be read.
    """
    errors = store.model_rows(model, ("index", "status", "message")).filter(pl.col("status") == "error")
    if not retry_errors:
        errors = errors.filter(pl.col("message").cast(pl.String).str.contains(CHANGED_DURING_RUN, literal=True))
    indices, pending = set(errors["index"].to_list()), store.pending(model)
    return [chunk for chunk in store.chunks() if chunk in pending or not indices.isdisjoint(chunk)]
