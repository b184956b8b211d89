"""An evaluation: models, layers, utilities, methods and metrics over a dataset, from one trace an image and layer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias
from typing import Protocol as Interface

import torch
from torch import nn

from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.experiments.datasets.annotations import Annotations, fingerprint_of
from shapleycam.experiments.datasets.classes import class_numbers
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.find import find
from shapleycam.experiments.decoding import Decoded, decoded
from shapleycam.experiments.protocol import Protocol, preprocess_as_data
from shapleycam.experiments.rows import Row, table_of
from shapleycam.experiments.session import session, weights_hash
from shapleycam.experiments.station import Station
from shapleycam.experiments.store import Store, is_run, open_run
from shapleycam.explainer import Explainer
from shapleycam.metrics.table import needs
from shapleycam.models import zoo
from shapleycam.models.guests import network_of
from shapleycam.models.network import Network, Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.trace.guest import device_of

_TRIED = 32
"""With so many images at most it is tried to find the layers."""
Model: TypeAlias = "str | nn.Module | Network"


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

    `workers` decode photographs ahead; as many as the machine has cores to spare, none where it has two.
    """

    device: str | torch.device | None = None
    batch_size: int = 16
    workers: int = field(default_factory=lambda: max(0, min(4, (os.cpu_count() or 1) // 2 - 1)))
    strict: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What is to be evaluated: models by name or as they are, over a dataset, by a protocol, into a folder."""

    models: Sequence[Model]
    dataset: Dataset
    protocol: Protocol
    out: Path
    annotations: Annotations | None = None
    pretrained: bool = True
    checkpoint: Path | None = None
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        """Refuse what cannot be evaluated, before anything is loaded."""
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            found = f"models named {', '.join(twice)} twice" if twice else "no models were given"
            raise OptionError(f"{found}; expected each model once, under a name of its own (shapleycam.Network(name=))")
        if self.checkpoint is not None and len(names) > 1:
            raise OptionError(f"--checkpoint {self.checkpoint} and {len(names)} models were given; give one model")
        if self.annotations is None and "objects" in needs(self.protocol.metrics):
            raise OptionError("the pointing metrics ask where the objects are; give annotations (--objects)")
        _check_device(self.setting.device)
        if self.setting.workers < 0 or self.setting.batch_size < 1:
            setting = self.setting
            raise OptionError(
                f"workers is {setting.workers}, batch_size {setting.batch_size}; expected 0 or more, and 1 or more"
            )

    @property
    def names(self) -> list[str]:
        """What the models are called in the results."""
        return [model if isinstance(model, str) else _own_name(model) for model in self.models]

    def run(self, watcher: Watcher | None = None) -> Store:
        """Measure what is not measured yet; at any stop what was written stays, and the same call goes on.

        Raises:
            ShapleyCamError: a choice cannot be had, results of another run are in the folder, or the disk is full.
        """
        told = watcher or _Nobody()
        models = self._checked()
        with open_run(self.out, self._manifest(models), self.setting.batch_size) as store:
            done = [sum(map(len, store.parts())) - sum(map(len, store.pending(name))) for name in self.names]
            told.begin(len(self.models) * len(self.dataset), sum(done))
            for name, model in zip(self.names, self.models, strict=True):
                told.model(name)
                self._run_model(store, name, models[name].network or self.load(model), told)
            if self.setting.strict:
                _refuse_errors(store)
            return store

    def pending(self, name: str) -> int:
        """How many images are not measured yet by a model."""
        return sum(map(len, Store(self.out).pending(name))) if is_run(self.out) else len(self.dataset)

    def _checked(self) -> dict[str, _Checked]:
        """Every model loaded once and its layers found, so that a mistake shows before anything is measured.

        The only model is kept; of several, one at a time is in memory.
        """
        found = {}
        for name, model in zip(self.names, self.models, strict=True):
            network = self.load(model)
            stations = self.stations(name, network)
            self._settle_layers(stations, _preprocess_of(network))
            found[name] = _Checked(_facts(network, stations), network if len(self.models) == 1 else None)
        return found

    def _run_model(self, store: Store, name: str, network: Network, told: Watcher) -> None:
        stations = self.stations(name, network)
        self._settle_layers(stations, _preprocess_of(network))
        pending = store.pending(name)
        batches = [batch for part in pending for batch in _split(part, self.setting.batch_size)]
        with closing(decoded(self.dataset, _preprocess_of(network), batches, self.setting.workers)) as images:
            for part in pending:
                measured = _Part()
                for batch in _split(part, self.setting.batch_size):
                    rows = measured.add(stations, next(images), strict=self.setting.strict)
                    told.measured(len(batch), rows)
                if part.start == 0:
                    measured.refuse_no_result()
                table = table_of(_ordered(measured.rows, self.protocol), self.protocol.metrics)
                store.write(name, part, table)

    def stations(self, name: str, network: Network) -> list[Station]:
        """A model at each layer."""
        labels = network.labels
        given = self.dataset
        classes = class_numbers(given.labels, labels, _outputs(network), given.classes)
        if self.protocol.class_rule != "prediction" and not any(label is not None for label in classes):
            shown = next((repr(label) for label in self.dataset.labels if label is not None), "none")
            raise OptionError(
                f"class rule {self.protocol.class_rule!r} needs labels that {name} knows; the dataset's are such as "
                f"{shown}: give a CSV with class numbers, or use 'prediction'"
            )
        return [
            Station(
                name,
                layer,
                Explainer(network, layer=layer, utility=self.protocol.utilities[0], device=self._device()),
                self.protocol,
                self.dataset.names,
                classes,
                self.annotations,
            )
            for layer in self.protocol.layers
        ]

    def _settle_layers(self, stations: Sequence[Station], preprocess: Transform) -> None:
        """Find the layers, by noise of the size that the preprocessing makes, or else by the first images."""
        for station in stations:
            if isinstance(preprocess, Preprocess):
                _ = station.explainer.layer
            else:
                self._settle_by_images(station, preprocess)

    def _settle_by_images(self, station: Station, preprocess: Transform) -> None:
        reason: Exception | None = None
        some = [[index] for index in range(min(len(self.dataset), _TRIED))]
        with closing(decoded(self.dataset, preprocess, some, 0)) as images:
            for (image,) in images:
                if image.error is not None:
                    reason = reason or ImageError(image.error)
                    continue
                try:
                    station.explainer.look(station.batch([image]), [self.protocol.methods[0]])
                except (ImageError, ModelError) as error:  # of this image, perhaps
                    reason = error
                else:
                    return
        raise reason or ImageError("the dataset has no images; expected at least one")

    def load(self, model: Model) -> Network:
        """A model, with the protocol's preprocessing or its own; one without published weights is always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.protocol.seed)
            network = (
                zoo.load(model, self.checkpoint, pretrained=self.pretrained)
                if isinstance(model, str)
                else network_of(model)
            )
        return replace(network, preprocess=self.protocol.preprocess or network.preprocess)

    def _device(self) -> str | torch.device | None:
        """Where models run: as `Explainer` has it, where a named one goes to the GPU, if there is one."""
        if self.setting.device is None and torch.cuda.is_available() and isinstance(self.models[0], str):
            return "cuda"
        return self.setting.device

    def _manifest(self, models: Mapping[str, _Checked]) -> dict[str, Any]:
        first = self.models[0]
        where = self._device() or (
            torch.device("cpu") if isinstance(first, str) else device_of(network_of(first).model)
        )
        dataset = {"images": len(self.dataset), "fingerprint": self.dataset.fingerprint()}
        if self.annotations is not None:
            dataset["objects"] = fingerprint_of(self.annotations, self.dataset.names)
        return {
            "protocol": self.protocol.as_data(),
            "order": self.names,
            "models": {name: model.facts for name, model in models.items()},
            "dataset": dataset,
            "sessions": [{**session(torch.device(where)), "dataset": self.dataset.origin}],
        }


@dataclass(frozen=True)
class _Checked:
    """What the folder notes of a model, and the model itself where it is kept."""

    facts: dict[str, Any]
    network: Network | None


class _Part:
    """The rows of a part, as they come."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._unread: set[int] = set()

    def add(self, stations: Sequence[Station], images: Sequence[Decoded], *, strict: bool) -> list[Row]:
        """The rows of a batch at every layer, those of images that could not be read among them."""
        unread = [image for image in images if image.error is not None]
        good = [image for image in images if image.error is None]
        if unread and strict:
            raise ImageError(str(unread[0].error))
        made = []
        for station in stations:
            made += [station.failed(image, str(image.error)) for image in unread]
            rows = station.rows(good) if good else []
            errors = [row["message"] for row in rows if row["status"] == "error"]
            if errors and strict:
                raise ModelError(errors[0])
            made += rows
        self._unread |= {image.index for image in unread}
        self.rows += made
        return made

    def refuse_no_result(self) -> None:
        """Stop where several images were read and none could be explained: that is not the images' fault."""
        tried = [row for row in self.rows if row["index"] not in self._unread and row["status"] != "left out"]
        if len({row["index"] for row in tried}) > 1 and all(row["status"] == "error" for row in tried):
            raise ModelError(f"none of the first images could be measured; the first says: {tried[0]['message']}")


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
        out: the folder.
        protocol: what is measured, and how; None for the published ten methods and six metrics.
        limit: only the first so many images.
        annotations: where objects are, for the pointing metrics.
        pretrained: whether named models have their published weights.
        checkpoint: weights in their place, of one model.
        setting: device, batch size, workers, strictness.
        watcher: is told of progress.

    Raises:
        ShapleyCamError: with one line that says what was found, what was expected and what to do.
    """
    several = [models] if isinstance(models, (str, nn.Module, Network)) else list(models)
    evaluation = Evaluation(
        several,
        find(data, limit),
        protocol or Protocol(),
        Path(out),
        annotations,
        pretrained,
        checkpoint,
        setting or Setting(),
    )
    return evaluation.run(watcher)


def _split(part: range, size: int) -> list[range]:
    return [part[start : start + size] for start in range(0, len(part), size)]


def _ordered(rows: Sequence[Row], protocol: Protocol) -> list[Row]:
    """By image, layer, utility and method, in the order asked."""

    def place(row: Row) -> tuple[int, ...]:
        method, utility = row.get("method"), row.get("utility")
        return (
            row["index"],
            protocol.layers.index(row["layer"]),
            protocol.utilities.index(utility) if utility else 0,
            protocol.methods.index(method) if method else 0,
        )

    return sorted(rows, key=place)


def _facts(network: Network, stations: Sequence[Station]) -> dict[str, Any]:
    """What the folder notes of a model, so that another one is refused."""
    return {
        "origin": network.origin,
        "weights": weights_hash(network.model),
        "layers": {station.layer: station.explainer.layer for station in stations},
        "preprocess": preprocess_as_data(network.preprocess),
        "labels": None if network.labels is None else list(network.labels),
    }


def _preprocess_of(network: Network) -> Transform:
    if network.preprocess is None:
        raise ModelError(
            f"model {network.name!r} does not say how it wants photographs; give "
            "shapleycam.Network(model, preprocess=...), or a protocol with preprocess="
        )
    return network.preprocess


def _outputs(network: Network) -> int | None:
    """How many classes a model has: as many as labels, otherwise as it gives for noise; None if that is not known."""
    if network.labels is not None:
        return len(network.labels)
    if not isinstance(network.preprocess, Preprocess):
        return None
    found = Explainer(network).output(torch.rand(1, 3, *network.preprocess.crop))
    return found.shape[1] if isinstance(found, torch.Tensor) and found.dim() == 2 else None


def _check_device(device: str | torch.device | None) -> None:
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {device!r} cannot be used ({reason}); expected cpu, cuda or mps") from error


def _own_name(model: nn.Module | Network) -> str:
    network = model if isinstance(model, Network) else None
    return (network.name if network else "") or type(network.model if network else model).__name__


def _refuse_errors(store: Store) -> None:
    errors = store.rows().filter(status="error")
    if len(errors):
        count = errors["image"].n_unique()
        raise ImageError(f"{count} images could not be measured; the first says: {errors['message'][0]}")


class _Nobody:
    def begin(self, images: int, done: int) -> None: ...
    def model(self, name: str) -> None: ...
    def measured(self, images: int, rows: Sequence[Row]) -> None: ...
