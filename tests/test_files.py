"""Files are written completely or not at all."""

from __future__ import annotations

import os
from errno import EINVAL, EIO, ENOSPC, ENOTSUP
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

import pytest

from helpers.platforms import posix_only
from shapleycam import files
from shapleycam.errors import OptionError
from shapleycam.files import UNFINISHED, make_folder, portable_name, write_atomically


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def stumble(error: Exception):
    """Return a writer that fails half-way."""

    def write(file):
        file.write(b"half")
        file.flush()
        raise error

    return write


def raise_(error: Exception):
    """Return a function that raises."""

    def function(*_, **__):
        raise error

    return function


def in_use(number: int | None) -> PermissionError:
    """Return the error of Windows with this number; None is that of other systems."""
    error = PermissionError(13, "in use")
    if number is not None:
        error.winerror = number
    return error


class TestWriteWhole:
    def test_content_and_name(self, tmp_path):
        path = tmp_path / "a.png"
        assert write_atomically(path, lambda file: file.write(b"new")) == path
        assert path.read_bytes() == b"new"
        assert names(tmp_path) == ["a.png"]

    def test_replaces_what_was_there(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"old and longer")
        write_atomically(path, lambda file: file.write(b"new"))
        assert path.read_bytes() == b"new"

    def test_old_file_stays_while_the_new_one_is_written(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"old")
        seen = []

        def write(file):
            file.write(b"new")
            file.flush()
            seen.append(path.read_bytes())

        write_atomically(path, write)
        assert seen == [b"old"]

    @pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
    def test_error_of_the_writer_leaves_the_old_file_and_nothing_else(self, tmp_path, error):
        path = tmp_path / "a.png"
        path.write_bytes(b"old")
        with pytest.raises(type(error)):
            write_atomically(path, stumble(error))
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["a.png"]

    def test_full_disk_is_said_and_nothing_is_left(self, tmp_path):
        path = tmp_path / "a.png"
        with pytest.raises(OptionError) as caught:
            write_atomically(path, stumble(OSError(ENOSPC, "No space left on device")))
        assert str(caught.value) == f"{path}: cannot be written (No space left on device); nothing was left there"
        assert names(tmp_path) == []

    def test_error_without_a_number_keeps_its_text(self, tmp_path):
        with pytest.raises(OptionError, match=r"cannot be written \(encoder error -2\)"):
            write_atomically(tmp_path / "a.png", stumble(OSError("encoder error -2")))

    def test_name_of_a_folder(self, tmp_path):
        (tmp_path / "a.png").mkdir()
        with pytest.raises(OptionError, match=r"a\.png: cannot be written"):
            write_atomically(tmp_path / "a.png", lambda file: file.write(b"new"))
        assert names(tmp_path) == ["a.png"]

    def test_missing_folder(self, tmp_path):
        with pytest.raises(OptionError) as caught:
            write_atomically(tmp_path / "maps/a.png", lambda file: file.write(b"new"))
        expected = f"{tmp_path / 'maps'}: cannot be written (No such file or directory); choose another folder"
        assert str(caught.value) == expected

    @posix_only
    @pytest.mark.parametrize("mask", [0o022, 0o077])
    def test_permissions_are_those_of_any_new_file(self, tmp_path, mask):
        before = os.umask(mask)
        try:
            (tmp_path / "usual").write_bytes(b"")
            write_atomically(tmp_path / "ours", lambda file: file.write(b""))
            assert os.umask(mask) == mask
        finally:
            os.umask(before)
        assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode

    def test_longest_name(self, tmp_path):
        path = tmp_path / ("n" * 251 + ".png")
        assert write_atomically(path, lambda file: file.write(b"new")).read_bytes() == b"new"

    @pytest.mark.parametrize("number", [EINVAL, ENOTSUP])
    def test_a_disk_without_fsync_has_the_file(self, tmp_path, monkeypatch, number):
        monkeypatch.setattr(os, "fsync", raise_(OSError(number, "no fsync here")))
        assert write_atomically(tmp_path / "a.png", lambda file: file.write(b"new")).read_bytes() == b"new"

    def test_a_disk_that_fails_to_sync_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "fsync", raise_(OSError(EIO, "Input/output error")))
        with pytest.raises(OptionError, match=r"a\.png: cannot be written \(Input/output error\)"):
            write_atomically(tmp_path / "a.png", lambda file: file.write(b"new"))
        assert names(tmp_path) == []

    @posix_only
    def test_a_folder_that_cannot_be_read_has_the_file(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "open", raise_(PermissionError(13, "Permission denied")))
        assert write_atomically(tmp_path / "a.png", lambda file: file.write(b"new")).read_bytes() == b"new"


class TestFileInUseOnWindows:
    """Windows refuses to rename over an open file; its errors carry `winerror`."""

    @pytest.fixture(autouse=True)
    def waits(self, monkeypatch):
        waits: list[float] = []
        monkeypatch.setattr(files.time, "sleep", waits.append)
        return waits

    @staticmethod
    def refuse_renames(monkeypatch, times: int, number: int | None) -> None:
        """Let the first renames fail."""
        rename, errors = Path.replace, [in_use(number)] * times

        def replace(path, target):
            if errors:
                raise errors.pop()
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", replace)

    @pytest.mark.parametrize("number", [5, 32, 33])
    def test_is_tried_again(self, tmp_path, monkeypatch, waits, number):
        self.refuse_renames(monkeypatch, 3, number)
        (tmp_path / "a.png").write_bytes(b"old")
        assert write_atomically(tmp_path / "a.png", lambda file: file.write(b"new")).read_bytes() == b"new"
        assert len(waits) == 3
        assert names(tmp_path) == ["a.png"]

    def test_is_said_after_a_second(self, tmp_path, monkeypatch, waits):
        self.refuse_renames(monkeypatch, 1000, 32)
        (tmp_path / "a.png").write_bytes(b"old")
        with pytest.raises(OptionError) as caught:
            write_atomically(tmp_path / "a.png", lambda file: file.write(b"new"))
        assert str(caught.value).endswith("cannot be written (in use); close the program that has it open")
        assert 0.5 < sum(waits) < 2
        assert (tmp_path / "a.png").read_bytes() == b"old"
        assert names(tmp_path) == ["a.png"]

    def test_another_refusal_is_said_at_once(self, tmp_path, monkeypatch, waits):
        self.refuse_renames(monkeypatch, 1000, None)
        with pytest.raises(OptionError, match="cannot be written"):
            write_atomically(tmp_path / "a.png", lambda file: file.write(b"new"))
        assert waits == []

    def test_unfinished_file_in_use_is_left(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Path, "unlink", raise_(in_use(32)))
        with pytest.raises(OptionError, match="No space left"):
            write_atomically(tmp_path / "a.png", stumble(OSError(ENOSPC, "No space left on device")))
        assert [name.startswith(UNFINISHED) for name in names(tmp_path)] == [True]


class TestPortableName:
    NAMES = (
        *(
            "a",
            "A b",
            "timm:resnet18",
            "a/b",
            "a\\b",
            "..",
            ".",
            "a.",
            "a.%2E",
            "a ",
            "con",
            "CON",
            "Aux.txt",
            "com1.x.y",
        ),
        *(
            "com",
            "nul",
            "conv1",
            "%41",
            "<lambda>",
            'a"|?*b',
            "line\nbreak",
            "módèle",
            "caf\udce9",
            "\ud800",
            "layer4.1.relu",
        ),
    )

    @pytest.mark.parametrize("text", NAMES)
    def test_is_a_name_on_every_system(self, text):
        name = portable_name(text)
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set('<>:"/\\|?*')
        assert name[-1] not in ". "
        assert not PureWindowsPath(name).is_reserved()
        assert PureWindowsPath("folder", name).name == name

    @pytest.mark.parametrize("text", NAMES)
    def test_the_text_can_be_had_back(self, text):
        assert unquote(portable_name(text), errors="surrogatepass") == text

    @pytest.mark.parametrize("text", ["before-pool_rest", "ranks_adcc_layer4.1_logit", "gradcam~2"])
    def test_usual_names_stay(self, text):
        assert portable_name(text) == text


class TestFolder:
    def test_is_made_with_those_above_it(self, tmp_path):
        assert make_folder(tmp_path / "maps/of/today").is_dir()

    def test_existing_one_is_left_as_it_is(self, tmp_path):
        (tmp_path / "a.png").touch()
        assert make_folder(tmp_path) == tmp_path
        assert names(tmp_path) == ["a.png"]

    def test_file_in_its_place(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("text")
        with pytest.raises(OptionError) as caught:
            make_folder(path)
        assert str(caught.value) == f"{path}: a file, where a folder was expected; choose another with out="
        assert path.read_text() == "text"

    def test_file_above_it(self, tmp_path):
        (tmp_path / "a.txt").touch()
        path = tmp_path / "a.txt/maps"
        with pytest.raises(OptionError) as caught:
            make_folder(path)
        assert str(caught.value) == f"{path}: cannot be written (Not a directory); choose another folder with out="

    def test_nothing_is_left_of_the_trial(self, tmp_path):
        assert names(make_folder(tmp_path / "maps")) == []
