"""An evaluation: models, layers, utilities, methods and metrics over a dataset, from one trace an image and layer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import torch
from torch import nn

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.chunk import Decoding, Measuring
from shapleycam.experiments.datasets.annotations.base import Annotations, fingerprint_of
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.engines import Engine, Local
from shapleycam.experiments.evaluated_model import EvaluatedModel, LoadedModel, Model
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.provenance import session
from shapleycam.experiments.rows import Row
from shapleycam.experiments.store import Store, is_run, open_run, refuse_other
from shapleycam.metrics.table import required_quantities
from shapleycam.models.network import Network
from shapleycam.models.resolve import resolve_network
from shapleycam.tracing.isolation import device_of
from shapleycam.wording import first_line


class Watcher(Interface):
    """Who is told how far an evaluation is."""

    def begin(self, images: int, done: int) -> None:
        """So many images are to be measured, over all models; so many were done before."""

    def model(self, name: str) -> None:
        """A model comes next."""

    def measured(self, images: int, rows: Sequence[Row]) -> None:
        """So many more images are done; their rows."""


@dataclass(frozen=True)
class Setting:
    """What changes no number, or next to none (batch sizes do by 1e-5 and less): where and how fast it is measured.

    `engine` None is this process, where `workers` decode photographs ahead; as many as the machine has cores to spare,
    none where it has two.
    """

    device: str | torch.device | None = None
    batch_size: int = 16
    workers: int = field(default_factory=lambda: max(0, min(4, (os.cpu_count() or 1) // 2 - 1)))
    strict: bool = False
    engine: Engine | None = None

    @property
    def local(self) -> bool:
        """Whether this process does the work."""
        return self.engine is None

    @property
    def runs_on(self) -> Engine:
        """The engine."""
        return self.engine or Local(self.workers)


@dataclass(frozen=True)
class Evaluation:
    """What is to be evaluated: models by name or as they are, over a dataset, by a protocol, into a folder or a URL."""

    models: Sequence[Model]
    dataset: Dataset
    protocol: Protocol
    out: str | Path
    annotations: Annotations | None = None
    pretrained: bool = True
    checkpoint: Path | None = None
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        """Refuse what cannot be evaluated, before anything is loaded."""
        names = [evaluated_model.name for evaluated_model in self.evaluated_models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            found = f"models named {', '.join(twice)} twice" if twice else "no models were given"
            raise OptionError(f"{found}; expected each model once, under a name of its own (shapleycam.Network(name=))")
        if self.checkpoint is not None and len(names) > 1:
            raise OptionError(f"--checkpoint {self.checkpoint} and {len(names)} models were given; give one model")
        if self.annotations is None and "objects" in required_quantities(self.protocol.metrics):
            raise OptionError("the pointing metrics ask where the objects are; give annotations (--objects)")
        if self.setting.local:
            _check_device(self.setting.device)
        if self.setting.workers < 0 or self.setting.batch_size < 1:
            setting = self.setting
            raise OptionError(
                f"workers is {setting.workers}, batch_size {setting.batch_size}; expected 0 or more, and 1 or more"
            )

    @property
    def evaluated_models(self) -> list[EvaluatedModel]:
        """Each model, with what it is measured on."""
        given = (self.protocol, self.dataset, self.annotations, self.pretrained, self.checkpoint, self.setting.device)
        return [EvaluatedModel(model, *given) for model in self.models]

    def run(self, watcher: Watcher | None = None) -> Store:
        """Measure what is not measured yet; at any stop what was written stays, and the same call goes on.

        Raises:
            ShapleyCamError: a choice cannot be had, results of another run are in the folder, or the disk is full.
        """
        told = watcher or _Nobody()
        self.check()
        here = {
            evaluated_model.name: Lazy(self._here(evaluated_model).ready) for evaluated_model in self.evaluated_models
        }
        with open_run(self.out, self._manifest(here), self.setting.batch_size) as store:
            done = [sum(map(len, store.parts())) - sum(map(len, store.pending(name))) for name in here]
            told.begin(len(here) * len(self.dataset), sum(done))
            for evaluated_model in self.evaluated_models:
                told.model(evaluated_model.name)
                self._run_model(store, evaluated_model, here[evaluated_model.name], told)
            if self.setting.strict:
                _refuse_errors(store)
            return store

    def check(self) -> None:
        """Refuse a folder of something else, by what is known before a model is loaded.

        Raises:
            OptionError: it holds other things, or results of another protocol, other models or other data.
        """
        refuse_other(self.out, self._asked)

    def pending(self, name: str) -> int:
        """How many images are not measured yet by a model."""
        return sum(map(len, Store(self.out).pending(name))) if is_run(self.out) else len(self.dataset)

    @property
    def kept(self) -> int:
        """How many images are measured, over all models."""
        return sum(len(self.dataset) - self.pending(evaluated_model.name) for evaluated_model in self.evaluated_models)

    def _run_model(self, store: Store, evaluated_model: EvaluatedModel, here: Lazy[LoadedModel], told: Watcher) -> None:
        setting, name = self.setting, evaluated_model.name
        pending = store.pending(name)
        if not pending:
            return
        prepare = Decoding(self.dataset, here().preprocess)
        ready = here if setting.local else Lazy(evaluated_model.ready)
        perform = Measuring(name, ready, self.protocol, store, setting.batch_size, setting.strict)
        with closing(setting.runs_on.run(pending, prepare, perform)) as results:
            for measured in results:
                told.measured(measured.images, measured.rows)
        if missing := store.pending(name):
            raise OptionError(
                f"{len(missing)} parts that were measured are not in {store.place}: the machines of the cluster do not "
                "share this folder; give one that they share, or a URL such as s3://bucket/run"
            )
        self._let_go(here)

    def _here(self, evaluated_model: EvaluatedModel) -> EvaluatedModel:
        """A model as this process has it: where others measure, without a GPU."""
        return evaluated_model if self.setting.local else replace(evaluated_model, device="cpu")

    def _let_go(self, here: Lazy[LoadedModel]) -> None:
        """Of several models, one at a time is in memory."""
        if len(self.models) > 1:
            here.forget()

    def _manifest(self, here: Mapping[str, Lazy[LoadedModel]]) -> dict[str, Any]:
        """What the folder notes; every model is loaded for it, so that a mistake shows before anything is measured."""
        facts = {}
        for name, ready in here.items():
            facts[name] = ready().facts
            self._let_go(ready)
        made = {**session(self._device()), **self.setting.runs_on.facts(), "dataset": self.dataset.origin}
        return {**self._asked, "models": facts, "sessions": [made]}

    @cached_property
    def _asked(self) -> dict[str, Any]:
        """What the folder notes that needs no model."""
        dataset = {"images": len(self.dataset), "fingerprint": self.dataset.fingerprint()}
        if self.annotations is not None:
            dataset["objects"] = fingerprint_of(self.annotations, self.dataset.names)
        order = [evaluated_model.name for evaluated_model in self.evaluated_models]
        return {"protocol": self.protocol.as_data(), "order": order, "dataset": dataset}

    def _device(self) -> torch.device:
        """Where the first model runs, in this process."""
        first = self._here(self.evaluated_models[0])
        if where := first.on():
            return torch.device(where)
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
    setting: Setting | None = None,
    watcher: Watcher | None = None,
) -> Store:
    """Measure methods on a dataset, into a folder of results; called again it goes on where it was stopped.

    Args:
        models: names, modules or networks.
        data: a folder, an ImageFolder, a CSV or Parquet of paths and labels, tar shards, "torchvision:NAME:ROOT",
            "hf:NAME", or a dataset object.
        out: the folder, or a URL such as s3://bucket/run.
        protocol: what is measured, and how; None for the published ten methods and six metrics.
        limit: only the first so many images.
        annotations: where objects are, for the pointing metrics.
        pretrained: whether named models have their published weights.
        checkpoint: weights in their place, of one model.
        setting: device, batch size, workers, strictness, engine.
        watcher: is told of progress.

    Raises:
        ShapleyCamError: with one line that says what was found, what was expected and what to do.
    """
    several = [models] if isinstance(models, (str, nn.Module, Network)) else list(models)
    evaluation = Evaluation(
        several,
        open_dataset(data, limit),
        protocol or Protocol(),
        out,
        annotations,
        pretrained,
        checkpoint,
        setting or Setting(),
    )
    return evaluation.run(watcher)


def _check_device(device: str | torch.device | None) -> None:
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except Exception as error:
        reason = first_line(error)
        raise OptionError(f"device {device!r} cannot be used ({reason}); expected cpu, cuda or mps") from error


def _refuse_errors(store: Store) -> None:
    columns = ("image", "status", "message")
    for model in store.manifest["order"]:
        errors = store.rows_of(model, columns).filter(status="error")
        if len(errors):
            count = errors["image"].n_unique()
            raise ImageError(f"{count} images could not be measured; the first says: {errors['message'][0]}")


class _Nobody:
    def begin(self, images: int, done: int) -> None: ...
    def model(self, name: str) -> None: ...
    def measured(self, images: int, rows: Sequence[Row]) -> None: ...
