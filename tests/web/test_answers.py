"""Answers and pictures: cached, shared, and gone with their photograph."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, current_thread

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.web_library import COLOURS_FILE
from helpers.web_server import HOPPER
from shapleycam.errors import OptionError
from shapleycam.models import zoo
from shapleycam.web.app import Page, page_routes
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


class TestLists:
    """Of the boxes: they need the model, and are made in the queue as all that does."""

    @pytest.mark.parametrize("path", ["/classes", "/layers"])
    def test_where_too_many_wait_it_is_refused(self, path):
        with opened(most_waiting=0) as page, TestClient(Starlette(routes=page_routes(page))) as client:
            response = client.get(path)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "60")
            assert len(page.resources.models) == 0

    def test_a_model_is_loaded_by_the_queues_threads_and_not_where_nobody_waits(self, monkeypatch):
        loaded, release, load = [], Event(), zoo.load_network

        def load_slowly(name):
            loaded.append((name, current_thread().name))
            assert release.wait(30)
            return load(name)

        monkeypatch.setattr(zoo, "load_network", load_slowly)
        with opened(models=[COLOURS_FILE, "other.py:net"], threads=1) as page:

            def ask(model):
                question = Question(model=model)
                return page.answers.about_model("classes", question, lambda resolved: resolved.model_name.encode())

            async def scenario():
                first = asyncio.create_task(
                    page.answers.about_model("classes", Question(), lambda r: r.loaded and b"1")
                )
                while not loaded:  # noqa: ASYNC110 - what is waited for happens in another thread
                    await asyncio.sleep(0.01)
                second = asyncio.create_task(ask("other:net"))
                await asyncio.sleep(0.05)
                second.cancel()
                await asyncio.sleep(0.05)
                release.set()
                assert await first == b"1"

            asyncio.run(scenario())
        ((name, thread),) = loaded
        assert name == COLOURS_FILE
        assert thread.startswith("page-")

    def test_an_address_with_the_path_of_an_offered_model_leads_to_its_short_name(self, page):
        with TestClient(Starlette(routes=page_routes(page)), follow_redirects=False) as client:
            response = client.get("/compare", params={"model": COLOURS_FILE, "class": "red"})
            assert response.status_code == 308
            assert response.headers["Location"] == "compare?model=colour_network%3Anetwork&class=red"
            for path in ("/explain", "/compare?script=off", response.headers["Location"]):
                assert str(Path(COLOURS_FILE).parent) not in client.get(path).text
            refused = client.get("/answer/explain", params={"model": "/etc/colour_network.py:network"})
            assert "is not offered by this page" in refused.text
            assert client.get("/picture", params={"kind": "photo", "model": COLOURS_FILE}).status_code == 200


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
