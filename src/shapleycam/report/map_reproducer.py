"""`MapReproducer`: computes the maps of a run again, if its photographs and models are still available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torchvision.transforms import InterpolationMode

from shapleycam.errors import ModelError, OptionError, ShapleyCamError
from shapleycam.experiments import Store
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.plain_data import preprocess_as_data
from shapleycam.experiments.provenance import code_hash, weights_hash
from shapleycam.experiments.rules import complete_protocol
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.photographs import prepare_photograph, stack_photographs
from shapleycam.explanations.comparison import Comparison
from shapleycam.game.removal import NAMED
from shapleycam.models import paper, zoo
from shapleycam.models.building import UNTRAINED
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import default_device
from shapleycam.printable import original_name, printable_name
from shapleycam.regular_files import is_file
from shapleycam.report.recorded_paths import places_of
from shapleycam.tracing.random_numbers import restore_torch_generators, seed_torch
from shapleycam.values.options import EstimatorOptions


class MapReproducer:
    """Explains photographs of a run with the same options as the run.

    A manifest is not trusted, because anybody may have written it. It can name a model of the zoo, but a model whose
    code is in a file or package is run only if the user names it as `trusted`, and data outside of this machine is read
    only if the user gives it as `data`.

    Args:
        stores: the runs, all on the same photographs.
        trusted: the name of the model whose code may run.
        data: where the photographs are now; or the dataset itself, which is needed for mosaics; None for the place that
            the run recorded.
        device: the device; None for the GPU if there is one, else the CPU.

    Examples:
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam.experiments import Protocol, evaluate
        >>> from shapleycam.report import MapReproducer
        >>> photograph = get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> protocol = Protocol(methods=("gradcam",), metrics=("complexity",))
        >>> store = evaluate("efficientnet_lite0", photograph, "run", protocol)
        >>> list(MapReproducer([store]).maps("efficientnet_lite0", "before-pool", "rest", index=0, target=652))
        ['gradcam']
    """

    def __init__(
        self,
        stores: Sequence[Store],
        trusted: str | None = None,
        data: str | Dataset | None = None,
        device: str | None = None,
    ) -> None:
        self._stores, self._trusted, self._device = stores, trusted, device
        self._dataset = Lazy(lambda: _open_dataset(stores[0], data))
        self._network = ("", Network(torch.nn.Identity()))

    def maps(self, model: str, layer: str, utility: str, index: int, target: int) -> Comparison:
        """Explain one photograph by all methods that the runs measured for this model.

        Raises:
            ShapleyCamError: the photograph or the model is not available, or differs from the one of the run.
        """
        dataset = self._dataset()
        stores = [store for store in self._stores if model in store.manifest["order"]]
        layers = {rule: name for store in stores for rule, name in store.manifest["models"][model]["layers"].items()}
        protocol = complete_protocol(stores[0].manifest["protocol"])
        explainer = Explainer(
            self._load(model, stores[0], dataset.input_size),
            layers[layer],
            utility,
            device=self._device or default_device(),
            removal=_removal(stores[0]),
            precision=protocol["precision"],
        )
        if explainer.preprocess is None:
            raise ModelError(f"model {model} does not say how it wants photographs; let it return a shapleycam.Network")
        photo = prepare_photograph(dataset.open(index), explainer.preprocess, dataset.names[index])
        players = None if protocol["players"] is None else (protocol["players"][0], protocol["players"][1])
        options = EstimatorOptions(
            protocol["nodes"], protocol["tolerance"], protocol["seed"], players, runs=protocol["runs"]
        )
        methods = [name for store in stores for name in store.manifest["protocol"]["methods"]]
        batch, smooth = stack_photographs([photo], explainer.model), protocol["smooth"]
        return explainer.compare_with(options, batch, methods, [target], smooth=smooth)[0]

    def _load(self, name: str, store: Store, input_size: tuple[int, int] | None) -> Network:
        """Return a model of a run; the last model is cached."""
        if self._network[0] != name:
            self._network = (
                name,
                _load_network(name, store, input_size, trusted=name == printable_name(self._trusted or "")),
            )
        return self._network[1]


def _removal(store: Store) -> str:
    """Return the name of a run's removal.

    Raises:
        OptionError: the removal was by photographs or a tensor, and the run has only their hash.
    """
    name: str = complete_protocol(store.manifest["protocol"])["removal"]
    if name not in NAMED:
        raise OptionError(
            f"the run was made with removal {name!r}, and its manifest has only this name, not the content; expected "
            f"{' or '.join(NAMED)}: explain the photographs themselves, with removal= and reference= as in the run"
        )
    return name


def _open_dataset(store: Store, data: str | Dataset | None) -> Dataset:
    """Return the dataset of a run; refuse a dataset with other photographs than the run measured."""
    session = [{}, *store.manifest["sessions"]][-1]
    origin, maker = session.get("dataset", ""), session.get("dataset_maker", "")
    if maker and not isinstance(data, Dataset):
        raise OptionError(
            f"the run measured {printable_name(origin)}, which were generated and not stored; make them again by "
            f"{maker} and give them to shapleycam.report.MapReproducer in Python"
        )
    if data is None and (origin.startswith("hf:") or "://" in origin):
        raise OptionError(f"the dataset {origin} may not lie on this machine; give data={origin!r} to have it read")
    problems = []
    for place in [data] if data else places_of(origin, store):
        try:
            dataset = open_dataset(place, store.images)
            if dataset.fingerprint() == store.manifest["dataset"]["fingerprint"]:
                return dataset
        except ShapleyCamError as error:
            problems.append(f"{error}; say with data= where the photographs are")
        else:
            problems.append(
                f"{printable_name(dataset.origin)} holds other photographs than the run measured; say with data= "
                "where they are"
            )
    raise OptionError(next((problem for problem in problems if "other photographs" in problem), problems[0]))


def _load_network(name: str, store: Store, input_size: tuple[int, int] | None, *, trusted: bool) -> Network:
    """Return a model of a run; refuse it if its weights, code or preprocessing differ from what the run recorded."""
    if not trusted and not _in_zoo(name):
        raise ModelError(f"model {name} is code of its user's own, which is run only if asked: give trusted={name!r}")
    recorded, protocol = store.manifest["models"][name], store.manifest["protocol"]
    places = map(Path, places_of(recorded.get("origin") or "", store))
    checkpoint = None if trusted else next((place for place in places if is_file(place)), None)
    with restore_torch_generators():
        seed_torch(protocol["seed"])  # so that an untrained model has the same random weights as in the run
        network = zoo.load_network(original_name(name), checkpoint, pretrained=recorded.get("origin") != UNTRAINED)
    network = replace(network, preprocess=_preprocess(protocol["preprocess"]) or network.preprocess)
    if input_size is not None and isinstance(network.preprocess, Preprocess):  # the network must see whole pictures
        network = replace(network, preprocess=replace(network.preprocess, resize=input_size, crop=input_size))
    current = {
        "weights": weights_hash(network.model),
        "code": code_hash(network.model, original_name(name)),
        "preprocess": preprocess_as_data(network.preprocess),
    }
    if changed := list_differences({key: recorded.get(key) for key in current}, current):
        raise ModelError(f"model {name} is another one now: {'; '.join(changed)}; evaluate it again")
    return network


def _in_zoo(name: str) -> bool:
    return name == zoo.DEFAULT or name in paper.NETWORKS or name.partition(":")[0] in zoo.SOURCES


def _preprocess(recorded: Mapping[str, Any] | None) -> Preprocess | None:
    """Return the preprocessing that a protocol records; None for the model's own."""
    if recorded is None:
        return None
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in recorded.items()}
    return Preprocess(**{**values, "interpolation": InterpolationMode(recorded["interpolation"])})
