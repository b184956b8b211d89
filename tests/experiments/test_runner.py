"""An evaluation from end to end: the rows, their order and numbers, what it goes on with and what it refuses."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import warnings
from dataclasses import replace
from errno import ENOSPC
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import torch
from PIL import Image
from torch import nn

import shapleycam
from helpers.recorded_inputs import inputs_of
from helpers.small_evaluations import (
    HERE,
    LABELS,
    PREPROCESS,
    QUICK,
    RecordingListener,
    Tiny,
    assert_near,
    failing_network,
    folder_of,
    picture,
    plain,
    raises,
    run_evaluation,
    tiny_network,
)
from shapleycam import Explainer, Network
from shapleycam.errors import ImageError, LayerError, MixedVersionsWarning, ModelError, OptionError
from shapleycam.experiments import Protocol, RunSettings, Store
from shapleycam.experiments.storage import FolderStorage
from shapleycam.metrics import MetricOptions, measure

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

SEVERAL = Protocol(
    layers=("last-conv", "before-pool"), utilities=("logit", "rest"), methods=("shapleycam", "gradcam", "pathcam-e")
)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("few"), 5)


def files(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def chunk_files(path: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(path).items() if name.startswith("parts/")}


class TestRows:
    def test_count_and_order_of_two_models_layers_and_utilities(self, few, tmp_path):
        rows = run_evaluation(few, tmp_path, [tiny_network(1, "second"), tiny_network(0, "first")], SEVERAL).rows()
        expected = [
            (model, index, layer, utility, method)
            for model in ("second", "first")
            for index in range(5)
            for layer in SEVERAL.layers
            for utility in SEVERAL.utilities
            for method in SEVERAL.methods
        ]
        assert rows.select("model", "index", "layer", "utility", "method").rows() == expected
        assert rows["status"].unique().to_list() == ["ok"]
        assert rows["image"].to_list() == [f"{index:04d}.jpg" for _, index, *_ in expected]

    def test_numbers_are_those_of_measure(self, few, tmp_path):
        protocol = replace(
            SEVERAL, metrics=("paper", "insertion", "road"), options=MetricOptions(steps=4, percentiles=(30,))
        )
        rows = run_evaluation(few, tmp_path, protocol=protocol).rows()
        images = sorted(few.glob("*.jpg"))
        for layer in protocol.layers:
            for utility in protocol.utilities:
                explainer = Explainer(tiny_network(), layer=layer, utility=utility)
                explanations = explainer.compare(images, protocol.methods)
                numbers = measure(explainer, images, explanations, protocol.metrics, protocol.options)
                for method, explanation in explanations.items():
                    mine = rows.filter(layer=layer, utility=utility, method=method)
                    assert mine["target"].to_list() == explanation.target.tolist()
                    score = explanation.output.softmax(1).amax(1)
                    torch.testing.assert_close(torch.tensor(mine["probability"]).float(), score, atol=1e-6, rtol=0)
                    for name in protocol.metrics:
                        torch.testing.assert_close(
                            torch.tensor(mine[name].to_list()).float(),
                            numbers[name][method].float(),
                            atol=1e-6,
                            rtol=0,
                            equal_nan=True,
                            msg=lambda text, at=(layer, utility, method, name): f"{at}: {text}",
                        )

    def test_numbers_of_the_game_are_those_of_measure(self, few, tmp_path):
        names = ("shapley_error", "shapley_spearman", "efficiency_gap")
        protocol = Protocol(methods=("gradcam", "layercam", "pathcam"), metrics=names, players=(2, 2), nodes=3)
        rows = run_evaluation(few, tmp_path, protocol=protocol, limit=2).rows()
        explainer, images = Explainer(tiny_network()), sorted(few.glob("*.jpg"))[:2]
        options = {"players": (2, 2), "nodes": 3}
        numbers = measure(explainer, images, explainer.compare(images, protocol.methods, **options), names, **options)
        for name in names:
            for method in protocol.methods:
                mine = torch.tensor(rows.filter(method=method)[name].to_list())
                expected = numbers[name][method].double()
                torch.testing.assert_close(mine.double(), expected, atol=1e-6, rtol=0, equal_nan=True)
        assert rows.filter(method="layercam")["efficiency_gap"].is_nan().all()  # not in units of the utility

    def test_curves_are_kept(self, few, tmp_path):
        protocol = replace(QUICK, metrics=("insertion",), options=MetricOptions(steps=5))
        rows = run_evaluation(few, tmp_path, protocol=protocol).rows()
        assert "deletion_curve" not in rows.columns
        for curve, area in zip(rows["insertion_curve"].to_list(), rows["insertion"].to_list(), strict=True):
            assert len(curve) == 6
            assert area == pytest.approx(sum(curve[:-1]) / 10 + sum(curve[1:]) / 10, abs=1e-6)

    def test_default_model_by_name_with_its_own_preprocessing(self, hopper, tmp_path):
        protocol = Protocol(methods=("shapleycam",), metrics=("average_drop", "complexity"))
        (row,) = run_evaluation(hopper, tmp_path, "efficientnet_lite0", protocol).rows().to_dicts()
        explanation = Explainer("efficientnet_lite0", device="cpu").explain(hopper, "shapleycam")
        assert row["target"] == int(explanation.target)
        assert row["model"] == "efficientnet_lite0"
        assert row["complexity"] == pytest.approx(float(explanation.heatmap.mean()), abs=1e-6)

    def test_preprocessing_of_the_protocol_goes_before_the_models(self, few, tmp_path):
        preprocess = replace(PREPROCESS, resize=40, crop=(40, 40))
        rows = run_evaluation(few, tmp_path / "a", protocol=replace(QUICK, preprocess=preprocess)).rows()
        expected = run_evaluation(few, tmp_path / "b", tiny_network(preprocess=preprocess)).rows()
        assert rows.equals(expected)
        assert not rows.equals(run_evaluation(few, tmp_path / "c").rows())

    def test_constant_map_is_said(self, few, tmp_path):
        model = Tiny()
        model.fc.weight.data *= 0
        rows = run_evaluation(
            few,
            tmp_path,
            Network(model, PREPROCESS, LABELS, "blank"),
            replace(QUICK, methods="gradcam", layers="features"),
        )
        assert rows.rows()["message"].to_list() == ["a constant map"] * 5
        assert rows.rows()["coherency"].to_list() == [0.0] * 5

    def test_constant_map_of_what_a_map_keeps_is_said(self, few, tmp_path):
        """A network that is indifferent to images with little in them, as masked ones are."""
        least = min(PREPROCESS(Image.open(photo)).abs().mean() for photo in few.glob("*.jpg"))

        def indifferent(x):
            little = x.abs().mean((1, 2, 3)) < 0.9 * least
            return lambda logits: torch.where(little[:, None], 0.0, logits)

        rows = run_evaluation(few, tmp_path, failing_network(indifferent), replace(QUICK, layers="features")).rows()
        odd = rows.filter(message="a constant map of what its map keeps")
        assert len(odd) > 0
        assert odd["coherency"].to_list() == odd["adcc"].to_list() == [0.0] * len(odd)
        assert odd["complexity"].min() > 0  # their own maps are not constant

    def test_listener_is_told_of_all(self, few, tmp_path):
        listener = RecordingListener()
        models = [tiny_network(), tiny_network(1, "other")]
        first = run_evaluation(few, tmp_path, models, listener=listener, settings=replace(HERE, batch_size=2))
        assert listener.started == (10, 0)
        assert listener.models == ["tiny", "other"]
        assert listener.steps == [2, 2, 1] * 2
        assert len(listener.rows) == len(first.rows())
        second_listener = RecordingListener()
        run_evaluation(few, tmp_path, models, listener=second_listener)
        assert second_listener.started == (10, 10)
        assert second_listener.steps == []


def passes_at_each_batch(network, protocol, data, out, limit) -> list[int]:
    """Return the number of forward passes made when each batch was measured."""
    counted: list[int] = []
    with inputs_of(network.model) as inputs:

        class Counting(RecordingListener):
            def batch_finished(self, images, rows):
                counted.append(len(inputs))

        run_evaluation(data, out, network, protocol, listener=Counting(), limit=limit)
    return counted


class TestPasses:
    @pytest.mark.parametrize("utilities", [("rest",), ("rest", "logit")])
    def test_one_trace_and_two_for_each_distinct_map(self, shots, tmp_path, utilities):
        """At the layer before pooling with a linear head: gradcam, hirescam and xgradcam have one map."""
        methods = ("gradcam", "hirescam", "xgradcam", "shapleycam", "randomcam")
        distinct = {"rest": 3, "logit": 2}  # the logit of a linear head has no second order
        network = tiny_network()
        protocol = Protocol(layers="before-pool", utilities=utilities, methods=methods)
        counted = passes_at_each_batch(network, protocol, shots, tmp_path, 64)
        per_batch = [after - before for before, after in pairwise(counted)]
        assert per_batch == [1 + sum(2 * distinct[utility] for utility in utilities)] * 3

    def test_one_trace_for_each_layer(self, shots, tmp_path):
        protocol = Protocol(layers=("before-pool", "last-conv"), methods="gradcam", metrics="complexity")
        counted = passes_at_each_batch(tiny_network(), protocol, shots, tmp_path, 48)
        assert [after - before for before, after in pairwise(counted)] == [2, 2]


class TestSameNumbers:
    def test_with_worker_processes_bit_for_bit(self, shots, finished, tmp_path):
        rows = run_evaluation(shots, tmp_path, settings=replace(HERE, workers=2)).rows()
        assert rows.equals(finished.rows())

    @pytest.mark.parametrize("size", [1, 7, 32])
    def test_with_other_batches(self, shots, finished, tmp_path, size):
        limit = 20 if size == 1 else None
        rows = run_evaluation(shots, tmp_path, settings=replace(HERE, batch_size=size), limit=limit).rows()
        assert_near(rows, finished.rows().head(len(rows)), 1e-5, within=1e-5)

    @pytest.mark.parametrize("method", ["randomcam", "sampledshapley"])
    @pytest.mark.slow
    def test_of_methods_that_draw_with_other_batches(self, shots, tmp_path, method):
        protocol = Protocol("features.2", "probability", method, "coherency", tolerance=0.1)
        one_by_one, together = (
            run_evaluation(
                shots, tmp_path / str(size), None, protocol, settings=replace(HERE, batch_size=size), limit=8
            )
            for size in (1, 8)
        )
        assert_near(one_by_one.rows(), together.rows(), 1e-5)

    def test_with_other_images_in_the_batch(self, shots, finished, tmp_path):
        chosen = [3, 41, 17]
        listed = tmp_path / "list.csv"
        listed.write_text("path\n" + "".join(f"{shots / f'{index:04d}.jpg'}\n" for index in chosen))
        rows = run_evaluation(listed, tmp_path / "out").rows()
        for position, index in enumerate(chosen):
            mine = rows.filter(index=position).drop("index", "image")
            assert_near(mine, finished.rows().filter(index=index).drop("index", "image"), 1e-5, within=1e-5)

    def test_of_a_model_alone_and_beside_another(self, few, tmp_path):
        both = run_evaluation(few, tmp_path / "both", [tiny_network(1, "other"), tiny_network()]).rows()
        assert both.filter(model="tiny").equals(run_evaluation(few, tmp_path / "alone").rows())

    def test_of_a_module_in_train_mode_which_stays_in_it(self, few, tmp_path):
        model = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        model = nn.Sequential(model, nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 10))
        network = Network(model.eval(), PREPROCESS, LABELS, "drops")
        quiet = run_evaluation(few, tmp_path / "eval", network).rows()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.train()
        assert run_evaluation(few, tmp_path / "train", network).rows().equals(quiet)
        assert all(module.training for module in model.modules())
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class TestGoesOn:
    @pytest.mark.parametrize("at", [1, 16, 33, 65])
    def test_after_an_interrupt(self, shots, finished, tmp_path, at):
        with pytest.raises(KeyboardInterrupt):
            run_evaluation(shots, tmp_path, listener=RecordingListener(at, raises(KeyboardInterrupt())))
        written = chunk_files(tmp_path)
        measured_images = -(-at // 16) * 16  # the batch of which the listener was told; its chunk was not written yet
        assert len(written) == (measured_images - 1) // 32
        listener = RecordingListener()
        store_again = run_evaluation(shots, tmp_path, listener=listener)
        assert store_again.rows().equals(finished.rows())
        assert listener.started == (70, 32 * len(written))
        assert sum(listener.steps) == 70 - 32 * len(written)
        assert written.items() <= chunk_files(tmp_path).items()

    def test_when_finished_there_is_nothing_to_do(self, shots, finished):
        before = chunk_files(finished.storage.path)
        listener = RecordingListener()
        run_evaluation(shots, finished.storage.path, listener=listener)
        assert listener.steps == []
        assert chunk_files(finished.storage.path) == before

    def test_where_a_chunk_was_deleted(self, shots, finished, tmp_path):
        out = shutil.copytree(finished.storage.path, tmp_path / "out")
        victim = sorted((out / "parts").rglob("*.parquet"))[1]
        victim.unlink()
        listener = RecordingListener()
        assert run_evaluation(shots, out, listener=listener).rows().equals(finished.rows())
        assert sum(listener.steps) == 32

    @pytest.mark.slow
    def test_with_other_batches_workers_and_device(self, shots, finished, tmp_path):
        out = shutil.copytree(finished.storage.path, tmp_path / "out")
        sorted((out / "parts").rglob("*.parquet"))[1].unlink()
        rows = run_evaluation(shots, out, settings=RunSettings("cpu", batch_size=5, workers=1)).rows()
        assert_near(rows, finished.rows(), 1e-5, within=1e-5)

    def test_in_another_folder(self, shots, finished, tmp_path):
        """Neither where the photographs lie nor where the results do is part of the run."""
        out, moved = (
            shutil.copytree(finished.storage.path, tmp_path / "out"),
            shutil.copytree(shots, tmp_path / "moved"),
        )
        assert run_evaluation(moved, out).rows().equals(finished.rows())
        assert [Path(each["dataset"]).name for each in Store(out).manifest["sessions"]][-1] == "moved"

    def test_after_the_disk_was_full(self, shots, finished, tmp_path, monkeypatch):
        write, written = FolderStorage.write, []

        def half(file):
            file.write(b"PAR1")
            raise OSError(ENOSPC, "No space left on device")

        def full(storage, name, fill):
            written.append(name)
            write(storage, name, half if len(written) == 4 else fill)  # two manifests, a chunk, and this one

        monkeypatch.setattr(FolderStorage, "write", full)
        with pytest.raises(OptionError) as caught:
            run_evaluation(shots, tmp_path)
        chunk = tmp_path / "parts" / "tiny" / "0000032-0000063.parquet"
        message = f"{chunk}: cannot be written (No space left on device); nothing was left there"
        assert str(caught.value) == message
        assert list(chunk_files(tmp_path)) == ["parts/tiny/0000000-0000031.parquet"]
        assert Store(tmp_path).rows().equals(finished.rows().head(96))
        assert run_evaluation(shots, tmp_path).rows().equals(finished.rows())

    def test_no_decoding_process_is_left(self, shots, tmp_path):
        others = set(multiprocessing.active_children())
        with pytest.raises(KeyboardInterrupt) as caught:
            run_evaluation(
                shots,
                tmp_path,
                listener=RecordingListener(1, raises(KeyboardInterrupt())),
                settings=replace(HERE, workers=1),
            )
        assert set(multiprocessing.active_children()) <= others
        assert caught  # is kept, as notebooks do


class TestFolder:
    def test_of_a_run_that_was_stopped_before_its_first_part_is_free(self, few, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            run_evaluation(few, tmp_path, listener=RecordingListener(1, raises(KeyboardInterrupt())))
        other_protocol = replace(QUICK, methods=("gradcam",))
        assert len(run_evaluation(few, tmp_path, protocol=other_protocol).rows()) == 5
        with pytest.raises(OptionError, match=r"holds results of another run: protocol\.methods was"):
            run_evaluation(few, tmp_path)

    def test_is_looked_at_before_a_model_is_loaded(self, few, tmp_path):
        run_evaluation(few, tmp_path)
        with pytest.raises(OptionError, match=r"order was \['tiny'\], is \['nothing.py:network'\]"):
            run_evaluation(few, tmp_path, "nothing.py:network")


class TestChanged:
    """What is another run although its names and sizes are the same, and what is the same run."""

    def test_photographs_of_the_same_size(self, tmp_path):
        data = tmp_path / "data"
        data.mkdir()
        for index in range(2):
            picture(index, (64, 64)).save(data / f"{index}.bmp")
        run_evaluation(data, tmp_path / "out")
        (data / "0.bmp").write_bytes((data / "1.bmp").read_bytes())
        with pytest.raises(OptionError, match="the photographs differ"):
            run_evaluation(data, tmp_path / "out")

    def test_a_module_in_the_models_place(self, few, tmp_path):
        run_evaluation(few, tmp_path)
        changed = tiny_network()
        changed.model.features[4] = nn.ReLU()
        with pytest.raises(OptionError, match=r"models\.tiny has other code"):
            run_evaluation(few, tmp_path, changed)

    def test_the_file_that_makes_the_model(self, few, tmp_path):
        file = tmp_path / "mine.py"
        file.write_text(
            "from helpers.small_evaluations import tiny_network\n\n\ndef net():\n    return tiny_network()\n"
        )
        name = f"{file}:net"
        run_evaluation(few, tmp_path / "out", name)
        file.write_text(file.read_text() + "\nLATER = 1\n")
        with pytest.raises(OptionError, match="has other code"):
            run_evaluation(few, tmp_path / "out", name)

    def test_not_where_the_weights_come_from(self, few, tmp_path):
        run_evaluation(few, tmp_path / "out", replace(tiny_network(), origin="r18.pth"))
        listener = RecordingListener()
        run_evaluation(few, tmp_path / "out", replace(tiny_network(), origin="/elsewhere/r18.pth"), listener=listener)
        assert listener.steps == []


class TestRefusals:
    @pytest.fixture
    def out(self, few, tmp_path):
        run_evaluation(few, tmp_path / "out")
        return tmp_path / "out"

    def refused(self, *args, **options) -> str:
        before = files(args[1])
        with pytest.raises(OptionError) as caught:
            run_evaluation(*args, **options)
        assert files(args[1]).items() >= {k: v for k, v in before.items() if k.startswith("parts/")}.items()
        text = str(caught.value)
        assert text.startswith(f"{args[1]} holds results of another run: ")
        assert text.endswith("evaluate the same photographs with the same models and settings again")
        assert "\n" not in text
        return text

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"methods": ("gradcam",)}, "protocol.methods was ['gradcam', 'shapleycam', 'layercam'], is ['gradcam']"),
            ({"layers": ("last-conv",)}, "protocol.layers was ['before-pool'], is ['last-conv']"),
            ({"layers": ("features",)}, "protocol.layers was ['before-pool'], is ['features']"),
            ({"utilities": ("logit",)}, "protocol.utilities was ['rest'], is ['logit']"),
            ({"options": MetricOptions(seed=3)}, "protocol.options.seed was 0, is 3"),
            ({"preprocess": PREPROCESS}, "protocol.preprocess was None, is {'resize': 32"),
        ],
    )
    def test_of_another_protocol(self, few, out, change, says):
        assert says in self.refused(few, out, protocol=replace(QUICK, **change))

    def test_of_other_weights_under_the_same_name(self, few, out):
        assert "models.tiny has other weights" in self.refused(few, out, tiny_network(1))

    def test_of_one_other_number_in_the_weights(self, few, out):
        network = tiny_network()
        network.model.fc.bias.data[3] += 1e-6
        assert "weights" in self.refused(few, out, network)

    def test_of_another_buffer(self, few, tmp_path):
        def network(mean):
            model = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            torch.nn.init.ones_(model[0].weight)
            torch.nn.init.zeros_(model[0].bias)
            model[1].running_mean += mean
            return Network(model, PREPROCESS, LABELS[:6], "normed")

        out = tmp_path / "out"
        protocol = replace(QUICK, layers="1")
        run_evaluation(few, out, network(0.0), protocol)
        run_evaluation(few, out, network(0.0), protocol)
        assert "weights" in self.refused(few, out, network(0.5), protocol)

    def test_of_another_model(self, few, out):
        assert "order was ['tiny'], is ['other']" in self.refused(few, out, tiny_network(0, "other"))

    def test_of_another_order_of_models(self, few, tmp_path):
        models = [tiny_network(), tiny_network(1, "other")]
        run_evaluation(few, tmp_path / "out", models)
        text = self.refused(few, tmp_path / "out", models[::-1])
        assert "order was ['tiny', 'other'], is ['other', 'tiny']" in text

    def test_of_another_preprocessing_of_the_model(self, few, out):
        network = tiny_network(preprocess=replace(PREPROCESS, resize=36))
        assert "models.tiny.preprocess.resize was 32, is 36" in self.refused(few, out, network)

    def test_of_a_rule_that_means_another_layer(self, few, out):
        text = self.refused(few, out, tiny_network(layers={"before-pool": "features.3"}))
        assert "models.tiny.layers.before-pool was 'features', is 'features.3'" in text

    def test_of_other_labels_of_the_model_where_they_count(self, few, tmp_path):
        listed = few / "list.csv"
        listed.write_text("path,label\n" + "".join(f"{i:04d}.jpg,{LABELS[i]}\n" for i in range(5)))
        protocol = replace(QUICK, class_rule="label")
        run_evaluation(listed, tmp_path / "out", protocol=protocol)
        assert "labels" in self.refused(listed, tmp_path / "out", tiny_network(labels=LABELS[::-1]), protocol)

    def test_of_a_file_more(self, few, out):
        data = shutil.copytree(few, out.parent / "data")
        folder_of(data, 1, first=7)
        text = self.refused(data, out)
        assert "the dataset had 5 images, has 6" in text
        assert "the photographs differ: " in text

    def test_of_a_file_of_another_size(self, few, out):
        data = shutil.copytree(few, out.parent / "data")
        (data / "0002.jpg").write_bytes((data / "0002.jpg").read_bytes() + b"x")
        assert "the photographs differ: " in self.refused(data, out)

    def test_of_another_label(self, few, tmp_path):
        listed = tmp_path / "list.csv"
        text = "path,label\n" + "".join(f"{few / f'{i:04d}.jpg'},{LABELS[i]}\n" for i in range(5))
        listed.write_text(text)
        run_evaluation(listed, tmp_path / "out")
        listed.write_text(text.replace("bee", "jay"))
        assert "the photographs differ: " in self.refused(listed, tmp_path / "out")

    def test_of_a_limit(self, few, out):
        assert "the dataset had 5 images, has 3" in self.refused(few, out, limit=3)

    def test_of_a_limit_that_limits_nothing_is_none(self, few, out):
        run_evaluation(few, out, limit=5)

    def test_of_a_folder_with_something_else(self, few):
        before = files(few)
        with pytest.raises(OptionError, match=r"is not empty \(0000\.jpg, .*\) and holds no results; choose another"):
            run_evaluation(few, few)
        assert {name: content for name, content in files(few).items() if name in before} == before


class TestRandomState:
    def test_of_the_caller_stays_where_it_is(self, few, tmp_path):
        """Also where the number of classes is counted by a pass of noise, as of a network without labels."""
        torch.manual_seed(5)
        before = torch.get_rng_state()
        run_evaluation(few, tmp_path, tiny_network(labels=None), limit=2)
        assert torch.equal(torch.get_rng_state(), before)

    def test_of_the_caller_stays_with_methods_that_draw(self, few, tmp_path):
        before = torch.get_rng_state()
        run_evaluation(
            few, tmp_path, tiny_network(labels=None), replace(QUICK, methods=("randomcam", "sampledshapley")), limit=1
        )
        assert torch.equal(torch.get_rng_state(), before)


class TestManifest:
    def test_says_what_was_measured_with_what(self, few, tmp_path):
        run_evaluation(few, tmp_path)
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        assert manifest["protocol"] == QUICK.as_data()
        assert manifest["order"] == ["tiny"]
        assert manifest["dataset"]["images"] == 5
        assert len(manifest["dataset"]["fingerprint"]) == 64
        model = manifest["models"]["tiny"]
        assert len(model["weights"]) == 64
        assert model["layers"] == {"before-pool": "features"}
        assert model["preprocess"]["crop"] == [32, 32]
        (session,) = manifest["sessions"]
        assert session["versions"]["shapleycam"] == shapleycam.__version__
        for package in ("torch", "timm", "pillow", "polars", "pyarrow"):
            assert session["versions"][package] == version(package)
        assert {"system", "python", "processor", "cores", "threads", "device"} <= set(session["machine"])
        assert session["dataset"] == str(few)

    def test_versions_are_those_of_each_session(self, few, tmp_path, monkeypatch):
        from shapleycam.experiments import provenance

        run_evaluation(few, tmp_path)
        monkeypatch.setattr(provenance, "version", lambda name: "99")
        run_evaluation(few, tmp_path)
        first, second = Store(tmp_path).manifest["sessions"]
        assert first["versions"]["torch"] == version("torch")
        assert second["versions"]["torch"] == "99"

    def test_other_versions_are_said_where_rows_are_added_to_those_of_earlier_ones(self, shots, tmp_path, monkeypatch):
        from shapleycam.experiments import provenance

        with pytest.raises(KeyboardInterrupt):
            run_evaluation(shots, tmp_path, listener=RecordingListener(33, raises(KeyboardInterrupt())))
        monkeypatch.setattr(provenance, "__version__", "99")
        expected = rf"begun with shapleycam {re.escape(shapleycam.__version__)}, continued with 99; the tables will mix"
        with pytest.warns(MixedVersionsWarning, match=expected):
            run_evaluation(shots, tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", MixedVersionsWarning)
            run_evaluation(shots, tmp_path)  # nothing is left to be measured
            run_evaluation(shots, tmp_path / "new")

    @pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
    def test_device_that_is_not_there(self, few, tmp_path, device):
        with pytest.raises(OptionError, match="device"):
            run_evaluation(few, tmp_path, settings=RunSettings(device=device, workers=0))

    def test_named_model_is_put_on_the_gpu_that_the_manifest_names(self, few, tmp_path, monkeypatch):
        """As `Explainer("name")` does; on a machine without one this looks at which device is asked for."""
        from shapleycam.explaining import explainer

        devices = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
        monkeypatch.setattr(
            explainer, "move_to_device", lambda model, device, _: (devices.append(str(device)), model)[1]
        )
        with pytest.raises((OptionError, LayerError)):  # far enough: no such layer
            run_evaluation(few, tmp_path, "efficientnet_lite0", replace(QUICK, layers="nowhere"))
        assert devices
        assert set(devices) == {"cuda"}


class TestFatal:
    """What is wrong with the question, rather than with an image, ends it before anything is there."""

    def fails(self, error, *args, **options) -> str:
        out = args[1]
        with pytest.raises(error) as caught:
            run_evaluation(*args, **options)
        assert "\n" not in str(caught.value)
        assert not chunk_files(out)
        return str(caught.value)

    @pytest.mark.parametrize(
        "options", [{"methods": "gradcan"}, {"metrics": "adc"}, {"utilities": "log"}, {"class_rule": "best"}]
    )
    def test_unknown_names(self, options):
        with pytest.raises(OptionError):
            Protocol(**options)

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"workers": -1}, "workers is -1, batch_size 16; expected 0 or more, and 1 or more"),
            ({"batch_size": 0}, "workers is 0, batch_size 0; expected"),
        ],
    )
    def test_settings(self, few, tmp_path, change, says):
        assert says in self.fails(OptionError, few, tmp_path / "out", settings=replace(HERE, **change))
        assert not (tmp_path / "out").exists()

    def test_models_of_one_name(self, few, tmp_path):
        text = self.fails(OptionError, few, tmp_path / "out", [tiny_network(), tiny_network(1)])
        assert text.startswith("models named tiny twice; expected each model once")
        assert not (tmp_path / "out").exists()

    def test_models_of_names_that_differ_in_case_only(self, few, tmp_path):
        """Their rows would be in one folder on Windows and macOS."""
        models = [tiny_network(), replace(tiny_network(1), name="Tiny")]
        text = self.fails(OptionError, few, tmp_path / "out", models)
        assert text.startswith("models named Tiny, tiny twice (upper and lower case count as one); expected each model")
        assert not (tmp_path / "out").exists()

    def test_no_models(self, few, tmp_path):
        assert "no models were given" in self.fails(OptionError, few, tmp_path / "out", [])

    def test_checkpoint_for_two(self, few, tmp_path):
        text = self.fails(OptionError, few, tmp_path / "o", ["resnet18", "vgg16"], checkpoint=tmp_path / "w.pt")
        assert "2 models were given; give one model" in text

    def test_pointing_without_annotations(self, few, tmp_path):
        text = self.fails(OptionError, few, tmp_path / "out", protocol=replace(QUICK, metrics="pointing_game"))
        assert "give annotations" in text
        assert not (tmp_path / "out").exists()

    def test_dataset_that_is_not_there(self, tmp_path):
        assert "no such file or folder" in self.fails(OptionError, tmp_path / "nowhere", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("wrong", "error", "says"),
        [
            ({"protocol": replace(QUICK, layers="nowhere")}, LayerError, "layer 'nowhere' is not in the model"),
            ({"models": "nowhere"}, ModelError, "model 'nowhere' is unknown"),
            ({"models": Tiny()}, ModelError, "does not say how it wants photographs"),
            ({"models": [5]}, OptionError, "model is a int"),
            ({"protocol": replace(QUICK, class_rule="label")}, OptionError, "needs labels that tiny knows"),
        ],
        ids=["layer", "model", "preprocessing", "type", "labels"],
    )
    def test_mistake_is_said(self, few, tmp_path, wrong, error, says):
        assert says in self.fails(error, few, tmp_path / "out", **wrong)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"protocol": replace(QUICK, layers="nowhere")},
            {"models": "nowhere"},
            {"models": Tiny()},
            {"models": [5]},
            {"protocol": replace(QUICK, class_rule="label")},
        ],
        ids=["layer", "model", "preprocessing", "type", "labels"],
    )
    def test_mistake_does_not_spoil_the_folder(self, few, tmp_path, wrong):
        out = tmp_path / "out"
        with pytest.raises(shapleycam.errors.ShapleyCamError):
            run_evaluation(few, out, **wrong)
        run_evaluation(few, out)

    def test_mistake_of_the_second_model_is_said_first(self, few, tmp_path):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
        listener = RecordingListener()
        with pytest.raises(LayerError):
            run_evaluation(
                few,
                tmp_path / "out",
                [tiny_network(), Network(model, PREPROCESS, LABELS, "second")],
                replace(QUICK, layers="features"),
                listener=listener,
            )
        assert listener.steps == []

    def test_wrong_layer_is_said_before_anything_is_decoded(self, few, tmp_path):
        seen = []

        def watched(photo):
            seen.append(photo)
            return PREPROCESS(photo)

        with pytest.raises(LayerError):
            run_evaluation(few, tmp_path / "out", tiny_network(preprocess=watched), replace(QUICK, layers="nowhere"))
        assert not seen


class TestErrors:
    @pytest.fixture
    def spoilt(self, tmp_path):
        """Twelve photographs, of which four cannot be read."""
        data = folder_of(tmp_path / "data", 12)
        (data / "0003.jpg").write_bytes((data / "0003.jpg").read_bytes()[:300])
        (data / "0005.jpg").write_bytes(b"")
        (data / "0006.jpg").write_text("I am no picture")
        (data / "0009.jpg").unlink()
        listed = data / "list.csv"
        listed.write_text("path\n" + "".join(f"{index:04d}.jpg\n" for index in range(12)))
        return listed

    BAD = (3, 5, 6, 9)
    SAYS = ("0003.jpg: damaged", "the file is empty", "not an image in a format", "no such file")

    @pytest.mark.parametrize("workers", [0, 2])
    def test_are_rows_and_the_others_have_their_numbers(self, spoilt, finished, tmp_path, workers):
        rows = run_evaluation(spoilt, tmp_path / "out", settings=replace(HERE, workers=workers)).rows()
        bad, good = rows.filter(status="error"), rows.filter(status="ok")
        assert bad["index"].to_list() == list(self.BAD)
        for message, says in zip(bad["message"].to_list(), self.SAYS, strict=True):
            assert says in message
            assert "\n" not in message
        assert bad["method"].null_count() == bad["average_drop"].null_count() == bad["target"].null_count() == 4
        assert rows["index"].is_sorted()
        expected = finished.rows().filter(pl.col("index") < 12, ~pl.col("index").is_in(self.BAD))
        assert_near(good, expected, 1e-5, within=1e-5)

    def test_are_rows_of_each_layer_and_model(self, spoilt, tmp_path):
        protocol = replace(QUICK, layers=("last-conv", "before-pool"))
        rows = run_evaluation(spoilt, tmp_path / "out", [tiny_network(), tiny_network(1, "other")], protocol).rows()
        bad = rows.filter(status="error")
        assert bad.select("model", "index", "layer").rows() == [
            (model, index, layer) for model in ("tiny", "other") for index in self.BAD for layer in protocol.layers
        ]

    def test_a_second_run_does_not_try_them_again(self, spoilt, tmp_path):
        before = run_evaluation(spoilt, tmp_path / "out").rows()
        listener = RecordingListener()
        assert run_evaluation(spoilt, tmp_path / "out", listener=listener).rows().equals(before)
        assert listener.steps == []

    def test_are_fatal_when_strict(self, spoilt, tmp_path):
        with pytest.raises(ImageError, match=r"0003\.jpg: damaged"):
            run_evaluation(spoilt, tmp_path / "out", settings=replace(HERE, strict=True))
        assert not chunk_files(tmp_path / "out")

    def test_of_an_earlier_run_are_fatal_when_strict(self, spoilt, tmp_path):
        run_evaluation(spoilt, tmp_path / "out")
        with pytest.raises(ImageError, match=r"4 images could not be measured; the first says: .*0003\.jpg"):
            run_evaluation(spoilt, tmp_path / "out", settings=replace(HERE, strict=True))

    def test_strict_changes_nothing_where_all_is_well(self, shots, finished, tmp_path):
        rows = run_evaluation(shots, tmp_path, limit=32, settings=replace(HERE, strict=True)).rows()
        assert rows.equals(finished.rows().head(96))

    def test_of_a_single_image(self, tmp_path):
        data = tmp_path / "0.jpg"
        data.write_text("I am no picture")
        assert run_evaluation(data, tmp_path / "out").rows()["status"].to_list() == ["error"]

    def test_of_a_single_image_at_two_layers(self, tmp_path):
        data = tmp_path / "0.jpg"
        data.write_text("I am no picture")
        rows = run_evaluation(data, tmp_path / "out", protocol=replace(QUICK, layers=("features", "features.3"))).rows()
        assert rows["status"].to_list() == ["error", "error"]

    def test_of_all_images_of_the_first_chunk(self, tmp_path):
        data = folder_of(tmp_path / "data", 34)
        for index in range(32):
            (data / f"{index:04d}.jpg").write_text("I am no picture")
        assert len(run_evaluation(data, tmp_path / "out").rows().filter(status="ok")) == 2 * 3

    def test_of_all_images_for_a_preprocessing_that_is_not_ours(self, tmp_path):
        data = folder_of(tmp_path / "data", 2)
        for index in range(2):
            (data / f"{index:04d}.jpg").write_text("I am no picture")
        with pytest.raises(ImageError, match="not an image"):
            run_evaluation(data, tmp_path / "out", tiny_network(preprocess=plain))
