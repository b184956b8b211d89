"""Draws that are kept: everybody has the same ones, each is made once, and whoever leaves loses nothing."""

from __future__ import annotations

from itertools import count, islice
from threading import Thread

import pytest

from shapleycam.web.kept_draws import KeptDraws


def test_threads_that_follow_have_the_same_draws_each_made_once():
    made: list[int] = []

    def draws():
        for number in count():
            made.append(number)
            yield number

    kept, seen = KeptDraws(draws()), [[] for _ in range(4)]
    threads = [Thread(target=lambda each=each: each.extend(islice(kept.follow(), 200))) for each in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [list(range(200))] * 4
    assert made == list(range(200))


def test_check_ends_it_before_a_new_draw_and_the_next_goes_on():
    kept = KeptDraws(count())

    def check() -> None:
        if len(kept) == 3:
            raise KeyboardInterrupt

    following = kept.follow(check)
    with pytest.raises(KeyboardInterrupt):
        list(following)
    assert list(islice(kept.follow(check), 3)) == [0, 1, 2]  # what is kept needs no new draw
    assert list(islice(kept.follow(), 5)) == [0, 1, 2, 3, 4]
    assert kept.seconds_each >= 0
