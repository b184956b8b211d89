"""The states of an answer as HTML. In the page, each state replaces the previous one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from markupsafe import Markup

from shapleycam.web.answers import Answers
from shapleycam.web.client_limits import ClientLimit, TooManyError
from shapleycam.web.job import QueueFullError, Update
from shapleycam.web.links import carry
from shapleycam.web.question import Question
from shapleycam.web.views import TABS, View
from shapleycam.web.views.view import Render

FULL = "Too many people are asking just now; reload the page in a minute"
_STREAMS = 32, 256
"""Maximum number of answers that one client address, and all clients together, may wait for at the same time."""
_STOPPED = "This answer was not finished: the server is stopping, or has logged what failed"
_MESSAGE_AND_LINK = "message_and_link.html"


class AnswerStates:
    """Makes the states of answers. Each contains the address of its question, so that it is not shown for another."""

    def __init__(self, answers: Answers, render: Render) -> None:
        self._answers, self._render = answers, render
        self._limit = ClientLimit(*_STREAMS)

    async def follow(self, view: View, question: Question, client: str) -> AsyncGenerator[str, None]:
        """Yield the states of an answer for a client; the last state is the answer, or the reason why there is none."""
        try:
            with self._limit.hold(client):
                async with aclosing(self._answers.follow(view, question)) as updates:
                    async for update in updates:
                        yield self._draw(view, question, update)
        except (QueueFullError, TooManyError):
            yield self.refused(view, question, FULL)

    def refused(self, view: View, question: Question, message: str) -> str:
        """Return the only state of an answer that is refused."""
        html = self._render("message.html", message=message)
        return self._draw(view, question, Update(0, html, is_last=True))

    def photograph_gone(self, view: View, question: Question, message: str) -> str:
        """Return the only state of an answer whose photograph is no longer stored; it links to the example."""
        example = f"{view.tab}?{question.but(photo='').address()}"
        html = self._render(_MESSAGE_AND_LINK, message=message, address=example, label="Take the example")
        return self._draw(view, question, Update(0, html, is_last=True))

    def page_is_old(self, view: View, question: Question, message: str) -> str:
        """Return the only state of an answer for a page from an earlier server; it links to the page itself."""
        html = self._with_link(view, question, message, "Load the page again")
        return self._draw(view, question, Update(0, html, is_last=True))

    def _with_link(self, view: View, question: Question, message: str, label: str) -> str:
        """Return a message with a link that loads the tab again."""
        address = f"{view.tab}?{question.address()}"
        return self._render(_MESSAGE_AND_LINK, message=message, address=address, label=label)

    def _draw(self, view: View, question: Question, update: Update) -> str:
        if update.content is not None:
            html = carry(str(update.content), question, view.fields, TABS)
        elif update.is_last:
            html = self._with_link(view, question, _STOPPED, "Ask again")
        else:
            html = self._render("waiting.html", place=update.place)
        address = f"{view.name}?{question.only(view.fields).address()}"
        return self._render("state.html", address=address, is_last=update.is_last, html=Markup(html))  # noqa: S704 - made by templates
