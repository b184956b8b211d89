"""Eight people at once: everybody gets the answer to what they asked, and the server does not grow."""

from __future__ import annotations

from test_page import answer_of, search

FIRST_ROUNDS, ROUNDS, GROWTH = 3, 8, 1.1
CLASSES = 4


def test_eight_at_once(visit, served, explainer, photographs):
    pages = [visit() for _ in photographs]
    expected = [[answer_of(e) for e in explainer.explain_each(photo, CLASSES)] for photo in photographs]
    classes = [[int(e.target[0]) for e in explainer.explain_each(photo, CLASSES)] for photo in photographs]
    assert len({answers[0] for answers in expected}) == len(photographs)
    for page, photo in zip(pages, photographs, strict=True):
        page.locator("input[type=file]").first.set_input_files(photo)
    for page in pages:
        page.locator("#explained .sc-answer").wait_for(timeout=300_000)

    def round_of(number: int) -> int:
        """All ask, then all look; how many answers there were."""
        places = [(number + index) % CLASSES for index in range(len(pages))]
        for page, own, place in zip(pages, classes, places, strict=True):
            search(page, "target", str(own[place]))
        for page, answers, place in zip(pages, expected, places, strict=True):
            page.locator("#explained .sc-answer", has_text=answers[place]).wait_for(timeout=300_000)
            assert page.locator("#explained .sc-answer").inner_text() == answers[place]
        return len(pages)

    for number in range(FIRST_ROUNDS):
        round_of(number)
    before = served.process.memory_info().rss
    answered = sum(round_of(FIRST_ROUNDS + number) for number in range(ROUNDS))
    assert answered == ROUNDS * len(pages)
    assert served.process.memory_info().rss <= GROWTH * before
