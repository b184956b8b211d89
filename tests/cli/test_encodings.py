"""What is printed where stdout has another encoding than UTF-8, as a file or pipe has on Windows."""

from __future__ import annotations

import csv
import sys
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from test_table import write_finished_run

from shapleycam import cli

ENCODINGS = ["cp1252", "cp437", "ascii", "utf-16"]


@pytest.fixture
def run_in(monkeypatch, tmp_path):
    """Runs `shapleycam ARGS` with stdout and stderr in an encoding; returns the exit code and both as bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def command(encoding: str, *arguments: str) -> tuple[int, bytes, bytes]:
        streams = [TextIOWrapper(BytesIO(), encoding=encoding, errors="strict", newline="\r\n") for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        monkeypatch.setattr(sys, "argv", ["shapleycam", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        for stream in streams:
            stream.flush()
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        return int(caught.value.code or 0), *(stream.buffer.getvalue() for stream in streams)

    return command


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", ["metrics", "methods", "explain --help", "evaluate --help", "models --help"])
def test_what_cannot_be_printed_is_an_escape(run_in, encoding, command):
    code, out, err = run_in(encoding, *command.split())
    assert (code, err.decode(encoding).strip("\ufeff")) == (0, "")
    text = out.decode(encoding)
    assert command != "metrics" or encoding == "utf-16" or r"Rand \u03c1" in text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_is_one_line(run_in, encoding):
    code, out, err = run_in(encoding, "explain", "\u03c6.jpg", "--method", "\u03c6")
    assert (code, out.decode(encoding).strip("\ufeff")) == (2, "")
    (line,) = err.decode(encoding).splitlines()
    assert ("\u03c6" if encoding in {"cp437", "utf-16"} else r"\u03c6") in line


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", ["csv", "markdown", "latex", "html"])
def test_a_document_is_in_utf_8(run_in, tmp_path, encoding, form):
    write_finished_run(tmp_path / "run", "coherency", models=("s\u00ed\u03c6", "\u7f51\u7edc"))
    code, out, _ = run_in(encoding, "table", "run", "--format", form)
    run_in(encoding, "table", "run", "--format", form, "--out", "file")
    assert code == 0
    assert out == (tmp_path / "file").read_bytes()
    assert "\u7f51\u7edc" in out.decode()
    if form == "csv":
        assert {line["model"] for line in csv.DictReader(StringIO(out.decode()))} == {"s\u00ed\u03c6", "\u7f51\u7edc"}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_for_people_is_printed(run_in, tmp_path, encoding):
    write_finished_run(tmp_path / "run", "coherency", models=("s\u00ed\u03c6", "\u7f51\u7edc"))
    code, out, _ = run_in(encoding, "table", "run")
    assert code == 0
    assert ("\u7f51\u7edc" if encoding == "utf-16" else r"\u7f51\u7edc") in out.decode(encoding)
