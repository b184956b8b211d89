"""Where batches become rows: images that cannot be explained, whose class is explained, and where objects are."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import polars as pl
import pytest
import torch
from PIL import Image

from helpers.platforms import forked_only
from helpers.small_evaluations import (
    HERE,
    LABELS,
    PREPROCESS,
    QUICK,
    SIDE,
    assert_near,
    failing_network,
    folder_of,
    plain,
    run_evaluation,
    tiny_network,
)
from shapleycam import Explainer
from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.experiments.datasets.annotations.opening import open_annotations
from shapleycam.experiments.started_chunk import StartedChunk
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.kept_runs import KeptRuns
from shapleycam.metrics import METRICS, measure

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

AT = replace(QUICK, layers="features")
"""At a named layer, so that the network runs for images alone."""
POINTING = replace(QUICK, metrics=("pointing_game", "energy_pointing"))


def nan_for_white(images):
    """NaN for images that are white, which photographs of `picture` are not."""
    white = images.mean((1, 2, 3)) > 1.9
    return lambda logits: torch.where(white[:, None], torch.nan, logits)


def raise_value_error(_):
    raise ValueError("no such weather\nand more")


@pytest.fixture
def bright(tmp_path):
    """Twelve photographs, the eighth is white."""
    data = folder_of(tmp_path / "data", 12)
    Image.new("RGB", (40, 40), "white").save(data / "0007.jpg")
    return data


def write_list(folder, labels) -> str:
    """Write a list of a folder's photographs with labels; return its path."""
    path = folder / "list.csv"
    lines = [f"{image.name},{label}" for image, label in zip(sorted(folder.glob("*.jpg")), labels, strict=True)]
    path.write_text("\n".join(["path,label", *lines]))
    return str(path)


class TestUnexplainable:
    def test_only_the_image_is_an_error_and_the_others_have_their_numbers(self, bright, finished, tmp_path):
        rows = run_evaluation(bright, tmp_path / "out", failing_network(nan_for_white), AT).rows()
        (bad,) = rows.filter(status="error").to_dicts()
        assert (bad["index"], bad["image"], bad["method"]) == (7, "0007.jpg", None)
        assert "holds NaN or infinity" in bad["message"]
        expected = finished.rows().filter(pl.col("index") < 12, pl.col("index") != 7)
        good = rows.filter(status="ok").with_columns(layer=pl.lit("before-pool"))
        assert_near(good, expected, 1e-6, within=1e-6)

    def test_it_is_fatal_when_strict(self, bright, tmp_path):
        with pytest.raises(ModelError, match="holds NaN or infinity"):
            run_evaluation(
                bright, tmp_path / "out", failing_network(nan_for_white), AT, settings=replace(HERE, strict=True)
            )

    def test_it_is_an_error_also_where_predictions_decide(self, bright, tmp_path):
        predicted = run_evaluation(bright, tmp_path / "first").rows()["target"].unique().to_list()
        wrong = next(index for index in range(10) if index not in predicted)
        data = write_list(bright, [wrong] * 12)
        rows = run_evaluation(
            data, tmp_path / "out", failing_network(nan_for_white), replace(AT, class_rule="correct")
        ).rows()
        assert rows.filter(index=7)["status"].to_list() == ["error"]

    def test_the_first_image_is_an_error_where_the_layer_has_to_be_found(self, bright, tmp_path):
        (bright / "0007.jpg").rename(bright / "0000.jpg")
        network = replace(failing_network(nan_for_white), preprocess=plain)
        rows = run_evaluation(bright, tmp_path / "out", network).rows()
        assert rows.filter(status="error")["index"].to_list() == [0]

    @pytest.mark.parametrize("most", [4, 1])
    @pytest.mark.slow
    def test_out_of_memory_halves_the_batch(self, finished, shots, tmp_path, most):
        seen = []

        def little_memory(images):
            seen.append(len(images))
            if len(images) > most:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")

        rows = run_evaluation(shots, tmp_path, failing_network(little_memory), AT, limit=12).rows()
        assert max(seen) == 12
        expected = finished.rows().filter(pl.col("index") < 12).with_columns(layer=pl.lit("features"))
        assert_near(rows, expected, 1e-5, within=1e-5)

    @pytest.mark.slow
    def test_out_of_memory_for_one_image_is_its_error(self, bright, tmp_path):
        def little_memory(images):
            if bool((images.mean((1, 2, 3)) > 1.9).any()):
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB")

        rows = run_evaluation(bright, tmp_path / "out", failing_network(little_memory), AT).rows()
        bad = rows.filter(status="error")
        assert bad["index"].to_list() == [7]
        message = "the memory is full (CUDA out of memory); use a smaller batch_size= or memory=, or device='cpu'"
        assert bad["message"].to_list() == [message]

    def test_images_of_another_shape_are_measured_too(self, finished, shots, tmp_path):
        """What a preprocessing that only divides makes of photographs of several sizes."""

        def sizes(photo):
            image = PREPROCESS(photo)
            return image if photo.getpixel((0, 0))[0] % 2 else image[:, :24, :28]

        rows = run_evaluation(shots, tmp_path, tiny_network(preprocess=sizes), AT, limit=8).rows()
        assert rows["status"].unique().to_list() == ["ok"]
        assert len(rows["probability"].unique()) + 1 > 8
        full = run_evaluation(shots, tmp_path / "o", tiny_network(), AT, limit=8).rows()
        same = rows["probability"].to_numpy().round(5) == full["probability"].to_numpy().round(5)
        assert 0 < same.sum() < len(rows)


class TestFailingModel:
    def test_is_fatal_with_its_own_message(self, shots, tmp_path):
        with pytest.raises(ModelError) as caught:
            run_evaluation(shots, tmp_path, failing_network(raise_value_error), AT)
        assert "the model raised ValueError: no such weather, for images of shape (1, 3, 32, 32)" in str(caught.value)
        assert not list(tmp_path.rglob("*.parquet"))

    def test_is_fatal_where_the_layer_is_found_by_running_it(self, shots, tmp_path):
        with pytest.raises(ModelError, match="the model raised ValueError: no such weather"):
            run_evaluation(shots, tmp_path, failing_network(raise_value_error))

    def test_message_is_the_models_where_the_first_file_is_damaged_too(self, bright, tmp_path):
        (bright / "0000.jpg").write_bytes(b"")
        with pytest.raises(ModelError, match="no such weather"):
            run_evaluation(bright, tmp_path / "out", failing_network(raise_value_error), AT)

    def test_is_fatal_where_images_are_left_out(self, bright, tmp_path):
        data = write_list(bright, ["ant", ""] * 6)
        with pytest.raises(ModelError, match="no such weather"):
            run_evaluation(data, tmp_path / "out", failing_network(raise_value_error), replace(AT, class_rule="label"))

    def test_failing_for_the_later_images_only_makes_rows(self, shots, tmp_path):
        of_first, calls = [], []  # images in passes of the first batch alone, and of all
        run_evaluation(
            shots, tmp_path / "first", failing_network(lambda images: of_first.append(len(images))), AT, limit=32
        )

        def tired(images):
            calls.append(len(images))
            if sum(calls) > sum(of_first):
                raise ValueError("tired")

        rows = run_evaluation(shots, tmp_path / "all", failing_network(tired), AT).rows()
        assert rows.filter(pl.col("index") < 32)["status"].unique().to_list() == ["ok"]
        assert rows.filter(pl.col("index") >= 32)["status"].unique().to_list() == ["error"]
        assert len(rows.filter(status="error")) == 38


class TestClassRules:
    @pytest.fixture
    def labelled(self, tmp_path):
        """Ten photographs; the prediction is their label for the even ones."""
        data = folder_of(tmp_path / "data", 10)
        predicted = Explainer(tiny_network()).explain(sorted(data.glob("*.jpg")), "gradcam").target.tolist()
        labels = [LABELS[c if index % 2 == 0 else (c + 1) % 10] for index, c in enumerate(predicted)]
        labels[3] = ""
        return write_list(data, labels), predicted

    def test_prediction(self, labelled, tmp_path):
        data, predicted = labelled
        rows = run_evaluation(data, tmp_path / "out", protocol=replace(QUICK, methods="gradcam")).rows()
        assert rows["target"].to_list() == predicted
        assert rows["label"].to_list() == [
            None if i == 3 else c if i % 2 == 0 else (c + 1) % 10 for i, c in enumerate(predicted)
        ]

    def test_label(self, labelled, tmp_path):
        data, _ = labelled
        rows = run_evaluation(data, tmp_path / "out", protocol=replace(QUICK, class_rule="label")).rows()
        left = rows.filter(status="left out")
        assert left["index"].to_list() == [3]
        assert left["message"].to_list() == ["it has no label"]
        good = rows.filter(status="ok")
        assert good["target"].to_list() == good["label"].to_list()
        images = sorted((tmp_path / "data").glob("*.jpg"))
        explainer = Explainer(tiny_network())
        for index in (0, 1):
            mine = good.filter(index=index)
            explanations = explainer.compare(images[index], QUICK.methods, int(mine["label"][0]))
            numbers = measure(explainer, images[index], explanations, ["average_drop"])["average_drop"]
            assert mine["average_drop"].to_list() == pytest.approx([float(n) for n in numbers.values()], abs=1e-5)
            score = explanations["gradcam"].output.softmax(1)[0, mine["label"][0]]
            assert mine["probability"][0] == pytest.approx(float(score), abs=1e-6)

    def test_correct(self, labelled, tmp_path):
        data, predicted = labelled
        rows = run_evaluation(data, tmp_path / "out", protocol=replace(QUICK, class_rule="correct")).rows()
        assert rows.filter(status="ok")["index"].unique().to_list() == [0, 2, 4, 6, 8]
        left = rows.filter(status="left out")
        assert left["message"].to_list() == [
            "it has no label" if i == 3 else f"predicted {predicted[i]}, labelled {(predicted[i] + 1) % 10}"
            for i in (1, 3, 5, 7, 9)
        ]
        assert left["target"].null_count() == left["method"].null_count() == left["adcc"].null_count() == 5
        plain = run_evaluation(data, tmp_path / "o").rows().filter(pl.col("index") % 2 == 0)
        assert_near(rows.filter(status="ok"), plain, 1e-5, within=1e-5)

    def test_nothing_is_correct(self, labelled, tmp_path):
        unpredicted = next(name for index, name in enumerate(LABELS) if index not in labelled[1])
        wrong = write_list(tmp_path / "data", [unpredicted] * 10)
        rows = run_evaluation(wrong, tmp_path / "out", protocol=replace(QUICK, class_rule="correct")).rows()
        assert rows["status"].to_list() == ["left out"] * 10

    @pytest.mark.parametrize("names", [("ant", "jay"), ("Ant", "JAY")])
    def test_labels_are_the_names_of_folders(self, tmp_path, names):
        for number, name in enumerate(names):
            folder_of(tmp_path / "data" / name, 2, first=2 * number)
        rows = run_evaluation(tmp_path / "data", tmp_path / "out", protocol=replace(QUICK, class_rule="label")).rows()
        assert rows["label"].to_list() == [0] * 6 + [9] * 6
        assert rows["target"].to_list() == rows["label"].to_list()

    @pytest.mark.slow
    def test_labels_are_synsets_of_imagenet(self, tmp_path):
        folder_of(tmp_path / "data" / "n02123045", 1)  # tabby
        protocol = replace(QUICK, methods="gradcam", metrics="complexity", class_rule="label")
        rows = run_evaluation(tmp_path / "data", tmp_path / "out", "efficientnet_lite0", protocol).rows()
        assert rows["target"].to_list() == [281]

    def test_no_label_that_the_model_knows_is_fatal(self, tmp_path):
        folder_of(tmp_path / "data" / "unicorn", 1)
        for rule in ("label", "correct"):
            with pytest.raises(OptionError) as caught:
                run_evaluation(tmp_path / "data", tmp_path / rule, protocol=replace(QUICK, class_rule=rule))
            assert f"class rule {rule!r} needs labels that tiny knows; the dataset's are such as 'unicorn'" in str(
                caught.value
            )

    def test_number_that_the_model_does_not_have_concerns_its_image_alone(self, tmp_path):
        data = write_list(folder_of(tmp_path / "data", 3), [1, 10, 2])
        protocol = replace(QUICK, class_rule="label", methods="gradcam")
        rows = run_evaluation(data, tmp_path / "out", tiny_network(labels=None), protocol).rows()
        assert rows["status"].to_list() == ["ok", "left out", "ok"]
        assert rows["target"].to_list() == [1, None, 2]

    def test_correct_by_another_utility(self, labelled, tmp_path):
        rows = run_evaluation(
            labelled[0], tmp_path / "out", protocol=replace(QUICK, utilities="logit", class_rule="correct")
        ).rows()
        assert rows.filter(status="ok")["utility"].unique().to_list() == ["logit"]


def voc_xml(*objects: tuple[str, int, int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> str:
    """Return PASCAL VOC XML: the first and the last pixel of each box, counted from 1."""
    things = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{things}</annotation>"


class TestPointing:
    @pytest.fixture
    def boxed(self, tmp_path):
        """Four photographs of the input's size, all of the left half of each an object of the prediction, or not."""
        data, boxes = tmp_path / "data", tmp_path / "boxes"
        data.mkdir()
        boxes.mkdir()
        from helpers.small_evaluations import picture

        for index in range(5):
            picture(index, (SIDE, SIDE)).save(data / f"{index}.png")
        explainer = Explainer(tiny_network())
        images = sorted(data.glob("*.png"))
        predicted = [LABELS[int(c)] for c in explainer.explain(images, "gradcam").target]
        absent = next(name for name in LABELS if name not in predicted)
        (boxes / "0.xml").write_text(voc_xml((predicted[0], 1, 1, 16, 32)))
        (boxes / "1.xml").write_text(voc_xml((absent, 1, 1, 16, 32)))
        (boxes / "2.xml").write_text(voc_xml((absent, 1, 1, 16, 32), (predicted[2], 17, 1, 32, 32)))
        (boxes / "3.xml").write_text(voc_xml())
        return data, open_annotations(boxes), images

    @staticmethod
    def halves(left, right):
        mask = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
        mask[..., : SIDE // 2] = left
        mask[..., SIDE // 2 :] = right
        return mask

    @pytest.mark.parametrize(
        ("objects", "halves"),
        [
            ("class", {0: (True, False), 2: (False, True)}),
            ("any", {0: (True, False), 1: (True, False), 2: (True, True)}),
        ],
    )
    def test_objects_of_the_class_or_any(self, boxed, tmp_path, objects, halves):
        data, boxes, images = boxed
        protocol = replace(POINTING, objects=objects)
        rows = run_evaluation(data, tmp_path / "out", protocol=protocol, annotations=boxes).rows()
        explainer = Explainer(tiny_network())
        for index, image in enumerate(images):
            mine = rows.filter(index=index)
            if index not in halves:
                assert mine["energy_pointing"].is_nan().all(), index
                assert mine["pointing_game"].is_nan().all(), index
                continue
            explanations = explainer.compare(image, QUICK.methods)
            expected = measure(explainer, image, explanations, POINTING.metrics, objects=self.halves(*halves[index]))
            for name in POINTING.metrics:
                numbers = [float(expected[name][method]) for method in QUICK.methods]
                assert mine[name].to_list() == pytest.approx(numbers, abs=1e-5, nan_ok=True), (name, index)

    def test_box_goes_through_the_crop(self, tmp_path):
        """An object on the right edge, which the crop of a wide photograph cuts away."""
        from helpers.small_evaluations import picture

        data, boxes = tmp_path / "data", tmp_path / "boxes"
        data.mkdir()
        boxes.mkdir()
        picture(0, (96, 32)).save(data / "a.png")
        (boxes / "a.xml").write_text(voc_xml(("thing", 65, 1, 96, 32), size=(96, 32)))
        protocol = replace(POINTING, objects="any")
        rows = run_evaluation(data, tmp_path / "out", protocol=protocol, annotations=open_annotations(boxes)).rows()
        assert rows["energy_pointing"].is_nan().all()
        (boxes / "a.xml").write_text(voc_xml(("thing", 33, 1, 64, 32), size=(96, 32)))
        rows = run_evaluation(data, tmp_path / "out2", protocol=protocol, annotations=open_annotations(boxes)).rows()
        assert rows["energy_pointing"].to_list() == pytest.approx([1.0] * 3, abs=1e-6)

    def test_damaged_annotation_is_the_images_error(self, boxed, tmp_path):
        data, boxes, _ = boxed
        (tmp_path / "boxes" / "2.xml").write_text("<annotation><object>")
        rows = run_evaluation(data, tmp_path / "out", protocol=POINTING, annotations=boxes).rows()
        bad = rows.filter(status="error")
        assert bad["index"].to_list() == [2]
        assert "2.xml: not well-formed XML" in bad["message"][0]

    def test_preprocessing_that_is_not_ours_is_refused(self, boxed, tmp_path):
        data, boxes, _ = boxed
        with pytest.raises(OptionError, match="where the network's crop lies in a photograph is not known"):
            run_evaluation(
                data,
                tmp_path / "out",
                tiny_network(preprocess=plain),
                POINTING,
                annotations=boxes,
            )

    def test_other_annotations_are_refused_for_the_folder(self, boxed, tmp_path):
        data, boxes, _ = boxed
        run_evaluation(data, tmp_path / "out", protocol=POINTING, annotations=boxes)
        (tmp_path / "boxes" / "0.xml").write_text(voc_xml(("ant", 1, 1, 4, 4)))
        with pytest.raises(OptionError, match="holds results of another run"):
            run_evaluation(data, tmp_path / "out", protocol=POINTING, annotations=open_annotations(tmp_path / "boxes"))


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_can_be_had(name, tmp_path):
    """From an evaluation; what it is, the tests of metrics say."""
    from shapleycam.metrics import MetricOptions

    data, boxes = folder_of(tmp_path / "data", 2), tmp_path / "boxes"
    boxes.mkdir()
    for index in range(2):
        (boxes / f"{index:04d}.xml").write_text(voc_xml(("ant", 5, 5, 20, 20), size=(44, 38)))
    options = MetricOptions(steps=3, percentiles=(50,), sensitivity_draws=1, randomised_stages=1, smooth_draws=1)
    protocol = replace(
        QUICK, methods=("gradcam", "pathcam"), metrics=name, objects="any", options=options, players=(2, 2), nodes=2
    )
    rows = run_evaluation(data, tmp_path / "out", protocol=protocol, annotations=open_annotations(boxes)).rows()
    assert rows["status"].to_list() == ["ok"] * 4
    assert rows[name].is_finite().all()


@forked_only
def test_process_that_dies_while_it_decodes(shots, tmp_path):
    parent = os.getpid()

    def dies(photo):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return PREPROCESS(photo)

    with pytest.raises(OptionError) as caught:
        run_evaluation(shots, tmp_path, tiny_network(preprocess=dies), AT, settings=replace(HERE, workers=1))
    assert "a decoding process died (DataLoader worker" in str(caught.value)
    assert "decode with workers=0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strict_names_the_first_unreadable_image(shots, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"bad\.jpg: the file is empty"):
        run_evaluation(tmp_path / "bad.jpg", tmp_path / "out", settings=replace(HERE, strict=True))


class TestKeptRuns:
    """Runs of the head behind sampled values and behind the true values that they are measured against."""

    SAMPLED = replace(
        QUICK, layers="input", players=(2, 3), methods=("sampledshapley",), metrics=("shapley_error",), tolerance=0.5
    )

    def test_true_values_are_found_again_too(self, tmp_path, monkeypatch):
        counts, outputs, blocks = [], GeneralRunner.outputs, {}

        def counted(runner, presence, images):
            counts.append(presence.shape[:2].numel())
            return outputs(runner, presence, images)

        monkeypatch.setattr(GeneralRunner, "outputs", counted)
        monkeypatch.setattr(StartedChunk, "of_layer", lambda _, layer: KeptRuns(layer, blocks))
        data = folder_of(tmp_path / "data", 2)
        once = run_evaluation(data, tmp_path / "once", tiny_network(), self.SAMPLED).rows()
        assert sum(counts) > 2 * 2**6, "all coalitions for the true values, and some for the sampled ones"
        counts.clear()
        assert_near(once, run_evaluation(data, tmp_path / "again", tiny_network(), self.SAMPLED).rows(), 0)
        assert not counts
