"""The identity of a chunk of results in its Parquet file: its run, model, images, and a hash of the file.

The identity and the hash detect a file that was swapped with another, copied from another run, renamed, cut off, or
changed in a single bit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

_KEY = "shapleycam_chunk"
"""The key of the identity in the file's metadata, and the first field of its JSON, by which it is found."""
_MARK = f'{{"{_KEY}": '
_UNSEALED = "0" * hashlib.sha256().digest_size * 2
"""The placeholder of the hash while the file is hashed."""
KEY_COLUMNS = ("model", "index", "layer", "utility", "method")
"""Columns that identify a row."""


@dataclass(frozen=True)
class ChunkIdentity:
    """The identity of a chunk: its run's identity, its model's name, and its images' positions in the dataset."""

    run: str
    model: str
    images: range


def encode_chunk(table: pa.Table, identity: ChunkIdentity) -> bytes:
    """Return the rows of a chunk as a Parquet file with its identity and the SHA-256 of the whole file.

    Raises:
        ValueError: the rows do not belong to the chunk; see `find_row_problem`.

    Examples:
        >>> import pyarrow as pa
        >>> from shapleycam.experiments.chunk_identity import ChunkIdentity, encode_chunk, read_identity
        >>> identity = ChunkIdentity("1f", "resnet18", range(0, 2))
        >>> columns = {"index": [0, 1], "model": ["resnet18"] * 2, "layer": ["a"] * 2, "utility": ["rest"] * 2}
        >>> content = encode_chunk(pa.table({**columns, "method": ["gradcam"] * 2}), identity)
        >>> read_identity(content) == identity
        True
    """
    if problem := find_row_problem(table, identity):
        raise ValueError(f"the chunk of {describe(identity)} cannot be written: {problem}")
    fields = {
        _KEY: 1,
        "run": identity.run,
        "model": identity.model,
        "first": identity.images.start,
        "last": identity.images.stop - 1,
        "sha256": _UNSEALED,
    }
    file = BytesIO()
    # Statistics would copy texts of the rows into the footer, in which the identity is searched.
    with pq.ParquetWriter(
        file, table.schema, compression="zstd", write_page_checksum=True, write_statistics=False
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: json.dumps(fields)})
    unsealed = file.getvalue()
    return _replace_last(unsealed, _UNSEALED, hashlib.sha256(unsealed).hexdigest())


def read_identity(content: bytes) -> ChunkIdentity | None:
    """Return the identity in a Parquet file; None if it has none, as files of earlier versions.

    Raises:
        ValueError: the file was changed after it was written.
    """
    footer_size = int.from_bytes(content[-8:-4], "little") + 8
    footer = content[-footer_size:].decode("latin-1")  # a character for each byte
    start = footer.rfind(_MARK)
    if start < 0:
        return None
    try:
        fields, _ = json.JSONDecoder().raw_decode(footer, start)
        identity = ChunkIdentity(fields["run"], fields["model"], range(fields["first"], fields["last"] + 1))
        unsealed = _replace_last(content, fields["sha256"], _UNSEALED)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the identity that it carries cannot be read: {type(error).__name__}") from None
    if hashlib.sha256(unsealed).hexdigest() != fields["sha256"]:
        raise ValueError("its bytes are not those that were written: its SHA-256 is another")
    return identity


def _replace_last(content: bytes, old: str, new: str) -> bytes:
    """Return the content with its last `old` replaced; the rows, before the footer, may contain the same text."""
    before, _, after = content.rpartition(old.encode())
    return before + new.encode() + after


def find_row_problem(table: pa.Table, identity: ChunkIdentity) -> str | None:
    """Return why rows do not belong to a chunk, or None if they do.

    The reasons are rows of another model or image, an image without rows, or a duplicate row. The table must have the
    columns in `KEY_COLUMNS`.
    """
    if missing := set(KEY_COLUMNS).difference(table.column_names):
        return f"it has no column {min(missing)!r}"
    models, images = table["model"].unique().to_pylist(), table["index"].unique().to_pylist()
    if strange := [model for model in models if model != identity.model]:
        return f"it holds rows of model {strange[0]!r}"
    if strange := [index for index in images if index not in identity.images]:
        return f"it holds rows of image {strange[0]}"
    if absent := set(identity.images).difference(images):
        return f"it holds no row of image {min(absent)}"
    distinct_rows = table.select(KEY_COLUMNS).group_by(list(KEY_COLUMNS)).aggregate([]).num_rows
    return None if distinct_rows == table.num_rows else f"{table.num_rows - distinct_rows} of its rows are there twice"


def describe(identity: ChunkIdentity) -> str:
    """Return a phrase with the images and the model of a chunk.

    Examples:
        >>> from shapleycam.experiments.chunk_identity import ChunkIdentity, describe
        >>> describe(ChunkIdentity("1f", "resnet18", range(32, 64)))
        "images 32 to 63 of model 'resnet18'"
    """
    return f"images {identity.images.start} to {identity.images.stop - 1} of model {identity.model!r}"
