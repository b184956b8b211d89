"""The sentence of a ladder says what the intervals support, and no more."""

from __future__ import annotations

from shapleycam.bridge.sentence import describe_ladder
from shapleycam.fidelity import LAYER_VALUES, InputDistance


def distances(layer, passes, *figures, method=LAYER_VALUES):
    return [
        InputDistance(f"{image}.jpg", "rest", layer, method, 0.5, 0.1, figure, figure, figure, figure, passes)
        for image, figure in enumerate(figures)
    ]


LAST = distances("bn2", 1.1, 0.68, 0.70, 0.72)


def test_dearer_layers_are_named_where_all_photographs_are_closer():
    sentence = describe_ladder([*distances("blocks.4", 6.0, 0.89, 0.91, 0.93), *LAST], [1900, 2100, 2000])
    assert sentence == (
        "By price: the Shapley values of bn2 buy a correlation of 0.70 ± 0.05 with the input's for 1.1 forward passes; "
        "the Shapley values of blocks.4 buy 0.91 ± 0.05 for 6; the input's own take 2,000."
    )


def test_a_gain_within_its_interval_is_none():
    """Gains of 0.3, -0.05 and 0.05: mean 0.1, and Student's half width 0.45."""
    sentence = describe_ladder([*LAST, *distances("blocks.4", 6.0, 0.98, 0.65, 0.77)], [2000] * 3)
    assert "blocks.4" not in sentence
    assert "3 photographs do not prove any more expensive values to be closer" in sentence


def test_the_interval_is_of_the_differences_of_the_same_photographs():
    """Photographs differ by far more than layers do, and each is closer by 0.02."""
    wide = distances("bn2", 1.0, 0.2, 0.5, 0.8)
    sentence = describe_ladder([*wide, *distances("blocks.4", 6.0, 0.219, 0.52, 0.821)], [2000] * 3)
    assert "blocks.4 buy 0.52" in sentence


def test_what_rounding_gains_is_not_named():
    sentence = describe_ladder([*LAST, *distances("blocks.4", 6.0, 0.681, 0.701, 0.721)], [2000] * 3)
    assert "blocks.4" not in sentence


def test_methods_stand_beside_layers_by_their_price():
    cam = distances("bn2", 1.05, 0.60, 0.61, 0.62, method="hirescam")
    sentence = describe_ladder([*LAST, *cam], [2000] * 3)
    assert sentence.startswith("By price: hirescam at bn2 buys a correlation of 0.61 ± 0.02")
    assert "; the Shapley values of bn2 buy 0.70" in sentence


def test_one_photograph_compares_nothing():
    one = [*distances("bn2", 1.0, 0.5), *distances("blocks.4", 6.0, 0.9)]
    sentence = describe_ladder(one, [2000])
    assert "0.50 with the input's" in sentence
    assert "blocks.4" not in sentence
    assert "one photograph is not enough to compare layers: give several" in sentence


def test_nothing_is_said_of_what_is_not_resolved():
    unresolved = [InputDistance("a", "rest", "bn2", LAYER_VALUES, 1.0, 1.2, 0.1, None, 0.1, None, 1.0)]
    assert describe_ladder(unresolved, [2000]) == (
        "No correlation with the input's values is resolved above their noise: allow more runs."
    )
