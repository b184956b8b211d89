"""Copies of one photograph in a dataset are no further observations: the run and its tables say so."""

from __future__ import annotations

import io
import shutil
import zipfile

import pytest
from PIL import Image

from helpers.small_evaluations import folder_of, picture, run_evaluation
from shapleycam.errors import RepeatedImageWarning
from shapleycam.experiments import Store
from shapleycam.experiments.datasets.copies import find_copies
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.datasets.snapshot import take_snapshot
from shapleycam.experiments.merging import summarise_runs
from shapleycam.experiments.results.notes import notes_of


def copies_in(data):
    dataset = open_dataset(data)
    return find_copies(dataset, take_snapshot(dataset))


@pytest.fixture
def shots(tmp_path):
    """Three photographs, the second of them twice more, once in another folder."""
    folder = folder_of(tmp_path / "shots", 3)
    second = sorted(folder.iterdir())[1]
    shutil.copy(second, folder / "zzz.png")
    return folder, second.name


def test_the_run_warns_and_its_table_says_it_also_when_it_goes_on(shots, tmp_path):
    folder, original = shots
    says = f"1 image is a copy of another: zzz.png .of {original}.. A copy counts again in means, and makes intervals"
    for _ in range(2):
        with pytest.warns(RepeatedImageWarning, match=says):
            run_evaluation(folder, tmp_path / "run")
    summary = summarise_runs([Store(tmp_path / "run")])
    assert summary.copies == (("zzz.png", original),)
    assert [note for note in notes_of(summary, None, intervals=True) if f"zzz.png (of {original})" in note]


def test_a_dataset_without_copies_says_nothing(tmp_path):
    store = run_evaluation(folder_of(tmp_path / "shots", 3), tmp_path / "run")
    summary = summarise_runs([store])
    assert summary.copies == ()
    assert not [note for note in notes_of(summary, None, intervals=True) if "cop" in note]


def test_files_of_the_same_size_and_middle_are_no_copies(tmp_path):
    """The signature of a file is its size and 4 KiB in its middle, which two bitmaps may share."""
    for name, corner in (("a.bmp", 0), ("b.bmp", 255)):
        image = Image.new("RGB", (200, 200), (90, 90, 90))
        image.putpixel((0, 0), (corner, 0, 0))
        image.save(tmp_path / name)
    shutil.copy(tmp_path / "b.bmp", tmp_path / "c.bmp")
    assert copies_in(tmp_path) == [("c.bmp", "b.bmp")]


def test_copies_in_an_archive_are_found(tmp_path):
    content = [io.BytesIO() for _ in range(2)]
    for seed, file in enumerate(content):
        picture(seed).save(file, "PNG")
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name, number in (("a/1.png", 0), ("a/2.png", 1), ("b/3.png", 0)):
            archive.writestr(name, content[number].getvalue())
    assert copies_in(tmp_path / "shots.zip") == [("b/3.png", "a/1.png")]


def test_where_the_label_is_explained_one_image_with_two_labels_is_two_questions(tmp_path):
    (shot,) = folder_of(tmp_path / "shots", 1).iterdir()
    for name in ("ant/1.png", "bee/2.png", "bee/3.png"):
        (tmp_path / "classes" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shot, tmp_path / "classes" / name)
    dataset = open_dataset(tmp_path / "classes")
    copies = find_copies(dataset, take_snapshot(dataset), by_label=True)
    assert copies == [("bee/3.png", "bee/2.png")]
    assert len(copies_in(tmp_path / "classes")) == 2
