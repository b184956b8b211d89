"""What an explainer returns: cut, drawn, saved, loaded, shown in a notebook."""

from __future__ import annotations

import json
import pickle
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.random_explanations import explanation_of_noise
from shapleycam.errors import ImageError, OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.images import Source
from shapleycam.models.preprocess import Preprocess

TENSORS = ["heatmap", "values", "target", "output", "utility", "stderr", "prefix", "curvature"]
EIGHT = Preprocess(resize=8, crop=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def same_attribute(first: Explanation, second: Explanation, attribute: str) -> bool:
    actual, expected = getattr(first, attribute), getattr(second, attribute)
    if actual is None or expected is None:
        return actual is expected
    return actual.dtype == expected.dtype and torch.equal(actual, expected)


def pixels(image: Image.Image) -> np.ndarray:
    return np.array(image).astype(int)


# Cut into single ones


def test_has_the_length_of_the_batch_and_can_be_walked_through():
    assert len(explanation_of_noise(5)) == 5
    assert [int(explanation.target) for explanation in explanation_of_noise(5)] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(("index", "place"), [(0, 0), (2, 2), (-1, 2)])
def test_one_image_is_a_batch_of_one_with_all_that_belongs_to_it(index, place):
    batch = explanation_of_noise(3, stderr=torch.rand(3, 2, 2), curvature=torch.rand(3))
    chosen_image = batch[index]
    assert len(chosen_image) == 1
    for name in [*TENSORS, "images"]:
        whole = getattr(batch, name)
        assert (
            getattr(chosen_image, name) is None
            if whole is None
            else torch.equal(getattr(chosen_image, name)[0], whole[place])
        )
    assert chosen_image.sources == (batch.sources[place],)
    assert chosen_image.label() == batch.label(place)
    assert pixels(chosen_image.overlay()).tolist() == pixels(batch.overlay(place)).tolist()


@pytest.mark.parametrize("index", [2, -3])
def test_an_image_that_is_not_there_is_an_index_error(index):
    with pytest.raises(IndexError):
        explanation_of_noise(2)[index]


# In words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1 image: tench)"),
        (3, "3 images: tench, goldfish, crane)"),
        (5, "5 images: tench, goldfish, crane and 2 more)"),
    ],
)
def test_its_repr_names_the_choices_and_the_classes(count, words):
    assert repr(explanation_of_noise(count)) == f"Explanation(gradcam, layer layer4, utility rest, {words}"


def test_without_labels_a_class_has_its_number():
    assert explanation_of_noise(2, labels=None).label(1) == "class 1"


# Saved and loaded


@pytest.mark.parametrize("optional", [(), ("stderr",), ("prefix",), ("curvature",), ("stderr", "prefix", "curvature")])
@pytest.mark.parametrize("labels", [None, ("tench, Tinca tinca", "goldfish", "ça")])
def test_all_that_was_saved_is_loaded(optional, labels, tmp_path):
    extra = {name: torch.rand(2, 2, 2) if name == "stderr" else torch.rand(2) for name in optional}
    saved = explanation_of_noise(2, labels=labels, **extra)
    loaded = Explanation.load(saved.save(tmp_path / "x.npz"))
    for name in TENSORS:
        assert same_attribute(loaded, saved, name), name
    for name in ("method", "layer", "utility_name", "labels", "sources"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert repr(loaded) == repr(saved)


@pytest.mark.parametrize("preprocess", [None, EIGHT])
def test_a_loaded_one_is_drawn_as_the_saved_one(preprocess, tmp_path):
    saved = explanation_of_noise(2, preprocess=preprocess)
    loaded = Explanation.load(saved.save(tmp_path / "x.npz"))
    for index in range(2):
        assert torch.equal(loaded.picture(index), saved.picture(index))
        for kind in ("heatmap", "values"):
            drawn = [pixels(e.overlay(index, on="input", kind=kind)) for e in (loaded, saved)]
            assert np.array_equal(*drawn)


def test_a_half_precision_output_is_saved_with_its_values(tmp_path):
    saved = explanation_of_noise(2, output=torch.randn(2, 3).bfloat16())
    loaded = Explanation.load(saved.save(tmp_path / "x.npz"))
    assert torch.equal(loaded.output, saved.output.float())


def test_a_photograph_is_found_again_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    Image.new("RGB", (40, 20), "orange").save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    saved = explanation_of_noise(1, sources=(Source("photo.png", Path("photo.png"), (10.0, 0.5, 30.0, 19.5)),))
    saved.save("x.npz")
    expected = saved.overlay(on="photo")
    monkeypatch.chdir(tmp_path / "elsewhere")
    loaded = Explanation.load("../x.npz")
    assert loaded.sources[0].box == (10.0, 0.5, 30.0, 19.5)
    assert np.array_equal(pixels(loaded.overlay(on="photo")), pixels(expected))


def test_of_a_photograph_in_memory_the_networks_input_is_kept(tmp_path):
    source = Source("image 0", Image.new("RGB", (40, 20)), (10.0, 0.0, 30.0, 20.0))
    saved = explanation_of_noise(1, sources=(source,))
    loaded = Explanation.load(saved.save(tmp_path / "x.npz"))
    assert loaded.sources[0].photo is None
    assert np.array_equal(pixels(loaded.overlay()), pixels(saved.overlay(on="input")))


def test_a_file_keeps_its_name_whatever_its_suffix(tmp_path):
    assert explanation_of_noise().save(tmp_path / "x.explanation") == tmp_path / "x.explanation"
    assert len(Explanation.load(str(tmp_path / "x.explanation"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x.explanation"]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"absent: cannot be written \(No such file or directory\); choose another"):
        explanation_of_noise().save(tmp_path / "absent" / "x.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"absent\.npz: no such file; check the path"):
        Explanation.load(tmp_path / "absent.npz")


def pack_arrays(**arrays: object) -> bytes:
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def save_array(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def remove_from_file(file: bytes, array: str | None = None, fact: str | None = None) -> bytes:
    """Return a saved explanation without one of its arrays or one of its metadata's keys."""
    arrays = dict(np.load(BytesIO(file)))
    facts = json.loads(str(arrays["metadata"]))
    facts.pop(fact, None)
    arrays["metadata"] = np.array(json.dumps(facts))
    arrays.pop(array, None)
    return pack_arrays(**arrays)


def damage_file(file: bytes) -> bytes:
    """Return the file with other bytes in the middle of the compressed heatmap."""
    start = file.index(b"heatmap.npy") + 31
    return file[:start] + bytes(range(200, 240)) + file[start + 40 :]


FOREIGN = {
    "text": lambda _: b"hello",
    "nothing": lambda _: b"",
    "a pickle": lambda _: pickle.dumps([1]),
    "a single array": lambda _: save_array(np.zeros(3)),
    "other arrays": lambda _: pack_arrays(a=np.zeros(3)),
    "a list for metadata": lambda _: pack_arrays(metadata=np.array("[1]")),
    "half of one": lambda file: file[: len(file) // 2],
    "a damaged one": damage_file,
    "one of another version": lambda file: remove_from_file(file, fact="utility_name"),
    "one without its heatmap": lambda file: remove_from_file(file, array="heatmap"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_saved_explanation_is_refused(kind, tmp_path):
    path = explanation_of_noise().save(tmp_path / "x.npz")
    path.write_bytes(FOREIGN[kind](path.read_bytes()))
    with pytest.raises(OptionError) as refused:
        Explanation.load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: not an explanation saved by shapleycam (")
    assert message.endswith("give a file that Explanation.save wrote")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"not an explanation saved by shapleycam .*Is a directory"):
        Explanation.load(tmp_path)


# Drawn


def test_with_known_normalisation_the_picture_is_the_photograph():
    levels = torch.randint(0, 256, (8, 8, 3), dtype=torch.uint8)
    image = EIGHT(Image.fromarray(levels.numpy()))
    picture = explanation_of_noise(1, images=image[None], preprocess=EIGHT).picture()
    assert int((picture.int() - levels.int()).abs().max()) <= 1


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        ([[0.0, 0.2], [0.6, 1.0]], [[0, 51], [153, 255]]),
        ([[0.2, 0.2], [0.4, 0.6]], [[51, 51], [102, 153]]),
        ([[-1.0, 0.0], [1.0, 4.0]], [[0, 51], [102, 255]]),
        ([[-2.0, -2.0], [-2.0, -2.0]], [[0, 0], [0, 0]]),
    ],
    ids=["as it is", "as it is, without stretching", "stretched", "all the same"],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_with_unknown_normalisation_the_picture_is_stretched_where_need_be(image, levels, channels):
    images = torch.tensor(image).expand(1, channels, 2, 2)
    picture = explanation_of_noise(1, images=images).picture()
    assert picture.tolist() == [[[level] * 3 for level in row] for row in levels]


def explanation_of_photo(photo: Path | Image.Image | None, box=(10.0, 0.0, 30.0, 20.0)) -> Explanation:
    return explanation_of_noise(1, sources=(Source("mine", photo, box),))


def test_without_a_wish_the_whole_photograph_is_drawn_where_there_is_one(tmp_path):
    photo = Image.new("RGB", (40, 20), "orange")
    photo.save(tmp_path / "photo.png")
    assert explanation_of_photo(photo).overlay().size == (40, 20)
    assert explanation_of_photo(tmp_path / "photo.png").overlay().size == (40, 20)
    assert explanation_of_photo(photo).overlay(on="input").size == (8, 8)
    assert explanation_of_photo(None).overlay().size == (8, 8)
    assert explanation_of_photo(photo, box=None).overlay().size == (8, 8)


def test_a_photograph_that_has_gone_is_an_error_only_where_it_is_asked_for(tmp_path):
    gone = explanation_of_photo(tmp_path / "gone.png")
    assert gone.overlay().size == (8, 8)
    assert "<img" in gone._repr_html_()
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        gone.overlay(on="photo")


@pytest.mark.parametrize(("photo", "box"), [(None, (0.0, 0.0, 1.0, 1.0)), (Image.new("RGB", (4, 4)), None)])
def test_a_photograph_that_is_not_known_is_refused_with_the_remedy(photo, box):
    with pytest.raises(ImageError, match=r"mine: the photograph, or the crop's place .* not known; use on='input'"):
        explanation_of_photo(photo, box).overlay(on="photo")


@pytest.mark.parametrize("wish", [{"on": "canvas"}, {"kind": "heat"}])
def test_an_unknown_wish_is_refused_with_the_known_ones(wish):
    ((name, value),) = wish.items()
    known = "expected on 'photo' or 'input', kind one of 'heatmap', 'values', 'uncertain'"
    with pytest.raises(OptionError, match=rf"{name}='{value}'.*{known}"):
        explanation_of_noise().overlay(**wish)


@pytest.mark.parametrize("opacity", [-0.1, 1.5, float("nan")])
def test_an_opacity_that_is_none_is_refused(opacity):
    with pytest.raises(OptionError, match=rf"opacity is {opacity}; expected 0 .* to 1"):
        explanation_of_noise().overlay(opacity=opacity)


def test_signed_values_are_drawn_in_the_place_of_their_cells():
    speaks_left = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    drawn = pixels(explanation_of_noise(1, values=speaks_left, images=torch.ones(1, 3, 8, 8)).overlay(kind="values"))
    red, blue = drawn[..., 0], drawn[..., 2]
    assert (red[:, :3] > blue[:, :3]).all()
    assert (red[:, 5:] < blue[:, 5:]).all()


def test_without_opacity_the_picture_is_left():
    e = explanation_of_noise(1)
    assert np.array_equal(pixels(e.overlay(opacity=0)), e.picture().numpy())


# In a notebook


def test_names_are_escaped():
    evil = "<script>alert('x')</script>"
    e = explanation_of_noise(1, sources=(Source(evil),), labels=(f"{evil}, b", "", ""), utility_name="<lambda>")
    html = e._repr_html_()
    assert "<script" not in html
    assert "<lambda>" not in html
    assert "alert('" not in html  # which would end an attribute
    assert html.count("&lt;script&gt;") == 4  # of the image and of the class, in the caption and for screen readers


def test_overlays_are_embedded_as_pngs():
    e = explanation_of_noise(2)
    embedded = re.findall(r'src="data:image/png;base64,([^"]+)"', e._repr_html_())
    shown = [Image.open(BytesIO(b64decode(text))) for text in embedded]
    assert [image.format for image in shown] == ["PNG", "PNG"]
    for index, image in enumerate(shown):
        assert np.array_equal(pixels(image), pixels(e.overlay(index)))


def test_a_figure_says_what_it_shows():
    html = explanation_of_noise(1, utility=torch.tensor([3.14159]))._repr_html_()
    assert "image 0: <b>tench</b>, rest 3.14, by gradcam" in html
    assert 'alt="gradcam heatmap of image 0 for tench"' in html


@pytest.mark.parametrize(("count", "more"), [(8, None), (11, "and 3 more")])
def test_of_many_images_eight_are_shown(count, more):
    html = explanation_of_noise(count)._repr_html_()
    assert html.count("<img") == 8
    assert re.findall(r"<p>(.* more)</p>", html) == ([] if more is None else [more])
