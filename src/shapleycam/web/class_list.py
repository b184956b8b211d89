"""The address of a model's classes, which the page's boxes ask for when they are first opened."""

from __future__ import annotations

import json
from hashlib import sha256

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from shapleycam.errors import ShapleyCamError
from shapleycam.web.classes import class_options
from shapleycam.web.model_cache import ModelCache


async def list_classes(request: Request, models: ModelCache) -> Response:
    """Return for each class of a model the text of an address, and its label; nothing where the browser has them."""
    try:
        loaded = await run_in_threadpool(models.get, request.query_params.get("model", ""))
    except ShapleyCamError as error:
        return PlainTextResponse(str(error), 422)
    content = json.dumps(class_options(loaded.network.labels), ensure_ascii=False).encode()
    headers = {"ETag": f'"{sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
