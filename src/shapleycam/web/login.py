"""The login page, and the middleware that refuses visitors who have not logged in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from anyio import CapacityLimiter, to_thread
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shapleycam.web.client_limits import address_of
from shapleycam.web.passwords import Accounts
from shapleycam.web.sessions import HOURS, Attempts, Sessions
from shapleycam.web.views import TABS

_COOKIE = "shapleycam-login"
_OPEN = ("/login", "/healthz", "/robots.txt", "/favicon.ico")
_OPEN_FOLDER = "/static/"
_FOR_SCRIPTS = ("/picture", "/classes", "/layers")
"""Requests of the page's scripts, which cannot show a login page in place of the response."""
_DELAY = 0.5
"""Seconds before a failure is answered."""
_MOST_AT_ONCE = 16
"""Maximum number of waiting attempts: passwords are checked one after another, because each check needs memory."""

Render = Callable[..., str]


class Login:
    """The handlers of login and logout, and the sessions."""

    def __init__(self, accounts: Accounts, render: Render) -> None:
        self._accounts, self._render = accounts, render
        self._sessions, self._attempts = Sessions(), Attempts()
        self._turns = CapacityLimiter(1)

    def is_open(self, connection: HTTPConnection) -> bool:
        """Return whether a request needs no login, or belongs to a session."""
        path = connection.url.path
        return path in _OPEN or path.startswith(_OPEN_FOLDER) or self._sessions.is_valid(self._token(connection))

    async def show(self, request: Request) -> Response:
        """Return the login page."""
        return self._page(request.query_params.get("next", ""), "", 200)

    async def submit(self, request: Request) -> Response:
        """Log in, and redirect to the page that the visitor requested."""
        try:
            async with request.form(max_files=0, max_fields=8, max_part_size=4096) as form:
                user, password, destination = (_text(form, name) for name in ("user", "password", "next"))
        except FormParserError:  # starlette's own errors already are responses
            return self._page("", "This form could not be read; reload the page and try again", 400)
        client = address_of(request)
        wait = self._attempts.wait_of(client)
        if wait or self._turns.statistics().tasks_waiting >= _MOST_AT_ONCE:
            message = f"Too many attempts; try again in {max(1, wait)} s"
            return self._page(destination, message, 429, {"Retry-After": str(max(1, wait))})
        self._attempts.count(client)
        if not await to_thread.run_sync(self._accounts.accept, user, password, limiter=self._turns):
            await asyncio.sleep(_DELAY)
            return self._page(destination, "User and password do not belong together; try again", 401)
        self._attempts.forgive(client)
        response = RedirectResponse(_own_address(destination), 303)
        is_secure = "https" in {request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme}
        response.set_cookie(  # no path means the path of the page, wherever a proxy serves it
            _COOKIE, self._sessions.begin(), HOURS * 3600, path=None, secure=is_secure, httponly=True, samesite="lax"
        )
        return response

    async def leave(self, request: Request) -> Response:
        """Log out."""
        self._sessions.end(self._token(request))
        response = RedirectResponse("login", 303)
        response.set_cookie(_COOKIE, "", 0, path=None, httponly=True, samesite="lax")
        return response

    def refuse(self, connection: HTTPConnection) -> Response:
        """Return the response for a visitor who is not logged in: the login page, or for an answer a link to it."""
        path = connection.url.path
        if path.startswith("/answer/"):
            return HTMLResponse(self._render("logged_out.html"), 401)
        if path in _FOR_SCRIPTS:
            return PlainTextResponse("This needs a login; reload the page\n", 401)
        query = f"?{connection.url.query}" if connection.url.query else ""
        destination = f"{path.strip('/')}{query}" if path != "/" else ""
        login = f"{'../' * path.count('/', 1)}login"  # relative, since a proxy may serve the page under any path
        return RedirectResponse(f"{login}?{urlencode({'next': destination})}" if destination else login, 303)

    def _page(self, destination: str, message: str, status: int, headers: dict[str, str] | None = None) -> Response:
        html = self._render("login.html", destination=destination, message=message)
        return HTMLResponse(html, status, {"Cache-Control": "no-store", **(headers or {})})

    @staticmethod
    def _token(connection: HTTPConnection) -> str:
        return connection.cookies.get(_COOKIE, "")


class LoginCheck:
    """Middleware that refuses visitors who have not logged in."""

    def __init__(self, app: ASGIApp, login: Login) -> None:
        self._app, self._login = app, login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or refuse it."""
        if scope["type"] == "http":
            connection = HTTPConnection(scope)
            if not self._login.is_open(connection):
                await self._login.refuse(connection)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _own_address(destination: str) -> str:
    """Return an address if it is that of a tab, else the first tab's, so that it cannot redirect to another site."""
    view, _, _ = destination.partition("?")
    return destination if view in TABS or view == "glossary" else "explain"


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
