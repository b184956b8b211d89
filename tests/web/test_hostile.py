"""What nobody should send: a message in the page, nothing kept, and the server goes on."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from PIL import Image
from test_page import answer_of, take_example

from helpers.web_server import HOPPER, MEGABYTES, Served

SCRIPT = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>window.harmed = 1; '
    'fetch("http://example.com")</script></svg>'
)


@cache
def bomb(side: int) -> bytes:
    """A PNG of few bytes whose header promises side x side pixels, all of them there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    compressor = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    content = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    head = pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def cut_short(path: Path) -> bytes:
    whole = path.read_bytes()
    return whole[: len(whole) // 2]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "text.jpg": (lambda: b"no photograph at all", "not a photograph in a known format"),
    "empty.png": (lambda: b"", "the file is empty"),
    "half.jpg": (lambda: cut_short(HOPPER), "damaged or cut short"),
    "script.svg": (SCRIPT.encode, "not a photograph in a known format"),
    "bomb.png": (lambda: bomb(40_000), "far too many pixels"),
    "large.png": (lambda: bomb(6_000), "6000 x 6000 is 36.0 megapixels, over the limit of 20"),
    "postscript.png": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not a photograph in a known format",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_message_and_the_server_goes_on(name, visit, served, explainer, tmp_path):
    content, expected = HOSTILE[name]
    (tmp_path / name).write_bytes(content())
    page = visit()
    page.locator("input[type=file]").first.set_input_files(tmp_path / name)
    page.locator(".sc-message", has_text=expected).wait_for()
    assert served.uploads() == []
    assert page.evaluate("window.harmed") is None
    take_example(page)
    assert page.locator("#explained .sc-answer").inner_text() == answer_of(explainer.explain(HOPPER))
    assert page.locator(".sc-message").count() == 0
    page.locator("input[type=file]").first.set_input_files(tmp_path / name)
    page.locator("#explained", has_text="Drop a photograph").wait_for()
    page.visit.wrong.clear()  # a preview of what is no picture, which the browser remarks


def test_200_megabytes(visit, served, tmp_path):
    """Refused while it arrives, and what came of it is not kept."""
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(200 * 10**6)
    before = served.process.memory_info().rss
    page = visit()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "large.jpg")
    page.get_by_text("exceed", exact=False).first.wait_for(timeout=60_000)
    assert sum(path.stat().st_size for path in served.folder.parent.rglob("*") if path.is_file()) < MEGABYTES * 10**6
    assert served.process.memory_info().rss - before < 100 * 2**20
    page.visit.wrong.clear()  # the refusal of the server, which the browser remarks
    take_example(page)


class TestRequests:
    """What the page itself would never ask."""

    @pytest.mark.parametrize("path", ["/etc/passwd", "{hopper}", "../../../etc/passwd", "http://127.0.0.1:1/x.jpg"])
    def test_no_path_of_a_request_is_opened(self, served, path):
        said = Client(served).upload_event(path.format(hopper=HOPPER))
        assert "root:" not in said
        assert "academic" not in said
        assert HOPPER.is_file()
        assert '"success":false' in said

    @pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", str(HOPPER), "src/shapleycam/__init__.py"])
    def test_no_file_is_served(self, served, path):
        import httpx

        for route in ("/gradio_api/file=", "/file="):
            assert httpx.get(f"{served.address}{route}{path}").status_code in {403, 404}

    def test_a_model_that_is_not_offered(self, served):
        assert '"success":false' in Client(served).model_event("timm:resnet18")


class Client:
    """Speaks to the server as the page does."""

    def __init__(self, served: Served) -> None:
        import httpx

        self._at = httpx.Client(base_url=f"{served.address}/gradio_api", timeout=30)
        self._config = httpx.get(f"{served.address}/config").json()

    def upload_event(self, path: str) -> str:
        drop = self._component("image")
        file = {"path": path, "url": path, "orig_name": "x.jpg", "meta": {"_type": "gradio.FileData"}}
        return self._ask(self._event(drop, "upload"), [file])

    def model_event(self, name: str) -> str:
        model = next(c["id"] for c in self._config["components"] if c["props"].get("label") == "Model")
        return self._ask(self._event(model, "input"), [name])

    def _component(self, kind: str) -> int:
        return next(c["id"] for c in self._config["components"] if c["type"] == kind)

    def _event(self, component: int, name: str) -> int:
        return next(d["id"] for d in self._config["dependencies"] if [component, name] in d["targets"])

    def _ask(self, event: int, data: list[Any]) -> str:
        asked = {"data": data, "fn_index": event, "session_hash": "someone", "event_data": None, "trigger_id": None}
        joined = self._at.post("/queue/join", json=asked)
        joined.raise_for_status()
        said = []
        with self._at.stream("GET", "/queue/data", params={"session_hash": "someone"}) as stream:
            for line in stream.iter_lines():
                said.append(line)
                if '"process_completed"' in line or '"close_stream"' in line:
                    break
        return "\n".join(said)


def test_the_bomb_is_one(tmp_path, monkeypatch):
    """Two hundred megabytes of pixels in a file that is small enough to be taken."""
    content = bomb(40_000)
    assert len(content) < MEGABYTES * 10**6
    (tmp_path / "bomb.png").write_bytes(content)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(tmp_path / "bomb.png") as opened:
        assert opened.size == (40_000, 40_000)
