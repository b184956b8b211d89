"""Patterns for several files: globs, and braces, which are expanded as in bash and webdataset."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import islice
from math import prod

from braceexpand import braceexpand

from shapleycam.errors import OptionError

_FILE_LIMIT = 100_000
"""Maximum number of files that braces may expand to."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.-?[0-9]+)?")
_WILDCARD = re.compile(r"[*?\[]")


def is_pattern(text: str) -> bool:
    """Return whether a text has wildcards or braces."""
    return is_glob(text) or has_braces(text)


def is_glob(text: str) -> bool:
    """Return whether a text has wildcards."""
    return _WILDCARD.search(text) is not None


def has_braces(text: str) -> bool:
    """Return whether a text has a pair of braces."""
    return _BRACES.search(text) is not None


def matches_glob(path: str, pattern: str) -> bool:
    """Return whether a path, with "/" between its parts, matches a glob; `**` matches any number of folders.

    As in shells, wildcards do not match a leading dot.

    Examples:
        >>> matches_glob("photos/cat/1.jpg", "photos/*/*.jpg"), matches_glob("photos/cat/1.jpg", "photos/*.jpg")
        (True, False)
        >>> matches_glob("photos/cat/1.jpg", "photos/**/*.jpg"), matches_glob("photos/.a.jpg", "photos/*.jpg")
        (True, False)
    """
    return _match_parts(path.split("/"), pattern.split("/"))


def fixed_part(pattern: str) -> str:
    """Return the folder of a pattern: all parts before the first part with a wildcard or a brace.

    Examples:
        >>> fixed_part("photos/in/*.jpg"), fixed_part("*.jpg")
        ('photos/in', '')
    """
    parts = pattern.split("/")
    count = next((index for index, part in enumerate(parts) if is_pattern(part)), len(parts) - 1)
    return "/".join(parts[:count])


def expand_braces(pattern: str) -> list[str]:
    """Return the texts that a pattern with braces expands to, as in bash; zero padding is kept.

    Raises:
        OptionError: braces are not in pairs, or expand to too many files, or to the same file twice.

    Examples:
        >>> expand_braces("shard-{08..10}.tar")
        ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    # Files are counted before the expansion, because braceexpand holds every range in memory. The count is exact if
    # braces are not nested; otherwise the expansion itself is limited.
    total = prod(_count_alternatives(braces, pattern) for braces in _BRACES.findall(pattern))
    if total > _FILE_LIMIT:
        raise OptionError(f"{pattern}: names {total:,} files; expected at most {_FILE_LIMIT:,}")
    try:
        paths = list(islice(braceexpand(pattern, escape=False), _FILE_LIMIT + 1))
    except ValueError:  # UnbalancedBracesError
        raise OptionError(f"{pattern}: braces are not in pairs; expected a pattern like dir/{{000..009}}.tar") from None
    if len(paths) > _FILE_LIMIT:
        raise OptionError(f"{pattern}: names over {_FILE_LIMIT:,} files; expected at most {_FILE_LIMIT:,}")
    if len(set(paths)) < len(paths):
        raise OptionError(f"{pattern}: names a file twice; name each once")
    return paths


def _match_parts(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not parts
    if patterns == ["**"]:
        return not any(part.startswith(".") for part in parts)
    if patterns[0] == "**":
        return _match_parts(parts, patterns[1:]) or (
            len(parts) > 1 and not parts[0].startswith(".") and _match_parts(parts[1:], patterns)
        )
    if not parts or (parts[0].startswith(".") and not patterns[0].startswith(".")):
        return False
    return fnmatchcase(parts[0], patterns[0]) and _match_parts(parts[1:], patterns[1:])


def _count_alternatives(braces: str, pattern: str) -> int:
    """Return the number of alternatives in a pair of braces, whose content is such as `000..009` or `a,b`."""
    ends = _RANGE.fullmatch(braces)
    if not ends:
        return braces.count(",") + 1
    first, last = map(int, ends.groups())
    if last < first or last - first >= _FILE_LIMIT:
        raise OptionError(f"{pattern}: {{{braces}}} counts {first} to {last}; expected up to {_FILE_LIMIT:,} upwards")
    return last - first + 1
