"""Messages of the library name Python arguments; those of the command line name its options."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
import typer

from shapleycam import cli
from shapleycam.cli.messages import OPTIONS, PHRASES, name_options, options_in_errors, options_of_command
from shapleycam.errors import OptionError

TRANSLATED = {
    "choose another out=": "choose another --out",
    "give checkpoint=FILE, or pretrained=False for an untrained network": "give --checkpoint FILE, or --no-pretrained "
    "for an untrained network",
    "checkpoint=nets/a.pth and 2 models were given": "--checkpoint nets/a.pth and 2 models were given",
    "free some memory, or decode with workers=0": "free some memory, or decode with --workers 0",
    "give address=HOST:PORT, or leave address= out": "give --address HOST:PORT, or leave --address out",
    "give annotations=": "give --objects",
    "say which is explained with output=0": "say which is explained with --output 0",
    "there are two: output='logits', say": "there are two: --output logits, say",
    "name one with layer=, and its layout with layout='tokens 14x14 after 1'": "name one with --layer, and its layout "
    "with --layout 'tokens 14x14 after 1'",
    "fuse='sum' is unknown": "--fuse sum is unknown",
    "targets=9; expected 1 or more": "--top 9; expected 1 or more",
    "top_value=nan; expected a share": "--top-value nan; expected a share",
    "top_area=-inf; expected a share": "--top-area -inf; expected a share",
    "tolerance=1e-05; expected more": "--tolerance 1e-05; expected more",
    "regions with players=(rows, columns), or players=(3, 4)": "regions with --players RxC, or --players 3x4",
    "not known; use on='input'": "not known; use --view input",
    "or a protocol with preprocess=": "or --preprocess paper",
}
"""Messages of the library, and what the command line makes of them."""
KEPT = [
    "make such rows of what it returns by output=, a function",
    "or give output=lambda o: -o",
    "ask with utility=shapleycam.utilities.box()",
    "let it return shapleycam.Network(model, preprocess=..., output=0)",
    "class 'the one with layer= in it' is unknown",
    "texts='a cat'; expected a list of texts",
    "out=1.jpg: no such file; check the path",
    "photos/layer=4 out=2.png: no such file",
]
"""What exists in Python only, what is quoted, and names of files."""


@pytest.mark.parametrize("message", TRANSLATED)
def test_an_argument_becomes_its_option(message):
    assert name_options(message) == TRANSLATED[message]


@pytest.mark.parametrize("message", KEPT)
def test_what_is_no_argument_with_an_option_stays(message):
    assert name_options(message) == message


def test_every_option_exists():
    commands = typer.main.get_command(cli.app).commands.values()
    known = {name for command in commands for option in command.params for name in option.opts}
    assert {*OPTIONS.values(), *(phrase.split()[0] for phrase in PHRASES.values())} <= known


def test_an_option_that_the_command_has_not_is_not_named():
    with options_of_command(["--layer"]):
        assert name_options("give layer=, or layout='NCHW'") == "give --layer, or layout='NCHW'"
    assert name_options("give layout='NCHW'") == "give --layout NCHW"


def test_words_that_were_typed_stay(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["shapleycam", "explain", "my out= photo.jpg", "--target=layer= x"])
    message = "my out= photo.jpg: no such file; choose out=, of layer= x"
    assert name_options(message) == "my out= photo.jpg: no such file; choose --out, of layer= x"
    message_with_path = "an out= photo.jpg: no such file"
    assert name_options(message_with_path, own_texts=["an out= photo.jpg"]) == message_with_path


def test_a_command_names_its_own_option_for_an_argument():
    with pytest.raises(OptionError, match=r"^choose another --figures$"), options_in_errors(out="--figures"):
        raise OptionError("choose another out=")


class TestInCommands:
    """One message of each kind, as a user meets it."""

    def test_a_file_where_a_folder_is_expected(self, refused, tiny, tmp_path):
        assert refused("explain", "--model", tiny, "--out", "tiny.py").endswith("choose another with --out")

    @pytest.mark.parametrize("option", ["--plot", "--csv"])
    def test_fidelity_names_the_option_of_each_file(self, refused, tiny, option):
        message = refused("fidelity", "--model", tiny, option, "tiny.py/file")
        assert message.endswith(f"choose another with {option}")

    def test_weights_that_cannot_be_downloaded(self, refused):
        """As the tests are offline, see conftest.py."""
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        pytest.importorskip("transformers")
        message = refused("explain", "--model", "hf:nobody/nothing")
        assert "--checkpoint" in message or "--no-pretrained" in message
        assert "checkpoint=" not in message
        assert "pretrained=" not in message

    def test_results_of_another_run(self, refused, tiny, hopper, tmp_path):
        (tmp_path / "photos").mkdir()
        shutil.copy(hopper, tmp_path / "photos")
        (tmp_path / "results").mkdir()
        (tmp_path / "results/note.txt").write_text("")
        message = refused("evaluate", "photos", "--model", tiny, "--out", "results", "--quiet")
        assert message == "results is not empty (note.txt) and holds no results; choose another --out"

    def test_pointing_without_objects(self, refused, tiny, hopper):
        message = refused("evaluate", hopper.parent, "--model", tiny, "--metric", "pointing_game")
        assert message.endswith("give --objects")

    def test_a_file_name_that_looks_like_an_argument(self, run, tiny, tmp_path):
        (tmp_path / "an out= photo.jpg").write_bytes(b"no photograph")
        for argument in ("an out= photo.jpg", "."):
            assert "an out= photo.jpg: " in run("explain", argument, "--model", tiny).err
