"""Links in answers. Questions that differ only in fields that a view does not read share an answer, but not links."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape, unescape
from urllib.parse import parse_qsl, urlencode

from shapleycam.web.question import Question, address_names


def carry(html: str, question: Question, fields: Iterable[str], tabs: Iterable[str]) -> str:
    """Add to an answer's links to tabs the fields of the question that its view does not read.

    Fields that a link already has are not changed.

    Examples:
        >>> from shapleycam.web.links import carry
        >>> from shapleycam.web.question import Question
        >>> answer = '<a href="explain?class=667">mortarboard</a>'
        >>> carry(answer, Question(target="400", run="may"), ["target"], ["explain"])
        '<a href="explain?class=667&amp;run=may">mortarboard</a>'
    """
    own = set(fields)
    rest = [
        (name, getattr(question, field))
        for field, name in address_names().items()
        if field not in own and getattr(question, field)
    ]

    def add(link: re.Match[str]) -> str:
        pairs = parse_qsl(unescape(link["query"] or ""))
        present = {name for name, _ in pairs}
        query = urlencode([*pairs, *((name, value) for name, value in rest if name not in present)])
        return f'href="{link["tab"]}{"?" if query else ""}{escape(query)}"'

    if not rest:
        return html
    return re.sub(rf'href="(?P<tab>{"|".join(map(re.escape, tabs))})(\?(?P<query>[^"#]*))?"', add, html)
