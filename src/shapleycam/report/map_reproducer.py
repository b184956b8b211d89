"""The maps of a run made again, where its photographs and models are still at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torchvision.transforms import InterpolationMode

from shapleycam.errors import ModelError, OptionError
from shapleycam.experiments import Store
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.protocol import differences, preprocess_as_data
from shapleycam.experiments.provenance import code_hash, weights_hash
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import prepared, stacked
from shapleycam.explanations.comparison import Comparison
from shapleycam.images import open_photograph
from shapleycam.models import paper, zoo
from shapleycam.models.building import UNTRAINED
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import default_device


class MapReproducer:
    """Explains photographs of a run as the run did.

    A manifest may come from anywhere: it can name a model of the zoo, but code of a file or package runs only where the
    user names it too, as `trusted`; and data beyond this machine's disks is asked for only where `data` says so.
    """

    def __init__(
        self, stores: Sequence[Store], trusted: str | None = None, data: str | None = None, device: str | None = None
    ) -> None:
        self._stores, self._trusted, self._device = stores, trusted, device
        self._dataset = Lazy(lambda: _dataset(stores[0], data))
        self._network = ("", Network(torch.nn.Identity()))

    def maps(self, model: str, layer: str, utility: str, index: int, target: int) -> Comparison:
        """One photograph by all methods that the runs have of this model.

        Raises:
            ShapleyCamError: the photograph or the model is not at hand, or another one than it was.
        """
        dataset = self._dataset()
        stores = [store for store in self._stores if model in store.manifest["order"]]
        layers = {rule: name for store in stores for rule, name in store.manifest["models"][model]["layers"].items()}
        explainer = Explainer(
            self._load(model, stores[0]), layers[layer], utility, device=self._device or default_device()
        )
        if explainer.preprocess is None:
            raise ModelError(f"model {model} does not say how it wants photographs; let it return a shapleycam.Network")
        photo = prepared(open_photograph(dataset.open(index)), dataset.names[index], explainer.preprocess)
        protocol = stores[0].manifest["protocol"]
        effort = {name: protocol[name] for name in ("nodes", "tolerance", "seed")}
        players = None if protocol["players"] is None else (protocol["players"][0], protocol["players"][1])
        methods = [name for store in stores for name in store.manifest["protocol"]["methods"]]
        return explainer.compare(stacked([photo], explainer.model), methods, target, players=players, **effort)

    def _load(self, name: str, store: Store) -> Network:
        """A model of a run, the last one being remembered."""
        if self._network[0] != name:
            self._network = (name, _network(name, store.manifest, trusted=name == self._trusted))
        return self._network[1]


def _dataset(store: Store, data: str | None) -> Dataset:
    """The photographs of a run, if they still are what they were."""
    origin = data or [{}, *store.manifest["sessions"]][-1].get("dataset", "")
    if data is None and origin.startswith("hf:"):
        raise OptionError(f"the dataset {origin} may not lie on this machine; give --data {origin} to have it read")
    found = open_dataset(origin, store.images)
    if found.fingerprint() != store.manifest["dataset"]["fingerprint"]:
        raise OptionError(f"{origin} holds other photographs than the run measured; say with --data where they are")
    return found


def _network(name: str, manifest: Mapping[str, Any], *, trusted: bool) -> Network:
    """A model of a run, if it still is what it was."""
    if not trusted and not _in_zoo(name):
        raise ModelError(f"model {name} is code of its user's own, which is run only if asked: give --model {name}")
    noted, protocol = manifest["models"][name], manifest["protocol"]
    checkpoint = Path(noted.get("origin") or "")
    filled = not trusted and checkpoint.is_file()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(protocol["seed"])  # one without published weights is always the same
        network = zoo.load_network(name, checkpoint if filled else None, pretrained=noted.get("origin") != UNTRAINED)
    network = replace(network, preprocess=_preprocess(protocol["preprocess"]) or network.preprocess)
    found = {
        "weights": weights_hash(network.model),
        "code": code_hash(network.model, name),
        "preprocess": preprocess_as_data(network.preprocess),
    }
    if changed := differences({key: noted.get(key) for key in found}, found):
        raise ModelError(f"model {name} is another one now: {'; '.join(changed)}; evaluate it again")
    return network


def _in_zoo(name: str) -> bool:
    return name == zoo.DEFAULT or name in paper.NETWORKS or name.partition(":")[0] in zoo.SOURCES


def _preprocess(noted: Mapping[str, Any] | None) -> Preprocess | None:
    """The preprocessing that a protocol notes; None for the model's own."""
    if noted is None:
        return None
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in noted.items()}
    return Preprocess(**{**values, "interpolation": InterpolationMode(noted["interpolation"])})
