"""Jobs: shared, cancelled where nobody waits, in the order of the queue, and long ones make way."""

from __future__ import annotations

import asyncio
import logging
from threading import Event
from time import monotonic, sleep

import pytest

from shapleycam.web import jobs as jobs_module
from shapleycam.web.job import QueueFullError
from shapleycam.web.jobs import Jobs

LONG = 10.0
"""Seconds after which a test that hangs fails."""


def run(scenario, at_once=1, most_waiting=8):
    """Run a coroutine function with jobs that are closed at the end, and whose threads all end."""
    jobs = Jobs(at_once, most_waiting)
    try:
        return asyncio.run(asyncio.wait_for(scenario(jobs), LONG))
    finally:
        assert jobs.close(LONG)


async def updates_of(jobs, key, work, **options):
    return [update async for update in jobs.follow(key, work, **options)]


async def last_of(jobs, key, work, **options):
    return (await updates_of(jobs, key, work, **options))[-1]


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what is waited for happens in other threads
        await asyncio.sleep(0.005)


class Recorded:
    """Work that goes on in steps until it is released; what happens to it is recorded."""

    def __init__(self, content="answer"):
        self.content, self.began, self.released, self.ended = content, Event(), Event(), Event()
        self.runs = 0

    def __call__(self, check):
        self.runs += 1
        self.began.set()
        try:
            while not self.released.is_set():
                check()
                sleep(0.002)
            yield self.content
        finally:
            self.ended.set()


def released(content="answer"):
    work = Recorded(content)
    work.released.set()
    return work


def test_the_last_update_is_the_answer():
    def work(_check):
        for step in ("one", "two"):
            yield step
            sleep(0.1)

    async def scenario(jobs):
        updates = await updates_of(jobs, "key", work)
        assert [update.content for update in updates if update.content] == ["one", "two", "two"]
        assert [update.is_last for update in updates] == [*[False] * (len(updates) - 1), True]

    run(scenario)


def test_all_who_ask_the_same_share_one_run():
    work = Recorded()

    async def scenario(jobs):
        followers = [asyncio.create_task(last_of(jobs, "key", work)) for _ in range(5)]
        await until(work.began.is_set)
        work.released.set()
        assert {update.content for update in await asyncio.gather(*followers)} == {"answer"}
        assert work.runs == 1

    run(scenario, at_once=3)


def test_it_is_cancelled_where_the_last_one_leaves():
    work = Recorded()

    async def scenario(jobs):
        followers = [asyncio.create_task(last_of(jobs, "key", work)) for _ in range(2)]
        await until(work.began.is_set)
        followers[0].cancel()
        await asyncio.sleep(0.05)
        assert not work.ended.is_set()
        followers[1].cancel()
        await until(work.ended.is_set)
        assert (await last_of(jobs, "key", released("another"))).content == "another"

    run(scenario)


def test_whoever_leaves_the_queue_is_never_worked_for():
    first, second, third = Recorded(), Recorded(), released()

    async def scenario(jobs):
        following = asyncio.create_task(last_of(jobs, 1, first))
        await until(first.began.is_set)
        leaving = asyncio.create_task(last_of(jobs, 2, second))
        waiting = asyncio.create_task(updates_of(jobs, 3, third))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.sleep(0.05)
        first.released.set()
        await following
        assert [update.place for update in await waiting][:2] == [2, 1]
        assert second.runs == 0

    run(scenario)


def test_short_jobs_come_first_and_all_others_in_their_order():
    first, done = Recorded(), []

    def noting(name):
        def work(_check):
            done.append(name)
            yield name

        return work

    async def scenario(jobs):
        following = [asyncio.create_task(last_of(jobs, 0, first))]
        await until(first.began.is_set)
        for name, is_short in (("a", False), ("b", False), ("picture", True), ("picture 2", True)):
            following.append(asyncio.create_task(last_of(jobs, name, noting(name), is_short=is_short)))
            await asyncio.sleep(0.01)
        first.released.set()
        await asyncio.gather(*following)
        assert done == ["picture", "picture 2", "a", "b"]

    run(scenario)


def test_so_many_may_wait():
    first = Recorded()

    async def scenario(jobs):
        following = [asyncio.create_task(last_of(jobs, 0, first))]
        await until(first.began.is_set)
        following += [asyncio.create_task(last_of(jobs, key, released())) for key in (1, 2)]
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFullError):
            await last_of(jobs, 3, released())
        following.append(asyncio.create_task(last_of(jobs, 2, released())))  # who joins one that waits is no more
        await asyncio.sleep(0.05)
        first.released.set()
        assert all(update.is_last for update in await asyncio.gather(*following))

    run(scenario, most_waiting=2)


def test_a_fault_ends_its_job_alone(caplog):
    def work(_check):
        yield "half"
        raise ZeroDivisionError

    async def scenario(jobs):
        update = await last_of(jobs, "fault", work)
        assert (update.content, update.is_last) == (None, True)  # half an answer is none
        assert (await last_of(jobs, "next", released())).content == "answer"

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert "ZeroDivisionError" in caplog.text


def test_stopping_tells_whoever_waits():
    at_work, in_the_queue = Recorded(), Recorded()

    async def scenario(jobs):
        following = [asyncio.create_task(last_of(jobs, key, work)) for key, work in ((1, at_work), (2, in_the_queue))]
        await until(at_work.began.is_set)
        await asyncio.sleep(0.02)
        jobs.stop()
        assert [(update.content, update.is_last) for update in await asyncio.gather(*following)] == [(None, True)] * 2
        with pytest.raises(QueueFullError):
            await last_of(jobs, 3, released())
        await until(at_work.ended.is_set)
        assert in_the_queue.runs == 0

    run(scenario)


def test_work_that_never_asks_is_not_waited_for():
    jobs, release = Jobs(1, 1), Event()

    def work(_check):
        release.wait(LONG)
        yield "late"

    async def scenario():
        task = asyncio.create_task(last_of(jobs, 1, work))
        await asyncio.sleep(0.05)
        jobs.stop()
        await task

    asyncio.run(scenario())
    began = monotonic()
    assert not jobs.close(0.2)
    assert monotonic() - began < 2
    release.set()
    assert jobs.close(LONG)


class TestTurns:
    @pytest.fixture(autouse=True)
    def short_turns(self, monkeypatch):
        monkeypatch.setattr(jobs_module, "_TURN", 0.05)
        monkeypatch.setattr(jobs_module, "_PAUSE", 0.2)

    def test_long_ones_make_way(self):
        """As many long jobs as there are places, and others are answered while they go on."""
        long_ones = [Recorded() for _ in range(2)]

        async def scenario(jobs):
            following = [asyncio.create_task(last_of(jobs, key, work)) for key, work in enumerate(long_ones)]
            await until(lambda: all(work.began.is_set() for work in long_ones))
            for key in range(10, 15):
                assert (await last_of(jobs, key, released())).content == "answer"
            assert not any(work.ended.is_set() for work in long_ones)
            for work in long_ones:
                work.released.set()
            assert [update.content for update in await asyncio.gather(*following)] == ["answer"] * 2

        run(scenario, at_once=2)

    @pytest.mark.slow
    def test_they_go_on_however_many_others_come(self):
        steps = []

        def long_one(check):
            while len(steps) < 10:
                check()
                steps.append(monotonic())
                sleep(0.01)
            yield "long"

        def short_one(_check):
            sleep(0.02)
            yield "short"

        async def scenario(jobs):
            following = asyncio.create_task(last_of(jobs, "long", long_one))
            await until(lambda: steps)
            others = [asyncio.create_task(last_of(jobs, number, short_one)) for number in range(40)]
            await following
            assert not all(task.done() for task in others)  # it did not have to wait for the last of them
            await asyncio.gather(*others)

        run(scenario, most_waiting=40)

    def test_one_that_pauses_can_be_cancelled(self, monkeypatch):
        monkeypatch.setattr(jobs_module, "_PAUSE", LONG)
        pausing, other = Recorded(), Recorded()

        async def scenario(jobs):
            following = asyncio.create_task(last_of(jobs, 1, pausing))
            await until(pausing.began.is_set)
            second = asyncio.create_task(last_of(jobs, 2, other))
            third = asyncio.create_task(last_of(jobs, 3, Recorded()))
            await until(other.began.is_set)
            following.cancel()
            await until(pausing.ended.is_set)
            second.cancel()
            third.cancel()

        run(scenario)
