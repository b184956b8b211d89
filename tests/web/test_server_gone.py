"""A server that ends under an open page, and photographs that are not there any more: said, and asked for again."""

from __future__ import annotations

import pytest

from helpers.web_library import COLOURS, COLOURS_FILE, expect_explained


def test_a_server_that_ends_and_one_that_follows(visit, start_server, colours, photographs):
    """Of two windows one waits for an answer, the other is about a photograph that the next server never saw."""
    first = start_server("--models", COLOURS_FILE)
    waiting, reading = visit(address=first.address), visit(address=first.address)
    reading.open("explain", model=COLOURS)
    reading.upload(photographs[0])
    reading.answer()
    reading.page.wait_for_load_state("networkidle")  # its pictures are there
    waiting.page.goto(f"{first.address}/fidelity?layer=stem&error=0.01")
    waiting.page.locator("#answer [data-state=going]").wait_for()
    waiting.allowed += ["ERR_", "htmx:sse:error"]  # which the browser writes on its console
    first.process.kill()
    waiting.page.locator("#answer").get_by_role("alert").wait_for()
    reading.allowed += ["410"]
    start_server("--models", COLOURS_FILE, port=int(first.address.rpartition(":")[2]))
    waiting.page.locator("#answer").get_by_role("link").first.click()
    waiting.page.locator("#answer [data-question]").wait_for()
    reading.pick("class", "redder")
    answer = reading.change(target="redder")
    assert "photograph" in answer.get_by_role("alert").inner_text()
    reading.upload(photographs[0])
    expect_explained(reading.answer(), colours.explain(photographs[0]))


@pytest.mark.parametrize("tab", ["explain", "compare", "fidelity", "coalitions"])
def test_an_expired_photograph_is_asked_for_again(tab, visit, library, photographs):
    visitor = visit()
    visitor.allowed.append("410")  # which the browser writes on its console
    answer = visitor.open(tab, model=COLOURS, photo="0123456789abcdef0123456789abcdef", layer="body")
    assert "photograph" in answer.get_by_role("alert").inner_text()
    visitor.upload(photographs[0])
    library.photographs[visitor.question.photo] = photographs[0]
    assert visitor.question.layer == "body"
    library.check(tab, visitor.answer(), visitor.question)
