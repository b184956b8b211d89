"""The application that the server runs: the page's routes, and the middleware that protects them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shapleycam.allocator import return_free_memory
from shapleycam.web.access import Access
from shapleycam.web.app import Page, page_routes
from shapleycam.web.body_limit import BodyLimit
from shapleycam.web.job import QueueFullError, Update
from shapleycam.web.login import Login, LoginCheck
from shapleycam.web.origin_check import OriginCheck
from shapleycam.web.question import Question
from shapleycam.web.security_headers import SecurityHeaders
from shapleycam.web.site import Site
from shapleycam.web.views import VIEWS

_LOGIN_BYTES = 20_000
_SECONDS_TO_CLEAN = 60


@dataclass(frozen=True)
class Application:
    """The page, and the ASGI application that serves it."""

    page: Page
    app: ASGIApp


def build_application(site: Site, access: Access) -> Application:
    """Return the application of a site."""
    page = Page(site, access)
    routes = [Route("/healthz", _healthy), Route("/robots.txt", _robots)]
    login = None if access.accounts is None else Login(access.accounts, page.render)
    if login is not None:
        routes += [
            Route("/login", login.show, methods=["GET"]),
            Route("/login", login.submit, methods=["POST"]),
            Route("/logout", login.leave, methods=["POST"]),
        ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (_warm_up(page), _clean_up(page))]
        yield
        for task in tasks:
            task.cancel()

    handlers = {HTTPException: page.not_found, Exception: page.failed}
    starlette = Starlette(routes=[*routes, *page_routes(page)], lifespan=lifespan, exception_handlers=handlers)
    starlette.router.redirect_slashes = False  # its redirects are absolute, and wrong behind a proxy
    app: ASGIApp = starlette
    limits = {"/photographs": page.uploads.most_bytes, "/login": _LOGIN_BYTES}
    app = BodyLimit(app, limits, lambda request, status: _refuse_body(page, request, status))
    if login is not None:
        app = LoginCheck(app, login)
    return Application(page, SecurityHeaders(OriginCheck(app, access)))


async def _warm_up(page: Page) -> None:
    """Make the answer that every visitor sees first, so that visitors need not wait for the model to load."""
    updates: AsyncGenerator[Update, None] = page.answers.follow(next(iter(VIEWS.values())), Question())
    try:
        async with aclosing(updates):
            async for _ in updates:
                pass
    except QueueFullError:
        pass  # the server is already stopping


async def _clean_up(page: Page) -> None:
    while True:
        await asyncio.sleep(_SECONDS_TO_CLEAN)
        page.photographs.remove_old()
        return_free_memory()


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _robots(_: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def _refuse_body(page: Page, request: Request, status: int) -> Response:
    if request.url.path == "/photographs":
        return page.page(request, "explain", Question(), page.uploads.describe_refusal(status), status)
    return PlainTextResponse(
        "The address or the body of the request is too large, or came too slowly; expected what the page sends\n",
        status,
    )
