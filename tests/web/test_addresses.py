"""The question is the address: what is shown is the answer to it, however one came there, and never an earlier one."""

from __future__ import annotations

from conftest import COLOURS


class TestExplain:
    def test_back_forward_reload_and_a_copied_address(self, visit, colours):
        visitor = visit()
        visitor.open("explain", model=COLOURS)
        visitor.pick("class", "redder")
        visitor.change(target="redder")
        visitor.pick("method", "gradcam")
        visitor.change(method="gradcam")
        print(visitor.answers, visitor.page.url)
        visitor.page.go_back()
        visitor.change(method="", target="redder")
        visitor.page.go_back()
        visitor.change(method="", target="")
        visitor.page.go_forward()
        visitor.change(method="", target="redder")
        visitor.page.reload()
        visitor.answer()
