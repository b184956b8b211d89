"""The first sentences of a report, by pencil."""

from __future__ import annotations

import math

import pytest

from helpers.result_rows import frame, measured_rows, metrics_named
from shapleycam.experiments.results import ResultsSummary, summarise
from shapleycam.explanations.image_summary import ClassProbability, ClassSummary, ImageSummary
from shapleycam.report.outcome import describe_metric, describe_photographs, describe_results


def results(values: dict[str, dict[str, list[float]]], *more: list[dict]) -> ResultsSummary:
    metrics = {metric: None for of_method in values.values() for metric in of_method}
    return summarise(frame(*measured_rows(values), *(row for rows in more for row in rows)), metrics_named(*metrics))


def coherency(**means: float) -> dict[str, dict[str, list[float]]]:
    """Return figures of ten images that all are the method's mean."""
    return {method: {"coherency": [mean] * 10} for method, mean in means.items()}


def test_the_best_and_the_next_with_how_sure_the_lead_is():
    (sentence,) = describe_results(results(coherency(layercam=0.5, gradcam=0.75, hirescam=0.25)))
    assert sentence == (
        "By Coh, where higher is better, gradcam came out best of 3 methods: 75.0% over 10 photographs, before "
        "layercam with 50.0%; chance alone hardly makes such a lead."
    )


def test_a_lead_that_may_be_chance():
    values = {"gradcam": {"coherency": [0.1, 0.9, 0.6, 0.5]}, "layercam": {"coherency": [0.9, 0.1, 0.5, 0.5]}}
    (sentence,) = describe_results(results(values))
    assert sentence.endswith("52.5% over 4 photographs, before layercam with 50.0%; the lead may be chance.")


def test_where_low_is_better():
    values = {"gradcam": {"max_sensitivity": [0.25] * 3}, "layercam": {"max_sensitivity": [0.5] * 3}}
    (sentence,) = describe_results(results(values))
    assert sentence.startswith(
        "By Sens, where lower is better, gradcam came out best of 2 methods: 0.250 over 3 photographs"
    )


def test_equal_methods_are_named_together():
    (sentence,) = describe_results(results(coherency(gradcam=0.5, hirescam=0.5, layercam=0.25)))
    assert (
        "gradcam and hirescam (equal) came out best of 3 methods: 50.0% over 10 photographs, before layercam"
        in sentence
    )
    assert "chance" not in sentence
    (of_all,) = describe_results(results(coherency(gradcam=0.5, hirescam=0.5)))
    assert of_all.endswith("50.0% over 10 photographs, as all others.")


def test_a_baseline_that_explains_nothing_is_not_praised():
    (sentence,) = describe_results(results(coherency(gradcam=0.5, randomcam=0.75)))
    assert sentence.endswith(" randomcam explains nothing: by this metric alone methods cannot be judged.")


def test_one_method_alone_and_nothing_defined():
    (alone,) = describe_results(results(coherency(gradcam=0.5)))
    assert alone == "Only gradcam was measured: its Coh is 50.0% over 10 photographs."
    undefined = {"gradcam": {"coherency": [math.nan] * 2}, "layercam": {"coherency": [math.nan] * 2}}
    assert describe_results(results(undefined)) == ["By Coh nothing can be said: it is undefined for every photograph."]


def test_adcc_decides_where_it_was_measured():
    values = {
        "gradcam": {"coherency": [0.9] * 3, "adcc": [0.1] * 3},
        "layercam": {"coherency": [0.1] * 3, "adcc": [0.9] * 3},
    }
    (sentence,) = describe_results(results(values))
    assert sentence.startswith("By ADCC (mean of images), where higher is better, layercam came out best")


def test_several_networks_are_counted_and_several_settings_are_named():
    more = [
        measured_rows(coherency(gradcam=0.9, layercam=0.5), "vgg16"),
        measured_rows(coherency(gradcam=0.1, layercam=0.5), "vgg19"),
        measured_rows(coherency(gradcam=0.1, layercam=0.5), "vgg16", "bn2", "logit"),
    ]
    first, second = describe_results(results(coherency(gradcam=0.75, layercam=0.5), *more))
    assert first == (
        "Layer before-pool, utility rest: by Coh, where higher is better, of 3 networks came out best: gradcam on 2, "
        "layercam on 1."
    )
    assert second.startswith(
        "Layer bn2, utility logit: by Coh, where higher is better, layercam came out best of 2 methods"
    )


def photograph(number: int = 0, *, top: bool = True) -> ImageSummary:
    classes = (ClassProbability(0, "tabby", 0.75), ClassProbability(1, "lynx", 0.25)) if top else ()
    explained = ClassSummary(number, ("tabby", "lynx")[number], 1.5, None, "all of it lies left", {}, {})
    return ImageSummary(classes, (explained,), "tiny", "layer4", "rest")


def test_a_photograph():
    assert describe_photographs(["cat.jpg"], [photograph()]) == "The model says tabby, 75%: all of it lies left."
    other = describe_photographs(["cat.jpg"], [photograph(1)])
    assert other == "The model says tabby, 75%, and why it could be lynx is explained: all of it lies left."
    value = describe_photographs(["cat.jpg"], [photograph(top=False)])
    assert value == "The model gives rest 1.5: all of it lies left."


@pytest.mark.parametrize("count", [2, 5, 8])
def test_several_photographs(count):
    sentence = describe_photographs([f"{n}.jpg" for n in range(count)], [photograph()] * count)
    assert sentence.startswith("0.jpg: the model says tabby, 75%; 1.jpg: the model says tabby, 75%")
    assert sentence.endswith("; and 3 more." if count == 8 else "75%.")
    assert sentence.count(".jpg") == min(count, 5)


def test_the_metric_in_words():
    assert describe_metric(results(coherency(gradcam=0.5))) == (
        "Coh is how similar the map stays if only what it shows is kept."
    )
    assert describe_metric(ResultsSummary((), (), ())) == ""
