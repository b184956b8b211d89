"""Figures: positions of curves, points and texts, read back from matplotlib."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy import stats

from helpers.result_rows import frame, measured_rows, metrics_named
from shapleycam.cams.table import METHODS
from shapleycam.errors import OptionError
from shapleycam.experiments.results import ResultsSummary, summarise
from shapleycam.experiments.results.mean_curves import mean_curves
from shapleycam.experiments.results.plots import curves, metric_against_metric, rank_diagram, save
from shapleycam.experiments.results.styles import style_of

MODELS = ("resnet18", "vgg16", "my_$net$")
METRICS = ("coherency", "average_drop")
EVERY = tuple(METHODS)


def rows_of(methods, models=MODELS, layers=("before-pool",), images=8, seed=0) -> list:
    generator = np.random.default_rng(seed)
    return [
        row
        for model, layer in itertools.product(models, layers)
        for row in measured_rows(
            {name: {each: generator.uniform(size=images).tolist() for each in METRICS} for name in methods},
            model,
            layer,
        )
    ]


def summary_of(methods=EVERY, **rest) -> ResultsSummary:
    return summarise(frame(*rows_of(methods, **rest)), metrics_named(*METRICS), resamples=50)


def frame_with_curves(methods, images=5, points=11, **rest) -> pl.DataFrame:
    rows = rows_of(methods, images=images, **rest)
    generator = np.random.default_rng(1)
    lists = [generator.uniform(size=(len(rows), points)).tolist() for _ in range(2)]
    data = frame(*rows)
    for name, values in zip(("insertion_curve", "deletion_curve"), lists, strict=True):
        data = data.with_columns(pl.Series(name, values, dtype=pl.List(pl.Float32)))
    return data


def points_of(axis: Axes) -> dict[str, tuple[float, float]]:
    return {
        line.get_label(): (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axis.lines
        if line.get_label() in EVERY
    }


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def text_boxes(figure: Figure, expected) -> list:
    """Return the bounding boxes of the matching texts in the drawn figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    actual = [text for text in figure.findobj(Text) if text.get_visible() and expected(text.get_text())]
    return [text.get_window_extent(canvas.get_renderer()) for text in actual]


def test_a_point_is_at_the_means_in_percent():
    summary = summary_of(("gradcam", "layercam"))
    figure = metric_against_metric(summary, "average_drop", "coherency")
    assert [axis.get_title() for axis in figure.axes] == ["resnet18", "vgg16", "my_$net$"]
    for axis in figure.axes:
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("AD % ↓", "Coh % ↑")
        for method, place in points_of(axis).items():
            cells = [summary.by_key[axis.get_title(), "before-pool", "rest", method, name] for name in METRICS[::-1]]
            assert place == pytest.approx([100 * cell.mean for cell in cells])
        assert len(points_of(axis)) == 2


def test_over_models_a_point_is_the_mean_of_the_models_means_and_its_bars_are_students():
    summary = summary_of(("gradcam", "layercam"))
    (axis,) = metric_against_metric(summary, "average_drop", "coherency", over_models=True).axes
    means = [
        [100 * summary.by_key[model, "before-pool", "rest", "gradcam", name].mean for model in MODELS]
        for name in ("average_drop", "coherency")
    ]
    assert points_of(axis)["gradcam"] == pytest.approx(np.mean(means, axis=1))
    low, high = stats.t.interval(0.95, 2, np.mean(means[0]), stats.sem(means[0]))
    ends = [segment[:, 0] for bars in axis.collections for segment in bars.get_segments()]
    assert any(end == pytest.approx([low, high]) for end in ends)


def test_bars_are_the_intervals_over_images():
    summary = summary_of(("gradcam",), models=("vgg16",))
    (axis,) = metric_against_metric(summary, "average_drop", "coherency").axes
    cells = {cell.metric: cell for cell in summary.cells}
    across, up = (bars.get_segments()[0] for bars in axis.collections)
    assert across[:, 0] == pytest.approx([100 * cells["average_drop"].low, 100 * cells["average_drop"].high])
    assert up[:, 1] == pytest.approx([100 * cells["coherency"].low, 100 * cells["coherency"].high])


def test_only_the_methods_asked_for_are_shown():
    figure = metric_against_metric(summary_of(), "average_drop", "coherency", methods=["pathcam", "gradcam"])
    assert all(set(points_of(axis)) == {"pathcam", "gradcam"} for axis in figure.axes)


def test_a_method_without_a_figure_on_each_model_has_no_point_in_their_mean():
    rows = [*rows_of(("gradcam", "layercam")), *rows_of(("hirescam",), models=("vgg16",))]
    summary = summarise(frame(*rows), metrics_named(*METRICS), resamples=50)
    (axis,) = metric_against_metric(summary, "average_drop", "coherency", over_models=True).axes
    assert set(points_of(axis)) == {"gradcam", "layercam"}


def test_all_methods_look_different():
    styles = [style_of(method) for method in METHODS]
    assert len(METHODS) >= 17
    assert len({style.marker for style in styles}) == len(METHODS)
    assert len({(style.colour, str(style.dashes)) for style in styles}) == len(METHODS)
    assert style_of("somebody's") == style_of("somebody's")


@pytest.mark.parametrize("draw", ["metrics", "curves"])
@pytest.mark.slow
def test_the_legend_names_each_method_once_beside_the_panels(draw):
    if draw == "metrics":
        figure = metric_against_metric(summary_of(), "average_drop", "coherency")
    else:
        figure = curves(mean_curves([frame_with_curves(EVERY, models=("vgg16",))]))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(METHODS)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = legend.get_window_extent(canvas.get_renderer())
    assert not any(box.overlaps(axis.get_window_extent()) for axis in figure.axes)
    assert box.x1 <= figure.bbox.x1 + 1
    assert box.height <= figure.bbox.height


@pytest.mark.parametrize("methods", [EVERY[:3], EVERY[:10], EVERY])
def test_names_in_the_rank_diagram_do_not_overlap_and_lie_within(methods):
    figure = rank_diagram(summary_of(methods), "coherency")
    actual = text_boxes(figure, lambda text: any(name in text.split() for name in methods))
    assert len(actual) == len(methods)
    assert not any(first.overlaps(second) for first, second in itertools.combinations(actual, 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in actual)


def test_the_rank_diagram_has_the_mean_ranks_the_test_and_the_critical_difference():
    rows = []
    for model, (a, b, c) in zip(MODELS, [(0.9, 0.5, 0.1), (0.8, 0.8, 0.2), (0.3, 0.6, 0.1)], strict=True):
        rows += measured_rows(
            {"gradcam": {"coherency": [a]}, "hirescam": {"coherency": [b]}, "layercam": {"coherency": [c]}}, model
        )
    actual = texts_of(rank_diagram(summarise(frame(*rows), metrics_named("coherency")), "coherency"))
    stripped = [text.strip() for text in actual]
    assert {"gradcam 1.50", "hirescam 1.50", "3.00 layercam"} <= set(stripped)
    assert "critical difference 1.91" in stripped  # 2.343 √(3·4 / (6·3))
    p = stats.friedmanchisquare([0.9, 0.8, 0.3], [0.5, 0.8, 0.6], [0.1, 0.2, 0.1]).pvalue
    assert any(f"Friedman p = {p:.2g}" in text for text in actual)


def test_methods_that_are_not_on_every_network_are_left_out_and_named():
    rows = [*rows_of(EVERY[:4]), *rows_of(("pathcam",), models=("vgg16",))]
    actual = texts_of(rank_diagram(summarise(frame(*rows), metrics_named(*METRICS), resamples=2), "coherency"))
    assert any("without a figure on every network: pathcam" in text for text in actual)
    assert not any(text.strip().startswith("pathcam ") for text in actual)


@pytest.mark.parametrize(("methods", "models"), [(EVERY[:5], ("vgg16",)), (EVERY[:2], MODELS)])
def test_too_few_for_a_rank_diagram_is_said(methods, models):
    with pytest.raises(OptionError, match=r"at least 2 networks and 3 methods"):
        rank_diagram(summary_of(methods, models=models), "coherency")


def test_a_curve_is_the_mean_over_images_and_its_shade_students_interval():
    data = frame_with_curves(("gradcam", "layercam"), models=("vgg16",))
    figure = curves(mean_curves([data]))
    assert [axis.get_title() for axis in figure.axes] == ["vgg16, insertion", "vgg16, deletion"]
    for axis, name in zip(figure.axes, ("insertion_curve", "deletion_curve"), strict=True):
        for line, shade in zip(axis.lines, axis.collections, strict=True):
            values = np.array(data.filter(method=line.get_label())[name].to_list())
            assert line.get_ydata() == pytest.approx(values.mean(0))
            assert line.get_xdata() == pytest.approx(np.linspace(0, 100, 11))
            low, high = stats.t.interval(0.95, 4, values.mean(0), stats.sem(values))
            outline = shade.get_paths()[0].vertices
            for place, x in enumerate(np.linspace(0, 100, 11)):
                ys = outline[np.isclose(outline[:, 0], x), 1]
                assert (ys.min(), ys.max()) == pytest.approx((low[place], high[place]))


def test_one_kind_of_curve_is_enough():
    figure = curves(mean_curves([frame_with_curves(("gradcam",)).drop("deletion_curve")]))
    assert [axis.get_title() for axis in figure.axes] == [
        f"{model}, insertion" for model in ("resnet18", "vgg16", "my_$net$")
    ]


def test_the_order_of_rows_changes_no_curve():
    data = frame_with_curves(("gradcam", "layercam"))
    ordered, shuffled = (curves(mean_curves([rows])) for rows in (data, data.sample(fraction=1, shuffle=True, seed=3)))
    for before, after in zip(ordered.axes, shuffled.axes, strict=True):
        for first, second in zip(before.lines, after.lines, strict=True):
            assert first.get_label() == second.get_label()
            assert first.get_ydata() == pytest.approx(second.get_ydata())


def test_results_without_curves_say_what_to_do():
    with pytest.raises(OptionError, match=r"no insertion or deletion curves; evaluate with the metric insertion"):
        curves(mean_curves([frame(*rows_of(("gradcam",)))]))


def test_curves_of_unlike_lengths_are_refused():
    data = frame_with_curves(("gradcam",), models=("vgg16",), images=2)
    data = data.with_columns(insertion_curve=pl.Series([[0.1, 0.2], [0.1, 0.2, 0.3]], dtype=pl.List(pl.Float32)))
    with pytest.raises(OptionError, match=r"insertion of gradcam on vgg16: curves of 2 to 3 points"):
        curves(mean_curves([data]))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, r"layer before-pool, utility rest; layer bn2, utility rest; choose a layer"),
        ({"layer": "bn3"}, r"layer 'bn3' is not in these results; did you mean 'bn2'"),
        ({"layer": "bn2", "utility": "logit"}, r"utility 'logit' is not in these results"),
    ],
)
def test_a_figure_is_of_one_layer_and_utility(chosen, message):
    layers = ("before-pool", "bn2")
    summary = summary_of(EVERY[:3], layers=layers)
    data = frame_with_curves(EVERY[:3], layers=layers)
    for draw in (
        lambda: metric_against_metric(summary, "average_drop", "coherency", **chosen),
        lambda: rank_diagram(summary, "coherency", **chosen),
        lambda: curves(mean_curves([data]), **chosen),
    ):
        with pytest.raises(OptionError, match=message):
            draw()
    assert (
        metric_against_metric(summary, "average_drop", "coherency", layer="bn2").get_suptitle().startswith("Layer bn2")
    )


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(OptionError, match=r"metric 'coherence' is not in these results; did you mean 'coherency'"):
        metric_against_metric(summary_of(EVERY[:3]), "coherence", "average_drop")


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_files_are_what_their_suffix_says(tmp_path, suffix, start):
    figure = rank_diagram(summary_of(EVERY[:4]), "coherency")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as for letters that the font lacks
        path = save(figure, tmp_path / f"ranks.{suffix}")
    assert path.read_bytes().startswith(start)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    if suffix == "png":
        assert np.array(Image.open(path).convert("L")).std() > 5  # something is on it


@pytest.mark.parametrize("name", ["figure.gif", "figure"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(OptionError, match=r"\.png, \.svg or \.pdf"):
        save(Figure(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_dollar_sign_in_a_name_is_not_taken_for_mathematics(tmp_path):
    rows = [*rows_of((r"$\frac$", "gradcam", "b"), models=(r"$\sqrt", "b_"))]
    summary = summarise(frame(*rows), metrics_named(*METRICS), resamples=2)
    save(metric_against_metric(summary, "average_drop", "coherency"), tmp_path / "a.png")
    save(rank_diagram(summary, "coherency"), tmp_path / "b.png")
