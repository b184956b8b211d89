"""`notes_of`: the notes below a table, which explain its marks and list images that are not in the means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shapleycam.experiments.copies_in_words import describe_copies
from shapleycam.experiments.pending_in_words import describe_pending
from shapleycam.experiments.results._doubts import explain_doubt
from shapleycam.experiments.results._published import PublishedComparison
from shapleycam.experiments.results.cells import CellKey, MissingResult, ResultGroup, ResultsSummary
from shapleycam.experiments.results.columns import (
    ADCC_OF_MEANS,
    MAX_BOX_ACCURACY,
    MAX_BOX_ACCURACY_V2,
    OF_SEVERAL_MEANS,
)
from shapleycam.wording import counted

DOUBTED = "\u2020"
"""The mark of differences from published figures that are in doubt."""
_NAMED = 3
"""Maximum number of images that a note names; the summary has all."""
_FEW = 10
"""With fewer images, bootstrap intervals are far too narrow. In simulations with normal and with exponential numbers,
they contained the mean for 3 images in 74% and 70% of cases, for 5 in 84% and 80%, for 10 in 90% and 86%, and for 50 in
95% and 93%."""
_DIMENSIONS = ("network", "layer", "utility", "method", "metric")


def notes_of(summary: ResultsSummary, comparison: PublishedComparison | None, *, intervals: bool) -> Iterator[str]:
    """Yield the notes for the table of one layer and utility."""
    yield from _run_notes(summary)
    if intervals:
        yield from _interval_notes(summary)
    if any(cell.lead_significant for cell in summary.cells):
        yield "* The best leads the second on the same images by more than chance (paired bootstrap, 5%)."
    if any(column.name == ADCC_OF_MEANS for column in summary.columns):
        yield "ADCC (of means) is made of the means of Coh, Com and AD, as in the published tables."
    if any(column.name in {MAX_BOX_ACCURACY, MAX_BOX_ACCURACY_V2} for column in summary.columns):
        yield "MaxBoxAcc: at the threshold that is best for all images; Box IoU: at the best one of each image."
    if summary.copies:
        yield describe_copies(summary.copies)
    yield from _undefined_note(summary)
    yield from _missing_note("could not be read or explained", summary.errors, summary.groups)
    yield from _missing_note("left out by the class rule", summary.left_out, summary.groups)
    if comparison is not None:
        yield from _comparison_notes(summary, comparison)


def _run_notes(summary: ResultsSummary) -> Iterator[str]:
    """Yield notes on what is the same for all figures: an unfinished run, and choices that are not the paper's."""
    if summary.pending:
        yield describe_pending(summary.pending)
    if summary.removal != "zero":
        yield f"Removal {summary.removal}: it replaced the content of absent places; the paper uses zero."
    if summary.precision != "full":
        yield f"Precision {summary.precision}: of the network before the layer; the network after it ran in float32."
    if summary.smooth != "none":
        yield f"Maps smoothed by {summary.smooth.replace(',', ', ')}: their values divide no score."


def no_result_message(missing: Sequence[MissingResult]) -> str:
    """Return the message for results without any measured image, with the first image of each reason."""
    if not missing:
        return "no image was measured yet, expected results of one at least; evaluate first: the same command goes on"
    kinds = {
        "could not be measured": [image for image in missing if image.status == "error"],
        "left out by the class rule": [image for image in missing if image.status == "left out"],
    }
    counts = [
        f"{len({image.index for image in images})} {kind} (the first, {images[0].image}: {images[0].message})"
        for kind, images in kinds.items()
        if images
    ]
    return (
        f"no image has a result: {', '.join(counts)}; expected one at least: give other images, or another class rule, "
        "and evaluate into another folder"
    )


def number_of_images(groups: Sequence[ResultGroup]) -> str:
    """Return in words the number of images on which the models were measured."""
    fewest, most = min(group.images for group in groups), max(group.images for group in groups)
    if fewest < most:
        return f"{fewest:,} to {most:,} images"
    return counted(most, "image")


def _interval_notes(summary: ResultsSummary) -> Iterator[str]:
    """Yield a note on the meaning of ±, and a note that it is too small if there are few images."""
    yield "± is half of the 95% bootstrap interval over images."
    if any(1 < cell.n < _FEW for cell in summary.cells):
        yield (
            "± of few images is too small: such intervals hold the mean of 3 images in some 70% of cases, of 5 in 80%, "
            "of 10 in 90%."
        )


def _undefined_note(summary: ResultsSummary) -> Iterator[str]:
    """Yield a sentence with the number of images for which metrics are undefined, by network and method."""
    methods: dict[tuple[str, str, int], list[str]] = {}
    all_methods: dict[str, set[str]] = {}
    for cell in summary.cells:
        all_methods.setdefault(cell.model, set()).add(cell.method)
        if cell.undefined and cell.metric not in OF_SEVERAL_MEANS:  # the sentence names their parts instead
            methods.setdefault((cell.metric, cell.model, cell.undefined), []).append(cell.method)
    images = {group.model: group.images for group in summary.groups}
    models: dict[tuple[str, str], list[str]] = {}
    for (metric, model, count), names in methods.items():
        methods_text = "all methods" if len(names) == len(all_methods[model]) > 1 else ", ".join(names)
        images_text = f"{summary.column(metric).title} for {count:,} of {counted(images[model], 'image')}"
        models.setdefault((images_text, methods_text), []).append(model)
    parts = [
        f"{images_text} ({', '.join(names)}: {methods_text})" for (images_text, methods_text), names in models.items()
    ]
    if parts:
        yield f"Undefined, and out of the mean: {'; '.join(parts)}."


def _missing_note(reason: str, missing: Sequence[MissingResult], groups: Sequence[ResultGroup]) -> Iterator[str]:
    """Yield a sentence with the number of missing images, and the names and messages of the first ones."""
    if not missing:
        return
    messages: dict[tuple[int, str], dict[str, list[str]]] = {}
    for image in missing:
        messages.setdefault((image.index, image.image), {}).setdefault(image.message, []).append(image.model)
    several_models = len({group.model for group in groups} | {image.model for image in missing}) > 1
    named = []
    for (_, name), models_of_message in list(messages.items())[:_NAMED]:
        texts = [
            "; ".join([*([", ".join(models)] if several_models else []), *([message] if message else [])])
            for message, models in models_of_message.items()
        ]
        named.append(f"{name} ({' / '.join(texts)})" if any(texts) else name)
    more = [f"{len(messages) - _NAMED:,} more"] if len(messages) > _NAMED else []
    yield f"{counted(len(messages), 'image')} {reason}: {', '.join([*named, *more])}."


def _comparison_notes(summary: ResultsSummary, comparison: PublishedComparison) -> Iterator[str]:
    """Yield notes on the differences from published figures, and on figures without a counterpart."""
    yield f"In brackets: difference from the published figure in percentage points ({comparison.source})."
    titles = {column.name: column.title for column in summary.columns}
    published = [difference.key for difference in comparison.differences] + list(comparison.unmeasured)
    if comparison.unpublished:
        yield f"No published figure: {_keys_in_words(comparison.unpublished, published, titles)}."
    settings = {(group.layer, group.utility) for group in summary.groups}
    unmeasured = [key for key in comparison.unmeasured if (key[1], key[2]) in settings]
    if unmeasured:
        measured = [cell.key for cell in summary.cells]
        yield f"Published, and not measured here: {_keys_in_words(unmeasured, measured, titles)}."
    doubts = dict.fromkeys(filter(None, (explain_doubt(difference.key) for difference in comparison.differences)))
    yield from (f"{DOUBTED} {doubt}" for doubt in doubts)
    yield from comparison.remarks


def _keys_in_words(keys: Iterable[CellKey], others: Sequence[CellKey], titles: dict[str, str]) -> str:
    """Return keys in words: only the names that do not occur in `others`, or the whole key if there are none."""
    known = [{key[dimension] for key in others} for dimension in range(len(_DIMENSIONS))]
    names: dict[str, list[str]] = {dimension: [] for dimension in (*_DIMENSIONS, "cell")}
    for key in keys:
        unknown = [dimension for dimension, part in enumerate(key) if part not in known[dimension]]
        for dimension in unknown:
            names[_DIMENSIONS[dimension]].append(titles.get(key[dimension], key[dimension]))
        if not unknown:
            names["cell"].append(" ".join(titles.get(part, part) for part in key))
    return "; ".join(f"{dimension} {', '.join(dict.fromkeys(parts))}" for dimension, parts in names.items() if parts)
