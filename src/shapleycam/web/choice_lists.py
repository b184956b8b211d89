"""The lists of classes and layers. The page's boxes request them when they are first opened, and jobs make them."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from shapleycam.errors import ShapleyCamError
from shapleycam.web.answers import Answers
from shapleycam.web.classes import class_options
from shapleycam.web.job import QueueFullError
from shapleycam.web.layer_list import list_layers
from shapleycam.web.question import Question
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.streams import until_left

_MakeList = Callable[[ResolvedQuestion], list[tuple[str, str]]]


def _classes(resolved: ResolvedQuestion) -> list[tuple[str, str]]:
    return class_options(resolved.loaded.network.labels)


LISTS: dict[str, _MakeList] = {"classes": _classes, "layers": list_layers}
"""The lists by the last part of their addresses; each has pairs of the text in an address and its label."""


async def answer_list(request: Request, name: str, question: Question, answers: Answers) -> Response:
    """Return a list about the question's model as JSON, or status 304 if the browser already has it.

    The list depends only on the model. Its job is cancelled if the visitor leaves.

    Raises:
        QueueFullError: too many jobs are waiting, the server is stopping, or the visitor has left.
    """

    def make(resolved: ResolvedQuestion) -> bytes:
        return json.dumps(LISTS[name](resolved), ensure_ascii=False).encode()

    try:
        content = await until_left(answers.about_model(name, question, make), request.receive)
    except ShapleyCamError as error:
        return PlainTextResponse(answers.words_of(error), 422)
    if content is None:  # the visitor has left
        raise QueueFullError
    headers = {"ETag": f'"{sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
