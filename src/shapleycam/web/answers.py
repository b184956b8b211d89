"""`Answers`: makes the answer to each question once, caches it, and turns failures into messages."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Hashable
from contextlib import aclosing, closing
from functools import partial

from shapleycam.errors import ShapleyCamError
from shapleycam.web.job import Check, Content, QueueFullError, Update, Work
from shapleycam.web.jobs import Jobs
from shapleycam.web.pictures import draw_picture
from shapleycam.web.question import Question
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.resources import Resources
from shapleycam.web.shared_cache import SharedCache
from shapleycam.web.views import View
from shapleycam.web.views.view import Render

_LOG = logging.getLogger(__name__)
_MOST, _ANSWERS_MEGABYTES, _PICTURES_MEGABYTES = 1000, 16, 64
"""Limits of the caches. An answer takes about 10 kB, and a picture about 20 kB."""


class Answers:
    """The answers of all views, and the pictures in them."""

    def __init__(self, resources: Resources, jobs: Jobs, render: Render) -> None:
        self._resources, self._jobs, self._render = resources, jobs, render
        self._html: SharedCache[str] = SharedCache(_MOST, _ANSWERS_MEGABYTES)
        self._pictures: SharedCache[bytes] = SharedCache(_MOST, _PICTURES_MEGABYTES)
        resources.photographs.listeners.append(self._forget)

    async def follow(self, view: View, question: Question) -> AsyncGenerator[Update, None]:
        """Yield the states of an answer; the last state is the answer."""
        key = (view.name, question.only(view.fields))
        cached = self._html.peek(key)
        if cached is not None:
            yield Update(0, cached, is_last=True)
            return
        async with aclosing(self._jobs.follow(key, self._work(view, key))) as updates:
            async for update in updates:
                yield update

    async def picture(self, kind: str, question: Question) -> bytes:
        """Return a picture of a question as the bytes of a file.

        Raises:
            ShapleyCamError: the picture cannot be made.
            QueueFullError: too many jobs are waiting, or the server is stopping.
        """
        return await self.content(kind, question, partial(draw_picture, kind))

    async def content(
        self, kind: str, question: Question, make: Callable[[ResolvedQuestion], bytes], *, is_short: bool = True
    ) -> bytes:
        """Return bytes that `make` computes for a question, from the cache or by a job in the queue.

        Raises:
            ShapleyCamError: the bytes cannot be made.
            QueueFullError: too many jobs are waiting, or the server is stopping.
        """
        key = (kind, question)
        cached = self._pictures.peek(key)
        if cached is not None:
            return cached

        def work(check: Check) -> Generator[Content, None, None]:
            try:
                content = make(ResolvedQuestion(question, self._resources, check))
            except ShapleyCamError as error:
                yield error
                return
            self._pictures.put(key, content)
            yield content

        last = Update(0)
        async with aclosing(self._jobs.follow(("picture", *key), work, is_short=is_short)) as updates:
            async for update in updates:
                last = update
        if isinstance(last.content, ShapleyCamError):
            raise last.content
        if last.content is None and self._jobs.is_closed:
            raise QueueFullError
        if not isinstance(last.content, bytes):
            raise ShapleyCamError("This could not be made; the server has logged why")
        return last.content

    async def about_model(self, kind: str, question: Question, make: Callable[[ResolvedQuestion], bytes]) -> bytes:
        """Return bytes that depend only on a question's model; if it is not loaded, the job is not a short one.

        Raises:
            ShapleyCamError: the model is not offered, or the bytes cannot be made.
            QueueFullError: too many jobs are waiting, or the server is stopping.
        """
        is_loaded = self._resources.models.is_loaded(question.model)
        return await self.content(kind, question.only(["model"]), make, is_short=is_loaded)

    def words_of(self, error: ShapleyCamError) -> str:
        """Return the message of an error in words for visitors."""
        return self._resources.words_of(error)

    def _work(self, view: View, key: tuple[str, Question]) -> Work:
        def work(check: Check) -> Generator[Content, None, None]:
            html = ""
            try:
                with closing(view.answer(ResolvedQuestion(key[1], self._resources, check), self._render)) as steps:  # type: ignore[type-var]
                    for html in steps:
                        yield html
                if view.lasts:
                    self._html.put(key, html)
            except ShapleyCamError as error:
                yield self._render("message.html", message=self.words_of(error))
            except Exception as error:  # noqa: BLE001 - one answer may fail, but the page keeps running
                _LOG.exception("an answer failed")
                failure = f"This could not be done ({type(error).__name__}); the server has logged why and goes on"
                yield self._render("message.html", message=failure)

        return work

    def _forget(self, photographs: frozenset[str]) -> None:
        """Remove everything that was made from removed photographs."""

        def is_of_them(key: Hashable) -> bool:
            parts = key if isinstance(key, tuple) else (key,)
            return any(isinstance(part, Question) and part.photo in photographs for part in parts)

        self._html.remove_where(is_of_them)
        self._pictures.remove_where(is_of_them)
        for cache in self._resources.caches:
            cache.remove_where(is_of_them)
