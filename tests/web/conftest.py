"""The page as people have it: a server of its own process, and Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import skimage
from PIL import Image, ImageOps

from helpers.web_server import Served, WebServer, own
from shapleycam.experiments import Protocol, evaluate


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, photographs: list[Path]) -> Path:
    """An evaluation of four photographs."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("runs") / "four"
    for path in photographs[:4]:
        shutil.copy(path, data / path.name)
    methods = ("gradcam", "shapleycam", "layercam")
    evaluate(
        "efficientnet_lite0", str(data), str(out), Protocol(methods=methods, metrics=("average_drop", "coherency"))
    )
    return out


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight: those that scikit-image brings along, and their mirror images."""
    folder, found = tmp_path_factory.mktemp("photographs"), []
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        with Image.open(Path(skimage.__file__).parent / "data" / name) as opened:
            picture = opened.convert("RGB")
        for prefix, each in (("", picture), ("mirrored-", ImageOps.mirror(picture))):
            found.append(folder / f"{prefix}{Path(name).stem}.jpg")
            each.save(found[-1], quality=92)
    return found


@pytest.fixture(scope="session")
def served(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server with a run, and a model that does not load."""
    scratch = tmp_path_factory.mktemp("scratch")
    with WebServer(
        "--run", str(evaluated), "--models", "efficientnet_lite0", "--models", "not_there.py:net", scratch=scratch
    ) as found:
        yield found


@dataclass
class Visit:
    """A page in a window, and what went wrong in it."""

    page: Any
    elsewhere: list[str]
    wrong: list[str]


def is_fault(message: Any) -> bool:
    """Whether the console reports an error of the page.

    The browser loads its preview of an upload while the server removes the file that it has read: which of the two
    is first is chance, and the preview is replaced by the server's own picture in either case.
    """
    address = message.location["url"]
    return message.type == "error" and not ("/file=" in address and "shapleycam-web-" in address)


@pytest.fixture
def visit(chromium: Any, served: Served) -> Iterator[Callable[..., Any]]:
    """Open the page; at the end nothing was asked of another host, and no error is on the console."""
    visits: list[Visit] = []
    contexts = []

    def opened(*, width: int = 1280, height: int = 900, scheme: str = "light", address: str | None = None) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(120_000)
        contexts.append(context)
        page, at = context.new_page(), address or served.address
        made = Visit(page, [], [])
        visits.append(made)
        page.on("request", lambda asked: made.elsewhere.append(asked.url) if not own(asked.url, at) else None)
        page.on("console", lambda message: made.wrong.append(message.text) if is_fault(message) else None)
        page.on("pageerror", lambda error: made.wrong.append(str(error)))
        page.goto(at)
        page.get_by_role("button", name="Example").wait_for()
        page.visit = made
        return page

    yield opened
    for context in contexts:
        context.close()
    for made in visits:
        assert made.elsewhere == []
        assert made.wrong == []


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[[Any, str], None]:
    """A picture of the page; into the folder that SHAPLEYCAM_SCREENSHOTS names, to be looked at and committed."""
    folder = Path(os.environ.get("SHAPLEYCAM_SCREENSHOTS", tmp_path))

    def taken(page: Any, name: str) -> None:
        page.wait_for_timeout(400)
        page.screenshot(path=folder / f"web-{name}.jpg", full_page=True, type="jpeg", quality=82)

    return taken
