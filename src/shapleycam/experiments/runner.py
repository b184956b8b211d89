"""`evaluate` and `Evaluation`: measure methods by metrics over a dataset, for models, layers and utilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.base import Annotations, fingerprint_of
from shapleycam.experiments.datasets.copies import find_copies, warn_of_copies
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.datasets.shared_annotations import check_annotations_are_not_shared
from shapleycam.experiments.datasets.snapshot import Snapshot, take_snapshot
from shapleycam.experiments.evaluated_model import EvaluatedModel, LoadedModel, Model
from shapleycam.experiments.evaluation_checks import (
    check_models,
    check_objects_are_known,
    choose_annotations,
    warn_of_options_without_use,
)
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.model_run import ModelRun
from shapleycam.experiments.progress import ProgressListener, SilentListener
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.provenance import collect_provenance, working_folder
from shapleycam.experiments.remaining_chunks import remaining_chunks
from shapleycam.experiments.run_opening import check_compatible, is_run, open_run
from shapleycam.experiments.session_versions import warn_of_other_versions
from shapleycam.experiments.settings import RunSettings
from shapleycam.experiments.store import Store
from shapleycam.models.network import Network
from shapleycam.models.resolve import resolve_network
from shapleycam.tracing.isolation import device_of


@dataclass(frozen=True)
class Evaluation:
    """An evaluation to run: models over a dataset, by a protocol, into a folder or a URL.

    `evaluate` makes one from a user's arguments, and runs it.

    Args:
        models: names, modules or networks; their names in the results must differ.
        dataset: the photographs.
        protocol: what is measured, and how.
        out: a folder, or a URL such as s3://bucket/run.
        annotations: boxes or masks of objects, for pointing metrics; None for those of the dataset.
        pretrained: whether models given by name have their published weights.
        checkpoint: weights that replace the published ones, if there is a single model.
        settings: where and how fast it runs.

    Raises:
        OptionError: the arguments do not fit together. Nothing has been loaded or written yet.

    Examples:
        >>> import tempfile
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam.experiments import Evaluation, Protocol
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> photographs = open_dataset(get_sample_data("grace_hopper.jpg", asfileobj=False))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Evaluation(["efficientnet_lite0"], photographs, Protocol(), folder).count_pending("efficientnet_lite0")
        1
    """

    models: Sequence[Model]
    dataset: Dataset
    protocol: Protocol
    out: str | Path
    annotations: Annotations | None = None
    pretrained: bool = True
    checkpoint: Path | None = None
    settings: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        """Refuse arguments that do not fit together, before anything is loaded."""
        object.__setattr__(self, "annotations", choose_annotations(self.dataset, self.annotations))
        check_models([evaluated_model.name for evaluated_model in self.evaluated_models], self.checkpoint)
        check_objects_are_known(self.protocol, self.annotations)
        self.settings.check()

    @property
    def evaluated_models(self) -> list[EvaluatedModel]:
        """Return each model, with its dataset and protocol."""
        return [
            EvaluatedModel(
                model,
                self.protocol,
                self.dataset,
                self.annotations,
                self.pretrained,
                self.checkpoint,
                self.settings.device,
            )
            for model in self.models
        ]

    def run(self, listener: ProgressListener | None = None) -> Store:
        """Measure all images that are not measured yet, and return the results.

        If it is interrupted, the results written so far remain. The same call then continues.

        Raises:
            ShapleyCamError: a model cannot be loaded, a layer cannot be found, the folder has results of another run,
                or the disk is full.
        """
        listener = listener or SilentListener()
        self.check()
        if self.annotations is not None:
            check_annotations_are_not_shared(self.dataset, self.annotations, self._snapshot)
        warn_of_copies(self._copies)
        warn_of_options_without_use(self.protocol)
        models = {model.name: Lazy(self._in_this_process(model).load) for model in self.evaluated_models}
        with open_run(self.out, self._manifest(models), self.settings.batch_size) as store:
            remaining = {name: self._remaining_chunks(store, name) for name in models}
            images = len(models) * len(self.dataset)
            done = images - sum(len(chunk) for chunks in remaining.values() for chunk in chunks)
            if 0 < done < images:
                warn_of_other_versions(store.storage, store.manifest["sessions"])
            listener.run_started(images, done)
            for evaluated_model in self.evaluated_models:
                name = evaluated_model.name
                listener.model_started(name)
                if remaining[name]:
                    run = ModelRun(evaluated_model, models[name], self._snapshot, self.settings)
                    run.evaluate(remaining[name], store, listener)
                    self._release(models[name])
            if self.settings.strict:
                _refuse_errors(store)
            return store

    def check(self) -> None:
        """Refuse a folder with other contents, as far as this is known before a model is loaded.

        Raises:
            OptionError: it has other files, or results of another protocol, other models or other data.
        """
        check_compatible(self.out, self._manifest_without_models)

    def count_pending(self, name: str) -> int:
        """Return the number of images that are not measured yet for a model."""
        return sum(map(len, self._remaining_chunks(Store(self.out), name))) if is_run(self.out) else len(self.dataset)

    @property
    def n_measured(self) -> int:
        """Return the number of measured images, summed over all models."""
        store = Store(self.out) if is_run(self.out) else None
        names = [model.name for model in self.evaluated_models]
        return sum(len(chunk) for name in names for chunk in store.measured(name)) if store else 0

    def _remaining_chunks(self, store: Store, name: str) -> list[range]:
        return remaining_chunks(store, name, retry_errors=self.settings.retry_errors)

    def _in_this_process(self, evaluated_model: EvaluatedModel) -> EvaluatedModel:
        """Return a model as this process loads it: on the CPU if other machines do the work."""
        return evaluated_model if self.settings.local else replace(evaluated_model, device="cpu")

    def _release(self, model: Lazy[LoadedModel]) -> None:
        """Free a model if there are several, so that only one is in memory at a time."""
        if len(self.models) > 1:
            model.release()

    def _manifest(self, models: Mapping[str, Lazy[LoadedModel]]) -> dict[str, Any]:
        """Return the manifest; this loads every model, so that mistakes are found before anything is measured."""
        records = {}
        for name, model in models.items():
            records[name] = model().record
            self._release(model)
        provenance = {
            **collect_provenance(self._device()),
            **self.settings.effective_engine.provenance(),
            "dataset": self.dataset.origin,
            "dataset_maker": self.dataset.maker,
            "folder": working_folder(),
            "copies": self._copies,
        }
        return {**self._manifest_without_models, "models": records, "sessions": [provenance]}

    @cached_property
    def _manifest_without_models(self) -> dict[str, Any]:
        """Return the part of the manifest that needs no model; this reads the dataset once."""
        dataset = {"images": len(self.dataset), "fingerprint": self._snapshot.fingerprint}
        if self.annotations is not None:
            dataset["objects"] = fingerprint_of(self.annotations, self.dataset.names)
        order = [evaluated_model.name for evaluated_model in self.evaluated_models]
        return {"protocol": self.protocol.as_data(), "order": order, "dataset": dataset}

    @cached_property
    def _snapshot(self) -> Snapshot:
        return take_snapshot(self.dataset)

    @cached_property
    def _copies(self) -> list[tuple[str, str]]:
        return find_copies(self.dataset, self._snapshot, by_label=self.protocol.class_rule == "label")

    def _device(self) -> torch.device:
        """Return the device of the first model in this process."""
        first = self._in_this_process(self.evaluated_models[0])
        if device := first.choose_device():
            return torch.device(device)
        return torch.device("cpu") if isinstance(first.model, str) else device_of(resolve_network(first.model).model)


def evaluate(  # noqa: PLR0913  # all but three have defaults
    models: Model | Sequence[Model],
    data: Any,
    out: str | Path,
    protocol: Protocol | None = None,
    *,
    limit: int | None = None,
    annotations: Annotations | None = None,
    pretrained: bool = True,
    checkpoint: Path | None = None,
    settings: RunSettings | None = None,
    listener: ProgressListener | None = None,
) -> Store:
    """Measure methods on a dataset, write the results to a folder or a URL, and return them.

    If it is interrupted, the results written so far remain. The same call then continues.

    Args:
        models: names, modules or networks.
        data: a folder, an ImageFolder, a CSV or Parquet of paths and labels, a zip archive, tar shards or Parquet files
            of pictures, a pattern or URL of them, "torchvision:NAME:ROOT", "hf:NAME", or a dataset object.
        out: the folder, or a URL such as s3://bucket/run.
        protocol: what is measured, and how; None for the published ten methods and six metrics.
        limit: the number of images, from the first on; None for all.
        annotations: boxes or masks of objects, for pointing metrics; None for those of the dataset.
        pretrained: whether models given by name have their published weights.
        checkpoint: weights that replace the published ones, if there is a single model.
        settings: device, batch size, workers, strictness, engine.
        listener: an object that is called as the evaluation proceeds.

    Raises:
        ShapleyCamError: with one line that says what was found, what was expected and what to do.

    Examples:
        >>> import tempfile
        >>> from matplotlib.cbook import get_sample_data
        >>> from torch import nn
        >>> from shapleycam import Network, Preprocess
        >>> from shapleycam.experiments import Protocol, RunSettings, evaluate
        >>> head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        >>> preprocess = Preprocess(32, (32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 4, 3, 4), head).eval(), preprocess, name="small")
        >>> protocol = Protocol(methods=("gradcam", "shapleycam"), metrics="average_drop")
        >>> photograph = get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results = evaluate(network, photograph, folder, protocol, settings=RunSettings(workers=0))
        ...     rows = results.rows()
        >>> rows["method"].to_list()
        ['gradcam', 'shapleycam']
    """
    model_list = [models] if isinstance(models, (str, nn.Module, Network)) else list(models)
    evaluation = Evaluation(
        model_list,
        open_dataset(data, limit),
        protocol or Protocol(),
        out,
        annotations,
        pretrained,
        checkpoint,
        settings or RunSettings(),
    )
    return evaluation.run(listener)


def _refuse_errors(store: Store) -> None:
    """Raise if images could not be measured, in this or in an earlier session of the run."""
    columns = ("image", "status", "message")
    for model in store.manifest["order"]:
        errors = store.model_rows(model, columns).filter(status="error")
        if len(errors):
            count = errors["image"].n_unique()
            raise ImageError(f"{count} images could not be measured; the first says: {errors['message'][0]}")
