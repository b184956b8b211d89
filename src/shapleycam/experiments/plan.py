"""`plan_models`: the work that an evaluation has done and still has to do, and what it will cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shapleycam.experiments.estimate import Trial, run_trials
from shapleycam.experiments.manifest import chunk_size
from shapleycam.experiments.passes import Passes
from shapleycam.experiments.remaining_chunks import remaining_chunks
from shapleycam.experiments.run_opening import is_run
from shapleycam.experiments.runner import Evaluation
from shapleycam.experiments.store import Store

_TRIAL_IMAGES = 2


@dataclass(frozen=True)
class ModelPlan:
    """The remaining work of an evaluation for one model.

    Attributes:
        trial: the trial of the model, with the number of images that are not measured yet.
        chunks: number of all chunks; each is one file and one unit of work.
        pending_chunks: number of chunks that are not measured yet.
    """

    trial: Trial
    chunks: int
    pending_chunks: int

    @property
    def bytes(self) -> float:
        """Return the size in bytes of the files that will be written."""
        return self.pending_chunks * self.trial.chunk_bytes + self.trial.images * self.trial.image_bytes

    @property
    def passes(self) -> Passes | None:
        """Return the passes for all pending images, with as many different maps as in the trial; None if unknown."""
        return None if self.trial.passes is None else self.trial.images * self.trial.passes

    @property
    def most_passes(self) -> Passes | None:
        """Return the passes for all pending images if each method has a different map; None if unknown."""
        return None if self.trial.most_passes is None else self.trial.images * self.trial.most_passes


def plan_models(evaluation: Evaluation) -> Iterator[ModelPlan]:
    """Yield the plan for each model, from a trial on the dataset's first readable images; write nothing.

    If the dataset has no readable image, nothing is yielded for a model with pending images.

    Raises:
        ShapleyCamError: a model cannot be loaded, or the folder holds other files or another run.

    Examples:
        >>> import tempfile
        >>> from matplotlib.cbook import get_sample_data
        >>> from torch import nn
        >>> from shapleycam import Network, Preprocess
        >>> from shapleycam.experiments import Evaluation, Protocol
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> from shapleycam.experiments.plan import plan_models
        >>> head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        >>> preprocess = Preprocess(32, (32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 4, 3, 4), head).eval(), preprocess, name="small")
        >>> photographs = open_dataset(get_sample_data("grace_hopper.jpg", asfileobj=False))
        >>> protocol = Protocol(methods="gradcam", metrics="average_drop")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (plan,) = plan_models(Evaluation([network], photographs, protocol, folder))
        >>> plan.passes, plan.pending_chunks
        (Passes(forward=2, backward=1, head=0), 1)
    """
    evaluation.check()
    store = Store(evaluation.out) if is_run(evaluation.out) else None
    for trial in run_trials(evaluation, _TRIAL_IMAGES):
        if store is None:
            chunks = pending = -(-len(evaluation.dataset) // chunk_size(evaluation.settings.batch_size))
        else:
            remaining = remaining_chunks(store, trial.model, retry_errors=evaluation.settings.retry_errors)
            chunks, pending = len(store.chunks()), len(remaining)
        yield ModelPlan(trial, chunks, pending)
