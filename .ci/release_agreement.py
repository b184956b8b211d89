"""What a release must agree on: the package's version, CHANGELOG.md, CITATION.cff and the tag.

`python .ci/release_agreement.py [--tag v1.2.3] [--for-release]` prints each disagreement; its exit code is 1 where
there is one.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(r"^## (?P<version>\d+\.\d+\.\d+), (?P<date>\d{4}-\d\d-\d\d)$", re.MULTILINE)
_UNRELEASED = re.compile(r"^## Unreleased\n(?P<lines>.*?)(?=^## )", re.MULTILINE | re.DOTALL)
_VERSION = re.compile(r'^__version__ = "(?P<version>\d+\.\d+\.\d+)"$', re.MULTILINE)


class Release(NamedTuple):
    """A version and its day, as a file states them."""

    version: str
    day: str


def package_version(root: Path) -> str | None:
    """Return the version in `version.py`, None where it is not of the form 1.2.3."""
    match = _VERSION.search((root / "src/shapleycam/version.py").read_text(encoding="utf-8"))
    return match and match["version"]


def changelog_release(root: Path) -> Release | None:
    """Return the newest section of the changelog that has a version and a day."""
    match = _SECTION.search((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return match and Release(match["version"], match["date"])


def unreleased_lines(root: Path) -> str | None:
    """Return what is under "Unreleased" in the changelog, None where there is no such section."""
    match = _UNRELEASED.search((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return match and match["lines"].strip()


def citation_release(root: Path) -> Release:
    """Return the version and the day in CITATION.cff."""
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    return Release(str(citation.get("version")), str(citation.get("date-released")))


def disagreements(root: Path, tag: str | None = None) -> Iterator[str]:
    """Yield a line for each thing that does not agree with the version of the package."""
    version, changelog, citation = package_version(root), changelog_release(root), citation_release(root)
    if version is None:
        yield 'src/shapleycam/version.py: no line such as __version__ = "1.2.3"; write it so'
        return
    if changelog is None or changelog.version != version:
        stated = "no section with a day" if changelog is None else f"the newest section is of {changelog.version}"
        yield f"CHANGELOG.md: {stated}, and the package is {version}; write a section '## {version}, YYYY-MM-DD'"
    if citation.version != version:
        yield f"CITATION.cff: version {citation.version}, and the package is {version}; write the same"
    if changelog is not None and citation.day != changelog.day:
        yield f"CITATION.cff: date-released {citation.day}, and CHANGELOG.md says {changelog.day}; write the same"
    if changelog is not None and not _is_day(changelog.day):
        yield f"CHANGELOG.md: {changelog.day} is no day of the calendar; write the day of the release"
    if tag is not None and tag != f"v{version}":
        yield f"tag {tag}: the package is {version}; expected the tag v{version}"


def reasons_to_wait(root: Path) -> Iterator[str]:
    """Yield a line for what a version under work may have, and a release may not."""
    if unreleased_lines(root) is None:
        yield "CHANGELOG.md: no section '## Unreleased' above the newest version; keep an empty one for what comes next"
    elif lines := unreleased_lines(root):
        first = lines.splitlines()[0]
        yield f"CHANGELOG.md: there are lines under Unreleased ({first}); move them into the section of this version"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def main() -> None:
    """Print what does not agree.

    Raises:
        SystemExit: something does not.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="the tag of the release, such as v1.2.3")
    parser.add_argument("--for-release", action="store_true", help="nothing may wait under Unreleased")
    arguments = parser.parse_args()
    problems = [*disagreements(ROOT, arguments.tag), *(reasons_to_wait(ROOT) if arguments.for_release else ())]
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"version, CHANGELOG.md, CITATION.cff and tag agree: {package_version(ROOT)}")


if __name__ == "__main__":
    main()
