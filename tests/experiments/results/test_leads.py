"""By how much one method is better than another: on the same images, by pencil, corrected for how many were asked."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from helpers.result_rows import frame, measured_rows, metrics_named
from shapleycam.errors import OptionError
from shapleycam.experiments.results import (
    OF_MEANS,
    LeadTables,
    columns_of,
    find_leads,
    lead_text,
    load_published,
    terminal_tables,
)
from shapleycam.experiments.results.lead_figures import lead_figures
from shapleycam.experiments.results.leads import correct_leads, resamples_for
from shapleycam.experiments.results.resampling import Resampler
from shapleycam.experiments.results.statistics import holm

PAIR = ("shapleycam", "gradcam")
NAMES = ("coherency", "complexity", "average_drop")


def leads_of(values, *names, model="resnet18", resamples=500):
    columns = columns_of(metrics_named(*names), names)
    return find_leads([frame(*measured_rows(values, model))], columns, PAIR, resampler=Resampler(resamples)), columns


def random_values(images=40, shift=0.05, seed=0):
    """Return values of two methods of which the first is better by `shift` on each metric, on average."""
    generator = np.random.default_rng(seed)
    base = {name: generator.uniform(0.3, 0.6, images) for name in NAMES}
    sign = {"coherency": 1, "complexity": -1, "average_drop": -1}
    better = {name: base[name] + sign[name] * (shift + generator.normal(0, 0.01, images)) for name in NAMES}
    return {"shapleycam": better, "gradcam": base}


def test_a_lead_is_the_difference_of_means_and_above_zero_where_the_first_is_better():
    values = {"shapleycam": {"coherency": [0.5, 0.7], "complexity": [0.2, 0.2]}}
    values["gradcam"] = {"coherency": [0.4, 0.7], "complexity": [0.3, 0.4]}
    leads, _ = leads_of(values, "coherency", "complexity")
    assert [lead.metric for lead in leads] == ["coherency", "complexity"]
    assert [lead.mean for lead in leads] == pytest.approx([0.05, 0.15])
    assert not any(lead.is_significant for lead in leads)  # two images


def test_images_where_one_of_both_is_undefined_are_left_out_of_both():
    values = {"shapleycam": {"coherency": [0.5, 0.9, math.nan, 0.5]}}
    values["gradcam"] = {"coherency": [0.4, math.nan, 0.1, 0.3]}
    (lead,), _ = leads_of(values, "coherency")
    assert (lead.mean, lead.n) == (pytest.approx(0.15), 2)


def test_of_one_image_there_is_no_lead():
    (lead,), _ = leads_of({"shapleycam": {"coherency": [0.5]}, "gradcam": {"coherency": [0.4]}}, "coherency")
    assert lead.n == 1
    assert all(math.isnan(figure) for figure in (lead.mean, lead.p, lead.p_holm))
    assert not lead.is_significant


def test_a_clear_lead_is_significant_and_none_is_not():
    leads, columns = leads_of(random_values(), *NAMES)
    assert [column.name for column in columns] == [*NAMES, OF_MEANS.name]
    assert all(lead.is_significant and lead.low > 0 for lead in leads)
    equal, _ = leads_of({"shapleycam": random_values()["gradcam"], "gradcam": random_values()["gradcam"]}, *NAMES)
    assert [(lead.mean, lead.is_significant) for lead in equal] == [(0, False)] * 4


def test_the_adcc_of_means_is_that_of_each_method_s_own_means():
    values = random_values(images=12)
    adcc = [
        3 / (1 / c["coherency"].mean() + 1 / (1 - c["complexity"].mean()) + 1 / (1 - c["average_drop"].mean()))
        for c in (values[name] for name in PAIR)
    ]
    leads, _ = leads_of(values, *NAMES)
    assert leads[-1].mean == pytest.approx(adcc[0] - adcc[1])


def test_the_other_way_round_all_signs_are_reversed():
    values = random_values(images=8)
    columns = columns_of(metrics_named(*NAMES), NAMES)
    one, other = (
        find_leads([frame(*measured_rows(values))], columns, pair, resampler=Resampler(200))
        for pair in (PAIR, PAIR[::-1])
    )
    assert [lead.mean for lead in one] == pytest.approx([-lead.mean for lead in other])
    assert [lead.low for lead in one] == pytest.approx([-lead.high for lead in other])


def test_without_both_methods_it_is_refused_and_names_what_there_is():
    values = {"hirescam": {"coherency": [0.5]}, "gradcam": {"coherency": [0.5]}}
    with pytest.raises(OptionError, match="both shapleycam and gradcam; these results have gradcam, hirescam"):
        leads_of(values, "coherency")


def test_holm_by_pencil():
    # 4 tests: 0.01·4, then 0.02·3 = 0.06, then 0.03·2 = 0.06, and 0.5; never below the one before.
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_what_was_not_tested():
    corrected = holm([0.01, math.nan])
    assert corrected[0] == 0.01
    assert math.isnan(corrected[1])


def test_correction_is_for_all_leads_together():
    columns = columns_of(metrics_named("coherency"), ["coherency"])
    values = random_values(images=7)
    frames = [frame(*measured_rows(values, model)) for model in ("resnet18", "resnet50", "vgg16")]
    alone, together = (find_leads(some, columns, PAIR, resampler=Resampler(2000)) for some in (frames[:1], frames))
    assert alone[0].p == together[0].p == 2 / 2**7  # seven differences of one sign: the sign test's least
    assert together[0].p_holm == pytest.approx(3 * alone[0].p_holm)


def test_so_few_resamples_that_no_lead_could_be_significant_are_refused():
    lead = leads_of(random_values(), "coherency")[0][0]
    assert correct_leads([lead] * 250, 10_000)[0].p_holm == pytest.approx(250 * lead.p)
    with pytest.raises(OptionError, match=r"251 leads were tested with 10,000 resamples.*give a resampler of 25,100"):
        correct_leads([lead] * 251, 10_000)


def test_each_clear_lead_of_a_large_family_is_significant():
    lead = replace(leads_of(random_values(), "coherency")[0][0], p=2 / 25_101)  # no resample is on the other side of 0
    corrected = correct_leads([lead] * 251, resamples_for(251))
    assert all(lead.is_significant for lead in corrected)
    assert corrected[0].p_holm == pytest.approx(251 * 2 / 25_101)  # with 10,000 resamples it would be 0.0502


# Tables and figures


def tables_of(values, *names, published=False, **options):
    leads, columns = leads_of(values, *names, **options)
    return LeadTables(PAIR, leads, columns, load_published() if published else None)


def test_a_table_has_networks_utilities_and_metrics_and_marks_what_is_more_than_chance():
    (table,) = tables_of(random_values(), "coherency").text_tables()
    assert table.caption == "Lead of shapleycam over gradcam, layer before-pool, 40 images"
    assert table.heads == ("network", "utility", "Coh %")
    ((row,),) = (table.rows,)
    assert (row.model, row.method) == ("resnet18", "rest")
    assert row.entries[0].marked
    assert row.entries[0].text.startswith("+")
    assert "corrected by Holm's method for all 1 leads" in " ".join(table.notes)


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_each_form_has_the_lead_and_the_published_one(form):
    text = lead_text(tables_of(random_values(), *NAMES, published=True), form)
    assert "0.12" in text  # ADCC, ReST: 78.15 and 78.03 in print
    assert "published lead in percentage points" in text


def test_published_leads_are_those_of_the_figures():
    percent = load_published().percent
    key = ("resnet18", "before-pool", "rest")
    expected = percent[*key, "gradcam", "average_drop"] - percent[*key, "shapleycam", "average_drop"]
    lines = list(csv.DictReader(lead_text(tables_of(random_values(), *NAMES, published=True), "csv").splitlines()))
    by_metric = {line["metric"]: line for line in lines}
    assert float(by_metric["average_drop"]["published_points"]) == pytest.approx(expected)
    assert float(by_metric["coherency"]["lead"]) == pytest.approx(0.05, abs=0.01)


def test_a_doubtful_published_figure_is_marked():
    values = {name: {"average_drop": [0.5, 0.4]} for name in PAIR}
    rows = frame(*measured_rows(values, "vgg16", "last-conv", "log_probability"))
    columns = columns_of(metrics_named("average_drop"), ["average_drop"])
    tables = LeadTables(PAIR, find_leads([rows], columns, PAIR, resampler=Resampler(50)), columns, load_published())
    (table,) = tables.text_tables()
    assert table.rows[0].entries[0].text.endswith("[+24.89]\u2020")  # 73.65 - 48.76
    assert any("in-place ReLU" in note for note in table.notes)


def test_the_remarks_of_the_comparison_stand_below_the_table():
    tables = replace(tables_of(random_values(), "coherency", published=True))
    tables = replace(tables, published=replace(load_published(), remarks=("Another number of images: 40.",)))
    assert "Another number of images: 40." in tables.text_tables()[0].notes


def test_the_terminal_has_the_same_table():
    (table,) = terminal_tables(tables_of(random_values(), "coherency").text_tables(), width=80)
    assert table.caption.endswith("network resnet18")


def test_a_figure_shows_each_lead_with_its_interval_and_the_published_one():
    tables = tables_of(random_values(), "coherency", published=True)
    (spec,) = lead_figures(tables)
    assert spec.name == "lead_shapleycam_gradcam_coherency"
    (axis,) = spec.draw().axes
    drawn = {line.get_label(): line.get_xdata() for line in axis.get_lines()}
    assert drawn["rest"] == pytest.approx(100 * tables.leads[0].mean)
    published = load_published().percent
    key = ("resnet18", "before-pool", "rest")
    lead = published[*key, "shapleycam", "coherency"] - published[*key, "gradcam", "coherency"]
    assert drawn["rest, published"] == pytest.approx(lead)
    (interval,) = (line for line in axis.get_lines() if len(line.get_xdata()) == 2 and line.get_color() == "#0072B2")
    assert list(interval.get_xdata()) == pytest.approx([100 * tables.leads[0].low, 100 * tables.leads[0].high])
