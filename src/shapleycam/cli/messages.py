"""Replacing Python arguments in the library's messages by options of the command line; this is done only here."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from shapleycam.errors import ShapleyCamError

OPTIONS = {
    "actor_cpus": "--actor-cpus",
    "actor_gpus": "--actor-gpus",
    "actors": "--actors",
    "address": "--address",
    "against": "--against",
    "annotations": "--objects",
    "baseline": "--baseline",
    "batch_size": "--batch-size",
    "checkpoint": "--checkpoint",
    "contours": "--contours",
    "class_rule": "--class",
    "cpus": "--actor-cpus",
    "data": "--data",
    "device": "--device",
    "engine": "--engine",
    "fuse": "--fuse",
    "gpus": "--actor-gpus",
    "host": "--host",
    "layer": "--layer",
    "layers": "--layer",
    "layout": "--layout",
    "limit": "--limit",
    "mask_space": "--mask-space",
    "memory": "--memory",
    "method": "--method",
    "methods": "--method",
    "metric": "--metric",
    "metrics": "--metric",
    "model": "--model",
    "models": "--model",
    "nodes": "--nodes",
    "on": "--view",
    "out": "--out",
    "output": "--output",
    "players": "--players",
    "port": "--port",
    "precision": "--precision",
    "plain": "--plain",
    "pretrained": "--pretrained",
    "reference": "--reference",
    "removal": "--removal",
    "runs": "--runs",
    "seed": "--seed",
    "smooth": "--smooth",
    "strict": "--strict",
    "target": "--target",
    "targets": "--top",
    "tolerance": "--tolerance",
    "top_area": "--top-area",
    "top_value": "--top-value",
    "trusted": "--model",
    "utilities": "--utility",
    "utility": "--utility",
    "view": "--view",
    "workers": "--workers",
}
"""The command-line option for each Python argument that a message may name."""
PHRASES = {
    "players=(rows, columns)": "--players RxC",
    "a protocol with preprocess=": "--preprocess paper",
}
"""Phrases in messages about arguments whose options take a different form of value, and their replacements."""

_OPTIONS_OF_COMMAND: ContextVar[frozenset[str] | None] = ContextVar("options of the command that runs", default=None)

_END = r"(?=[\s,;:)]|\.?\Z|\.\s)"
_STRING = r"""'[^'\n]*'|"[^"\n]*\""""
_VALUE = "|".join(
    (
        rf"(?P<string>{_STRING})(?!\w)",
        rf"\((?P<rows>\d+), (?P<columns>\d+)\){_END}",
        rf"(?P<flag>True|False){_END}",
        rf"(?P<plain>-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|inf)|auto|[A-Z]+(?::[A-Z]+)*){_END}",
        rf"(?P<nothing>){_END}(?!, a function)",
        r"(?<=checkpoint=)(?P<path>)(?=\S)",
    )
)
"""Values that may follow `argument=`. Other values (functions, objects) exist only in Python and are not replaced."""
_ARGUMENT = rf"(?<![^\s(])(?P<argument>{'|'.join(OPTIONS)})=(?:{_VALUE})"
_PYTHON_CALL = r"[\w.]+\([^()]*\)"
_QUOTED = rf"(?<!\w)(?:{_STRING})(?!\w)"


@contextmanager
def options_of_command(options: Iterable[str]) -> Iterator[None]:
    """Replace arguments in messages only by these options inside the context, because the command has no others."""
    token = _OPTIONS_OF_COMMAND.set(frozenset(options))
    try:
        yield
    finally:
        _OPTIONS_OF_COMMAND.reset(token)


@contextmanager
def options_in_errors(**options: str) -> Iterator[None]:
    """Replace arguments by options in errors raised inside the context, for errors that are not printed as usual.

    `options` maps arguments to their options if these are not the usual ones: `options_in_errors(out="--figures")`.

    Raises:
        ShapleyCamError: the error that was raised inside, with options in its message.
    """
    try:
        yield
    except ShapleyCamError as error:
        raise type(error)(name_options(str(error), options=options or None)) from None


def name_options(message: str, *, options: Mapping[str, str] | None = None, own_texts: Iterable[str] = ()) -> str:
    """Return a message of the library with Python arguments replaced by options of the command line.

    `options` maps arguments to options; the default is those `OPTIONS` that the running command has. Quoted parts of
    the message do not change: Python calls, words that the user typed on the command line, and `own_texts`, such as
    file names.

    Examples:
        >>> name_options("name one with layer=, and its layout with layout='tokens 14x14 after 1', say")
        "name one with --layer, and its layout with --layout 'tokens 14x14 after 1', say"
    """
    if options is None:
        options, known = OPTIONS, _OPTIONS_OF_COMMAND.get()
    else:
        known = None

    def replacement(match: re.Match[str]) -> str:
        text = match[0]
        option = PHRASES.get(text, "") or options.get(match["argument"] or "", "")
        if not option or (known is not None and option.split()[0] not in known):
            return text
        return option if text in PHRASES else _with_value(option, match)

    typed = (part for word in sys.argv[1:] for part in (word, word.partition("=")[2]))
    quoted = sorted({text for text in (*typed, *own_texts) if "=" in text}, key=len, reverse=True)
    # The first alternative that matches wins, so that arguments inside a quoted text are not replaced.
    quoted_or_argument = "|".join([*map(re.escape, (*quoted, *PHRASES)), _ARGUMENT, _PYTHON_CALL, _QUOTED])
    return re.sub(quoted_or_argument, replacement, message)


def coalition_facts(cost: str | None, notes: Iterable[str]) -> dict[str, str]:
    """Return the facts about coalitions that a command prints: the cost of one, and notes on how values were estimated.

    Examples:
        >>> coalition_facts("a sum each", ["most orders were cut short"])
        {'coalitions': 'a sum each', 'notes': 'most orders were cut short'}
        >>> coalition_facts(None, [])
        {}
    """
    facts = {"coalitions": cost or "", "notes": name_options("; ".join(dict.fromkeys(notes)))}
    return {word: text for word, text in facts.items() if text}


def _with_value(option: str, match: re.Match[str]) -> str:
    """Return an option with the argument's value from a message, quoted for a shell."""
    if match["flag"] is not None:
        return option if match["flag"] == "True" else option.replace("--", "--no-", 1)
    if match["rows"] is not None:
        return f"{option} {match['rows']}x{match['columns']}"
    if match["string"] is not None:
        return f"{option} {shlex.quote(_text_of(match['string']))}"
    if match["path"] is not None:
        return f"{option} "
    return f"{option} {match['plain']}" if match["plain"] else option


def _text_of(literal: str) -> str:
    """Return the text of a Python string literal; if it cannot be parsed (a stray backslash), the part in quotes."""
    try:
        return str(ast.literal_eval(literal))
    except (SyntaxError, ValueError):
        return literal[1:-1]
