"""Links in answers, and the names of runs."""

from __future__ import annotations

import pytest

from shapleycam.errors import OptionError
from shapleycam.web.links import carry
from shapleycam.web.question import Question
from shapleycam.web.runs import Runs


class TestCarry:
    question = Question(photo="p", target="a & b", method="gradcam", run="may", absent="1.2")

    def carried(self, html):
        return carry(html, self.question, ["photo", "target"], ["explain", "compare"])

    def test_what_the_view_does_not_read_is_added(self):
        assert self.carried('<a href="explain?photo=p">') == (
            '<a href="explain?photo=p&amp;method=gradcam&amp;absent=1.2&amp;run=may">'
        )

    def test_what_the_link_sets_or_leaves_out_stays(self):
        assert "method=hirescam" in self.carried('<a href="explain?method=hirescam">')
        assert "gradcam" not in self.carried('<a href="explain?method=hirescam">')
        assert "photo" not in self.carried('<a href="explain">')
        assert "class" not in self.carried('<a href="explain?photo=p">')

    def test_text_stays_as_it_is(self):
        html = '<a href="compare?class=a+%26+b&amp;against=%3Cb%3E">x</a>'
        assert 'href="compare?class=a+%26+b&amp;against=%3Cb%3E&amp;method=gradcam' in self.carried(html)

    @pytest.mark.parametrize(
        "address", ["picture?kind=photo", "https://example.org/explain?x=1", "#explain", "glossary"]
    )
    def test_other_addresses_stay_as_they_are(self, address):
        html = f'<a href="{address}">'
        assert self.carried(html) == html


class TestRuns:
    def test_short_names_that_tell_them_apart(self):
        assert Runs(["a/one", "b/two/"]).names == ["one", "two"]
        assert Runs(["a/one", "b/one"]).names == ["a/one", "b/one"]
        assert Runs(["x/a/one", "y/a/one", "two"]).names == ["x/a/one", "y/a/one", "two"]
        assert Runs(["s3://bucket/may/run", "s3://bucket/june/run"]).names == ["may/run", "june/run"]
        assert Runs(["a/one", "a/one"]).names == ["one"]

    def test_no_other_is_opened(self):
        with pytest.raises(OptionError, match="run '/etc' is not offered by this page"):
            Runs(["a/one"]).open("/etc")
        with pytest.raises(OptionError, match="no run is offered by this page"):
            Runs([]).open("")
