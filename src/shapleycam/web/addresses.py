"""Addresses in answers, relative to the page's own, so that a proxy may put the page under any path."""

from __future__ import annotations

from shapleycam.web.resolved import ResolvedQuestion


def picture_address(resolved: ResolvedQuestion, kind: str, **changes: str) -> str:
    """Return the address of a picture or file of a question."""
    return f"picture?{resolved.question.but(**changes).address(kind=kind)}"


def view_address(resolved: ResolvedQuestion, view: str, **changes: str) -> str:
    """Return the address of a view of a question; fields that no view of it reads are added where it is shown."""
    query = resolved.question.but(**changes).address()
    return f"{view}?{query}" if query else view
