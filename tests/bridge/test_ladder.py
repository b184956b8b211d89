"""The ladder, on networks that do nothing but pass pixels on, and on one that does more; and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median

import pytest
import torch
from torch import nn

import shapleycam
from shapleycam.bridge import measurement, plan_ladder
from shapleycam.bridge.rungs import choose_rungs
from shapleycam.errors import LayerError, MethodLeftOutWarning, OptionError, RepeatedImageWarning
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import LAYER_VALUES, InputQuestion

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
GRID = InputQuestion(players=(2, 2))
SAMPLED = InputQuestion(players=(4, 4), runs=400)


def passing():
    """Three layers that pass pixels on, and a curved readout of them."""
    torch.manual_seed(0)
    layers = nn.MaxPool2d(1), nn.Identity(), nn.AvgPool2d(1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def curved():
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 6, 2, stride=2), nn.Tanh(), nn.Conv2d(6, 6, 3, padding=1), nn.Tanh(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(6 * 16, 3)).double()


@pytest.fixture
def images():
    return 2 * torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.slow
def test_layers_that_pass_pixels_on_have_the_inputs_values(images):
    explainer = shapleycam.Explainer(passing(), utility="logit")
    ladder = shapleycam.ladder(explainer, images, ["2", "1", "0"], ["exactshapley"], GRID)
    assert ladder.layers == ("2", "1", "0", "input")
    rows = {(row.layer, row.method): row for row in ladder.rows}
    assert set(rows) == {(layer, LAYER_VALUES) for layer in "012"} | {
        (layer, "exactshapley") for layer in (*"012", "input")
    }
    for row in rows.values():
        assert row.error.value < 1e-6
        assert [row.pearson.value, row.pearson_corrected.value, row.spearman.value] == pytest.approx([1, 1, 1])
    assert ladder.sentence.startswith("By price: ")
    assert "buys 1.00" not in ladder.sentence  # nothing is closer than what is exact already


def test_sampling_noise_is_taken_from_both_sides(images):
    """The layer's values are the input's, of other orders: only the corrected correlation is 1."""
    images = images.repeat(4, 1, 1, 1) * torch.linspace(0.5, 1, 12, dtype=torch.float64).reshape(-1, 1, 1, 1)
    explainer = shapleycam.Explainer(nn.Sequential(nn.AvgPool2d(1), *curved()), utility="logit")
    noisy = InputQuestion(players=(4, 4), runs=360)
    measured = shapleycam.ladder(explainer, images, ["0"], [], noisy)
    [row] = measured.rows
    assert row.pearson.value < row.pearson_corrected.value
    assert row.pearson_corrected.value == pytest.approx(1, abs=0.01)
    assert median(distance.noise_share for distance in measured.distances) == pytest.approx(1, abs=0.4)


@pytest.mark.filterwarnings("error::shapleycam.errors.ShapleyCamWarning")
def test_derivatives_are_left_out_at_the_input_where_no_single_image_has_nothing(images):
    explainer = shapleycam.Explainer(curved(), utility="logit")
    question = replace(GRID, removal=torch.zeros(3, 8, 8, dtype=torch.float64))
    methods = ["hirescam", "leaveoneout"]
    everywhere = shapleycam.ladder(explainer, images[:2], ["1"], methods, question)
    assert {(row.layer, row.method) for row in everywhere.rows} >= {("input", method) for method in methods}
    with pytest.warns(MethodLeftOutWarning, match="hirescam left out at layer 'input': removal 'impute'") as caught:
        ladder = shapleycam.ladder(explainer, images[:2], ["1"], methods, replace(question, removal="impute"))
    assert len(caught) == 1
    rows = {(row.layer, row.method) for row in ladder.rows}
    assert rows == {("1", LAYER_VALUES), ("1", "hirescam"), ("1", "leaveoneout"), ("input", "leaveoneout")}


def test_a_few_layers_are_chosen_evenly_in_depth():
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Conv2d(3, 3, 1), nn.LeakyReLU()) for _ in range(9)]
    model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    batch = batch_of(torch.rand(1, 3, 6, 6), None, model)
    assert choose_rungs(shapleycam.Explainer(model), batch) == ("8", "6", "4", "2", "0", "input")
    assert choose_rungs(shapleycam.Explainer(model), batch, ["0", "input", "Before Pool"]) == ("0", "8", "input")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["3", "1", "3"], "layer '3' is named twice; expected each once"),
        (["before-pool", "3"], r"layer '3' \('before-pool' and '3'\) is named twice"),
        ([], "no layers were given"),
    ],
)
def test_wrong_layers_are_refused(layers, message, images):
    with pytest.raises(OptionError, match=message):
        shapleycam.ladder(curved(), images, layers, question=GRID)


def test_unknown_layers_and_models_without_images_are_refused(images):
    with pytest.raises(LayerError, match="nothing"):
        shapleycam.ladder(curved(), images, ["nothing"], question=GRID)
    texts = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(4 * 192, 2))
    with pytest.raises(shapleycam.ShapleyCamError) as refused:
        shapleycam.ladder(texts, images.float(), question=GRID)
    assert "\n" not in str(refused.value)


class Stopped(BaseException):
    pass


@pytest.mark.slow
def test_what_was_sampled_is_kept_when_it_is_stopped(images, tmp_path, monkeypatch):
    model, seen = curved(), []

    def stop_at_the_second(image, layer):
        seen.append((image, layer))
        if len(seen) == 4:
            raise Stopped

    measure = {"layers": ["3", "1"], "question": SAMPLED, "out": tmp_path / "kept"}
    with pytest.raises(Stopped):
        shapleycam.ladder(model, images, **measure, listener=stop_at_the_second)
    assert len(list((tmp_path / "kept/values").iterdir())) == 3 + 2
    whole = shapleycam.ladder(model, images, **measure)
    assert len(list((tmp_path / "kept/values").iterdir())) == 9

    def fail(*_, **__):
        raise AssertionError("nothing is left to sample")

    monkeypatch.setattr(measurement, "own_values", fail)
    monkeypatch.setattr(InputQuestion, "values", fail)
    again = shapleycam.ladder(model, images, **measure)
    assert _figures(again) == _figures(whole)
    assert again.inputs == whole.inputs
    alone = shapleycam.ladder(model, images, ["1"], question=SAMPLED, out=tmp_path / "kept")
    assert {d.layer for d in alone.distances} == {"1", "input"}


def _figures(ladder):
    return [replace(distance, passes=0.0) for distance in ladder.distances]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"question": InputQuestion(players=(2, 2), removal="blur")}, "removal was 'zero', is 'blur'"),
        ({"question": InputQuestion(players=(2, 2), runs=999)}, "runs was 2000, is 999"),
        ({"question": InputQuestion(players=(2, 4))}, "players was '2x2', is '2x4'"),
        ({"utility": "logit"}, "utility was 'rest', is 'logit'"),
        ({"model": True}, "model has other weights"),
    ],
)
def test_another_protocol_is_refused(change, difference, images, tmp_path):
    model = curved()
    shapleycam.ladder(model, images[:1], ["1"], [], GRID, out=tmp_path)
    if change.pop("model", False):
        nn.init.zeros_(model[-1].bias)
    explainer = shapleycam.Explainer(model, utility=change.pop("utility", "rest"))
    with pytest.raises(OptionError, match=f"holds a ladder of another protocol .*{difference}"):
        shapleycam.ladder(explainer, images[:1], ["1"], [], out=tmp_path, **{"question": GRID, **change})


def test_foreign_and_damaged_folders_are_refused(images, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match=r"holds other files \(notes.txt\), and no ladder.json"):
        shapleycam.ladder(curved(), images, ["1"], [], GRID, out=tmp_path)
    folder = tmp_path / "kept"
    shapleycam.ladder(curved(), images[:1], ["1"], [], GRID, out=folder)
    (file,) = folder.glob("values/*-1.json")
    record = json.loads(file.read_text())
    for damaged in ("{", json.dumps({**record, "first": [1.0]}), json.dumps({**record, "protocol": "another"})):
        file.write_text(damaged)
        with pytest.raises(OptionError, match=r"not values of this ladder .* delete it, and it is made anew"):
            shapleycam.ladder(curved(), images[:1], ["1"], [], GRID, out=folder)


def test_functions_have_no_name_to_be_kept_by(images, tmp_path):
    def halved(activation):
        return activation / 2

    explainer = shapleycam.Explainer(curved(), utility=lambda output, target: output[:, 0])
    with pytest.raises(OptionError, match="is not in the table of utilities"):
        shapleycam.ladder(explainer, images, out=tmp_path / "kept")
    question = InputQuestion(players=(2, 2), removal=halved)
    with pytest.raises(OptionError, match="is a function, whose name does not identify stored values"):
        shapleycam.ladder(curved(), images, question=question, out=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_plan_counts_what_is_left_and_writes_nothing(images, tmp_path):
    out = tmp_path / "kept"
    plan = plan_ladder(curved(), images, ["3", "0"], SAMPLED, out=out)
    assert [(rung.layer, rung.players, rung.images) for rung in plan.rungs] == [
        ("3", 16, 3),
        ("0", 16, 3),
        ("input", 16, 3),
    ]
    assert plan.rungs[-1].runs == 360
    assert plan.rungs[0].runs is None  # the readout is linear: no run for each
    assert plan.seconds == pytest.approx(sum(3 * rung.seconds for rung in plan.rungs))
    assert not out.exists()
    shapleycam.ladder(curved(), images[:2], ["0"], [], SAMPLED, out=out)
    later = plan_ladder(curved(), images, ["3", "0"], SAMPLED, out=out)
    assert [rung.images for rung in later.rungs] == [3, 1, 1]


class TwoHeads(nn.Module):
    """A model of two outputs, as one with an auxiliary head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.pool = nn.Conv2d(3, 6, 3, padding=1), nn.AdaptiveAvgPool2d(2)
        self.first, self.second = nn.Linear(24, 3), nn.Linear(24, 3)

    def forward(self, x):
        pooled = self.pool(self.conv(x).tanh()).flatten(1)
        return {"first": self.first(pooled), "second": self.second(pooled)}


def test_values_of_another_output_are_not_taken_from_what_is_kept(images, tmp_path):
    model = TwoHeads().double()
    kept = {}
    for part in ("first", "second"):
        explainer = shapleycam.Explainer(model, output=part)
        kept[part] = shapleycam.ladder(explainer, images[:1], ["conv"], [], GRID, out=tmp_path / part)
        fresh = shapleycam.ladder(explainer, images[:1], ["conv"], [], GRID)
        assert kept[part].distances[0].pearson == fresh.distances[0].pearson
    with pytest.raises(OptionError, match="another protocol"):
        shapleycam.ladder(explainer, images[:1], ["conv"], [], GRID, out=tmp_path / "first")
    with pytest.raises(OptionError, match="output= is a function"):
        shapleycam.ladder(
            shapleycam.Explainer(model, output=lambda out: out["first"]), images[:1], ["conv"], [], GRID, out=tmp_path
        )


def test_the_same_photograph_counts_once(images):
    with pytest.warns(RepeatedImageWarning, match="image 2 is the same photograph as image 0"):
        ladder = shapleycam.ladder(curved(), images[[0, 1, 0]], ["3"], [], GRID)
    assert [each.image for each in ladder.inputs] == ["image 0", "image 1"]
    alone = shapleycam.ladder(curved(), images[:2], ["3"], [], GRID)
    assert ladder.rows[0].pearson == alone.rows[0].pearson
    with pytest.warns(RepeatedImageWarning):
        assert plan_ladder(curved(), images[[0, 1, 0]], ["3"], GRID).rungs[0].images == 2


def test_photographs_of_one_name_are_two(images):
    model = curved()
    batches = [batch_of(images[index : index + 1], None, model) for index in range(2)]
    ladder = shapleycam.ladder(model, iter(batches), ["3"], [], GRID)
    assert [each.image for each in ladder.inputs] == ["image 0", "image 0 (2)"]
    assert "one photograph" not in ladder.sentence
