"""Results on disk: whole or absent, each once, of one run."""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
import subprocess
import warnings
from errno import ENOSPC
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.platforms import linux_only
from shapleycam.errors import OldRunWarning, OptionError
from shapleycam.experiments import Protocol, Store
from shapleycam.experiments.rows import schema_for, to_table
from shapleycam.experiments.run_opening import is_run, open_run
from shapleycam.files import UNFINISHED

METRICS = ["average_drop", "insertion"]
PROTOCOL = Protocol(metrics=METRICS).as_data()


MODELS = {"a": {"weights": "1", "layers": {"last-conv": "conv"}}, "b/c": {"weights": "7"}}


def manifest_of(images: int = 70, order=("a", "b/c"), **changed) -> dict:
    return {
        "protocol": PROTOCOL,
        "order": list(order),
        "models": {name: MODELS.get(name, {}) for name in order},
        "dataset": {"images": images, "fingerprint": "f"},
        "sessions": [{"versions": {"torch": "1"}}],
        **changed,
    }


def rows(chunk: range, model: str = "a") -> list[dict]:
    return [
        {"index": i, "image": f"{i}.jpg", "model": model, "layer": "last-conv", "status": "ok", "average_drop": i / 7}
        for i in chunk
    ]


def table(chunk: range, model: str = "a") -> pa.Table:
    return to_table(rows(chunk, model), METRICS)


def write_all(path: Path) -> Store:
    with open_run(path, manifest_of(), 16) as run:
        for model in ("a", "b/c"):
            for chunk in run.pending(model):
                run.write(model, chunk, table(chunk, model))
    return run


def files(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


def refusal(path: Path, **changed) -> str:
    with pytest.raises(OptionError) as caught, open_run(path, manifest_of(**changed), 16):
        pytest.fail("was opened")
    return str(caught.value)


class TestRows:
    def test_columns_are_metrics_and_the_curves_that_they_need(self):
        names = schema_for(METRICS).names
        assert names[-3:] == ["average_drop", "insertion", "insertion_curve"]
        assert "deletion_curve" not in names

    def test_what_a_row_lacks_is_null_and_what_is_undefined_is_nan(self):
        arrow_table = to_table([{"index": 3, "average_drop": math.nan, "insertion_curve": [0.5, 1.0]}], METRICS)
        frame = pl.DataFrame(pl.from_arrow(arrow_table))
        assert frame["average_drop"].is_nan().to_list() == [True]
        assert frame["insertion"].to_list() == frame["method"].to_list() == [None]
        assert frame["insertion_curve"].to_list() == [[0.5, 1.0]]

    def test_no_rows(self):
        assert to_table([], METRICS).schema == schema_for(METRICS)


class TestChunks:
    @pytest.mark.parametrize(
        ("batch_size", "size"), [(1, 32), (7, 35), (16, 32), (31, 62), (32, 32), (33, 33), (500, 500)]
    )
    def test_are_whole_batches_and_32_images_at_least(self, tmp_path, batch_size, size):
        with open_run(tmp_path, manifest_of(100), batch_size) as run:
            chunks = run.chunks()
        assert {len(chunk) for chunk in chunks[:-1]} <= {size}
        assert [index for chunk in chunks for index in chunk] == list(range(100))

    def test_stay_what_they_were_when_batches_change(self, tmp_path):
        with open_run(tmp_path, manifest_of(), 40) as first:
            assert [len(chunk) for chunk in first.chunks()] == [40, 30]
        with open_run(tmp_path, manifest_of(), 3) as second:
            assert second.chunks() == first.chunks()

    def test_what_has_a_file_is_done(self, tmp_path):
        with open_run(tmp_path, manifest_of(), 16) as run:
            assert run.pending("a") == run.chunks()
            run.write("a", run.chunks()[1], table(run.chunks()[1]))
            assert run.pending("a") == [run.chunks()[0], run.chunks()[2]]
            assert run.pending("b/c") == run.chunks()
        assert Store(tmp_path).rows()["index"].to_list() == list(run.chunks()[1])

    def test_rows_come_by_model_in_the_order_asked_then_by_image(self, tmp_path):
        with open_run(tmp_path, manifest_of(order=["b/c", "a"]), 16) as run:
            for model in ("a", "b/c"):
                for chunk in reversed(run.chunks()):
                    run.write(model, chunk, table(chunk, model))
        frame = Store(tmp_path).rows()
        assert frame["model"].to_list() == ["b/c"] * 70 + ["a"] * 70
        assert frame["index"].to_list() == [*range(70), *range(70)]

    def test_rows_before_anything_is_measured_have_all_columns(self, tmp_path):
        with open_run(tmp_path, manifest_of(), 16) as run:
            assert run.rows().columns == schema_for(METRICS).names
            assert len(run.rows()) == 0

    def test_written_again_a_chunk_is_there_once(self, tmp_path):
        with open_run(tmp_path, manifest_of(), 16) as run:
            for _ in range(2):
                run.write("a", range(32), table(range(32)))
            assert len(run.rows()) == 32

    @pytest.mark.parametrize(
        "name", ["a/b", "timm:resnet50", "a b", "..", "%2F", "a=1", "módèle", "x" * 200, ".", "a.", "con"]
    )
    def test_names_of_models(self, tmp_path, name):
        with open_run(tmp_path / "k=1" / "out", manifest_of(order=[name]), 16) as run:
            run.write(name, range(32), table(range(32), name))
        assert Store(tmp_path / "k=1" / "out").rows()["model"].unique().to_list() == [name]
        assert run.rows().columns == schema_for(METRICS).names
        assert [entry.name for entry in tmp_path.iterdir()] == ["k=1"]


class TestDurability:
    @linux_only
    def test_a_chunk_is_brought_to_the_disk_before_it_gets_its_name(self, tmp_path, monkeypatch):
        happened: list[tuple[str, str]] = []
        fsync, replace = os.fsync, Path.replace

        def synced(handle: int) -> None:
            happened.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink())))
            fsync(handle)

        def renamed(path: Path, target: Path) -> Path:
            content = pq.read_table(path).num_rows if target.suffix == ".parquet" else None
            happened.append((f"rename of {content} rows", str(path)))
            return replace(path, target)

        with open_run(tmp_path, manifest_of(), 16) as run:
            monkeypatch.setattr(os, "fsync", synced)
            monkeypatch.setattr(Path, "replace", renamed)
            run.write("a", range(32), table(range(32)))
        folder = tmp_path / "parts" / "a"
        (first, synced_file), (second, renamed_file), (third, synced_folder) = happened
        assert [first, second, third] == ["fsync", "rename of 32 rows", "fsync"]
        assert synced_file == renamed_file
        assert Path(synced_file).name.startswith(UNFINISHED)
        assert Path(synced_file).parent == folder  # on the same disk
        assert synced_folder == str(folder)

    def test_the_manifest_is_written_so_too(self, tmp_path, monkeypatch):
        synced = []
        fsync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), fsync(handle)))
        with open_run(tmp_path, manifest_of(), 16):
            assert len(synced) >= 2

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(ENOSPC, "No space left on device")])
    def test_a_chunk_that_cannot_be_finished_leaves_nothing(self, tmp_path, monkeypatch, error):
        def fails(_):
            raise error

        with open_run(tmp_path, manifest_of(), 16) as run:
            run.write("a", range(32), table(range(32)))
            before = files(tmp_path)
            monkeypatch.setattr(os, "fsync", fails)
            with pytest.raises(OptionError if isinstance(error, OSError) else type(error)):
                run.write("a", range(32, 64), table(range(32, 64)))
            assert files(tmp_path) == before
            assert len(run.rows()) == 32

    def test_leftovers_of_a_killed_process_are_removed(self, tmp_path):
        write_all(tmp_path)
        before = files(tmp_path)
        for folder in (tmp_path, tmp_path / "parts" / "a"):
            (folder / f"{UNFINISHED}abc").write_bytes(b"half")
        with open_run(tmp_path, manifest_of(), 16):
            pass
        assert files(tmp_path) == before


class TestSessions:
    def test_are_added(self, tmp_path):
        for number in ("1", "2", "3"):
            with open_run(tmp_path, manifest_of(sessions=[{"versions": {"torch": number}}]), 16):
                pass
        sessions = Store(tmp_path).manifest["sessions"]
        assert [session["versions"]["torch"] for session in sessions] == ["1", "2", "3"]

    def test_one_that_is_refused_is_not(self, tmp_path):
        write_all(tmp_path)
        refusal(tmp_path, protocol={**PROTOCOL, "seed": 1})
        assert len(Store(tmp_path).manifest["sessions"]) == 1


def as_of_an_earlier_version(path: Path, **changed) -> None:
    """Take format and identity out of a manifest, and the identities out of the chunks."""
    manifest = {**json.loads((path / "manifest.json").read_text()), **changed}
    del manifest["format"], manifest["identity"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    for chunk in path.rglob("*.parquet"):
        pq.write_table(pq.read_table(chunk), chunk, write_page_checksum=True)


class TestFormat:
    def stored_manifest(self, path: Path) -> dict:
        return json.loads((path / "manifest.json").read_text())

    def test_is_noted_in_every_manifest(self, tmp_path):
        write_all(tmp_path)
        assert self.stored_manifest(tmp_path)["format"] == 2

    def test_of_a_run_without_a_number_is_the_first(self, tmp_path):
        """As runs were before manifests had one: they are read, go on, and are noted with it then."""
        rows = write_all(tmp_path).rows()
        as_of_an_earlier_version(tmp_path)
        with pytest.warns(OldRunWarning, match="do not say to which run they belong"):
            assert Store(tmp_path).rows().equals(rows)
        with pytest.warns(OldRunWarning), open_run(tmp_path, manifest_of(), 16) as run:
            assert run.pending("a") == []
        assert self.stored_manifest(tmp_path)["format"] == 1

    def test_of_an_earlier_version_has_no_figure_misread(self, tmp_path):
        """Its chunks have no hash; the checksums of their pages are all looked at, those of figures too."""
        run = write_all(tmp_path)
        whole = run.model_rows("a")
        as_of_an_earlier_version(tmp_path)
        chunk = tmp_path / "parts" / "a" / "0000032-0000063.parquet"
        content = chunk.read_bytes()
        column = pq.ParquetFile(chunk).metadata.row_group(0).column(schema_for(METRICS).names.index("average_drop"))
        start = column.dictionary_page_offset or column.data_page_offset
        refused = 0
        for position in range(start, start + column.total_compressed_size, 7):
            changed = bytearray(content)
            changed[position] ^= 16
            chunk.write_bytes(changed)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", OldRunWarning)  # pytest.warns would hide the error
                    assert Store(tmp_path).model_rows("a").equals(whole), f"byte {position}"
            except OptionError as error:
                refused += str(chunk) in str(error)
        assert refused > 10

    def test_that_is_newer_is_refused(self, tmp_path):
        write_all(tmp_path)
        later = {**self.stored_manifest(tmp_path), "format": 3}
        (tmp_path / "manifest.json").write_text(json.dumps(later))
        with pytest.raises(OptionError) as caught:
            Store(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path / 'manifest.json'}: not a manifest of this version (format 3, expected 1 or 2); put back "
            "the file that the run wrote, or evaluate again into another folder"
        )
        assert refusal(tmp_path) == str(caught.value)


OTHER_PHOTOGRAPHS = "the photographs differ: some were changed, exchanged, renamed, removed, added or labelled anew"


class TestAnotherRun:
    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"protocol": {**PROTOCOL, "seed": 1}}, "protocol.seed was 0, is 1"),
            ({"order": ["b/c", "a"]}, "order was ['a', 'b/c'], is ['b/c', 'a']"),
            ({"order": ["a"]}, "models.b/c is missing; order was ['a', 'b/c'], is ['a']"),
            ({"dataset": {"images": 70, "fingerprint": "g"}}, OTHER_PHOTOGRAPHS),
            ({"images": 71}, "the dataset had 70 images, has 71"),
        ],
    )
    def test_is_refused_by_name(self, tmp_path, changed, says):
        before = write_all(tmp_path).rows()
        content = (tmp_path / "manifest.json").read_bytes()
        text = refusal(tmp_path, **changed)
        assert text == (
            f"{tmp_path} holds results of another run: {says}; choose another out=, or evaluate the same "
            "photographs with the same models and settings again"
        )
        assert (tmp_path / "manifest.json").read_bytes() == content
        assert Store(tmp_path).rows().equals(before)

    def test_all_differences_are_named(self, tmp_path):
        write_all(tmp_path)
        text = refusal(tmp_path, order=["a"], protocol={**PROTOCOL, "seed": 1})
        assert "order was" in text
        assert "protocol.seed was" in text

    @pytest.mark.parametrize(
        ("record", "says"),
        [
            ({"weights": "2", "layers": {"last-conv": "conv"}}, "models.a has other weights"),
            ({"weights": "1", "layers": {"last-conv": "stem"}}, "models.a.layers.last-conv was 'conv', is 'stem'"),
        ],
    )
    def test_of_a_model_with_other_weights_or_layers(self, tmp_path, record, says):
        write_all(tmp_path)
        assert says in refusal(tmp_path, models={"a": record, "b/c": {"weights": "7"}})


class TestLock:
    def test_second_run_is_refused_while_the_first_goes_on(self, tmp_path):
        with open_run(tmp_path, manifest_of(), 16) as run:
            text = refusal(tmp_path)
            assert text == f"{tmp_path}: another run writes to this folder; wait for it, or choose another out="
            run.write("a", range(32), table(range(32)))
            assert len(Store(tmp_path).rows()) == 32  # readers need not wait

    def test_is_free_afterwards(self, tmp_path):
        for _ in range(3):
            with open_run(tmp_path, manifest_of(), 16):
                pass

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OptionError("full")])
    def test_is_free_after_an_error_that_somebody_keeps(self, tmp_path, error):
        with pytest.raises(type(error)) as caught, open_run(tmp_path, manifest_of(), 16):
            raise error
        with open_run(tmp_path, manifest_of(), 16):
            assert caught.value is error

    def test_is_free_after_a_refusal_that_somebody_keeps(self, tmp_path):
        """As a notebook does, in sys.last_exc."""
        write_all(tmp_path)
        with pytest.raises(OptionError) as caught, open_run(tmp_path, manifest_of(order=["a"]), 16):
            pass
        with open_run(tmp_path, manifest_of(), 16):
            assert "order" in str(caught.value)


class TestFolder:
    def test_is_made_with_those_above_it(self, tmp_path):
        with open_run(tmp_path / "a" / "b", manifest_of(), 16):
            assert is_run(tmp_path / "a" / "b")

    def test_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        text = refusal(tmp_path)
        assert text == f"{tmp_path} is not empty (notes.txt) and holds no results; choose another out="
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert not is_run(tmp_path)

    def test_of_something_else_stays_as_it_is(self, tmp_path):
        for name in ("notes.txt", f"{UNFINISHED}notes"):
            (tmp_path / name).write_text("mine")
        refusal(tmp_path)
        assert files(tmp_path) == sorted(["notes.txt", f"{UNFINISHED}notes"])

    def test_with_a_hidden_folder_in_it(self, tmp_path):
        (tmp_path / f"{UNFINISHED}cache").mkdir()
        assert "is not empty" in refusal(tmp_path)

    def test_that_is_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        assert "a file, where a folder was expected" in refusal(tmp_path / "file")

    def test_interrupted_before_its_manifest_was_there(self, tmp_path):
        (tmp_path / "run.lock").touch()
        (tmp_path / f"{UNFINISHED}xyz").write_bytes(b'{"form')
        with open_run(tmp_path, manifest_of(), 16):
            pass
        assert files(tmp_path) == ["manifest.json", "run.lock"]

    def test_without_results_cannot_be_read(self, tmp_path):
        with pytest.raises(OptionError) as caught:
            Store(tmp_path)
        expected = f"{tmp_path}: no results of an evaluation (manifest.json is missing); give a folder of evaluate"
        assert str(caught.value) == expected


class TestDamage:
    @pytest.mark.parametrize(
        "content", [b"", b'{"format": 1,', b"[]", b"null", b"{}", b'{"format": 3}', b"\xff\xfe\x00", b"7"]
    )
    def test_of_the_manifest_is_named(self, tmp_path, content):
        write_all(tmp_path)
        (tmp_path / "manifest.json").write_bytes(content)
        before = files(tmp_path)
        with pytest.raises(OptionError) as caught:
            Store(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / 'manifest.json'}: not a manifest of this version (")
        assert str(caught.value).endswith(
            "; put back the file that the run wrote, or evaluate again into another folder"
        )
        assert refusal(tmp_path) == str(caught.value)
        assert files(tmp_path) == before

    @pytest.mark.parametrize("lost", ["protocol", "order", "dataset", "images_per_part", "models", "sessions"])
    def test_of_a_manifest_without_a_field_is_named(self, tmp_path, lost):
        write_all(tmp_path)
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        del manifest[lost]
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(OptionError, match="not a manifest of this version"):
            Store(tmp_path).rows()

    @pytest.mark.parametrize("change", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"x" * 500])
    def test_of_a_chunk_is_named_and_mended_by_deleting_it(self, tmp_path, change):
        whole = write_all(tmp_path).rows()
        chunk = tmp_path / "parts" / "a" / "0000032-0000063.parquet"
        chunk.write_bytes(change(chunk.read_bytes()))
        with pytest.raises(OptionError) as caught:
            Store(tmp_path).rows()
        assert str(caught.value).startswith(f"{chunk}: damaged (")
        assert str(caught.value).endswith("); delete it and evaluate again, which makes it anew")
        chunk.unlink()
        assert write_all(tmp_path).rows().equals(whole)

    def test_of_a_single_bit_is_never_read_as_other_numbers(self, tmp_path):
        run = write_all(tmp_path)
        whole = run.rows()
        chunk = tmp_path / "parts" / "a" / "0000032-0000063.parquet"
        content = chunk.read_bytes()
        footer = int.from_bytes(content[-8:-4], "little") + 8
        random = np.random.default_rng(0)
        for position in random.choice(len(content) - footer, 100, replace=False):
            changed = bytearray(content)
            changed[position] ^= 1 << int(random.integers(8))
            chunk.write_bytes(changed)
            try:
                assert run.rows().equals(whole), f"bit in byte {position}"
            except OptionError as error:
                assert str(chunk) in str(error)  # noqa: PT017

    def test_of_a_chunk_with_other_columns_is_named(self, tmp_path):
        run = write_all(tmp_path)
        chunk = tmp_path / "parts" / "a" / "0000032-0000063.parquet"
        pq.write_table(pa.table({"index": [1]}), chunk)
        with pytest.raises(OptionError, match="damaged"):
            run.rows()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 96 KiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("needs to be root, to mount a small disk")
    yield disk
    gc.collect()  # the lock's file
    subprocess.run([shutil.which("umount"), "-l", disk], check=True)


def test_full_disk(small_disk):
    def large(chunk: range) -> pa.Table:
        noise = np.random.default_rng(chunk.start).random((len(chunk), 200), dtype=np.float32)
        return to_table([{**row, "insertion_curve": n} for row, n in zip(rows(chunk), noise, strict=True)], METRICS)

    def write(run: Store) -> None:
        for chunk in run.pending("a"):
            run.write("a", chunk, large(chunk))

    with pytest.raises(OptionError) as caught, open_run(small_disk, manifest_of(160), 16) as run:
        write(run)
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    written = Store(small_disk).rows()
    assert 0 < len(written) < 160
    assert not list(small_disk.rglob(f"{UNFINISHED}*"))
    subprocess.run([shutil.which("mount"), "-o", "remount,size=2m", small_disk], check=True)
    with open_run(small_disk, manifest_of(160), 16) as run:
        write(run)
    whole = Store(small_disk).rows()
    assert whole["index"].to_list() == list(range(160))
    assert whole.head(len(written)).equals(written)
