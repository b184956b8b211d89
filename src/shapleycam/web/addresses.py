"""Addresses in answers. They are relative to the page's address, so that a proxy may serve the page under any path."""

from __future__ import annotations

from shapleycam.web.resolved import ResolvedQuestion


def answer_address(resolved: ResolvedQuestion, view: str, **changes: str) -> str:
    """Return the address from which the page requests the answer of a view."""
    return f"answer/{view}?{resolved.question.but(**changes).address(server=resolved.resources.server)}"


def picture_address(resolved: ResolvedQuestion, kind: str, **changes: str) -> str:
    """Return the address of a picture or file of a question."""
    return f"picture?{resolved.question.but(**changes).address(kind=kind, server=resolved.resources.server)}"


def view_address(resolved: ResolvedQuestion, view: str, **changes: str) -> str:
    """Return the address of a view of a question; `links.carry` adds the fields that the present view does not read."""
    query = resolved.question.but(**changes).address()
    return f"{view}?{query}" if query else view
