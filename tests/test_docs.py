"""What the documentation shows is run, and the site that is made of it is whole and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest
import typer

import shapleycam
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


PYTHON = [page for page in TEXTS if blocks(page, "python") and page != "your-model.md"]
"""your-model.md needs weights from hubs: test_readme.py runs it with stand-ins for them."""
SHELL = [page for page in TEXTS if lines(page, "bash", "console")]


@pytest.fixture
def folder(hopper, tmp_path, monkeypatch):
    """A folder with the files that the pages name, as the working directory."""
    example_files(hopper, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize("page", PYTHON)
def test_python(page, folder):
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    if page == "evaluating.md":
        assert set(names["run"].rows()["method"]) == {"gradcam", "pathcam-h"}


@pytest.mark.parametrize("page", SHELL)
def test_commands(page, folder, run):
    for line in lines(page, "bash", "console"):
        if any(line.startswith(beginning) for beginning in NOT_RUN):
            continue
        program, *arguments = shlex.split(line, comments=True)
        assert program == "shapleycam", line
        if [program, *arguments] in RUN_THERE:
            continue
        ran = run(*arguments)
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


def test_the_gallery_is_of_the_table_of_methods():
    import gallery

    page = TEXTS["gallery.md"]
    assert gallery.table() in page
    assert gallery.INTRODUCTION in page
    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == [method.name for method in shapleycam.methods()]
    names = {gallery.picture_name(method.name, layer) for method in shapleycam.methods() for layer in gallery.LAYERS}
    shown = {f"images/gallery/{name}" for name in (*names, "photographs.jpg")}
    stored = {path.relative_to(DOCS).as_posix() for path in (DOCS / "images/gallery").iterdir()}
    assert shown == set(re.findall(r"\]\((images/[^)]*)\)", page)) == stored
    assert sum(path.stat().st_size for path in (DOCS / "images/gallery").iterdir()) < 1_000_000


class Page(HTMLParser):
    """What a browser loads for a page by itself, the pictures without a description, and the words of headings."""

    LINKED = frozenset({"stylesheet", "icon", "manifest", "preload", "prefetch", "modulepreload", "preconnect"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.nameless: list[str] = []
        self.headings: list[str] = []
        self.classes: set[str] = set()
        self._in_heading = False
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.classes.update(has.get("class", "").split(), [has.get("data-md-component", "")])
        self.loaded += [has[name] for name in ("src", "srcset", "poster", "data") if name in has]
        self.loaded += re.findall(r"url\(([^)]*)\)", has.get("style", ""))
        if tag == "link" and self.LINKED & set(has.get("rel", "").split()):
            self.loaded.append(has["href"])
        if tag == "img" and not has.get("alt"):
            self.nameless.append(has.get("src", ""))
        if re.fullmatch("h[1-6]", tag):
            self._in_heading = True

    def handle_endtag(self, tag: str) -> None:
        self._in_heading = self._in_heading and not re.fullmatch("h[1-6]", tag)

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.headings.append(data.strip())


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; a warning of the build is an error (with --quiet mkdocs would not count them)."""
    out = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr + built.stdout
    return out


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def elsewhere(urls: list[str]) -> list[str]:
    """Return the addresses on other machines."""
    return [url for url in urls if re.match(r"\s*['\"]?(\w+:)?//", url)]


def test_pages_load_nothing_from_elsewhere(pages):
    assert len(pages) > 20
    assert not {name: addresses for name, page in pages.items() if (addresses := elsewhere(page.loaded))}


def test_styles_load_nothing_from_elsewhere(site):
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not elsewhere([url for css in styles for url in re.findall(r"(?:url\(|@import\s+)([^);]*)", css)])


WHERE_ASKED_FOR = {
    "https://unpkg.com/mermaid": "mermaid",
    "https://unpkg.com/resize-observer-polyfill": "",
    "https://api.github.com/": "source",
    "https://${": "source",
    "https://clipboardjs.com/": "",
}
"""Addresses in the theme's script, and what on a page makes it load them: "" is nothing in any browser since 2020."""


def test_scripts_load_nothing_from_elsewhere(site, pages):
    scripts = [path.read_text(encoding="utf-8") for path in site.glob("assets/javascripts/bundle*.js")]
    scripts += re.findall(r"<script[^>]*>(.*?)</script>", "".join(page.text for page in pages.values()), re.DOTALL)
    addresses = {url for script in scripts for url in re.findall(r"https?://[^\s\"'`)]+", script)}
    assert not [url for url in addresses if not url.startswith(tuple(WHERE_ASKED_FOR))]
    asking_classes = {name for name in WHERE_ASKED_FOR.values() if name}
    assert not {name: page.classes & asking_classes for name, page in pages.items() if page.classes & asking_classes}


def test_every_picture_has_a_description(pages):
    assert not {name: page.nameless for name, page in pages.items() if page.nameless}


def public_names() -> list[str]:
    """Return the public names of `shapleycam` and of its modules."""
    names = [f"shapleycam.{name}" for name in shapleycam.__all__ if name != "__version__"]
    for module in ("values", "utilities", "metrics", "experiments", "fidelity"):
        exported = import_module(f"shapleycam.{module}").__all__
        names += [f"shapleycam.{module}.{name}" for name in exported]
    return names


def test_every_public_name_is_in_the_reference(pages):
    headings = {word for name, page in pages.items() if name.startswith("api/") for word in page.headings}
    assert not [name for name in public_names() if name not in headings]


def test_every_public_name_is_in_the_overview():
    named = TEXTS["api/index.md"]
    assert not [name for name in shapleycam.__all__ if f"`shapleycam.{name}`" not in named]
