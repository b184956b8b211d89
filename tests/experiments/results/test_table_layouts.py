"""The five forms of a table, read back."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from helpers.result_rows import failed_row, frame, measured_rows, metrics_named
from shapleycam.experiments.results import (
    LAYOUTS,
    PublishedFigures,
    ResultsSummary,
    html,
    latex,
    load_published,
    markdown,
    summarise,
    terminal,
    tidy,
)

NASTY = "my_net & <script>alert('100%')</script> #1 | {x} $y$ ~ ^ \\ `z` *"
PARTS = ("average_drop", "coherency", "complexity")


@pytest.fixture(scope="module")
def simple() -> ResultsSummary:
    """One network, three methods, a metric in percent with a clear winner, and one that is not in percent."""
    base = np.random.default_rng(0).uniform(0.2, 0.4, 40)
    values = {
        "gradcam": {"coherency": (base + 0.3).tolist(), "max_sensitivity": [0.25] * 40},
        "gradcam++": {"coherency": base.tolist(), "max_sensitivity": [0.5] * 39 + [None]},
        "layercam": {"coherency": (base - 0.1).tolist(), "max_sensitivity": [-0.125] * 40},
    }
    return summarise(frame(*measured_rows(values)), metrics_named("coherency", "max_sensitivity"))


@pytest.fixture(scope="module")
def rich_summary() -> ResultsSummary:
    """Two layers, a network with a name that needs escaping, undefined values, errors and left-out images."""
    generator = np.random.default_rng(1)

    def values() -> dict:
        methods = ("gradcam", "hirescam", "gradcam++")
        return {method: {part: generator.uniform(0.1, 0.9, 12).tolist() for part in PARTS} for method in methods}

    rows = [*measured_rows(values()), *measured_rows(values(), NASTY), *measured_rows(values(), NASTY, "bn_2", "logit")]
    for row in rows:
        if row["index"] == 3 and row["model"] == NASTY:
            row["average_drop"] = math.nan
    rows += [failed_row(20 + number, "error", "can|not <b>read</b> & stop", NASTY) for number in range(5)]
    rows += [failed_row(30, "left out", "predicted 3, labelled 4")]
    return summarise(frame(*rows), metrics_named(*PARTS))


class Tags(HTMLParser):
    """The tags, and the cells' text by rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def parse_tags(text: str) -> Tags:
    actual = Tags(text)
    assert not actual.open
    return actual


def render_html(text: str) -> Tags:
    """Render Markdown by GitHub's rules, which let raw HTML through."""
    return parse_tags(
        re.sub("<hr />|<br />", "", MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    )


def print_summary(summary: ResultsSummary, **options: object) -> str:
    console = Console(width=300, file=StringIO(), force_terminal=True, color_system=None)
    console.print(*terminal(summary, **options))
    return console.file.getvalue()


def format_cell(summary: ResultsSummary, method: str, metric: str) -> str:
    """Return a cell's mean as it is printed in tables."""
    cell = summary.by_key["resnet18", "before-pool", "rest", method, metric]
    return f"{100 * cell.mean:.2f} ± {50 * (cell.high - cell.low):.2f}"


def test_the_best_is_bold_the_second_underlined_and_a_lead_marked(simple):
    best, second, third = (format_cell(simple, method, "coherency") for method in ("gradcam", "gradcam++", "layercam"))
    assert f"| gradcam | **{best}**\\* |" in markdown(simple)
    assert f"| gradcam++ | <ins>{second}</ins> |" in markdown(simple)
    assert f"| layercam | {third} |" in markdown(simple)
    assert f"<strong>{best}</strong><sup>*</sup>" in html(simple)
    assert f"<u>{second}</u>" in html(simple)
    tex = latex(simple)
    assert r"\textbf{" + best.replace("±", r"$\pm$") + "}$^{*}$" in tex
    assert r"\underline{" + second.replace("±", r"$\pm$") + "}" in tex
    assert styles_of(simple) == {"gradcam": "bold", "layercam": "", "gradcam++": "underline"}


def styles_of(summary: ResultsSummary) -> dict[str, str]:
    """Return the style of each method's first figure in the terminal's table."""
    (table,) = terminal(summary)
    ((_, part),) = table.parts
    methods, figures = (list(part.columns[place].cells) for place in (0, 1))
    return {str(method): figure.style for method, figure in zip(methods, figures, strict=True)}


def test_a_metric_that_is_not_in_percent_is_printed_as_it_is(simple):
    text = markdown(simple, intervals=False)
    assert "| Coh % ↑ | Sens ↓ |" in text
    assert "| 0.250 |" in text.replace("<ins>", "").replace("</ins>", "")
    assert "**-0.125**" in text


def test_intervals_can_be_left_out(simple):
    for layout in LAYOUTS.values():
        text = layout(simple, intervals=False)
        assert "±" not in text
        assert "pm$" not in text
    assert "mean,n,undefined,rank,p,removal,precision,smooth\n" in tidy(simple, intervals=False)


def test_what_cannot_be_had_is_a_dash():
    values = {"gradcam": {"shapley_error": [0.5, 0.5]}, "layercam": {"shapley_error": [math.nan, math.nan]}}
    summary = summarise(frame(*measured_rows(values)), metrics_named("shapley_error"))
    assert "|  | layercam | – |" in markdown(summary)
    assert "Undefined, and out of the mean: φ error for 2 of 2 images (resnet18: layercam)." in markdown(summary)


def test_what_was_not_measured_is_a_dash_and_not_called_undefined():
    values = {"gradcam": {"shapley_error": [0.5, 0.5]}, "layercam": {"shapley_error": [None, None]}}
    summary = summarise(frame(*measured_rows(values)), metrics_named("shapley_error"))
    for text in (markdown(summary), print_summary(summary)):
        assert "–" in text
        assert "Undefined" not in text


def test_the_only_method_is_not_set_off_as_the_best():
    summary = summarise(frame(*measured_rows({"gradcam": {"coherency": [0.5, 0.5]}})), metrics_named("coherency"))
    assert "| resnet18 | gradcam | 50.00 ± 0.00 |" in markdown(summary)


def test_a_table_for_each_layer_and_utility(rich_summary):
    captions = ["Layer before-pool, utility rest, 12 images", "Layer bn_2, utility logit, 12 images"]
    assert [table.caption.partition(";")[0] for table in terminal(rich_summary)] == captions
    actual = parse_tags(html(rich_summary))
    assert all(caption in actual.text for caption in captions)
    assert latex(rich_summary).count(r"\begin{table}") == 2
    assert all(caption.replace("_", r"\_") in latex(rich_summary) for caption in captions)


def test_notes_say_what_is_undefined_failed_and_left_out(rich_summary):
    text = print_summary(rich_summary)
    name = " ".join(NASTY.split())
    assert f"AD for 1 of 12 images ({name}: all methods)" in text
    assert "5 images could not be read or explained: 20.jpg" in text
    assert "22.jpg" in text
    assert "23.jpg" not in text
    assert ", 2 more." in text
    assert "1 image left out by the class rule: 30.jpg (resnet18; predicted 3, labelled 4)." in text


def test_numbers_of_images_that_differ_are_a_span():
    rows = [
        *measured_rows({"gradcam": {"coherency": [0.5] * 2}}),
        *measured_rows({"gradcam": {"coherency": [0.5] * 1200}}, "vgg16"),
    ]
    assert "2 to 1,200 images" in markdown(summarise(frame(*rows), metrics_named("coherency"), resamples=2))


@pytest.mark.parametrize("against", [None, load_published()])
def test_markdown_has_as_many_columns_in_each_row_and_no_tag_of_the_users(rich_summary, against):
    actual = render_html(markdown(rich_summary, against=against))
    assert {len(row) for row in actual.rows} == {2 + 4}
    assert len(actual.rows) == (1 + 6) + (1 + 3)
    assert not actual.tags & {"script", "b"}
    assert actual.rows[4][0] == NASTY
    assert actual.rows[3][1] == "gradcam++"
    assert "can|not <b>read</b> & stop" in actual.text


def test_markdown_says_the_same_as_html(rich_summary):
    by_markdown = [[cell.strip() for cell in row] for row in render_html(markdown(rich_summary)).rows]
    by_html = [row for row in parse_tags(html(rich_summary)).rows if len(row) > 1]
    assert by_markdown == by_html


def test_html_is_well_formed_and_escaped(rich_summary):
    text = html(rich_summary, against=load_published())
    actual = parse_tags(text)
    assert "<script" not in text
    assert actual.tags <= {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "strong", "u", "sup"}
    assert any(row[0] == NASTY for row in actual.rows)
    assert any(row[1:2] == ["gradcam++"] for row in actual.rows)


def test_latex_has_equal_columns_and_balanced_braces(rich_summary):
    text = latex(rich_summary, against=load_published())
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == (1 + 6) + (1 + 3)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {1 + 4}
    bare = re.sub(r"\\[{}]", "", text)
    depth = [bare[:end].count("{") - bare[:end].count("}") for end in range(0, len(bare), 7)]
    assert min(depth) >= 0
    assert bare.count("{") == bare.count("}")
    assert r"\begin{tabular}{llrrrr}" in text
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_latex_escapes_what_users_name(rich_summary):
    text = latex(rich_summary)
    name = (
        r"my\_net \& \textless{}script\textgreater{}alert('100\%')\textless{}/script\textgreater{} \#1 \textbar{} "
        r"\{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{} `z` *"
    )
    assert f"\n{name} & gradcam & " in text
    assert "gradcam{+}{+}" in text
    assert not set(text) & set("±↑↓−–")
    assert not re.search(r"(?<!\\)[%#]", text)


def test_names_are_not_markup_on_the_terminal():
    summary = summarise(
        frame(*measured_rows({"[bold]x[/bold]": {"coherency": [0.5]}}, "[red]net")), metrics_named("coherency")
    )
    text = print_summary(summary)
    assert "[bold]x[/bold]" in text
    assert "[red]net" in text


def test_csv_read_back_gives_the_same_numbers(rich_summary):
    rows = list(csv.DictReader(StringIO(tidy(rich_summary))))
    assert len(rows) == len(rich_summary.cells)
    for row, cell in zip(rows, rich_summary.cells, strict=True):
        assert tuple(row[name] for name in ("model", "layer", "utility", "method", "metric")) == cell.key
        for name in ("mean", "low", "high", "rank"):
            assert float(row[name]) == getattr(cell, name)
        assert (int(row["n"]), int(row["undefined"])) == (cell.n, cell.undefined)
        assert (float(row["p"]) if row["p"] else None) == cell.p


def test_csv_has_nothing_where_something_is_undefined():
    summary = summarise(
        frame(*measured_rows({"gradcam": {"coherency": [math.nan, math.nan]}})), metrics_named("coherency")
    )
    (row,) = csv.DictReader(StringIO(tidy(summary)))
    assert [row[name] for name in ("mean", "low", "high", "n", "undefined", "rank", "p")] == [
        *["", "", "", "0", "2", "", ""]
    ]


def test_differences_are_beside_what_they_differ_from(simple):
    key = ("resnet18", "before-pool", "rest", "gradcam", "coherency")
    cell = simple.by_key[key]
    against = PublishedFigures("a paper", {key: 100 * cell.mean + 1.5, ("vgg16", *key[1:]): 3.0})
    text = markdown(simple, against=against)
    assert f"**{format_cell(simple, 'gradcam', 'coherency')} (-1.50)**" in text
    assert text.count("(-") == 1
    assert "difference from the published figure in percentage points (a paper)" in text
    assert "No published figure: method layercam, gradcam++; metric Sens." in text
    assert "Published, and not measured here: network vgg16." in text
    rows = [row for row in csv.DictReader(StringIO(tidy(simple, against=against))) if row["published_percent"]]
    assert [(row["method"], row["metric"]) for row in rows] == [("gradcam", "coherency")]
    assert float(rows[0]["difference_points"]) == pytest.approx(-1.5)
    assert float(rows[0]["published_percent"]) == pytest.approx(100 * cell.mean + 1.5)


def test_remarks_on_a_comparison_are_below_every_table_and_beside_each_figure_of_csv(simple, rich_summary):
    remark = "Measured & published by 100% other_rules."
    against = replace(load_published(), remarks=(remark,))
    assert remark in print_summary(simple, against=against)
    assert render_html(markdown(rich_summary, against=against)).text.count(remark) == 2
    assert parse_tags(html(rich_summary, against=against)).text.count(remark) == 2
    assert latex(rich_summary, against=against).count(r"Measured \& published by 100\% other\_rules.") == 2
    rows = list(csv.DictReader(StringIO(tidy(rich_summary, against=against))))
    assert {bool(row["published_percent"]): row["remarks"] for row in rows} == {True: remark, False: ""}


def test_a_difference_of_nothing_has_no_minus(simple):
    key = ("resnet18", "before-pool", "rest", "gradcam", "coherency")
    against = PublishedFigures("a paper", {key: 100 * simple.by_key[key].mean + 1e-4})
    assert "(+0.00)" in markdown(simple, against=against)


def test_both_adccs_are_told_apart():
    values = {"gradcam": {**{part: [0.5, 0.25] for part in PARTS}, "adcc": [0.5, 0.5]}}
    summary = summarise(frame(*measured_rows(values)), metrics_named(*PARTS, "adcc"))
    for text in (markdown(summary), latex(summary), html(summary), print_summary(summary)):
        assert "ADCC (of means)" in text
        assert "ADCC (mean of images)" in text
