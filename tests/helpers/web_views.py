"""The views of the page without a server: a question in, the HTML of each state of its answer out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

from helpers.web_server import HOPPER
from shapleycam.html import template_environment
from shapleycam.models.network import Network
from shapleycam.web.model_cache import LoadedModel, ModelCache
from shapleycam.web.photograph_store import PhotographStore
from shapleycam.web.photographs import Limits
from shapleycam.web.pictures import draw_picture
from shapleycam.web.question import Question
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.resources import Resources
from shapleycam.web.runs import Runs
from shapleycam.web.views import VIEWS


class Views:
    """The views of a page that offers one network, the example photograph, runs, and reference photographs."""

    def __init__(
        self,
        network: Network | None = None,
        runs: Sequence[str] = (),
        name: str = "net",
        reference: Sequence[Path] = (),
    ) -> None:
        models = ModelCache(["efficientnet_lite0" if network is None else name], 1, "cpu", reference)
        if network is not None:
            models._loaded.get(name, lambda: LoadedModel(network, "cpu", reference))
        store = PhotographStore([HOPPER], Limits(), keep_hours=1, megabytes=50)
        self.resources = replace(Resources.of(models, store, Runs(runs)), server="test")  # the same for all views
        self._templates = template_environment("shapleycam.web")

    def resolved(self, check: Callable[[], None] = lambda: None, **fields: str) -> ResolvedQuestion:
        return ResolvedQuestion(Question(**fields), self.resources, check)

    def states(self, view: str, check: Callable[[], None] = lambda: None, **fields: str) -> list[str]:
        """Return the HTML of each state of an answer."""
        return list(VIEWS[view].answer(self.resolved(check, **fields), self._render))

    def picture(self, kind: str, **fields: str) -> bytes:
        return draw_picture(kind, self.resolved(**fields))

    def _render(self, template: str, **content: Any) -> str:
        return self._templates.get_template(template).render(**content)


def text_of(html: str) -> str:
    """Return the text of HTML, with single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def rows_of(html: str) -> list[list[str]]:
    """Return the texts of the cells of the first table's body."""
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.DOTALL)[1]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def facts_of(html: str) -> dict[str, str]:
    """Return what the list of facts says, without the signs of terms."""
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html, re.DOTALL)
    return {text_of(name).removesuffix(" ?"): text_of(value) for name, value in pairs}
