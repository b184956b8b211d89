"""The question of an address: read and written without loss, and refused in one line where it is none."""

from __future__ import annotations

from dataclasses import fields
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapleycam.errors import OptionError
from shapleycam.web.question import Question

NAMES = [field.name for field in fields(Question)]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(str.strip)


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, TEXTS)))
def test_what_is_written_is_read(values):
    question = Question(**values)
    assert Question.read(parse_qsl(question.address())) == question


def test_defaults_leave_no_trace():
    assert Question().address() == ""
    assert Question(target="7").address(kind="photo") == "class=7&kind=photo"


def test_only_keeps_what_a_view_reads():
    assert Question(photo="a", method="b", run="c").only(["photo", "run"]) == Question(photo="a", run="c")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("clas", "7")], "the address has a parameter 'clas'; did you mean 'class' or 'layers' or 'players'?"),
        ([("class", "7"), ("class", "8")], "the address has 'class' 2 times; expected once: remove the others"),
        ([("layer", "x" * 1001)], "layer in the address has 1001 characters; expected at most 1000"),
        ([("x" * 500, "1")], f"the address has a parameter '{'x' * 80}'"),
    ],
)
def test_refused_in_one_line(pairs, said):
    with pytest.raises(OptionError) as caught:
        Question.read(pairs)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
