"""Chunks in the wrong place, locks that are none, and results that vanish while a run writes to them."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.small_evaluations import QUICK, RecordingListener, run_evaluation, tiny_network
from shapleycam.errors import OldRunWarning, OptionError, WeakLockWarning
from shapleycam.experiments import Store
from shapleycam.experiments.rows import to_table
from shapleycam.experiments.run_lock import acquire_lock
from shapleycam.files import UNFINISHED

fcntl, resource = pytest.importorskip("fcntl"), pytest.importorskip("resource")  # not on Windows
BOTH = (tiny_network(), tiny_network(1, "other"))
FIRST, SECOND, THIRD = "0000000-0000031.parquet", "0000032-0000063.parquet", "0000064-0000069.parquet"


@pytest.fixture(scope="module")
def two_models(shots, tmp_path_factory) -> Path:
    """A finished run of two models."""
    out = tmp_path_factory.mktemp("runs") / "two"
    run_evaluation(shots, out, BOTH)
    return out


@pytest.fixture(scope="module")
def another_run(shots, tmp_path_factory) -> Path:
    """A run of the same images, models and columns, in which another class is explained of some images."""
    out = tmp_path_factory.mktemp("runs") / "another"
    run_evaluation(shots, out, BOTH, replace(QUICK, seed=1))
    return out


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


MISPLACED: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "swapped between models": (
        lambda parts, _: swap(parts / "tiny" / FIRST, parts / "other" / FIRST),
        f"tiny/{FIRST}: not the chunk that belongs there (it is that of images 0 to 31 of model 'other'); delete",
    ),
    "swapped between positions": (
        lambda parts, _: swap(parts / "tiny" / FIRST, parts / "tiny" / SECOND),
        f"tiny/{FIRST}: not the chunk that belongs there (it is that of images 32 to 63 of model 'tiny'); delete",
    ),
    "of another run": (
        lambda parts, another: shutil.copy(another / "parts/tiny" / SECOND, parts / "tiny"),
        f"tiny/{SECOND}: not of this run (it is a chunk of another run, images 32 to 63 of model 'tiny'); delete",
    ),
    "duplicated over another": (
        lambda parts, _: shutil.copy(parts / "tiny" / FIRST, parts / "tiny" / THIRD),
        f"tiny/{THIRD}: not the chunk that belongs there (it is that of images 0 to 31 of model 'tiny'); delete",
    ),
    "duplicated under another name": (
        lambda parts, _: shutil.copy(parts / "tiny" / FIRST, parts / "tiny" / "copy.parquet"),
        "tiny/copy.parquet: no chunk of this run by its name; the run has 70 images in chunks of 32, and the models",
    ),
    "renamed": (
        lambda parts, _: (parts / "tiny" / THIRD).rename(parts / "tiny" / "0000064-0000095.parquet"),
        "tiny/0000064-0000095.parquet: no chunk of this run by its name; ",
    ),
    "of a model that the run has not": (
        lambda parts, _: shutil.copytree(parts / "tiny", parts / "tiny (copy)"),
        f"tiny (copy)/{FIRST}: no chunk of this run by its name; ",
    ),
    "beside the folders": (
        lambda parts, _: shutil.copy(parts / "tiny" / FIRST, parts),
        f"{FIRST}: no chunk of this run by its name; ",
    ),
}


@pytest.mark.parametrize("fault", MISPLACED)
def test_a_chunk_that_is_misplaced_is_refused_when_read_and_when_the_run_goes_on(
    shots, two_models, another_run, tmp_path, fault
):
    out = shutil.copytree(two_models, tmp_path / "out")
    misplace, expected = MISPLACED[fault]
    misplace(out / "parts", another_run)
    manifest = (out / "manifest.json").read_bytes()
    with pytest.raises(OptionError) as when_read:
        Store(out).rows()
    assert str(when_read.value).startswith(f"{out}/parts/{expected}")
    with pytest.raises(OptionError) as when_gone_on_with:
        run_evaluation(shots, out, BOTH)
    assert str(when_gone_on_with.value) == str(when_read.value)
    assert (out / "manifest.json").read_bytes() == manifest


def test_other_files_than_chunks_do_no_harm(shots, two_models, tmp_path):
    out = shutil.copytree(two_models, tmp_path / "out")
    for name in (".DS_Store", "tiny/Thumbs.db", "tiny/notes.txt"):
        (out / "parts" / name).touch()
    (out / "parts" / ".ipynb_checkpoints").mkdir()
    assert run_evaluation(shots, out, BOTH).rows().equals(Store(two_models).rows())


def test_the_same_run_made_twice_is_the_same_run(shots, finished, tmp_path):
    """So that chunks may be made in two folders, and brought together."""
    again = run_evaluation(shots, tmp_path / "again")
    assert again.manifest["identity"] == finished.manifest["identity"]
    (tmp_path / "again/parts/tiny" / SECOND).unlink()
    shutil.copy(finished.storage.path / "parts/tiny" / SECOND, tmp_path / "again/parts/tiny")
    assert Store(tmp_path / "again").rows().equals(finished.rows())


class TestEarlierVersion:
    """Runs whose manifest and chunks carry no identity."""

    @pytest.fixture
    def out(self, two_models, tmp_path) -> Path:
        import pyarrow.parquet as pq

        out = shutil.copytree(two_models, tmp_path / "out")
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        del manifest["identity"], manifest["format"]
        (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        for chunk in out.rglob("*.parquet"):
            pq.write_table(pq.read_table(chunk), chunk, write_page_checksum=True)
        return out

    def test_goes_on_and_what_cannot_be_verified_is_said_once(self, shots, two_models, out):
        (out / "parts/tiny" / SECOND).unlink()
        with pytest.warns(OldRunWarning) as caught:
            store = run_evaluation(shots, out, BOTH)
        (message,) = (str(warning.message) for warning in caught)
        assert message == (
            f"{out} has chunks of an earlier version, which do not say to which run they belong; only their models "
            "and images were verified"
        )
        assert store.rows().equals(Store(two_models).rows())

    def test_has_a_table_with_one_note(self, run, two_models, out):
        old, new = run("table", out), run("table", two_models)
        assert old.out == new.out.replace(str(two_models), str(out))
        assert new.err == ""
        assert old.err.startswith(f"note: {out} has chunks of an earlier version, ")
        assert old.err.count("\n") == 1

    @pytest.mark.parametrize("fault", ["swapped between models", "swapped between positions", "renamed"])
    def test_is_verified_by_models_and_images(self, out, fault):
        MISPLACED[fault][0](out / "parts", out)
        with pytest.raises(OptionError, match=r"no chunk of this run|not the chunk that belongs there \(it holds rows"):
            Store(out).rows()

    @pytest.mark.filterwarnings("ignore::shapleycam.errors.OldRunWarning")
    def test_takes_no_chunk_of_another_run_that_says_what_it_is(self, another_run, out):
        MISPLACED["of another run"][0](out / "parts", another_run)
        with pytest.raises(OptionError, match="not of this run"):
            Store(out).rows()


def remove(out: Path) -> None:
    shutil.rmtree(out)


def move(out: Path) -> None:
    out.rename(out.with_name("elsewhere"))


def replace_by_file(out: Path) -> None:
    shutil.rmtree(out)
    out.touch()


def remove_manifest(out: Path) -> None:
    (out / "manifest.json").unlink()


@pytest.mark.parametrize("do", [remove, move, replace_by_file, remove_manifest])
def test_results_that_vanish_in_the_middle(shots, tmp_path, do):
    out = tmp_path / "out"
    with pytest.raises(OptionError) as caught:
        run_evaluation(shots, out, listener=RecordingListener(33, lambda: do(out)))
    assert str(caught.value) == (
        f"{out}/manifest.json is not there any more: the results were removed or moved away while the run went on; put "
        "them back to go on with them, or evaluate again"
    )
    assert not out.is_dir() or not (out / "parts/tiny" / SECOND).exists()


def test_results_that_were_moved_away_go_on_when_they_are_back(shots, finished, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OptionError):
        run_evaluation(shots, out, listener=RecordingListener(33, lambda: move(out)))
    out.with_name("elsewhere").rename(out)
    listener = RecordingListener()
    assert run_evaluation(shots, out, listener=listener).rows().equals(finished.rows())
    assert listener.started == (70, 32)


def test_results_that_are_exchanged_for_another_run(shots, another_run, tmp_path):
    out = tmp_path / "out"

    def exchange() -> None:
        shutil.rmtree(out)
        shutil.copytree(another_run, out)

    with pytest.raises(OptionError, match="holds another run than the one that writes to it: the results were exchang"):
        run_evaluation(shots, out, listener=RecordingListener(33, exchange))
    assert Store(out).rows().equals(Store(another_run).rows())


def test_chunks_that_vanish_in_the_middle(shots, finished, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OptionError) as caught:
        run_evaluation(shots, out, listener=RecordingListener(33, lambda: shutil.rmtree(out / "parts")))
    assert str(caught.value) == (
        f"1 chunk that this run wrote to {out} cannot be found there: removed while the run went on; evaluate again, "
        "which makes them anew"
    )
    assert run_evaluation(shots, out).rows().equals(finished.rows())


def test_a_machine_that_does_not_share_the_folder(finished, tmp_path, monkeypatch):
    out = shutil.copytree(finished.storage.path, tmp_path / "out")
    store = Store(out)
    shutil.rmtree(out)
    monkeypatch.setattr(platform, "node", lambda: "worker-7")
    with pytest.raises(OptionError) as caught:
        store.write("tiny", range(32), to_table([], QUICK.metrics))
    assert str(caught.value) == (
        f"{out} has no manifest.json on the machine worker-7: the machines of the cluster do not share this folder; "
        "give one that they share, or a URL such as s3://bucket/run"
    )


class TestLock:
    def refusal(self, path: Path) -> str:
        with pytest.raises(OptionError) as caught, acquire_lock(path):
            pytest.fail("was acquired")
        return str(caught.value)

    @pytest.mark.parametrize(
        ("make", "kind"),
        [
            (lambda path: path.mkdir(), "a folder"),
            (lambda path: path.symlink_to(path.with_name("mine.txt")), "a link"),
            (lambda path: path.symlink_to(path.with_name("nothing")), "a link"),
            (lambda path: path.symlink_to(path), "a link"),
            (os.mkfifo, "no plain file"),
        ],
    )
    def test_that_is_no_file(self, tmp_path, make, kind):
        path = tmp_path / "run.lock"
        (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
        make(path)
        assert self.refusal(path) == (
            f"{path}: {kind}, where the lock of a run was expected; remove it, or choose another out="
        )
        assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
        assert not (tmp_path / "nothing").exists()

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOLCK])
    def test_that_the_system_denies(self, tmp_path, monkeypatch, number):
        """Of another user, on a disk that is read only, or where a network disk has no locks left."""

        def deny(*_):
            raise OSError(number, os.strerror(number))

        path = tmp_path / "run.lock"
        path.touch()
        monkeypatch.setattr(os, "open", deny)
        assert self.refusal(path) == (
            f"{path}: cannot be locked ({os.strerror(number)}); remove the file if no other run writes to this folder, "
            "or choose another out="
        )

    def test_that_a_killed_run_left(self, tmp_path):
        (tmp_path / "run.lock").write_text("123456\n", encoding="utf-8")
        with acquire_lock(tmp_path / "run.lock"):
            pass

    def test_where_the_disk_has_no_locks(self, tmp_path, monkeypatch):
        def missing(*_):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        path = tmp_path / "run.lock"
        monkeypatch.setattr(fcntl, "flock", missing)
        for _ in range(2):
            with pytest.warns(WeakLockWarning, match=r"stays there when this process is killed"), acquire_lock(path):
                assert self.refusal(path) == (
                    f"{tmp_path}: another run writes to this folder; wait for it, remove run.lock if it was killed, or "
                    "choose another out="
                )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def large_chunk(store: Store) -> None:
    """Write the second chunk of a run anew, with rows of noise."""
    noise = np.random.default_rng(0).random((32, len(QUICK.metrics)))
    rows = [
        {"model": "tiny", "index": 32 + row, "method": "gradcam", **dict(zip(QUICK.metrics, values, strict=True))}
        for row, values in enumerate(noise)
    ]
    store.write("tiny", range(32, 64), to_table(rows, QUICK.metrics))


def test_a_quota(finished, tmp_path):
    store = Store(shutil.copytree(finished.storage.path, tmp_path / "out"))
    with largest_file(1000), pytest.raises(OptionError) as caught:
        large_chunk(store)
    assert str(caught.value) == (
        f"{tmp_path}/out/parts/tiny/{SECOND}: cannot be written (File too large); nothing was left there"
    )
    assert store.rows().equals(finished.rows())
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def test_a_disk_that_becomes_read_only(finished, tmp_path):
    mount, disk = shutil.which("mount"), tmp_path / "disk"
    disk.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs to be root, to mount a disk")
    try:
        store = Store(shutil.copytree(finished.storage.path, disk / "out"))
        subprocess.run([mount, "-o", "remount,ro", disk], check=True)
        with pytest.raises(OptionError) as caught:
            large_chunk(store)
        assert str(caught.value) == (
            f"{disk}/out/parts/tiny: cannot be written (Read-only file system); choose another folder with out="
        )
        assert Store(disk / "out").rows().equals(finished.rows())
        with pytest.raises(OptionError, match="Read-only file system"), store.storage.lock():
            pass
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", disk], check=True)
