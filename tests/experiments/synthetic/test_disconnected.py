"""Networks whose cells cannot interact: the right share of evidence is known to be 1."""

from __future__ import annotations

import pytest
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from torch import nn

from helpers.small_evaluations import PREPROCESS, SIDE, Tiny, picture, tiny_network
from shapleycam import Explainer, Network
from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.experiments import Protocol, RunSettings, evaluate, synthetic
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.synthetic.mosaic_dataset import Cell, MosaicDataset
from shapleycam.metrics import METRICS
from shapleycam.models import zoo

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
EXACT = ["hirescam", "shapleycam-h", "pathcam-h", "sampledshapley"]
"""Methods whose value of a position is in proportion to its own derivatives, or its own contributions."""


@pytest.fixture(scope="module")
def network():
    return synthetic.disconnected(tiny_network(), cells=2)


def cells_of(values: torch.Tensor) -> list[torch.Tensor]:
    """Return the values (h, w) of the four cells."""
    return [part for rows in values.chunk(2, 0) for part in rows.chunk(2, 1)]


def test_scores_are_those_of_each_cell_alone(network):
    images = torch.rand(3, 3, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scores = network.model(images)
        alone = [Tiny()(part).log_softmax(1) for rows in images.chunk(2, 2) for part in rows.chunk(2, 3)]
    torch.testing.assert_close(scores, torch.cat(alone, 1))
    assert network.labels[11] == "bee in row 1, column 2"


@pytest.mark.parametrize("utility", ["rest", "logit", "log_probability", "probability"])
@pytest.mark.parametrize("cell", [0, 3])
def test_all_value_lies_in_the_cell_that_is_asked_about(network, utility, cell):
    image = torch.rand(1, 3, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(1))
    explanations = Explainer(network, utility=utility).compare(image, EXACT, target=10 * cell + 4)
    for method, explanation in explanations.items():
        sizes = [float(part.abs().sum()) for part in cells_of(explanation.values[0])]
        assert sizes[cell] / sum(sizes) == pytest.approx(1, abs=1e-5), method


def test_values_are_those_of_the_cell_alone(network):
    """Of the log-probability: what the other cells hold changes nothing."""
    image = torch.rand(1, 3, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(2))
    joined = Explainer(network, utility="logit").explain(image, "pathcam-h", target=14)
    alone = Explainer(tiny_network(), utility="log_probability").explain(
        image[..., :SIDE, SIDE:], "pathcam-h", target=4
    )
    torch.testing.assert_close(cells_of(joined.values[0])[1], alone.values[0], rtol=1e-4, atol=1e-6)


def test_weights_of_channels_are_shared_by_cells_so_that_gradcam_leaves_its_own(network, tmp_path):
    """Grad-CAM multiplies what lies in other cells by the weights of one: a known fault that the share shows."""
    photographs = tmp_path / "photos"
    photographs.mkdir()
    for index in range(4):
        picture(index).save(photographs / f"{index}.png")
    members = [[Cell(index, index + 2) for index in (0, 1, 2, 3)]] * 4
    dataset = MosaicDataset(open_dataset(photographs), 2, members, PREPROCESS, (SIDE, SIDE)).disconnected(10)
    assert dataset.labels == (2, 13, 24, 35)
    protocol = Protocol(methods=("gradcam", "hirescam"), metrics=("relevance_mass",), class_rule="label")
    rows = evaluate(network, dataset, tmp_path / "run", protocol, settings=RunSettings(workers=0)).rows()
    share = {method: rows.filter(method=method)["relevance_mass"].to_list() for method in ("gradcam", "hirescam")}
    assert share["hirescam"] == pytest.approx([1] * 4, abs=1e-5)
    assert max(share["gradcam"]) < 0.9
    with pytest.raises(OptionError, match="n_classes is 4, and a photograph is of class 5"):
        dataset.disconnected(4)


def test_the_users_network_stays_as_it_is():
    network = tiny_network()
    names = [name for name, _ in network.model.named_modules()]
    synthetic.disconnected(network, layer="features.3")
    assert [name for name, _ in network.model.named_modules()] == names
    image = Image.new("RGB", (SIDE, SIDE))
    assert network.model(network.preprocess(image)[None]).shape == (1, 10)


class ChannelsLast(nn.Module):
    """Its layer returns maps with the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mix, self.fc = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(4, 6), nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(self.mix(self.patches(x).movedim(1, -1)).relu().mean((1, 2)))


def test_what_cannot_be_is_refused():
    with pytest.raises(OptionError, match="cells is 1; expected 2 or more"):
        synthetic.disconnected(tiny_network(), cells=1)
    with pytest.raises(ShapleyCamError, match="layer 'mix' has layout NHWC; expected one module with maps"):
        synthetic.disconnected(Network(ChannelsLast().eval(), PREPROCESS), layer="mix")
    with pytest.raises(ShapleyCamError, match="nowhere"):
        synthetic.disconnected(tiny_network(), layer="nowhere")
    with pytest.raises(OptionError, match="how the network takes photographs is not known"):
        synthetic.disconnected(Tiny())


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["bn2", "conv_head"])
def test_of_a_real_network_too(layer):
    network = synthetic.disconnected("efficientnet_lite0", layer=layer)
    own = zoo.load_network("efficientnet_lite0")
    seen = own.preprocess(Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    seen = seen[:, 48:176, 48:176]  # the network takes any size
    noise = 0.5 * torch.randn(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    image = torch.cat([torch.cat([noise[0], seen], 2), torch.cat([noise[1], noise[2]], 2)], 1)[None]
    target = 1000 + int(own.model(seen[None]).argmax())
    explanations = Explainer(network).compare(image, ["hirescam", "pathcam-h"], target=target)
    objects = torch.zeros(1, 256, 256, dtype=torch.bool)
    objects[:, :128, 128:] = True
    share = {m: float(METRICS["relevance_mass"].function(e.values, objects)) for m, e in explanations.items()}
    assert share["hirescam"] == pytest.approx(1, abs=1e-4)
    assert share["pathcam-h"] == pytest.approx(1, abs=1e-4)
