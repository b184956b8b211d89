"""The web page: a thin layer on top of the library. Its server is imported when `serve` is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.web.access import Access
from shapleycam.web.site import Site

if TYPE_CHECKING:
    from shapleycam.web.server import serve

__all__ = ["Access", "Site", "serve"]


def __getattr__(name: str) -> Any:
    if name == "serve":
        from shapleycam.web import server

        return server.serve
    raise AttributeError(f"module 'shapleycam.web' has no attribute {name!r}")
