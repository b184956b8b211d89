"""A visitor of the page: a window of a real browser, and all that must never happen in it."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from helpers.picture_files import FILES
from shapleycam.web.question import Question
from shapleycam.web.views import VIEWS

TIMEOUT = 60_000
"""Milliseconds that a test waits for anything."""
RECORDER = """
(() => {
  let last = '';
  const note = () => {
    const shown = document.querySelector('#answer [data-question]');
    const pair = shown ? location.href + ' ' + shown.dataset.question : '';
    if (shown && pair !== last) window.noteAnswer(location.href, shown.dataset.question);
    last = pair;
  };
  new MutationObserver(note).observe(document, {childList: true, subtree: true, attributeFilter: ['data-question']});
})();
"""
"""Tells each answer that the page ever shows, with the address at that moment."""


HAND_OVER = """([kind, name, type, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), each => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type}));
  const options = {bubbles: true, cancelable: true};
  if (kind === 'paste') {
    document.dispatchEvent(new ClipboardEvent('paste', {...options, clipboardData: data}));
    return;
  }
  const target = document.querySelector('#upload');
  for (const step of ['dragenter', 'dragover', 'drop'])
    target.dispatchEvent(new DragEvent(step, {...options, dataTransfer: data}));
}"""
"""What a browser does where a file is dropped or pasted."""


def question_of(url: str) -> Question:
    """Return the question of an address of the page."""
    return Question.read(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def asked_by(address: str) -> tuple[str, Question]:
    """Return the view of an address, and of its question all that the view's answer depends on."""
    view = VIEWS[urlsplit(address).path.rpartition("/")[2]]
    return view.name, question_of(address).only(view.fields)


@dataclass
class Visitor:
    """A window on a server's page.

    Attributes:
        page: Playwright's.
        address: the server's.
        allowed: patterns of errors on the console that a test causes on purpose.
        faults: what went wrong, each a line: errors on the console, requests of other hosts, answers of another
            question than the address's.
    """

    page: Any
    address: str
    allowed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to record faults."""
        self.page.on("request", lambda request: self._check_host(request.url))
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.expose_function("noteAnswer", self._check_answer)
        self.page.add_init_script(RECORDER)

    def open(self, view: str, **fields: str) -> Any:
        """Go to a view of a question, and return its answer."""
        self.page.goto(f"{self.address}/{view}?{Question(**fields).address()}", wait_until="commit")
        return self.answer()

    @property
    def question(self) -> Question:
        """The question of the address."""
        return question_of(self.page.url)

    def answer(self) -> Any:
        """Return the answer of the page's address, when it is finished; that it is no other's, `watch` checks."""
        answer = self.page.locator('#answer > [data-question][data-state="done"]')
        answer.wait_for()
        self._check_answer(self.page.url, answer.get_attribute("data-question"))
        return answer

    def change(self, **fields: str) -> Any:
        """Wait until the address has these values of fields, and return the answer."""
        self.page.wait_for_url(lambda url: all(getattr(question_of(url), name) == fields[name] for name in fields))
        return self.answer()

    def pick(self, name: str, value: str) -> None:
        """Choose a value in a control of the panel, or type it there, as a person does."""
        control = self.page.locator(f"#question [name={name}]")
        if control.evaluate("e => e.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
            control.press("Enter")

    def upload(self, path: Path) -> None:
        """Choose a photograph, and wait until the address names it."""
        before = self.page.url
        self.page.locator("#upload input[type=file]").set_input_files(path)
        self.page.wait_for_url(lambda url: url != before)

    def hand_over(self, way: str, name: str, content: bytes) -> None:
        """Choose, drop or paste a file of that name."""
        media_type = FILES[name][0] if name in FILES else "image/png"
        if way == "choose":
            file = {"name": name, "mimeType": media_type, "buffer": content}
            self.page.locator("#upload input[type=file]").set_input_files([file])
        else:
            self.page.evaluate(HAND_OVER, [way, name, media_type, b64encode(content).decode()])

    def tab(self, title: str) -> Any:
        """Open a tab, and return its answer."""
        self.page.get_by_role("navigation").get_by_role("link", name=title, exact=True).click()
        self.page.wait_for_url(re.compile(rf"/{title.lower()}\?"))
        return self.answer()

    def pixels(self, picture: Any) -> Any:
        """Return a picture of the page as the browser has got it, an array of its pixels."""
        from io import BytesIO

        import numpy as np
        from PIL import Image

        response = self.page.request.get(picture.evaluate("image => image.src"))
        assert response.ok, response.text()
        with Image.open(BytesIO(response.body())) as opened:
            return np.asarray(opened)

    def _check_host(self, url: str) -> None:
        if not url.startswith((f"{self.address}/", "data:", f"blob:{self.address}/")):
            self.faults.append(f"a request of {url}")

    def _check_answer(self, url: str, shown: str) -> None:
        self.answers.append(shown)
        if asked_by(shown) != asked_by(url):
            self.faults.append(f"at {url} the answer of {shown}")

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location['url']})")

    def _note(self, message: str) -> None:
        if not any(re.search(pattern, message) for pattern in self.allowed):
            self.faults.append(message)
