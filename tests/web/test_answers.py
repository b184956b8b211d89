"""Answers and pictures: cached, shared, and gone with their photograph."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace

import pytest

from helpers.web_library import COLOURS_FILE
from helpers.web_server import HOPPER
from shapleycam.errors import OptionError
from shapleycam.web.app import Page
from shapleycam.web.photograph_store import PhotographGoneError
from shapleycam.web.question import Question
from shapleycam.web.site import Site
from shapleycam.web.views import VIEWS


@contextmanager
def opened(**settings):
    page = Page(replace(Site(models=[COLOURS_FILE], examples=[HOPPER]), **settings))
    try:
        yield page
    finally:
        assert page.jobs.close(10)


@pytest.fixture(scope="module")
def page():
    with opened() as made:
        yield made


async def answer_of(page, view, question):
    return [update async for update in page.answers.follow(VIEWS[view], question)][-1]


def cached_of(page, photograph):
    """How much of a photograph is in the caches."""
    caches = (page.answers._html, page.answers._pictures, *page.resources.caches)
    return sum(photograph in repr(key) for cache in caches for key in cache._entries)


def test_an_answer_is_made_once(page):
    async def scenario():
        first = await answer_of(page, "explain", Question(target="red"))
        second = await answer_of(page, "explain", Question(target="red", run="of another tab"))
        assert first.is_last
        assert first.content is second.content

    asyncio.run(scenario())


def test_all_who_wait_for_a_picture_get_it_or_the_reason(page):
    async def scenario():
        same = await asyncio.gather(*(page.answers.picture("photo", Question(target="blue")) for _ in range(4)))
        assert len({id(content) for content in same}) == 1
        for kind, question, error in (
            ("nothing", Question(), OptionError),
            ("photo", Question(photo="f" * 32), PhotographGoneError),
        ):
            failures = await asyncio.gather(
                *(page.answers.picture(kind, question) for _ in range(4)), return_exceptions=True
            )
            assert [type(failure) for failure in failures] == [error] * 4

    asyncio.run(scenario())


def test_what_was_made_of_a_photograph_goes_with_it():
    with opened(keep_hours=1) as page:
        key = page.photographs.add(HOPPER.read_bytes())

        async def scenario():
            await answer_of(page, "explain", Question(photo=key))
            await answer_of(page, "coalitions", Question(photo=key))
            await page.answers.picture("photo", Question(photo=key))
            await answer_of(page, "explain", Question())

        asyncio.run(scenario())
        assert cached_of(page, key) >= 4
        page.photographs._seconds = -1
        page.photographs.remove_old()
        assert len(page.photographs) == 0
        assert cached_of(page, key) == 0
        assert cached_of(page, "photo=''") >= 1
