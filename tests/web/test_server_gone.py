"""A server that ends under an open page, and photographs that are not there any more: said, and asked for again."""

from __future__ import annotations

import pytest

from conftest import COLOURS
from helpers.web_server import WebServer


def test_a_restart_under_an_open_page(visit, library, photographs):
    with WebServer("--models", COLOURS) as first:
        visitor = visit(address=first.address)
        visitor.open("explain", model=COLOURS)
        visitor.upload(photographs[0])
        visitor.answer()
        port = int(first.address.rpartition(":")[2])
    visitor.allowed += ["ERR_CONNECTION_REFUSED", "410"]  # which the browser writes on its console
    with WebServer("--models", COLOURS, port=port):
        visitor.pick("class", "redder")  # of a photograph that the new server has never seen
        answer = visitor.change(target="redder")
        message = answer.get_by_role("alert")
        message.wait_for()
        assert "photograph" in message.inner_text()
        visitor.open("explain", model=COLOURS)
        library.check("explain", visitor.answer(), visitor.question)
        visitor.upload(photographs[0])
        library.photographs[visitor.question.photo] = photographs[0]
        library.check("explain", visitor.answer(), visitor.question)


def test_an_answer_whose_server_ends(visit):
    """In the answer's place it is said, with a link that asks again."""
    with WebServer() as first:
        visitor = visit(address=first.address)
        visitor.page.goto(f"{first.address}/fidelity?layer=blocks.3&error=0.1")
        visitor.page.locator("#answer [data-orders]").wait_for()
        port = int(first.address.rpartition(":")[2])
        visitor.allowed.append("ERR_")
        first.process.kill()
        broken = visitor.page.locator("#answer").get_by_role("alert")
        broken.wait_for()
        visitor.page.wait_for_timeout(0)
        with WebServer("--models", COLOURS, port=port):
            visitor.page.locator("#answer").get_by_role("link").first.click()
            visitor.answer()


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
