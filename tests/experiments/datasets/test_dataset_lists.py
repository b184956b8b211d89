"""CSV and Parquet lists."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_parquet(path: Path, /, **columns) -> Path:
    pl.DataFrame(columns).write_parquet(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(OptionError) as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestColumns:
    @pytest.mark.parametrize("paths", ["path", "image", "file", "filename"])
    @pytest.mark.parametrize("labels", ["label", "class", "target"])
    def test_each_name(self, tmp_path, paths, labels):
        dataset = open_dataset(write_text(tmp_path / "a.csv", f"x,{labels},{paths}\n1,cat,b.jpg\n2,dog,a.jpg\n"))
        assert (dataset.names, dataset.labels) == (("b.jpg", "a.jpg"), ("cat", "dog"))

    def test_paths_are_from_the_folder_of_the_list(self, tmp_path, monkeypatch):
        (tmp_path / "lists").mkdir()
        write_text(tmp_path / "lists/a.csv", "path\nin/1.jpg\n")
        monkeypatch.chdir(tmp_path)
        assert open_dataset("lists/a.csv").open(0) == tmp_path / "lists/in/1.jpg"

    def test_names_of_photographs_elsewhere(self, tmp_path):
        (tmp_path / "lists").mkdir()
        dataset = open_dataset(
            write_text(tmp_path / "lists/a.csv", f"path\n../photos/x/1.jpg\n{tmp_path}/photos/y/2.jpg\n")
        )
        assert dataset.names == ("x/1.jpg", "y/2.jpg")
        assert dataset.open(1) == tmp_path / "photos/y/2.jpg"

    def test_tabs_byte_order_mark_and_quotes(self, tmp_path):
        assert open_dataset(write_text(tmp_path / "a.tsv", "\ufeffpath\tlabel\na,b.jpg\tx\n")).names == ("a,b.jpg",)
        assert open_dataset(write_text(tmp_path / "a.csv", '\ufeffpath,label\n"a,b.jpg",x\n')).names == ("a,b.jpg",)

    def test_list_whose_own_name_looks_like_a_pattern(self, tmp_path):
        assert open_dataset(write_text(tmp_path / "a[0]*.csv", "path\n1.jpg\n")).names == ("1.jpg",)

    def test_missing_file_is_said_when_it_is_opened(self, tmp_path):
        dataset = open_dataset(write_text(tmp_path / "a.csv", "path\ngone.jpg\n"))
        with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
            open_photograph(dataset.open(0))


class TestLabels:
    @pytest.mark.parametrize(
        ("cells", "labels"),
        [
            ("207,3", (207, 3)),
            ("207,-1", (207, -1)),
            ("207,", (207, None)),
            ("207,cat", ("207", "cat")),
            ("007,3", ("007", "3")),
            ('"",', (None, None)),
            ("1.0,2.0", (1, 2)),
            ("1.0,", (1, None)),
            ("3,nan", (3, None)),
            ("nan,cat", ("nan", "cat")),
            (" cat ,dog", ("cat", "dog")),
            ("True,False", ("True", "False")),
        ],
    )
    def test_csv(self, tmp_path, cells, labels):
        first, second = cells.split(",")
        assert (
            open_dataset(write_text(tmp_path / "a.csv", f"path,label\n1.jpg,{first}\n2.jpg,{second}\n")).labels
            == labels
        )

    @pytest.mark.parametrize(
        ("cells", "labels"),
        [
            ([207, None], (207, None)),
            (["207", None], ("207", None)),
            ([207.0, None], (207, None)),
            ([None, None], (None, None)),
        ],
    )
    def test_parquet(self, tmp_path, cells, labels):
        dataset = open_dataset(write_parquet(tmp_path / "a.parquet", path=["1.jpg", "2.jpg"], label=cells))
        assert dataset.labels == labels
        assert [type(label) for label in dataset.labels] == [type(label) for label in labels]

    def test_none_without_the_column(self, tmp_path):
        assert open_dataset(write_text(tmp_path / "a.csv", "path\n1.jpg\n")).labels == (None,)

    @pytest.mark.parametrize(("cells", "kind"), [([0.5, 1.0], "double"), ([True, False], "bool")])
    def test_other_kinds_are_refused(self, tmp_path, cells, kind):
        path = write_parquet(tmp_path / "a.parquet", path=["1.jpg", "2.jpg"], label=cells)
        assert refusal(path) == f"{path}: the labels in column 'label' are {kind}; expected whole numbers or text"


class TestRefused:
    def test_no_column_of_paths(self, tmp_path):
        path = write_text(tmp_path / "a.csv", "scan,label\n1.jpg,2\n")
        expected = "the columns are scan, label; expected one called path (or image, file, filename)"
        assert refusal(path) == f"{path}: {expected}"

    def test_no_rows(self, tmp_path):
        path = write_text(tmp_path / "a.csv", "path,label\n")
        assert refusal(path) == f"{path}: the list has no rows; expected one for each photograph"

    def test_nothing_at_all(self, tmp_path):
        path = write_text(tmp_path / "a.csv", "")
        assert (
            refusal(path) == f"{path}: the list is empty; expected a line of column names and a row for each photograph"
        )

    def test_twice(self, tmp_path):
        path = write_text(tmp_path / "a.csv", "path\n1.jpg\nx/../1.jpg\n2.jpg\n")
        assert (
            refusal(path) == f"{path}: {tmp_path}/1.jpg is listed twice (line 2 and line 3); list each photograph once"
        )

    def test_row_without_a_path(self, tmp_path):
        path = write_text(tmp_path / "a.csv", "path,label\n1.jpg,1\n,2\n")
        assert refusal(path) == f"{path}: line 3 has no path (None); expected text in every row"

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("a.parquet", "cannot be read as a parquet file ("), ("a.csv", "line 3 cannot be read as CSV (")],
    )
    def test_not_what_it_is_called(self, tmp_path, name, reason):
        path = tmp_path / name
        path.write_bytes(b"path\n" + bytes(range(128, 256)) + b'"\n"')
        assert refusal(path).startswith(f"{path}: {reason}")

    @pytest.mark.parametrize("cell", ["1.5", "1e3", "inf", "9" * 19, "+3"])
    def test_numbers_that_are_no_classes(self, tmp_path, cell):
        path = write_text(tmp_path / "a.csv", f"path,label\n1.jpg,2\n2.jpg,{cell}\n")
        assert f"column 'label' holds the label {cell}; expected whole numbers of at most 18 digits" in refusal(path)
