"""Files are written completely or not at all."""

from __future__ import annotations

import os
from errno import ENOSPC
from pathlib import Path

import pytest

from shapleycam.errors import OptionError
from shapleycam.files import make_folder, write_atomically


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def stumble(error: Exception):
    """Return a writer that fails half-way."""

    def write(file):
        file.write(b"half")
        file.flush()
        raise error

    return write


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
