"""The address of the preview picture, which other programs show beside a link to the page."""

from __future__ import annotations

import re

from starlette.requests import Request

from shapleycam.web.access import Access

_PICTURE = "static/preview.jpg"
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
_OF_PROXIES = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "forwarded", "via")


def preview_address(request: Request, access: Access) -> str:
    """Return the absolute address of the preview picture; "" if it is not known.

    It has the scheme and host of the request, whose host is one of the page's own names (`OriginCheck`). Behind a
    reverse proxy it is known only if the proxy is trusted, forwards a public name, and gives the path of the page in
    X-Forwarded-Prefix.
    """
    prefix = "/"
    if any(name in request.headers for name in _OF_PROXIES):
        prefix = request.headers.get("x-forwarded-prefix", "")
        is_public = access.is_public_name(request.url.hostname) or access.has_any_name
        if not (prefix and _PREFIX.fullmatch(prefix) and access.trusted_proxies and is_public):
            return ""
    return f"{request.url.scheme}://{request.url.netloc}{prefix.rstrip('/')}/{_PICTURE}"
