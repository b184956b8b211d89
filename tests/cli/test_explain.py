"""`shapleycam explain` as a user runs it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import shapleycam
from helpers.platforms import linux_only
from shapleycam.explanations.evidence import describe_evidence

LABELS = ("cat", "dog", "heron", "stork")


def picture_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix == ".png"}


def open_png(path: Path) -> Image.Image:
    """Open a PNG and check that it is complete."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        return image


def read_documents(ran) -> list[dict]:
    """Return the JSON documents that a successful command printed."""
    assert (ran.code, ran.err) == (0, "")
    return [json.loads(line) for line in ran.out.splitlines()]


def question(document: dict) -> str:
    """Return the class that a document explains, as file names have it."""
    row = document["explained"][0]
    return f"{row['label'].replace(' ', '-')}-{row['class']}"


def only_picture(folder: Path) -> Image.Image:
    """Open the only figure in a folder beside the photograph."""
    (name,) = picture_names(folder) - {"photo.png"}
    return open_png(folder / name)


def printed_after(out: str, word: str) -> str:
    """Return what is printed after a word."""
    return re.search(rf"^  {re.escape(word)} +(.*)$", out, re.MULTILINE)[1]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph of noise."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)
    return path


class TestTour:
    def test_without_arguments_in_an_empty_folder(self, tmp_path):
        command = Path(sys.executable).with_name("shapleycam")
        ran = subprocess.run([command, "explain"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        # the network hesitates between these
        top = dict(re.findall(r"([\w ]+) (\d+\.\d)%", printed_after(ran.stdout, "top 5")))
        percents = {label.strip(): float(percent) for label, percent in top.items()}
        expected = {"academic gown": 24, "mortarboard": 21, "military uniform": 18}
        assert {label: round(percents[label]) for label in expected} == expected
        assert list(percents)[:3] == list(expected)
        for word, label in zip(("explained", "  and 2", "  and 3"), expected, strict=True):
            assert printed_after(ran.stdout, word).startswith(f"{label} (class ")
            assert "of what the network sees" in printed_after(ran.stdout, word)
        assert printed_after(ran.stdout, "written") == "grace_hopper_top3_pathcam-h.png"
        assert [path.name for path in tmp_path.iterdir()] == ["grace_hopper_top3_pathcam-h.png"]
        panels = open_png(tmp_path / "grace_hopper_top3_pathcam-h.png")
        assert panels.width > 1.5 * panels.height  # three upright pictures side by side


class TestPhotographs:
    def test_what_is_printed_and_written(self, run, hopper, explainer, tmp_path):
        ran = run("explain", hopper, "--method", "shapleycam")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.splitlines()[0] == str(hopper)
        expected = explainer.explain(hopper, "shapleycam")
        evidence = describe_evidence(expected.values[0])
        assert (
            printed_after(ran.out, "explained")
            == f"academic gown (class 400), rest {expected.utility[0]:.4g}; {evidence}"
        )
        assert printed_after(ran.out, "layer") == "bn2 of efficientnet_lite0"
        assert printed_after(ran.out, "curvature").startswith(f"{expected.curvature[0]:.2f}: some of the score")
        assert printed_after(ran.out, "written") == "grace_hopper_academic-gown-400_shapleycam.png"
        figure = open_png(tmp_path / "grace_hopper_academic-gown-400_shapleycam.png")
        assert figure.width == 512 + 2 * 12  # the photograph as it is, between margins
        assert figure.height > 600

    def test_json_agrees_with_the_library(self, run, hopper, photos, explainer):
        chosen = [hopper, photos[0], photos[4]]
        methods = ["hirescam", "pathcam"]
        documents = read_documents(run("explain", *chosen, "--json", "--method", "hirescam", "--method", "pathcam"))
        comparison = explainer.compare(chosen, [*methods, "shapleycam"])
        assert [document["image"] for document in documents] == [str(path) for path in chosen]
        for index, document in enumerate(documents):
            for method in methods:
                values = torch.tensor(document["explained"][0]["values"][method])
                assert torch.allclose(values, comparison[method].values[index], atol=1e-4)
            explanation = comparison["hirescam"]
            (row,) = document["explained"]
            assert (row["class"], row["label"]) == (int(explanation.target[index]), explanation.label(index))
            assert row["utility_value"] == pytest.approx(float(explanation.utility[index]), abs=1e-4)
            assert row["evidence"] == describe_evidence(explanation.values[index])
            assert row["curvature"] == pytest.approx(float(comparison["shapleycam"].curvature[index]), abs=1e-4)
            probabilities = explanation.output[index].softmax(0)
            assert [top["class"] for top in document["top"]] == probabilities.argsort(descending=True)[:5].tolist()
            assert document["top"][0]["probability"] == pytest.approx(float(probabilities.max()), abs=1e-5)
            stem = f"{chosen[index].stem}_{question(document)}"
            assert document["files"] == [f"{stem}_{method}.png" for method in methods]
            assert all(Path(file).is_file() for file in document["files"])

    def test_kinds_that_people_have(self, run, hopper, tmp_path):
        with Image.open(hopper) as image:
            upright = image.convert("RGB").resize((256, 300))
        upright.save("upright.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter clockwise
        upright.transpose(Image.Transpose.ROTATE_90).save("rotated.png", exif=exif)
        upright.convert("CMYK").save("cmyk.jpg")
        Image.fromarray(np.asarray(upright.convert("L")).astype(np.uint16) * 257).save("deep.png")
        upright.convert("P").save("palette.png", transparency=0)
        upright.crop((128, 0, 129, 300)).save("narrow.png")
        names = ["upright.png", "rotated.png", "cmyk.jpg", "deep.png", "palette.png", "narrow.png"]

        documents = dict(zip(names, read_documents(run("explain", *names, "--json", "--out", "maps")), strict=True))
        assert documents["rotated.png"]["explained"][0]["values"] == documents["upright.png"]["explained"][0]["values"]
        sizes = {name: open_png(tmp_path / documents[name]["files"][0]).size for name in names}
        narrow = sizes.pop("narrow.png")
        assert len(set(sizes.values())) == 1
        assert sizes["upright.png"][0] == narrow[0] == 480 + 2 * 12  # what is smaller is enlarged
        assert narrow[1] - sizes["upright.png"][1] == pytest.approx(2 * 480 - 480 * 300 / 256, abs=30)

    def test_folders(self, run, tiny, photo, tmp_path):
        (tmp_path / "deep/er").mkdir(parents=True)
        photo.rename(tmp_path / "deep/er/b.png")
        Image.new("RGB", (40, 40), "green").save(tmp_path / "deep/a.PNG")
        documents = read_documents(run("explain", "deep", "--model", tiny, "--json", "--quiet"))
        assert [document["image"] for document in documents] == ["deep/a.PNG", "deep/er/b.png"]

    def test_same_photograph_twice_is_explained_once(self, run, tiny, photo):
        (photo.parent / "folder").mkdir()
        photo.rename("folder/photo.png")
        documents = read_documents(run("explain", "folder/photo.png", "folder", "--model", tiny, "--json"))
        assert [document["image"] for document in documents] == ["folder/photo.png"]

    def test_same_names_do_not_overwrite_each_other(self, run, tiny, photo):
        names = ["a/x.png", "b/x.jpg", "x-2.png", "X.png"]
        for number, name in enumerate(names):
            Path(name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (40 + number, 40)).save(name)
        documents = read_documents(run("explain", *names, "--model", tiny, "--json", "--quiet", "--save"))
        files = [file for document in documents for file in document["files"]]
        assert len({file.casefold() for file in files}) == 8
        stems = ["x", "x-2", "x-2-2", "X-3"]
        for stem, document in zip(stems, documents, strict=True):
            assert document["files"][0] == f"{stem}_{question(document)}_pathcam-h.png"

    @linux_only  # macOS takes these two names for one
    def test_names_of_two_spellings_do_not_overwrite_each_other_on_other_systems(self, run, tiny, photo):
        names = ["caf\u00e9.png", "cafe\u0301.png"]
        for name in names:
            Path(name).write_bytes(photo.read_bytes())
        documents = read_documents(run("explain", *names, "--model", tiny, "--json", "--quiet"))
        assert [document["files"][0] for document in documents] == [
            f"caf\u00e9_{question(documents[0])}_pathcam-h.png",
            f"cafe\u0301-2_{question(documents[1])}_pathcam-h.png",
        ]

    @linux_only
    def test_names_that_cannot_be_printed(self, run, tiny, photo):
        photo.rename(os.fsdecode(b"caf\xe9.png"))
        ran = run("explain", os.fsdecode(b"caf\xe9.png"), "--model", tiny)
        assert ran.code == 0
        assert ran.out.splitlines()[0] == r"caf\xe9.png"

    def test_names_are_not_markup(self, run, tiny, photo):
        photo.rename("[red]a:dog:.png")
        ran = run("explain", "[red]a:dog:.png", "--model", tiny)
        assert ran.out.splitlines()[0] == "[red]a:dog:.png"
        assert printed_after(ran.out, "written").startswith("[red]a-dog-_")


class TestOptions:
    def test_target_by_label_of_imagenet(self, run, hopper):
        (document,) = read_documents(run("explain", hopper, "--target", "Military Uniform", "--json"))
        (row,) = document["explained"]
        assert (row["class"], row["label"]) == (652, "military uniform")
        assert row["evidence"] == describe_evidence(torch.tensor(document["explained"][0]["values"]["pathcam-h"]))

    @pytest.mark.parametrize("target", ["2", "heron", " HERON ", "heron, wader"])
    def test_target_by_number_and_label(self, run, tiny, photo, target):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--target", target, "--json", "--quiet"))
        (row,) = document["explained"]
        assert (row["class"], row["label"]) == (2, "heron")

    def test_top_explains_the_likeliest_classes_side_by_side(self, run, tiny, photo):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--top", 3, "--json", "--quiet"))
        assert [row["class"] for row in document["explained"]] == [row["class"] for row in document["top"][:3]]
        assert open_png(document["files"][0]).width > open_png(document["files"][0]).height

    def test_top_of_more_classes_than_there_are(self, run, tiny, photo):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--top", 100, "--json", "--quiet"))
        assert sorted(row["label"] for row in document["explained"]) == sorted(LABELS)

    def test_methods_are_drawn_in_the_order_asked_and_once(self, run, tiny, photo):
        arguments = ["--method", "pathcam-h", "--method", "gradcam", "--method", "pathcam-h"]
        (document,) = read_documents(run("explain", photo, "--model", tiny, *arguments, "--json", "--quiet"))
        stem = f"photo_{question(document)}"
        assert document["files"] == [f"{stem}_pathcam-h.png", f"{stem}_gradcam.png"]
        assert list(document["explained"][0]["values"]) == ["pathcam-h", "gradcam"]

    def test_the_papers_ten_methods(self, run, tiny, photo):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--method", "paper", "--json", "--quiet"))
        assert set(document["explained"][0]["values"]) == {
            *("gradcam", "hirescam", "gradcam-e", "xgradcam", "layercam", "gradcam++", "randomcam"),
            *("shapleycam", "shapleycam-h", "shapleycam-e"),
        }

    def test_all_methods(self, run, tiny, photo, tmp_path):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--method", "field", "--json", "--quiet"))
        # The model has no attention.
        names = {method.name for method in shapleycam.methods()} - {"attentionrollout", "gradientrollout", "legrad"}
        assert set(document["explained"][0]["values"]) == names
        expected = {f"photo_{question(document)}_{name}.png" for name in names}
        assert picture_names(tmp_path) - {"photo.png"} == expected

    def test_nodes_and_utility_reach_the_library(self, run, tiny, photo, tmp_path):
        arguments = ("--utility", "probability", "--method", "pathcam-h", "--nodes", 3, "--layer", "convolution")
        (document,) = read_documents(run("explain", photo, "--model", tiny, *arguments, "--json", "--quiet"))
        user_module = vars(sys.modules["shapleycam_user_tiny"])
        library = shapleycam.Explainer(user_module["network"](), layer="convolution", utility="probability")
        expected = library.explain(photo, "pathcam-h", nodes=3)
        assert torch.allclose(
            torch.tensor(document["explained"][0]["values"]["pathcam-h"]), expected.values[0], atol=1e-6
        )
        assert not torch.allclose(library.explain(photo, "pathcam-h", nodes=1).values, expected.values, atol=1e-6)

    def test_seed_changes_what_is_random(self, run, tiny, photo):
        def values(seed: int) -> list:
            arguments = ("--method", "randomcam", "--seed", seed)
            (document,) = read_documents(run("explain", photo, "--model", tiny, *arguments, "--json", "--quiet"))
            return document["explained"][0]["values"]["randomcam"]

        assert values(1) == values(1)
        assert values(1) != values(2)

    def test_batch_size_does_not_change_the_values(self, run, tiny, photo):
        names = []
        for colour in ("red", "green", "blue"):
            Image.new("RGB", (50, 40), colour).save(f"{colour}.png")
            names.append(f"{colour}.png")
        arguments = ("explain", photo, *names, "--model", tiny, "--json", "--quiet")
        by_two, at_once = read_documents(run(*arguments, "--batch-size", 2)), read_documents(run(*arguments))
        assert [document["image"] for document in by_two] == [document["image"] for document in at_once]
        for first, second in zip(by_two, at_once, strict=True):
            assert np.allclose(
                first["explained"][0]["values"]["pathcam-h"], second["explained"][0]["values"]["pathcam-h"], atol=1e-5
            )

    def test_out_is_made_where_it_is_missing(self, run, tiny, photo, tmp_path):
        ran = run("explain", photo, "--model", tiny, "--out", "maps/today", "--quiet")
        (name,) = picture_names(tmp_path / "maps/today")
        assert name.endswith("_pathcam-h.png")
        assert printed_after(ran.out, "written") == f"maps/today/{name}"
        assert picture_names(tmp_path) == {"photo.png"}

    def test_save_keeps_the_numbers(self, run, tiny, photo):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--save", "--json", "--quiet"))
        stem = f"photo_{question(document)}_pathcam-h"
        assert document["files"] == [f"{stem}.png", f"{stem}.npz"]
        explanation = shapleycam.Explanation.load(f"{stem}.npz")
        assert explanation.values[0].tolist() == document["explained"][0]["values"]["pathcam-h"]
        assert explanation.overlay().size == (80, 60)

    def test_save_keeps_the_numbers_of_each_class(self, run, tiny, photo):
        (document,) = read_documents(run("explain", photo, "--model", tiny, "--save", "--top", 2, "--json", "--quiet"))
        first, second = (row["class"] for row in document["explained"])
        names = [f"photo_{row['label']}-{row['class']}_pathcam-h.npz" for row in document["explained"]]
        assert document["files"] == ["photo_top2_pathcam-h.png", *names]
        classes = [int(shapleycam.Explanation.load(file).target) for file in document["files"][1:]]
        assert classes == [first, second]

    def test_view_of_the_networks_input(self, run, tiny, photo, tmp_path):
        run("explain", photo, "--model", tiny, "--view", "input")
        assert only_picture(tmp_path).height > 480  # the input is square, and enlarged to 480 pixels

    def test_photograph_is_drawn_over_where_the_crop_is_known(self, run, tiny, photo, tmp_path):
        run("explain", photo, "--model", tiny, "--target", 2, "--out", "known")
        run("explain", photo, "--model", "tiny.py:by_function", "--target", 2, "--out", "unknown")
        heights = [only_picture(tmp_path / folder).height for folder in ("known", "unknown")]
        assert heights[1] - heights[0] == pytest.approx(480 - 360, abs=60)  # 32 x 32 and 80 x 60, 480 pixels wide

    def test_view_of_a_photograph_in_which_the_crop_is_not_known(self, refused, tiny, photo):
        message = refused("explain", photo, "--model", "tiny.py:by_function", "--view", "photo")
        assert message.startswith("--view photo: where the crop of model 'tiny.py:by_function' lies")
        assert message.endswith("use --view input")

    def test_model_without_labels(self, run, tiny, photo):
        ran = run("explain", photo, "--model", "tiny.py:by_function", "--target", 2)
        assert printed_after(ran.out, "explained").startswith("class 2, rest ")

    def test_checkpoint_is_what_is_explained(self, run, tiny, photo):
        before = read_documents(run("explain", photo, "--model", tiny, "--json", "--quiet"))
        model = vars(sys.modules["shapleycam_user_tiny"])["model"]()
        torch.manual_seed(7)
        torch.nn.init.normal_(model.classifier.weight)
        save_file(model.state_dict(), "mine.safetensors")
        torch.save(model.state_dict(), "mine.pth")
        arguments = ("explain", photo, "--model", tiny, "--json", "--quiet", "--checkpoint")
        safetensors, pickled = (
            read_documents(run(*arguments, "mine.safetensors")),
            read_documents(run(*arguments, "mine.pth")),
        )
        assert (
            safetensors[0]["explained"][0]["values"]
            == pickled[0]["explained"][0]["values"]
            != before[0]["explained"][0]["values"]
        )

    def test_notes_say_what_there_is_to_know_once(self, run, tiny, photo):
        Image.open(photo).rotate(90).save("other.png")
        options = "--model", tiny, "--utility", "logit", "--method", "shapleycam"
        ran = run("explain", photo, "other.png", "--batch-size", 1, *options)
        assert ran.code == 0
        notes = [line for line in ran.err.splitlines() if "no curvature" in line]
        assert len(notes) == 1
        assert notes[0].startswith("note: utility 'logit' has no curvature behind layer 'activation'")
        assert printed_after(ran.out, "curvature") == "0.00: the head is linear here, second order equals first"

    def test_blank_heatmaps_are_noted_for_the_methods_asked_for(self, run, tiny, photo):
        run("explain", photo, "--model", tiny, "--quiet")
        model = vars(sys.modules["shapleycam_user_tiny"])["model"]()
        # Behind a ReLU and weights of one sign every place speaks against the class, as long as each goes by its own
        # gradient; gradcam's mean over places turns what the ReLU cut into evidence.
        torch.nn.init.constant_(model.classifier.weight, -1)
        save_file(model.state_dict(), "against.safetensors")
        arguments = ("explain", photo, "--model", tiny, "--checkpoint", "against.safetensors", "--utility", "logit")
        at = ("--layer", "convolution", "--target", "cat", "--method")
        assert "is blank" not in run(*arguments, *at, "gradcam").err
        message = run(*arguments, *at, "shapleycam-h").err
        assert (
            "note: photo.png: the shapleycam-h heatmap for 'cat' is blank: no position speaks for the class" in message
        )

    def test_quiet_leaves_the_notes_out(self, run, tiny, photo):
        ran = run("explain", photo, "--model", tiny, "--utility", "logit", "--quiet")
        assert (ran.code, ran.err) == (0, "")
        assert "curvature" in ran.out


@pytest.fixture
def unreadable(tmp_path: Path, photo: Path) -> dict[str, str]:
    """Paths that cannot be explained, and how each is refused."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").touch()
    (tmp_path / "text.jpg").write_text("not a photograph")
    (tmp_path / "empty.jpg").touch()
    with Image.open(photo) as image:
        image.save(tmp_path / "cut.jpg")
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")
    return {
        "missing.jpg": "no such file; check the path",
        "folder": "a folder without pictures; expected files such as .jpg or .png in it",
        "text.jpg": "not an image in a format that Pillow reads; convert it to PNG or JPEG",
        "cut.jpg": "damaged or cut short (image file is truncated",
        "empty.jpg": "the file is empty (0 bytes); get the file again",
        "large.png": "9000 x 9000 is 81,000,000 pixels, over the limit of 80,000,000; make it smaller",
    }


class TestUnreadablePhotographs:
    @pytest.mark.parametrize("size", [1, 3, 16])
    def test_each_is_one_line_and_the_others_are_done(self, run, tiny, photo, unreadable, tmp_path, size):
        Image.open(photo).rotate(90).save("last.png")
        ran = run("explain", photo, *unreadable, "last.png", "--model", tiny, "--out", "maps", "--batch-size", size)
        assert ran.code == 2
        message = ran.err.splitlines()
        assert len(message) == len(unreadable)
        for path, reason in unreadable.items():
            assert sum(line.startswith(f"error: {path}: {reason}") for line in message) == 1
        assert sorted(name.split("_")[0] for name in picture_names(tmp_path / "maps")) == ["last", "photo"]

    def test_json_has_a_line_for_each(self, run, tiny, photo, unreadable):
        ran = run("explain", *unreadable, photo, "--model", tiny, "--json")
        documents = {document["image"]: document for document in map(json.loads, ran.out.splitlines())}
        assert documents.keys() == {*unreadable, str(photo)}
        for path, reason in unreadable.items():
            assert documents[path]["error"].startswith(f"{path}: {reason}")
        assert documents[str(photo)]["files"] == [f"photo_{question(documents[str(photo)])}_pathcam-h.png"]

    def test_alone(self, run, tiny):
        ran = run("explain", "missing.jpg", "--model", tiny)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == "error: missing.jpg: no such file; check the path\n"

    def test_names_are_not_markup(self, run, tiny):
        assert "error: [red]a:dog:.png: no such file" in run("explain", "[red]a:dog:.png", "--model", tiny).err


WRONG = {
    "--method gradcan": "method 'gradcan' is unknown; did you mean 'gradcam'",
    "--utility logits": "utility 'logits' is unknown; did you mean 'logit'",
    "--model efficientnet_lite": "model 'efficientnet_lite' is unknown; did you mean 'efficientnet_lite",
    "--model timm:resnet81": "model 'timm:resnet81' is unknown; did you mean 'timm:resnet",
    "--model torchvision:vgg61": "model 'torchvision:vgg61' is unknown; did you mean 'torchvision:vgg",
    "--model nothing.py:net": "model 'nothing.py:net': no such file as nothing.py; write path/to/file.py:function",
    "--model tiny.py:netwerk": "tiny.py has no function 'netwerk'; did you mean 'network'",
    "--model tiny.py:model": "model 'tiny.py:model' does not say how it wants photographs; let the function return",
    "--layer convolutoin": "layer 'convolutoin' is not in the model; did you mean 'convolution'",
    "--layer idle": "layer 'idle' never runs in a forward pass in eval mode; choose one that does",
    "--layer aside": "layer 'aside' runs, but the output does not depend on it",
    "--layer classifier": "layer 'classifier' returns shape (1, 4)",
    "--target 4": "class 4 is out of range: the model has classes 0 to 3",
    "--target -1": "class -1 is out of range: the model has classes 0 to 3",
    "--target wader": "'wader' is ambiguous: it is the name of 2 (heron, wader), 3 (stork, wader); give the number",
    "--target herron": "class 'herron' is not among the model's 4 labels; did you mean 'heron'",
    "--target --5": "class '--5' is not among the model's 4 labels; known are cat, dog",
    "--target ''": "class '' is not among the model's 4 labels; known are cat, dog",
    "--device nonsense": "device 'nonsense'",
    "--checkpoint missing.pth": "checkpoint missing.pth: no such file; check the path",
    "--top 2 --target cat": "--top 2 and --target cat were both given; expected the most likely classes or one",
}
"""Options, and what must be said of them."""


class TestWrongOptions:
    @pytest.mark.parametrize("options", WRONG)
    def test_is_one_line_that_helps(self, refused, tiny, photo, tmp_path, options):
        model = [] if "--model" in options else ["--model", tiny]
        assert WRONG[options] in refused("explain", photo, *model, *shlex.split(options))
        assert picture_names(tmp_path) == {"photo.png"}

    def test_label_of_two_classes_of_imagenet(self, refused, hopper):
        message = refused("explain", hopper, "--target", "crane")
        assert message.startswith("class 'crane' is ambiguous: it is the name of 134 (")
        assert ", 517 (" in message
        assert message.endswith("give the number")

    @pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
    def test_weights_that_are_not_numbers(self, refused, tiny, run, photo, name):
        assert run("explain", photo, "--model", tiny, "--quiet").code == 0
        weights = vars(sys.modules["shapleycam_user_tiny"])["model"]().state_dict()
        weights["convolution.weight"][0, 0, 0, 0] = torch.nan
        save_file(weights, name) if name.endswith("s") else torch.save(weights, name)
        message = refused("explain", photo, "--model", tiny, "--checkpoint", name)
        assert "holds NaN or infinity" in message
        assert "the weight 'convolution.weight' is not finite: get or train the weights again" in message

    def test_checkpoint_that_does_not_fit(self, refused, tiny, photo):
        torch.save({"classifier.weight": torch.zeros(5, 6), "extra": torch.zeros(1)}, "other.pth")
        message = refused("explain", photo, "--model", tiny, "--checkpoint", "other.pth")
        assert message.startswith("checkpoint other.pth does not fit the model: tensors 7 missing (first: ")
        assert "1 unexpected (first: extra)" in message
        assert "1 of another shape (first: classifier.weight, (5, 6) in the file, (4, 6) in the model)" in message

    @pytest.mark.parametrize("name", ["text.pth", "text.safetensors"])
    def test_checkpoint_that_holds_no_weights(self, refused, tiny, photo, name):
        Path(name).write_text("not weights", encoding="utf-8")
        assert refused("explain", photo, "--model", tiny, "--checkpoint", name).startswith(f"checkpoint {name}: not a ")

    def test_checkpoint_is_never_unpickled(self, refused, tiny, photo):
        torch.save(torch.nn.Linear(1, 1), "whole.pth")
        message = refused("explain", photo, "--model", tiny, "--checkpoint", "whole.pth")
        assert message.startswith(
            "checkpoint whole.pth: holds a torch.nn.modules.linear.Linear, and objects are never unpickled; save"
        )

    def test_model_file_with_a_bug(self, refused, photo):
        Path("bug.py").write_text("def network():\n    return 1 / 0\n", encoding="utf-8")
        message = refused("explain", photo, "--model", "bug.py:network")
        assert message.startswith("model 'bug.py:network' could not be made (ZeroDivisionError: division by zero)")

    def test_unknown_choice_names_the_known_ones(self, run, photo):
        ran = run("explain", photo, "--view", "side")
        assert (ran.code, ran.out) == (2, "")
        assert "'photo', 'input'" in ran.err


class TestOutput:
    @pytest.mark.parametrize("command", ["explain", "compare"])
    def test_folder_that_cannot_be_written(self, refused, tiny, photo, command):
        message = refused(command, photo, "--model", tiny, "--out", "photo.png/maps")
        assert message == "photo.png/maps: cannot be written (Not a directory); choose another folder with --out"

    def test_folder_that_is_a_file(self, refused, tiny, photo):
        message = refused("explain", photo, "--model", tiny, "--out", "photo.png")
        assert message == "photo.png: a file, where a folder was expected; choose another with --out"

    def test_folder_is_looked_at_before_the_model_is_loaded(self, refused, photo):
        message = refused("explain", photo, "--model", "nothing.py:net", "--out", "photo.png")
        assert message.startswith("photo.png: a file")

    def test_full_disk_leaves_nothing(self, refused, tiny, photo, tmp_path, monkeypatch):
        def full(handle):  # what was written so far does not fit on the disk
            raise OSError(ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        message = refused("explain", photo, "--model", tiny, "--target", "heron", "--out", "maps")
        expected = (
            "maps/photo_heron-2_pathcam-h.png: cannot be written (No space left on device); nothing was left there"
        )
        assert message == expected
        assert not list((tmp_path / "maps").iterdir())
