"""The page as people have it: a server of its own process, and Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import skimage
from PIL import Image, ImageOps

import shapleycam
from helpers.web_library import COLOURS, COLOURS_FILE, MODELS, Library, explainer_of
from helpers.web_server import Served, WebServer
from helpers.web_visitor import TIMEOUT, Visitor
from shapleycam.experiments import Protocol, evaluate

collect_ignore_glob = [] if find_spec("starlette") else ["test_*.py"]  # without the extra `web` there is no page


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, photographs: list[Path]) -> Path:
    """An evaluation of four photographs."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("runs") / "four"
    for path in photographs[:4]:
        shutil.copy(path, data / path.name)
    methods = ("gradcam", "shapleycam", "layercam")
    evaluate(COLOURS_FILE, str(data), str(out), Protocol(methods=methods, metrics=("average_drop", "coherency")))
    return out


@pytest.fixture(scope="session")
def evaluated_two(tmp_path_factory: pytest.TempPathFactory, photographs: list[Path]) -> Path:
    """An evaluation of two photographs by other methods."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("runs") / "two"
    for path in photographs[:2]:
        shutil.copy(path, data / path.name)
    evaluate(COLOURS_FILE, str(data), str(out), Protocol(methods=("gradcam", "hirescam"), metrics=("average_drop",)))
    return out


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight: those that scikit-image brings along, and their mirror images."""
    folder, paths = tmp_path_factory.mktemp("photographs"), []
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        with Image.open(Path(skimage.__file__).parent / "data" / name) as opened:
            picture = opened.convert("RGB")
        for prefix, each in (("", picture), ("mirrored-", ImageOps.mirror(picture))):
            paths.append(folder / f"{prefix}{Path(name).stem}.jpg")
            each.save(paths[-1], quality=92)
    return paths


@pytest.fixture(scope="session")
def photograph_of_500_by_375(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of the usual size of ImageNet's."""
    path = tmp_path_factory.mktemp("usual") / "coffee.jpg"
    with Image.open(Path(skimage.__file__).parent / "data" / "coffee.png") as opened:
        ImageOps.fit(opened.convert("RGB"), (500, 375)).save(path, quality=95)
    return path


@pytest.fixture(scope="session")
def colours() -> shapleycam.Explainer:
    """The fast model, as the server has it."""
    return explainer_of(COLOURS, "")


@pytest.fixture
def library() -> Library:
    """What the library says of questions."""
    return Library()


@pytest.fixture(scope="session")
def served(evaluated: Path, evaluated_two: Path) -> Iterator[Served]:
    """The server with two runs and its models."""
    options = [part for model in MODELS for part in ("--models", model)]
    with WebServer("--run", str(evaluated), "--run", str(evaluated_two), *options) as server:
        yield server


@pytest.fixture(scope="session")
def plain_server() -> Iterator[Served]:
    """A server with a fast model, a public name, and a model that does not load; started when first needed."""
    models = ("--models", COLOURS_FILE, "--models", "not_there.py:net")
    with WebServer(*models, "--public-host", "page.example.org") as server:
        yield server


@pytest.fixture
def start_server() -> Iterator[Callable[..., Served]]:
    """Start servers of a test's own, which run until its windows are closed: what these still load is no fault."""
    with ExitStack() as servers:
        yield lambda *options, **more: servers.enter_context(WebServer(*options, **more))


@pytest.fixture(scope="module")
def shared_window(chromium: Any, served: Served) -> Iterator[Visitor]:
    """A window for as long as a module; tests have it by `visitor`."""
    context = new_context(chromium)
    visitor = Visitor(context.new_page(), served.address)
    visitor.watch()
    yield visitor
    context.close()


@pytest.fixture
def visitor(shared_window: Visitor) -> Iterator[Visitor]:
    """The window of tests that leave nothing behind but a page: to open one for each takes a second.

    As by `visit`, nothing that must never happen has happened in it at the end.
    """
    shared_window.allowed.clear()
    shared_window.answers.clear()
    shared_window.faults.clear()
    yield shared_window
    shared_window.page.unroute_all()
    shared_window.page.goto("about:blank")
    assert shared_window.faults == []


def new_context(browser: Any, scheme: str = "light") -> Any:
    """Return a context of a browser, whose window has the size of a small screen."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(TIMEOUT)
    return context


@pytest.fixture
def visit(
    chromium: Any, start_server: Callable[..., Served], request: pytest.FixtureRequest
) -> Iterator[Callable[..., Visitor]]:
    """Open a window; at the end nothing that must never happen has happened in any of them.

    `start_server` is named so that it ends after the windows.
    """
    visitors: list[Visitor] = []
    contexts = []

    def opened(*, scheme: str = "light", address: str | None = None, browser: Any = chromium) -> Visitor:
        context = new_context(browser, scheme)
        contexts.append(context)
        visitor = Visitor(context.new_page(), address or request.getfixturevalue("served").address)
        visitor.watch()
        visitors.append(visitor)
        return visitor

    yield opened
    for context in contexts:
        context.close()
    assert [visitor.faults for visitor in visitors] == [[] for _ in visitors]
