"""Datasets of Hugging Face, without a network."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from shapleycam.errors import DatasetWarning, ImageError, OptionError
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph

datasets = pytest.importorskip("datasets", minversion="4")  # not the folder of these tests


def png(value: int) -> dict[str, object]:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value,) * 3).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def rows(count: int = 2, **columns) -> object:
    """A dataset of one column of pictures and others, each given as (type, values)."""
    all_columns = {"image": (datasets.Image(), [png(10 * index) for index in range(count)]), **columns}
    features = datasets.Features({name: feature for name, (feature, _) in all_columns.items()})
    return datasets.Dataset.from_dict({name: values for name, (_, values) in all_columns.items()}, features=features)


def refusal(source: object) -> str:
    with pytest.raises(OptionError) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestLabels:
    def test_names_of_classes(self):
        dataset = open_dataset(rows(label=(datasets.ClassLabel(names=["zebra", "ant"]), [1, 0])))
        assert (dataset.labels, dataset.classes) == (("ant", "zebra"), ("zebra", "ant"))

    def test_counted_classes_are_numbers(self):
        dataset = open_dataset(rows(label=(datasets.ClassLabel(num_classes=20), [12, 3])))
        assert (dataset.labels, dataset.classes) == ((12, 3), None)

    @pytest.mark.parametrize("feature", [{"names": ["a", "b"]}, {"num_classes": 2}])
    def test_minus_one_and_nothing_are_no_label(self, feature):
        assert open_dataset(rows(label=(datasets.ClassLabel(**feature), [-1, None]))).labels == (None, None)

    def test_found_by_its_type(self):
        hf_dataset = rows(label=(datasets.Value("string"), ["x", "y"]), kind=(datasets.ClassLabel(names=["a"]), [0, 0]))
        with pytest.warns(DatasetWarning, match="labels are those of column 'kind', not of label; rename"):
            assert open_dataset(hf_dataset).labels == ("a", "a")

    def test_of_several_that_called_label(self):
        hf_dataset = rows(
            fine=(datasets.ClassLabel(names=["a", "b", "c"]), [0, 1]), label=(datasets.ClassLabel(names=["x"]), [0, 0])
        )
        with pytest.warns(DatasetWarning, match="labels are those of column 'label', not of fine; rename"):
            assert open_dataset(hf_dataset).labels == ("x", "x")

    def test_of_several_the_finest(self):
        hf_dataset = rows(
            coarse_label=(datasets.ClassLabel(names=["x"]), [0, 0]),
            fine_label=(datasets.ClassLabel(names=["a", "b"]), [0, 1]),
        )
        with pytest.warns(DatasetWarning, match="labels are those of column 'fine_label', not of coarse_label; rename"):
            assert open_dataset(hf_dataset).labels == ("a", "b")

    def test_of_several_the_same_in_a_file_of_them(self, tmp_path):
        hf_dataset = rows(
            coarse=(datasets.ClassLabel(names=["x"]), [0, 0]), fine=(datasets.ClassLabel(names=["a", "b"]), [0, 1])
        )
        hf_dataset.to_parquet(tmp_path / "rows.parquet")
        with pytest.warns(DatasetWarning, match="labels are those of column 'fine', not of coarse; rename"):
            assert open_dataset(tmp_path / "rows.parquet").labels == ("a", "b")

    @pytest.mark.parametrize(
        ("kind", "values", "labels"),
        [
            ("int64", [5, None], (5, None)),
            ("string", ["cat", "7"], ("cat", "7")),
            ("float32", [1.0, 2.0], (None, None)),
        ],
    )
    def test_plain_columns(self, kind, values, labels):
        assert open_dataset(rows(label=(datasets.Value(kind), values))).labels == labels

    def test_none(self):
        assert open_dataset(rows()).labels == (None, None)


class TestPictures:
    def test_of_several_columns_that_called_image(self):
        dataset = open_dataset(rows(depth=(datasets.Image(), [png(200)] * 2)))
        assert open_photograph(dataset.open(1)).getpixel((0, 0)) == (10, 10, 10)

    def test_several_and_none_called_image(self):
        hf_dataset = rows(depth=(datasets.Image(), [png(200)] * 2)).rename_column("image", "colour")
        assert "columns of type Image: colour, depth; expected one, or one called image" in refusal(hf_dataset)

    def test_no_column(self):
        hf_dataset = datasets.Dataset.from_dict({"text": ["a"]})
        assert "columns of type Image: none among text; expected one" in refusal(hf_dataset)

    def test_file_that_a_row_names(self, tmp_path):
        Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "a.png")
        hf_dataset = (
            rows(1)
            .remove_columns("image")
            .from_dict({"image": [str(tmp_path / "a.png")]}, features=datasets.Features({"image": datasets.Image()}))
        )
        dataset = open_dataset(hf_dataset)
        assert dataset.open(0) == tmp_path / "a.png"

    def test_row_without_a_picture(self):
        features = datasets.Features({"image": datasets.Image()})
        dataset = open_dataset(datasets.Dataset.from_dict({"image": [png(1), None]}, features=features))
        with pytest.raises(ImageError) as caught:
            dataset.open(1)
        assert str(caught.value) == "row 00000001: no picture in column 'image'; expected one in every row"

    def test_damaged_row(self):
        features = datasets.Features({"image": datasets.Image()})
        hf_dataset = datasets.Dataset.from_dict({"image": [{"bytes": b"text", "path": None}]}, features=features)
        with pytest.raises(ImageError, match="row 00000000: not an image"):
            open_dataset(hf_dataset).open(0)


class TestNamed:
    @pytest.fixture
    def saved(self, tmp_path):
        splits = {
            "train": rows(3, label=(datasets.ClassLabel(names=["a", "b"]), [0, 0, 0])),
            "test": rows(2, label=(datasets.ClassLabel(names=["a", "b"]), [1, 1])),
        }
        datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
        return tmp_path / "saved"

    def test_split(self, saved):
        assert open_dataset(f"hf:{saved}:test").labels == ("b", "b")
        assert open_dataset(f"hf:{saved}:train", limit=2).labels == ("a", "a")

    def test_several_splits_and_none_named(self, saved):
        expected = f"hf:{saved}: the dataset has the splits train, test; say which, as in hf:{saved}:train"
        assert refusal(f"hf:{saved}") == expected

    def test_no_such_split(self, saved):
        expected = f"hf:{saved}:val: the dataset has the splits train, test, not 'val'; name one of them"
        assert refusal(f"hf:{saved}:val") == expected

    def test_saved_folder_without_the_prefix(self, saved):
        assert open_dataset(saved / "test").labels == ("b", "b")

    def test_another_split_than_that_of_the_folder(self, saved):
        assert "leave the split out" in refusal(f"hf:{saved / 'test'}:train")

    def test_folder_of_parquet_through_load_dataset(self, tmp_path, monkeypatch):
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        (tmp_path / "table").mkdir()
        rows(2, label=(datasets.ClassLabel(names=["a", "b"]), [1, 0])).to_parquet(tmp_path / "table/test-0.parquet")
        dataset = open_dataset(f"hf:{tmp_path / 'table'}")
        assert dataset.labels == ("b", "a")
        assert open_photograph(dataset.open(1)).getpixel((0, 0)) == (10, 10, 10)

    def test_unknown_name(self, tmp_path):
        spec = f"hf:{tmp_path}/none"
        assert refusal(spec).startswith(f"{spec}: Hugging Face datasets cannot load it (")

    def test_no_name(self):
        assert refusal("hf:").startswith("hf:: names no dataset; expected hf:FOLDER or hf:NAME")

    @pytest.mark.parametrize("library", [None, "a folder called datasets"])
    def test_not_installed(self, monkeypatch, library):
        monkeypatch.setitem(sys.modules, "datasets", library)
        assert refusal("hf:mnist") == (
            'Hugging Face datasets is not installed; run pip install "shapleycam[datasets]", or name a folder or list'
        )


def test_dictionaries_and_streams_are_refused():
    hf_dataset = rows()
    assert "a DatasetDict of Hugging Face; expected one Dataset" in refusal(datasets.DatasetDict({"a": hf_dataset}))
    assert "IterableDataset of Hugging Face; expected one Dataset" in refusal(hf_dataset.to_iterable_dataset())


def test_transforms_of_the_user_are_left_out():
    hf_dataset = rows(label=(datasets.Value("int64"), [1, 2]))
    hf_dataset.set_transform(lambda batch: {"image": [0] * len(batch["image"])})
    assert open_photograph(open_dataset(hf_dataset).open(1)).getpixel((0, 0)) == (10, 10, 10)
