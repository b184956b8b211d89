"""Refuse requests to other names than the page's own, and expensive requests from pages of other sites."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from shapleycam.web.access import Access

_OPEN = "/healthz"
_EXPENSIVE = ("/answer/", "/picture", "/classes", "/layers")
_OWN = ("same-origin", "none")
"""Values of Sec-Fetch-Site for requests by the page itself, and for addresses that the visitor typed or bookmarked."""


class OriginCheck:
    """Middleware that refuses requests to other names, and requests by pages of other sites that change or cost much.

    If the page is served by https or on this machine, browsers say in Sec-Fetch-Site which site a request comes from.
    Otherwise Origin or Referer is compared with Host. A request without these headers does not come from a browser.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" and scope["path"] != _OPEN else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers, path = Headers(scope=scope), scope["path"]
        hosts = headers.getlist("host")
        name = _name_of(f"//{hosts[0]}") if len(hosts) == 1 else None
        if name is None or not self._access.is_own_name(name):
            return PlainTextResponse(
                f"This page is not served under the name {name or ''!r}; expected {self._access.describe_names()}: "
                "the operator adds names by --public-host\n",
                421,
            )
        is_own = self._is_of_the_page(headers, hosts[0])
        if is_own or (scope["method"] in {"GET", "HEAD"} and not path.startswith(_EXPENSIVE)):
            return None
        return PlainTextResponse(
            "This was asked for by a page of another site; expected one of this page's own: open the page itself\n", 403
        )

    def _is_of_the_page(self, headers: Headers, host: str) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in _OWN
        source = headers.get("origin", headers.get("referer"))
        if source is None:
            return True
        return urlsplit(source).netloc.lower() == host.lower() or self._access.is_public_name(_name_of(source))


def _name_of(address: str) -> str | None:
    """Return the host of an address; None if it has no host or is not an address."""
    try:
        name = urlsplit(address).hostname
    except ValueError:
        return None
    return name and name.rstrip(".")
