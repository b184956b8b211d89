"""The web page: a thin face on the library, made with Gradio, which is imported when `serve` is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.web.site import Site

if TYPE_CHECKING:
    from shapleycam.web.server import serve

__all__ = ["Site", "serve"]


def __getattr__(name: str) -> Any:
    if name == "serve":
        from shapleycam.web import server

        return server.serve
    raise AttributeError(f"module 'shapleycam.web' has no attribute {name!r}")
