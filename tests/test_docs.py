"""What the documentation shows is run; the site that is made of it: docs_site/."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
import typer

import shapleycam
from helpers import colour_network
from shapleycam import cli
from shapleycam.metrics import METRICS
from test_readme import COMMANDS, example_files

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
NOT_RUN = {"shapleycam web": "serves until it is stopped", "ray": "needs machines", "pip": "changes the environment"}
"""How a line begins that is not run, and why."""
RUN_THERE = [shlex.split(line, comments=True) for line in COMMANDS]
"""What the README shows too, and test_readme.py runs."""

sys.path.append(str(ROOT / "bench"))


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages; "" is none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXTS[page], re.DOTALL | re.MULTILINE)
    return [text for language, text in fenced if language in languages]


def lines(page: str, *languages: str) -> list[str]:
    """The commands of a page's blocks, with lines joined that end in a backslash."""
    text = "\n".join(blocks(page, *languages)).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in text.splitlines() if line.strip() and not line.startswith("#")]


RUN_ELSEWHERE = ("your-model.md", "notebooks/", "coming-from.md")
"""Run by test_readme.py, with stand-ins for weights from hubs, by test_notebooks.py and by test_coming_from.py."""
PYTHON = [page for page in TEXTS if blocks(page, "python") and not page.startswith(RUN_ELSEWHERE)]
NEEDS = {"recipes/yolo.md": "ultralytics"}
"""Packages that a page shows and that are no dependency, not even of the tests."""


def needed_libraries(block: str) -> tuple[str, ...]:
    """The libraries that a block needs beyond those of the extras: its first line is "# pip install NAME NAME"."""
    first = re.match(r"# pip install (.*)\n", block)
    return tuple(first[1].split()) if first else ()


WITH_LIBRARIES = sorted({(page, names) for page in PYTHON for block in blocks(page, "python")
                         if (names := needed_libraries(block))})  # fmt: skip
SMALL = ["--model", f"{Path(colour_network.__file__).resolve()}:network"]
"""A small network for lines that ask for hundreds of masked images, with which the default one takes up to a minute."""
MANY_PASSES = ("--method field", "--layer input", "--truth input")
"""What such lines have."""
SHELL = [page for page in TEXTS if lines(page, "bash", "console")]


def needs_what_it_shows(page: str) -> None:
    """Skip a page about a package that is not installed."""
    if page in NEEDS:
        pytest.importorskip(NEEDS[page], reason=f"{page} shows it")


@pytest.fixture
def folder(hopper, tmp_path, monkeypatch, one_default_network):
    """A folder with the files that the pages name, as the working directory."""
    example_files(hopper, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize("page", PYTHON)
def test_python(page, folder):
    needs_what_it_shows(page)
    names = run_blocks(page)
    if page == "evaluating.md":
        assert set(names["run"].rows()["method"]) == {"gradcam", "pathcam-h"}


def run_blocks(page: str, libraries: tuple[str, ...] = ()) -> dict[str, object]:
    """Run the blocks of a page that need nothing more, and those that need these libraries."""
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        if needed_libraries(block) in {(), libraries}:
            exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore")  # of the libraries too
@pytest.mark.parametrize(("page", "libraries"), WITH_LIBRARIES)
def test_python_with_other_libraries(page, libraries, folder):
    for library in libraries:
        pytest.importorskip(library, reason=f"needs {library}, which no extra brings")
    run_blocks(page, libraries)
    if page == "recipes/training.md":  # what was logged is there
        assert [*Path("logs").rglob("events.*"), *Path("trained").glob("*.png")]


@pytest.mark.parametrize("page", SHELL)
def test_commands(page, folder, run):
    needs_what_it_shows(page)
    for line in lines(page, "bash", "console"):
        if any(line.startswith(beginning) for beginning in NOT_RUN):
            continue
        program, *arguments = shlex.split(line, comments=True)
        assert program == "shapleycam", line
        if [program, *arguments] in RUN_THERE:
            continue
        ran = run(*arguments, *(SMALL if any(words in line for words in MANY_PASSES) else []))
        assert ran.code == 0, f"{line}: {ran.err}"
        assert ran.out, line


@pytest.mark.parametrize("page", TEXTS)
def test_every_command_and_option_that_is_shown_exists(page):
    commands = typer.main.get_command(cli.app).commands
    for line in lines(page, "", "bash", "console"):
        words = shlex.split(line, comments=True)
        if words[:1] == ["shapleycam"]:
            known = {name for option in commands[words[1]].params for name in (*option.opts, *option.secondary_opts)}
            shown = {word for word in words[2:] if word.startswith("-")}
            assert shown <= known | {"--help"}, line


def test_the_file_model(folder, run):
    (block,) = blocks("models.md", "python")
    Path("mine.py").write_text(block, encoding="utf-8")
    ran = run("explain", "photo.jpg", "--model", "mine.py:network", "--json")
    assert ran.code == 0, ran.err
    assert '"label": "cat"' in ran.out


def test_every_metric_is_named():
    named = TEXTS["evaluating.md"].replace(
        "`randomisation_spearman`, `_ssim`", "`randomisation_spearman`, `randomisation_ssim`"
    )
    assert not [name for name in METRICS if f"`{name}`" not in named]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{page}" for page in TEXTS)])
def test_links_lead_to_files_as_on_github(page):
    path = ROOT / page
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", path.read_text(encoding="utf-8"))
    assert not [to for to in targets if "://" not in to and not (path.parent / to).exists()]


def test_formulas_are_shown_on_github_too():
    """Its Markdown takes a backslash away before a sign, so that \\, would be a comma; and a formula is in one line."""
    pages = "".join(text for page, text in TEXTS.items() if not page.startswith("api/"))  # made of docstrings
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", pages, flags=re.DOTALL | re.MULTILINE)
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", text, flags=re.DOTALL)
    assert len(formulas) > 80
    assert not [line for line in text.splitlines() if line.count("$") % 2]
    assert not [formula for formula in formulas if re.search(r"\\[^A-Za-z ]", formula)]


def test_the_gallery_is_of_the_table_of_methods():
    import gallery

    page = TEXTS["gallery.md"]
    assert gallery.table() in page
    assert gallery.INTRODUCTION in page
    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == [method.name for method in gallery.rows_of_every_network()]
    names = {
        gallery.picture_name(method.name, layer)
        for method in gallery.rows_of_every_network()
        for layer in gallery.LAYERS
    }
    shown = {f"images/gallery/{name}" for name in (*names, "photographs.jpg")}
    stored = {path.relative_to(DOCS).as_posix() for path in (DOCS / "images/gallery").iterdir()}
    assert shown == set(re.findall(r"\]\((images/[^)]*)\)", page)) == stored
    assert sum(path.stat().st_size for path in (DOCS / "images/gallery").iterdir()) < 1_000_000


def test_every_public_name_is_in_the_overview():
    named = TEXTS["api/index.md"]
    assert not [name for name in shapleycam.__all__ if f"`shapleycam.{name}`" not in named]


def test_theory_says_the_numbers_of_its_figures(explainer, hopper):
    import theory_figures

    text = " ".join(TEXTS["theory.md"].split())

    def said(words: str) -> list[float]:
        """Return the numbers at the places of # in words that the page has."""
        return [float(number) for number in re.search(words.replace("#", r"([\d.]*\d)"), text).groups()]

    game = explainer.game(hopper, players=theory_figures.LABELS)
    without, joined = game.value(torch.stack(theory_figures.the_coalitions()))[0].tolist()
    shares = shapleycam.values.exact(game).values[0].tolist()
    said_of_coalitions = said("four places is worth #;.* it is worth #, so that the chest adds #")
    assert said_of_coalitions == pytest.approx([without, joined, joined - without], abs=0.02)
    assert said("from # to # for the cap") == pytest.approx([min(shares), shares[1]], abs=0.02)
    said_of_chest = said("the chest adds # to the coalition above, and # in the mean")
    assert said_of_chest == pytest.approx([joined - without, shares[theory_figures.PLACE]], abs=0.02)

    grand = float(game.grand[0])
    explanations = explainer.compare(hopper, ["gradcam", "shapleycam"])
    first, second = (float(explanation.values.sum()) for explanation in explanations.values())
    assert said(r"v\(N\), which is #: gradcam divides # of it.* shapleycam #,") == pytest.approx(
        [grand, first, second], abs=0.02
    )
    gaps = [100 * (1 - divided / grand) for divided in (first, second)]
    assert said("a gap of #%, shapleycam .* a gap of #%") == pytest.approx(gaps, abs=0.6)
