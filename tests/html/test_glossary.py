"""The terms of the page: the documentation has the same sentences, and its pages exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from shapleycam.html import GLOSSARY

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("term", GLOSSARY.values(), ids=lambda term: term.id)
def test_the_documentation_has_the_same_sentence(term):
    assert f"| {term.name} | {term.meaning} |\n" in (DOCS / "glossary.md").read_text(encoding="utf-8")


def test_the_documentation_has_no_other_terms_in_plain_words():
    section = (DOCS / "glossary.md").read_text(encoding="utf-8").split("## In plain words")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0].strip("| ") for line in section.splitlines() if line.startswith("| ")]
    assert rows == ["term", *GLOSSARY]


def test_each_has_one_sentence_an_identifier_of_its_own_and_a_page():
    assert len({term.id for term in GLOSSARY.values()}) == len(GLOSSARY)
    for term in GLOSSARY.values():
        assert term.meaning.endswith(".")
        assert ". " not in term.meaning
        assert (DOCS / f"{term.page}.md").is_file()
