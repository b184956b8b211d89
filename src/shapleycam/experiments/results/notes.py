"""The sentences below a table: what the marks mean, and what is not in the means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shapleycam.experiments.results._published import Comparison, doubt_of
from shapleycam.experiments.results.cells import ADCC_OF_MEANS, Absent, Group, Key, Summary
from shapleycam.wording import counted

DOUBTED = "\u2020"
"""Marks differences from published figures that are in doubt."""
_SHOWN = 3
"""How many images are named; the summary has all."""
_DIMENSIONS = ("network", "layer", "utility", "method", "metric")


def notes_of(summary: Summary, comparison: Comparison | None, *, intervals: bool) -> Iterator[str]:
    """The notes of the table of one layer and utility."""
    if intervals:
        yield "± is half of the 95 % bootstrap interval over images."
    if any(cell.lead_significant for cell in summary.cells):
        yield "* The best leads the second on the same images by more than chance (paired bootstrap, 5 %)."
    if any(column.name == ADCC_OF_MEANS for column in summary.columns):
        yield "ADCC (of means) is made of the means of Coh, Com and AD, as in the published tables."
    yield from _undefined(summary)
    yield from _absent("could not be read or explained", summary.errors, summary.groups)
    yield from _absent("left out by the class rule", summary.left_out, summary.groups)
    if comparison is not None:
        yield from _compared(summary, comparison)


def no_result(absent: Sequence[Absent]) -> str:
    """The message where there is nothing to make a table of: of how many images, the first of them and why."""
    if not absent:
        return "no image was measured yet, expected results of one at least; evaluate first: the same command goes on"
    kinds = {
        "could not be measured": [one for one in absent if one.status == "error"],
        "left out by the class rule": [one for one in absent if one.status == "left out"],
    }
    found = [
        f"{len({one.index for one in of})} {what} (the first, {of[0].image}: {of[0].message})"
        for what, of in kinds.items()
        if of
    ]
    return (
        f"no image has a result: {', '.join(found)}; expected one at least: give other images, or another class rule, "
        "and evaluate into another folder"
    )


def number_of_images(groups: Sequence[Group]) -> str:
    """How many images the models were measured on."""
    fewest, most = min(group.images for group in groups), max(group.images for group in groups)
    if fewest < most:
        return f"{fewest:,} to {most:,} images"
    return counted(most, "image")


def _undefined(summary: Summary) -> Iterator[str]:
    """One sentence: which metric is undefined for how many images, on which networks, of which methods."""
    methods: dict[tuple[str, str, int], list[str]] = {}
    everyone: dict[str, set[str]] = {}
    for cell in summary.cells:
        everyone.setdefault(cell.model, set()).add(cell.method)
        if cell.undefined and cell.metric != ADCC_OF_MEANS:  # of whose parts it is said
            methods.setdefault((cell.metric, cell.model, cell.undefined), []).append(cell.method)
    images = {group.model: group.images for group in summary.groups}
    models: dict[tuple[str, str], list[str]] = {}
    for (metric, model, count), of in methods.items():
        whose = "all methods" if len(of) == len(everyone[model]) > 1 else ", ".join(of)
        what = f"{summary.column(metric).title} for {count:,} of {counted(images[model], 'image')}"
        models.setdefault((what, whose), []).append(model)
    parts = [f"{what} ({', '.join(of)}: {whose})" for (what, whose), of in models.items()]
    if parts:
        yield f"Undefined, and out of the mean: {'; '.join(parts)}."


def _absent(what: str, absent: Sequence[Absent], groups: Sequence[Group]) -> Iterator[str]:
    """One sentence: how many images, the first of them by name, and why."""
    if not absent:
        return
    of: dict[tuple[int, str], dict[str, list[str]]] = {}
    for one in absent:
        of.setdefault((one.index, one.image), {}).setdefault(one.message, []).append(one.model)
    several = len({group.model for group in groups} | {one.model for one in absent}) > 1
    named = []
    for (_, image), messages in list(of.items())[:_SHOWN]:
        why = [
            "; ".join([*([", ".join(models)] if several else []), *([message] if message else [])])
            for message, models in messages.items()
        ]
        named.append(f"{image} ({' / '.join(why)})" if any(why) else image)
    more = [f"{len(of) - _SHOWN:,} more"] if len(of) > _SHOWN else []
    yield f"{counted(len(of), 'image')} {what}: {', '.join([*named, *more])}."


def _compared(summary: Summary, comparison: Comparison) -> Iterator[str]:
    """What the differences are, and what has no counterpart on either side."""
    yield f"In brackets: difference from the published figure in percentage points ({comparison.source})."
    titles = {column.name: column.title for column in summary.columns}
    known = [one.key for one in comparison.differences] + list(comparison.unmeasured)
    if comparison.unpublished:
        yield f"No published figure: {_named(comparison.unpublished, known, titles)}."
    here = {(group.layer, group.utility) for group in summary.groups}
    unmeasured = [key for key in comparison.unmeasured if (key[1], key[2]) in here]
    if unmeasured:
        yield f"Published, and not measured here: {_named(unmeasured, [cell.key for cell in summary.cells], titles)}."
    doubts = dict.fromkeys(filter(None, (doubt_of(one.key) for one in comparison.differences)))
    yield from (f"{DOUBTED} {doubt}" for doubt in doubts)
    yield from comparison.remarks


def _named(keys: Iterable[Key], others: Sequence[Key], titles: dict[str, str]) -> str:
    """Keys in words: by the parts that no other key has, or else whole."""
    known = [{key[place] for key in others} for place in range(len(_DIMENSIONS))]
    found: dict[str, list[str]] = {what: [] for what in (*_DIMENSIONS, "cell")}
    for key in keys:
        strange = [place for place, part in enumerate(key) if part not in known[place]]
        for place in strange:
            found[_DIMENSIONS[place]].append(titles.get(key[place], key[place]))
        if not strange:
            found["cell"].append(" ".join(titles.get(part, part) for part in key))
    return "; ".join(f"{what} {', '.join(dict.fromkeys(names))}" for what, names in found.items() if names)
