"""How many runs an evaluation makes: by pencil, by the tables, and counted on a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from helpers.recorded_inputs import inputs_of
from helpers.small_evaluations import HERE, QUICK, RecordingListener, raises, run_evaluation, tiny_network
from shapleycam.errors import ImageError
from shapleycam.experiments import Evaluation, Protocol
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.decoding import decode_image
from shapleycam.experiments.estimate import run_trials
from shapleycam.experiments.passes import Passes, passes_of_image
from shapleycam.experiments.plan import plan_models
from shapleycam.metrics import MetricOptions
from shapleycam.metrics.quantities import QUANTITIES
from shapleycam.metrics.table import required_quantities

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

IMAGES = 3
OPTIONS = MetricOptions(steps=3, percentiles=(20, 50), sensitivity_draws=2, randomised_stages=2, smooth_draws=2)


def evaluation_of(shots, out, protocol: Protocol, *models) -> Evaluation:
    return Evaluation(models or (tiny_network(),), open_dataset(shots, IMAGES), protocol, out, settings=HERE)


def protocol_of(methods: str, metrics: str, **more) -> Protocol:
    return Protocol(methods=tuple(methods.split()), metrics=tuple(metrics.split()), options=OPTIONS, **more)


@contextmanager
def gradients() -> Iterator[list[int]]:
    """Give a list that grows by the number of rows of each gradient that autograd takes."""
    rows, grad = [], torch.autograd.grad

    def counted(outputs, inputs, *rest, **more):
        rows.append(len(inputs[0] if isinstance(inputs, (list, tuple)) else inputs))
        return grad(outputs, inputs, *rest, **more)

    torch.autograd.grad = counted
    try:
        yield rows
    finally:
        torch.autograd.grad = grad


def counted_passes(evaluation: Evaluation) -> tuple[int, int]:
    """Return the forward and backward passes of one image, counted where the model runs, after a first batch."""
    (model,) = evaluation.evaluated_models
    loaded = model.load()
    (evaluator,) = loaded.evaluators
    batch = [decode_image(evaluation.dataset, loaded.preprocess, index) for index in range(IMAGES)]
    evaluator.evaluate(batch)  # what is checked once
    with inputs_of(evaluator.explainer.model.features[0]) as inputs, gradients() as rows:
        evaluator.evaluate(batch)  # once more: what counts is another class, and the model is learned anew
        inputs.clear()
        rows.clear()
        evaluator.evaluate(batch)
    return sum(map(len, inputs)) // IMAGES, sum(rows) // IMAGES


PENCIL = {
    # x, x·M; the gradient at x
    ("gradcam", "average_drop"): (2, 1),
    # x; the gradient and a Hessian-vector product along it
    ("shapleycam", "complexity"): (1, 2),
    # the same gradient serves both
    ("gradcam shapleycam", "complexity"): (1, 2),
    # x, x·M of two maps, x·(1 - M) of two maps; each x·M is explained by its own method
    ("gradcam shapleycam", "paper"): (5, 2 + 1 + 2),
    # gradcam and hirescam are one map before pooling
    ("gradcam hirescam", "average_drop average_drop_in_deletion"): (3, 1),
    ("randomcam", "average_drop"): (2, 0),
    # steps + 1 of each curve; twice as many percentiles
    ("gradcam", "insertion deletion"): (1 + 4 + 4, 1),
    ("gradcam", "road"): (1 + 2 * 2, 1),
    # each disturbed image is explained by all methods
    ("gradcam shapleycam", "max_sensitivity"): (1 + 2, 2 + 2 * 2),
    ("gradcam", "randomisation_spearman"): (1 + 2, 1 + 2),
    # two noisy images, and the same two for each of two random models
    ("gradcam", "smooth_randomisation_spearman"): (1 + 2 + 2 * 2, 1 + 2 + 2 * 2),
    # three gradients on the way
    ("pathcam", "average_drop"): (2, 3),
    ("gradcam pathcam", "complexity"): (1, 1 + 3),
}


@pytest.mark.parametrize(("methods", "metrics"), PENCIL)
def test_by_pencil_by_the_tables_and_as_counted(shots, tmp_path, methods, metrics):
    evaluation = evaluation_of(shots, tmp_path / "out", protocol_of(methods, metrics, nodes=3))
    (trial,) = run_trials(evaluation)
    assert (trial.passes.forward, trial.passes.backward) == PENCIL[methods, metrics]
    assert counted_passes(evaluation) == PENCIL[methods, metrics]


SMOOTHED = {
    # x and five changed images, and x once more for its class; a gradient at each of the six
    ("augment", "complexity"): (6 + 1, 6),
    # x and ten noisy images
    ("noise", "complexity"): (11, 11),
    ("eigen", "complexity"): (1, 1),
    # each of the six with ten noisy ones
    ("augment,noise", "complexity"): (6 * 11 + 1, 6 * 11),
    # x·M is smoothed as x is, where its map counts; x·(1 - M) is one pass
    ("augment,eigen", "average_drop coherency average_drop_in_deletion"): (7 + 7 + 1, 6 + 6),
    ("noise", "average_drop"): (11 + 1, 11),
}


@pytest.mark.parametrize(("smooth", "metrics"), SMOOTHED)
def test_of_smoothed_maps_too(shots, tmp_path, smooth, metrics):
    evaluation = evaluation_of(shots, tmp_path / "out", protocol_of("gradcam", metrics, smooth=smooth))
    (trial,) = run_trials(evaluation)
    assert (trial.passes.forward, trial.passes.backward) == SMOOTHED[smooth, metrics]
    assert counted_passes(evaluation) == SMOOTHED[smooth, metrics]


def test_utilities_share_the_first_pass(shots, tmp_path):
    evaluation = evaluation_of(shots, tmp_path, protocol_of("gradcam", "average_drop", utilities=("rest", "logit")))
    (trial,) = run_trials(evaluation)
    assert (trial.passes.forward, trial.passes.backward) == (1 + 2, 2)
    assert counted_passes(evaluation) == (3, 2)


@pytest.mark.parametrize(("rule", "forward"), [("prediction", 1), ("label", 1), ("correct", 2)])
def test_the_rule_that_compares_with_the_prediction_takes_a_pass(shots, tmp_path, rule, forward):
    protocol = protocol_of("gradcam", "complexity", class_rule=rule)
    listed = tmp_path / "list.csv"
    lines = [f"{shots / f'{index:04d}.jpg'},{index}\n" for index in range(IMAGES)]
    listed.write_text("".join(["path,label\n", *lines]), encoding="utf-8")
    (trial,) = run_trials(evaluation_of(listed, tmp_path / "out", protocol))
    assert trial.passes.forward == forward


def test_the_published_protocol_takes_what_the_documentation_says():
    """1 + 2 x m forward passes, m being how many maps differ."""
    methods = Protocol.paper().methods
    for maps in ([methods], [methods[:5], methods[5:]], [[method] for method in methods]):
        actual = Passes(forward=1) + passes_of_image(Protocol.paper(), maps, players=49)
        assert actual.forward == 1 + 2 * len(maps)
        assert actual.head == 0


def test_every_metric_that_runs_the_model_says_so():
    """A quantity that is computed by running the model has its number in the table, and no other one has."""
    running = {name for name, row in QUANTITIES.items() if row.passes(OPTIONS)}
    assert running == {
        *("masked_images", "removed_score", "insertion_curve", "deletion_curve", "least_first", "most_first"),
        *("inverse_insertion_curve", "preservation_curve", "blur_deletion_curve", "blur_preservation_curve"),
        *("group_scores", "patch_scores", "disturbed", "randomised", "smoothed", "smoothed_randomised"),
    }
    assert not required_quantities(["complexity", "pointing_game", "energy_pointing"]) & running
    assert all(row.explained_for in {None, *QUANTITIES} for row in QUANTITIES.values())


def test_sampling_and_enumerating_count_runs_of_the_head():
    sampled = protocol_of("sampledshapley", "complexity", players=(2, 2))
    exact = protocol_of("exactshapley", "complexity", players=(2, 2))
    assert passes_of_image(exact, [["exactshapley"]], players=4).head == 2**4
    assert passes_of_image(sampled, [["sampledshapley"]], players=4).head == 256 * 4


class TestPlan:
    def test_of_a_new_run_is_all_there_is(self, shots, tmp_path):
        plans = list(plan_models(evaluation_of(shots, tmp_path / "out", QUICK, tiny_network(), tiny_network(1, "b"))))
        assert [(plan.trial.model, plan.trial.images, plan.chunks, plan.pending_chunks) for plan in plans] == [
            ("tiny", 3, 1, 1),
            ("b", 3, 1, 1),
        ]
        for plan in plans:
            assert plan.passes == 3 * plan.trial.passes
            assert plan.most_passes.forward == 3 * (1 + 2 * 3)  # three methods
        assert not (tmp_path / "out").exists()

    def test_of_a_run_that_goes_on_is_what_is_left(self, shots, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            run_evaluation(shots, tmp_path, listener=RecordingListener(33, raises(KeyboardInterrupt())))
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        (plan,) = plan_models(Evaluation((tiny_network(),), open_dataset(shots), QUICK, tmp_path, settings=HERE))
        assert (plan.trial.images, plan.chunks, plan.pending_chunks) == (38, 3, 2)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

    def test_of_a_finished_run_is_nothing(self, shots, finished):
        location = finished.storage.path
        (plan,) = plan_models(Evaluation((tiny_network(),), open_dataset(shots), QUICK, location, settings=HERE))
        assert (plan.trial.images, plan.pending_chunks, plan.trial.seconds, plan.bytes) == (0, 0, 0, 0)
        assert plan.passes == plan.most_passes == Passes()

    def test_the_bytes_are_near_those_of_the_run(self, shots, finished, tmp_path):
        (plan,) = plan_models(Evaluation((tiny_network(),), open_dataset(shots), QUICK, tmp_path, settings=HERE))
        written = sum(path.stat().st_size for path in finished.storage.path.rglob("*.parquet"))
        assert plan.bytes == pytest.approx(written, rel=0.3)

    def test_where_no_image_of_the_trial_can_be_explained_the_passes_are_not_known(self, shots, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "shapleycam.experiments.estimate._count_passes_at", lambda *_: raises(ImageError("blank"))()
        )
        (plan,) = plan_models(evaluation_of(shots, tmp_path / "out", QUICK))
        assert (plan.passes, plan.most_passes) == (None, None)
        assert plan.trial.seconds > 0

    def test_a_larger_batch_makes_larger_chunks(self, shots, tmp_path):
        evaluation = Evaluation(
            (tiny_network(),), open_dataset(shots), QUICK, tmp_path, settings=replace(HERE, batch_size=50)
        )
        (plan,) = plan_models(evaluation)
        assert plan.chunks == 2
