"""What a terminal shows: nothing shares a line with a progress bar, and nothing that one must type is cut."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from helpers.platforms import linux_only
from helpers.terminal_screen import Terminal, open_terminal
from shapleycam import cli, methods
from shapleycam.metrics import METRICS

pytestmark = linux_only

METHOD = "--method", "shapleycam"
LONG = "a_photograph_of_the_summer_of_2024_at_the_lake_with_a_dog_and_two_children_of_the_neighbours.png"


@pytest.fixture
def on_terminal(monkeypatch, tmp_path):
    """Run `shapleycam ARGS` on a terminal of so many columns, in an empty folder; return what it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")

    def command(columns: int, *args: object) -> Terminal:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["shapleycam", *map(str, args)])
        with open_terminal() as (terminal, handle), monkeypatch.context() as patched:
            streams = [os.fdopen(os.dup(handle), "w", encoding="utf-8", buffering=1) for _ in range(2)]
            patched.setattr(sys, "stdout", streams[0])
            patched.setattr(sys, "stderr", streams[1])
            try:
                cli.main()
            except SystemExit:
                pass
            finally:
                for stream in streams:
                    stream.close()
        return terminal

    return command


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Three photographs of noise, of which one has a long name."""
    names = ["cat.png", "two words.png", LONG]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return names


def assert_fits(lines: list[str], columns: int, *names: str) -> None:
    """Assert that a line is too long only for a name, and that each name is whole on some line."""
    for line in lines:
        assert cell_len(line) <= columns or any(name in line for name in names), line
    for name in names:
        assert any(name in line for line in lines), name


class TestProgress:
    @pytest.mark.parametrize("count", [1, 3])
    def test_no_output_shares_a_line_with_the_bar(self, on_terminal, tiny, photos, count):
        # The note about the curvature is printed while the bar is shown, and so is each photograph.
        options = ("--model", tiny, "--utility", "logit", "--batch-size", 1)
        terminal = on_terminal(80, "explain", *photos[:count], *options, *METHOD)
        assert "explaining" in terminal.text
        assert not [line for line in terminal.lines if "explaining" in line or "━" in line]
        titles = [line for line in terminal.lines if line and not line.startswith(" ")]
        assert titles[0].startswith("note: utility 'logit' has no curvature behind layer 'activation'")
        assert [title for title in titles if title in photos] == photos[:count]
        written = [line.split(maxsplit=1)[1] for line in terminal.lines if line.startswith("  written")]
        assert len(written) == count
        assert all(Path(file).is_file() for file in written)

    def test_errors_neither(self, on_terminal, tiny, photos):
        Path("broken.png").write_bytes(b"nothing")
        terminal = on_terminal(80, "explain", photos[0], "broken.png", photos[1], "--model", tiny, "--batch-size", 1)
        assert "explaining" in terminal.text
        (error,) = [line for line in terminal.lines if "broken" in line]
        assert error.startswith("error: broken.png: not an image")
        assert not [line for line in terminal.lines if "━" in line]

    def test_a_document_stays_on_one_line(self, on_terminal, tiny, photos):
        terminal = on_terminal(80, "explain", *photos, "--model", tiny, "--json")
        documents = [json.loads(line) for line in terminal.lines if line]
        assert [document["image"] for document in documents] == photos

    def test_an_evaluation(self, on_terminal, tiny, photos):
        options = ("--model", tiny, "--method", "shapleycam", "--metric", "complexity", "--utility", "logit")
        terminal = on_terminal(80, "evaluate", ".", *options, "--out", "run", "--workers", 0, "--batch-size", 1)
        assert "images/s" in terminal.text
        assert not [line for line in terminal.lines if "images/s" in line or "━" in line]
        assert "3 images measured, no errors; results in run" in terminal.lines


class TestWidth:
    @pytest.mark.parametrize("columns", [40, 80, 120])
    def test_explain(self, on_terminal, tiny, photos, columns):
        terminal = on_terminal(
            columns, "explain", *photos, "--model", tiny, "--target", "heron", "--out", "maps", *METHOD
        )
        files = [f"maps/{name.removesuffix('.png')}_heron-2_shapleycam.png" for name in photos]
        assert_fits(terminal.lines, columns, LONG, *files)
        for line in terminal.lines:
            assert line.startswith((" ", *photos, "note: ")) or not line
        assert len([line for line in terminal.lines if line.startswith("  explained")]) == 3

    @pytest.mark.parametrize("columns", [40, 80, 120, 200])
    @pytest.mark.parametrize("command", ["methods", "metrics", "models", "layers"])
    def test_lists(self, on_terminal, tiny, command, columns):
        arguments = {
            "models": [],
            "methods": [row.name for row in methods()],
            "metrics": list(METRICS),
            "layers": ["convolution", "activation", "6x4x4", "NCHW 4 x 4"],
        }
        terminal = on_terminal(columns, command, *([tiny, "--quiet"] if command == "layers" else []))
        assert_fits(terminal.lines, columns)
        assert "…" not in "".join(terminal.lines).replace("resnet50, …", "")
        words = " ".join(line.strip() for line in terminal.lines)
        for name in arguments[command]:
            assert re.search(rf"(?<!\S){re.escape(name)}(?![^\s,])", words), name

    def test_a_list_that_fits_is_a_table_without_empty_columns(self, on_terminal, tiny, photos):
        terminal = on_terminal(80, "interactions", photos[0], "--model", tiny, "--strongest", 2)
        head = next(line for line in terminal.lines if line.startswith("place"))
        assert head.split() == ["place", "place", "interaction"]  # standard errors have only sampled ones

    @pytest.mark.parametrize("columns", [80, 100])
    @pytest.mark.parametrize("command", cli.COMMANDS)
    def test_help_has_two_columns(self, on_terminal, command, columns):
        lines = on_terminal(columns, command, "--help").lines
        assert_fits(lines, columns)
        assert not [line for line in lines if re.match(r" {35}", line)]
        assert not [line for line in lines if re.search(r"\S {30}", line)]
        assert "".join(lines).isascii()  # the parser's own writing knows no other encodings
        examples = [line for line in lines if line.startswith("  - ")]
        assert all("`" not in line for line in lines)
        assert examples or command == "metrics"

    def test_the_list_of_commands_says_all_of_each(self, on_terminal):
        lines = on_terminal(80, "--help").lines
        assert_fits(lines, 80)
        assert "..." not in "".join(lines[1:])  # the first says how it is used
        text = " ".join(line.strip() for line in lines)
        assert "explain Show why the model calls a photograph what it does. compare Draw several" in re.sub(
            " +", " ", text
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "--foo"), "No such option: --foo"),
        (("explan",), "No such command 'explan'. Did you mean 'explain'?"),
        (("--foo",), "No such option: --foo"),
        (("table",), "Missing argument 'RUN'"),
        (("explain", "--view", "side"), "Invalid value for '--view'"),
    ],
)
def test_a_wrong_word_is_one_line(refused, arguments, message):
    line = refused(*arguments)
    assert line.startswith(message)
    assert line.endswith(" --help)")
