"""Fail unless all tests of conformance with the paper's code ran, by pytest's report in JUnit's XML."""

from __future__ import annotations

import sys

from defusedxml import ElementTree

LEAST = 100
"""Tests of conformance that there are at least."""


def main(report: str) -> str:
    """Return how many tests of conformance ran.

    Raises:
        SystemExit: too few ran, or one was skipped.
    """
    cases = [case for case in ElementTree.parse(report).iter("testcase") if _is_conformance(case)]
    skipped = [case.get("name") for case in cases if case.find("skipped") is not None]
    if len(cases) < LEAST or skipped:
        raise SystemExit(f"conformance: {len(cases)} tests ran, {len(skipped)} skipped, although the data is there")
    return f"conformance: {len(cases)} tests ran, none skipped"


def _is_conformance(case: ElementTree.Element) -> bool:
    return "test_conformance" in case.get("classname", "")


if __name__ == "__main__":
    print(main(sys.argv[1]))
