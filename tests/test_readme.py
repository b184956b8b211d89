"""What README and docs show is run: Python as it stands there, commands as a user types them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def photo(hopper, tmp_path):
    """The files that the examples name."""
    shutil.copy(hopper, tmp_path / "photo.jpg")
    (tmp_path / "photos").mkdir()
    from PIL import Image

    Image.open(hopper).resize((300, 200)).save(tmp_path / "photos/other.png")
    return tmp_path / "photo.jpg"


@pytest.mark.parametrize("line", COMMANDS, ids=range(len(COMMANDS)))
def test_command(photo, run, line):
    program, *arguments = shlex.split(line, comments=True)
    assert program == "shapleycam"
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    assert ran.out


@pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
def test_python_of_the_readme(photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["found"]["pathcam"].values.shape == (2, 7, 7)
    assert names["explainer"].layer == "layer4"
    assert (photo.parent / "signed.png").is_file()


def test_the_file_model_of_the_docs(photo, run):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/models.md").read_text(), re.DOTALL)
    Path("mine.py").write_text(block)
    ran = run("explain", "photo.jpg", "--model", "mine.py:network", "--json")
    assert ran.code == 0, ran.err
    assert '"label": "cat"' in ran.out


def test_the_readme_names_every_method():
    from shapleycam import METHODS

    assert not [name for name in METHODS if not re.search(rf"\b{re.escape(name)}(?![\w-])", README)]


def test_no_command_of_the_cli_is_missing_from_the_readme(run):
    commands = re.findall(r"│ (\w+) ", run("--help").out.split("Commands")[1])
    assert commands
    assert [name for name in commands if f"shapleycam {name}" not in README] == []
