"""Pictures of the page for its documentation, docs/images/web-*.jpg: look at them before you commit them.

python bench/page_pictures.py [FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any

import skimage
from PIL import Image
from playwright.sync_api import sync_playwright

from shapleycam.experiments import Protocol, evaluate

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.chromium import launch  # noqa: E402
from helpers.ports import free_port, listens  # noqa: E402

MODEL = "efficientnet_lite0"
QUALITY, LARGEST_WIDTH, MOST_HEIGHT = 78, 1000, 1740
"""Of the JPEG files; what is wider is made smaller, and what is longer, on a phone, is cut off."""
PICTURES = {
    "explain": ("explain", 1280, "light"),
    "against": ("explain?class=academic+gown&against=mortarboard", 1280, "light"),
    "compare": ("compare", 1280, "light"),
    "fidelity": ("fidelity", 1280, "light"),
    "input": ("explain?layer=input&players=superpixels&removal=blur", 1280, "light"),
    "ladder": ("ladder?players=2x3&removal=blur&layers=bn2,blocks.6", 1280, "light"),
    "coalitions": ("coalitions?absent=3.10.11", 1280, "light"),
    "results": ("results", 1280, "light"),
    "phone": ("explain", 390, "light"),
    "phone-dark": ("explain", 390, "dark"),
}
"""The name of a picture, the address it shows, the width of the window in pixels, and the colour scheme."""


def make_run(folder: Path) -> Path:
    """Evaluate four photographs that scikit-image brings along, and return the run."""
    data = folder / "photographs"
    data.mkdir()
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        with Image.open(Path(skimage.__file__).parent / "data" / name) as opened:
            opened.convert("RGB").save(data / f"{Path(name).stem}.jpg")
    methods = ("gradcam", "layercam", "shapleycam", "randomcam")
    protocol = Protocol(methods=methods, metrics=("average_drop", "coherency", "insertion", "deletion"))
    evaluate(MODEL, str(data), str(folder / "four"), protocol)
    return folder / "four"


def take(browser: Any, address: str, width: int, scheme: str, path: Path) -> None:
    """Write the picture of an address, when its answer and all pictures in it are there."""
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.goto(address)
    page.locator("#answer > [data-state=done]").wait_for(timeout=600_000)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")  # what is loaded when it is seen
    page.wait_for_load_state("networkidle")
    with Image.open(BytesIO(page.screenshot(full_page=True))) as opened:
        picture = opened.convert("RGB").crop((0, 0, width, min(opened.height, MOST_HEIGHT)))
    page.close()
    picture.thumbnail((LARGEST_WIDTH, MOST_HEIGHT), Image.Resampling.LANCZOS)
    picture.save(path, quality=QUALITY, optimize=True)


def main() -> None:
    """Make all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as scratch:
        run, port = make_run(Path(scratch)), free_port()
        command = [sys.executable, "-m", "shapleycam", "web", "--no-browser", "--port", str(port), "--run", str(run)]
        with subprocess.Popen(command) as server, sync_playwright() as playwright:
            while not listens(port):
                if server.poll() is not None:
                    raise SystemExit("the server ended")
                sleep(0.2)
            browser = launch(playwright.chromium)
            for name, (address, width, scheme) in PICTURES.items():
                take(browser, f"http://127.0.0.1:{port}/{address}", width, scheme, folder / f"web-{name}.jpg")
            browser.close()
            server.terminate()


if __name__ == "__main__":
    main()
