"""Photographs that are removed, replaced or changed while a run goes on."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.platforms import posix_only
from helpers.small_evaluations import QUICK, RecordingListener, run_evaluation
from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments import RunSettings
from shapleycam.experiments.datasets.files import FileDataset

CHUNK = 32


@pytest.fixture
def photos(shots, tmp_path) -> Path:
    """Forty photographs, of which the last eight are the second chunk."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(shots.iterdir())[:40]:
        shutil.copy(path, folder)
    return folder


def run_with(data: Path, out: Path, change: Callable[[], object]):
    """Run, and change the data when the first chunk is measured."""
    return run_evaluation(data, out, protocol=QUICK, listener=RecordingListener(CHUNK, change)).rows()


@pytest.mark.slow
def test_files(photos, tmp_path):
    whole = {path.name: path.read_bytes() for path in photos.iterdir()}

    def change() -> None:
        (photos / "0033.jpg").unlink()
        (photos / "0034.jpg").write_bytes(whole["0035.jpg"])
        (photos / "0036.jpg").write_bytes(whole["0036.jpg"][:300])
        (photos / "0037.jpg").write_bytes(b"")
        (photos / "0000.jpg").unlink()  # was measured already

    rows = run_with(photos, tmp_path / "run", change)
    errors = dict(rows.filter(status="error").select("image", "message").rows())
    assert errors.keys() == {"0033.jpg", "0034.jpg", "0036.jpg", "0037.jpg"}
    assert errors["0033.jpg"].endswith("0033.jpg: no such file; check the path (it was changed after the run began)")
    assert errors["0034.jpg"].startswith("0034.jpg: its content was changed after the run began; put it back, or")
    assert rows["image"].n_unique() == 40

    with pytest.raises(
        OptionError, match="holds results of another run: the photographs differ: some were changed"
    ) as caught:
        run_evaluation(photos, tmp_path / "run", protocol=QUICK)
    assert "\n" not in str(caught.value)
    for name, content in whole.items():
        (photos / name).write_bytes(content)
    listener = RecordingListener()
    resumed = run_evaluation(photos, tmp_path / "run", protocol=QUICK, listener=listener)
    undisturbed = run_evaluation(photos, tmp_path / "undisturbed", protocol=QUICK)
    assert resumed.rows().equals(undisturbed.rows())
    assert listener.started == (40, CHUNK)  # the other chunk was as it should be


def test_other_errors_are_tried_again_only_where_that_is_asked_for(photos, tmp_path, monkeypatch):
    """As where the network was away: the photographs are the same, and can be read now."""
    with monkeypatch.context() as patch:
        patch.setattr(FileDataset, "open", raise_at(33, FileDataset.open))
        rows = run_evaluation(photos, tmp_path / "run", protocol=QUICK).rows()
    assert rows.filter(status="error")["image"].to_list() == ["0033.jpg"]
    assert run_evaluation(photos, tmp_path / "run", protocol=QUICK).rows().equals(rows)
    settings = RunSettings("cpu", batch_size=8, workers=0, retry_errors=True)
    retried = run_evaluation(photos, tmp_path / "run", protocol=QUICK, settings=settings).rows()
    assert retried["status"].to_list() == ["ok"] * len(retried)
    assert retried.filter(index=0).equals(rows.filter(index=0))


def raise_at(number: int, open_photograph: Callable[..., Path]) -> Callable[..., Path]:
    def open_or_raise(dataset: FileDataset, index: int) -> Path:
        if index == number:
            raise ImageError(f"{dataset.names[index]}: cannot be read (the network is away)")
        return open_photograph(dataset, index)

    return open_or_raise


def pack_zip(photos: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for photo in sorted(photos.iterdir()):
            archive.write(photo, photo.name)


def pack_tar(photos: Path, path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for photo in sorted(photos.iterdir()):
            archive.add(photo, photo.name)


def pack_parquet(photos: Path, path: Path) -> None:
    pq.write_table(pa.table({"image": [photo.read_bytes() for photo in sorted(photos.iterdir())]}), path)


@posix_only  # Windows keeps files that are open
@pytest.mark.parametrize("pack", [pack_zip, pack_tar, pack_parquet])
def test_files_of_photographs(photos, tmp_path, pack):
    path = tmp_path / f"photos.{pack.__name__.removeprefix('pack_')}"
    pack(photos, path)

    def change() -> None:
        for number in range(33, 40):
            (photos / f"00{number}.jpg").write_bytes((photos / "0000.jpg").read_bytes())
        pack(photos, tmp_path / "new")
        (tmp_path / "new").replace(path)

    rows = run_with(path, tmp_path / "run", change)
    errors = rows.filter(status="error")
    changed = [row["index"] for row in errors.iter_rows(named=True)]
    # Of a Parquet file the rows are read together, and all that are read later are of another file.
    assert changed == list(range(32 if pack is pack_parquet else 33, 40))
    assert all("changed after the run began" in message for message in errors["message"])


@posix_only  # Windows keeps files that are open
@pytest.mark.parametrize("pack", [pack_zip, pack_tar, pack_parquet])
def test_files_of_photographs_that_are_removed(photos, tmp_path, pack):
    path = tmp_path / f"photos.{pack.__name__.removeprefix('pack_')}"
    pack(photos, path)
    rows = run_with(path, tmp_path / "run", path.unlink)
    errors = rows.filter(status="error")
    assert len(errors) == 8
    assert all("No such file or directory" in message for message in errors["message"])
