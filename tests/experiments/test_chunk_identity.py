"""The identity that a chunk carries: read as it was written, and gone or wrong where a byte of the file is another."""

from __future__ import annotations

from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shapleycam.experiments.chunk_identity import ChunkIdentity, encode_chunk, find_row_problem, read_identity
from shapleycam.experiments.rows import to_table

IDENTITY = ChunkIdentity("ab" * 32, "tiny", range(32, 36))
METRICS = ("average_drop",)


def rows(images=range(32, 36), model="tiny", name="photo", methods=("gradcam", "layercam")) -> list[dict]:
    head = {"model": model, "layer": "last-conv", "utility": "rest", "status": "ok"}
    return [
        {**head, "index": index, "image": f"{name}-{index}", "method": method, "average_drop": index / 7}
        for index in images
        for method in methods
    ]


def table(*more: dict, **options) -> pa.Table:
    return to_table([*rows(**options), *more], METRICS)


def is_refused(content: bytes) -> bool:
    """Whether a file's identity cannot be read, or is not there."""
    try:
        return read_identity(content) is None
    except ValueError as error:
        return "\n" not in str(error)


def test_is_read_as_it_was_written_and_so_are_the_rows():
    content = encode_chunk(table(), IDENTITY)
    assert read_identity(content) == IDENTITY
    assert pq.read_table(BytesIO(content)).equals(table())


@pytest.mark.parametrize("text", ["0" * 64, '{"shapleycam_chunk": 1}', "\U0001f40d\x00\n", "x" * 100_000])
def test_whatever_texts_the_rows_and_the_name_of_the_model_hold(text):
    identity = ChunkIdentity("0" * 64, text, range(32, 36))
    content = encode_chunk(table(model=text, name=text), identity)
    assert read_identity(content) == identity
    assert pq.read_table(BytesIO(content)).equals(table(model=text, name=text))


def test_a_bit_changed_anywhere_is_noticed():
    content = encode_chunk(table(), IDENTITY)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        assert is_refused(bytes(changed)), position


def test_a_file_cut_off_anywhere_is_noticed():
    content = encode_chunk(table(), IDENTITY)
    assert all(is_refused(content[:length]) for length in range(len(content)))
    assert is_refused(content + b"x")
    assert is_refused(content + content[-8:])


def test_a_file_of_another_writer_has_none():
    file = BytesIO()
    pq.write_table(table(), file)
    assert read_identity(file.getvalue()) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (table(model="other"), "it holds rows of model 'other'"),
        (table(images=range(31, 36)), "it holds rows of image 31"),
        (table(images=range(32, 35)), "it holds no row of image 35"),
        (table(rows()[3], rows()[5]), "2 of its rows are there twice"),
        (table().drop_columns(["layer"]), "it has no column 'layer'"),
        (to_table([], METRICS), "it holds no row of image 32"),
    ],
)
def test_rows_that_are_not_those_of_the_chunk(content, expected):
    assert find_row_problem(content, IDENTITY) == expected
    with pytest.raises(ValueError, match=expected):
        encode_chunk(content, IDENTITY)


def test_a_row_with_an_error_stands_for_all_methods():
    """Twice, once for each layer."""
    errors = [{"index": 35, "model": "tiny", "layer": layer, "status": "error"} for layer in ("last-conv", "stem")]
    assert find_row_problem(table(*errors, images=range(32, 35)), IDENTITY) is None
