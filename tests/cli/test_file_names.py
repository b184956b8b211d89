"""Every command takes photographs of any file name, and spells it so that it can be printed and stored."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapleycam.experiments import Store
from shapleycam.output_names import class_part, output_stem, stem_limit, unique_stems
from shapleycam.printable import printable_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
FOLDER = os.fsdecode(b"phot\xf6s")
NAMES = {
    os.fsdecode(b"caf\xe9.png"): r"caf\xe9.png",
    r"caf\xe9.png": r"caf\x5cxe9.png",
    "a\nb.png": r"a\x0ab.png",
    "\x1b[31mred.png": r"\x1b[31mred.png",
    "<b>&'\".png": "<b>&'\".png",
}
"""File names, and their spellings."""
BROKEN = r"br\xf6ken.png"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of photographs of such names, and one that cannot be read."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / os.fsdecode(b"br\xf6ken.png")).write_bytes(b"nothing")
    return folder


def spelled(name: str) -> str:
    return rf"phot\xf6s/{name}"


def portable(spelling: str) -> str:
    """Return the stem of a photograph's files, without what Windows refuses."""
    return re.sub(r'[<>:"/\\|?*]', "-", spelling.removesuffix(".png"))


def strict(text: str) -> str:
    """Return a text that has no lone surrogate, so that any program reads it."""
    text.encode()
    return text


def test_explain(run, tiny, photos):
    ran = run("explain", FOLDER, "--model", tiny, "--json", "--save", "--out", "maps", "--quiet")
    assert ran.code == 2
    documents = [json.loads(line) for line in ran.out.splitlines()]
    images = {strict(document["image"]): document for document in documents}
    assert images.keys() == {*map(spelled, NAMES.values()), spelled(BROKEN)}
    assert strict(images[spelled(BROKEN)]["error"]).startswith(spelled(f"{BROKEN}: not an image"))
    for name in NAMES.values():
        (row,) = images[spelled(name)]["explained"]
        stem = f"{portable(name)}_{row['label']}-{row['class']}"
        assert images[spelled(name)]["files"] == [f"maps/{stem}_pathcam-h.png", f"maps/{stem}_pathcam-h.npz"]
        for file in images[spelled(name)]["files"]:
            assert Path(file).stat().st_size > 0
    reason = spelled(rf"{BROKEN}: not an image in a format that Pillow reads; convert it to PNG or JPEG")
    assert ran.err == f"error: {reason}\n"


def test_explain_in_words(run, tiny, photos):
    ran = run("explain", FOLDER, "--model", tiny, "--quiet")
    titles = [line for line in ran.out.splitlines() if line and not line.startswith(" ")]
    assert sorted(titles) == sorted(map(spelled, NAMES.values()))


@pytest.mark.parametrize("command", ["compare", "interactions"])
def test_one_photograph(run, tiny, photos, command):
    for name, spelling in NAMES.items():
        options = ("--method", "gradcam") if command == "compare" else ()
        ran = run(command, photos / name, "--model", tiny, *options, "--json", "--quiet")
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert strict(document["image"]).endswith(spelled(spelling))
        file = document.get("file") or document["written"]
        assert re.fullmatch(rf"{re.escape(portable(spelling))}_[a-z]+-\d_{command}\.png", file)
        assert Path(file).is_file()


def test_fidelity(run, tiny, photos):
    ran = run(
        "fidelity", FOLDER, "--model", tiny, "--method", "gradcam", "--csv", "f.csv", "--players", "2x2", "--quiet"
    )
    assert ran.code == 2
    with Path("f.csv").open(newline="", encoding="utf-8") as file:
        images = [row["image"] for row in csv.DictReader(file)]
    assert sorted(images) == sorted(map(spelled, NAMES.values()))


def test_report_of_photographs(run, tiny, photos):
    ran = run("report", FOLDER, "--model", tiny, "--method", "gradcam", "--quiet")
    assert ran.code == 2
    page = Path("report.html").read_text(encoding="utf-8")
    assert r"phot\xf6s/caf\xe9.png" in page
    assert r"phot\xf6s/caf\x5cxe9.png" in page
    assert r"phot\xf6s/br\xf6ken.png: not an image" in page
    assert "\x1b" not in page
    assert "<b>&amp;" not in page


def test_evaluation_table_and_report(run, tiny, photos):
    options = ("--model", tiny, "--method", "gradcam", "--method", "layercam", "--metric", "complexity", "--quiet")
    out = os.fsdecode(b"r\xf6n")
    ran = run("evaluate", FOLDER, *options, "--out", out, "--workers", 0)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == f"5 images measured, 1 could not be measured ({BROKEN}); results in r\\xf6n"
    rows = Store(out).rows()
    assert set(rows["image"]) == {*NAMES.values(), BROKEN}
    assert rows.filter(status="error")["message"].to_list() == [
        spelled(r"br\xf6ken.png: not an image in a format that Pillow reads; convert it to PNG or JPEG")
    ]
    again = run("evaluate", FOLDER, *options, "--out", out)
    assert (again.code, again.out) == (0, ran.out)
    assert run("table", out, "--format", "csv").code == 0
    report = run("report", out, "--model", tiny, "--out", "of_run.html")
    assert report.code == 0, report.err
    page = Path("of_run.html").read_text(encoding="utf-8")
    assert any(f"{spelling}" in page for spelling in NAMES.values() if "<" not in spelling)
    assert "<b>&" not in page
    assert "holds other photographs" not in page


class TestNotes:
    """What is left out of a folder is one line, unless it is quiet."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "in").mkdir()
        for name in ("a.png", ".hidden.png"):
            Image.new("RGB", (40, 40), "red").save(tmp_path / "in" / name)
        return tmp_path / "in"

    @pytest.mark.parametrize("command", ["explain", "report", "evaluate"])
    def test_is_a_line(self, run, tiny, folder, command):
        options = ("--method", "gradcam", "--utility", "logit")
        quick = ("--metric", "complexity", "--out", "run") if command == "evaluate" else ()
        ran = run(command, "in", "--model", tiny, *options, *quick)
        assert ran.code == 0, ran.err
        line = "note: in: 1 hidden photograph left out (.hidden.png); rename what begins with a dot, if it is wanted"
        assert ran.err.splitlines().count(line) == 1
        assert "Warning" not in ran.err


class TestStems:
    def test_a_long_name_is_cut_and_stays_unique(self):
        names = ["é" * 120 + ".png", "é" * 120 + "2.png", os.fsdecode(b"\xe9" * 200 + b".png")]
        stems = [output_stem(Path(name)) for name in names]
        assert len(set(stems)) == 3
        assert all(len(stem.encode()) <= 105 for stem in stems)
        assert stems[0].startswith("é" * 48 + "-")

    def test_many_of_one_name_take_no_time(self):
        photos = [Path(f"{number}/image.png") for number in range(20_000)]
        assert list(unique_stems(photos).values())[-1] == "image-20000"

    def test_the_longest_name_can_be_written(self, run, tiny, tmp_path):
        name = "x" * 251 + ".png"
        Image.new("RGB", (40, 40)).save(tmp_path / name)
        ran = run("explain", name, "--model", tiny, "--quiet")
        assert ran.code == 0, ran.err
        (file,) = (file for file in Path().iterdir() if file.name.startswith(output_stem(Path(name))))
        assert file.name.endswith("_pathcam-h.png")

    @pytest.mark.parametrize("longest", [255, 143])  # of most disks, and of eCryptfs
    def test_names_are_no_longer_than_the_disk_allows(self, monkeypatch, longest):
        monkeypatch.setattr(os, "pathconf", lambda *_: longest)
        stems = unique_stems([Path(f"{folder}/{'é' * 120}.png") for folder in range(1000)], stem_limit(Path()))
        words = class_part(99_999, "犬" * 200)
        for stem in stems.values():
            assert len(f"{stem}_{words}-not-{words}_interactions.png".encode()) <= longest
        assert len({stem.casefold() for stem in stems.values()}) == 1000

    def test_where_the_system_does_not_say_it_is_255(self, monkeypatch):
        monkeypatch.delattr(os, "pathconf")
        assert stem_limit(Path()) == 105

    @pytest.mark.parametrize(
        ("label", "expected"),
        [
            ("academic gown", "academic-gown-7"),
            ("crane (bird)", "crane-bird-7"),
            ("AC/DC: a <band>", "AC-DC-a-band-7"),
            ("../../etc/passwd", "etc-passwd-7"),
            ("कुत्ता", "कुत्ता-7"),
            ("caf\u0065\u0301", "caf\u00e9-7"),
            ("line\nbreak\u202e", "line-break-7"),
            ("\ud800", "class-7"),
            ("", "class-7"),
            ("class 7", "class-7"),
        ],
    )
    def test_a_class_is_a_part_of_a_name(self, label, expected):
        assert class_part(7, label) == expected

    def test_the_other_class_is_in_the_name(self, run, tiny, hopper):
        for against, other in (("stork", "stork-3"), ("0", "cat-0")):
            ran = run(
                "explain", hopper, "--model", tiny, "--target", "heron", "--against", against, "--json", "--quiet"
            )
            assert json.loads(ran.out)["files"] == [f"grace_hopper_heron-2-not-{other}_pathcam-h.png"]
        ran = run("compare", hopper, "--model", tiny, "--target", "dog", "--against", "cat", "--json", "--quiet")
        assert json.loads(ran.out)["file"] == "grace_hopper_dog-1-not-cat-0_compare.png"


class TestPicturesThatDiffer:
    @pytest.mark.parametrize("command", ["explain", "compare"])
    def test_have_names_that_differ(self, run, tiny, hopper, command):
        options = ((), ("--sign", "negative"), ("--sign", "both"), ("--smooth", "eigen"), ("--removal", "mean"))
        for more in options:
            ran = run(command, hopper, "--model", tiny, "--target", "dog", "--method", "gradcam", *more)
            assert ran.code == 0, ran.err
            assert "replaced" not in ran.err
        stem = "grace_hopper_dog-1_" + {"explain": "gradcam", "compare": "compare"}[command]
        ends = ("", "-negative", "-both", "-eigen", "-mean")
        assert {file.name for file in Path().glob("*.png")} == {f"{stem}{end}.png" for end in ends}
        assert len({file.read_bytes() for file in Path().glob("*.png")}) == 5

    @pytest.mark.parametrize("command", ["explain", "compare", "interactions"])
    def test_of_one_name_replace_each_other_with_a_note(self, run, tiny, hopper, command):
        line = r"note: grace_hopper_dog-1_[\w-]+\.png: an earlier file of this name was replaced; to keep both, "
        line += "choose --out"
        runs = ("rest", (), 0), ("rest", (), 0), ("logit", (), 1), ("rest", ("--quiet",), 0)
        for utility, more, is_noted in runs:
            ran = run(command, hopper, "--model", tiny, "--target", "dog", "--utility", utility, *more)
            assert ran.code == 0, ran.err
            assert len(re.findall(line, " ".join(ran.err.split()))) == is_noted


class TestPathsThatAreRefused:
    @pytest.mark.parametrize("command", ["explain", "compare", "interactions", "fidelity", "report"])
    @pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "x/" * 3000, "s3://" + "x" * 300])
    def test_names_that_are_too_long(self, run, tiny, command, name):
        ran = run(command, name, "--model", tiny)
        assert ran.code == 2
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1

    @pytest.mark.parametrize("command", ["explain", "compare", "evaluate"])
    def test_pipes_do_not_wait(self, refused, tiny, tmp_path, command):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert "pipe.jpg: cannot be read (a named pipe, no regular file)" in refused(
            command, "pipe.jpg", "--model", tiny
        )

    def test_a_link_to_itself(self, refused, tiny, tmp_path):
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        assert "loop.jpg: cannot be read (Too many levels" in refused("explain", "loop.jpg", "--model", tiny)


def test_spelling_is_unique_and_has_no_breaks():
    names = [*NAMES, "a\u2028b", "a\u0085b", "a\\u2028b", os.fsdecode(b"\x85"), "a\\b", "50%.png", "日本.png"]
    spellings = [printable_name(name) for name in names]
    assert len(set(spellings)) == len(names)
    assert all(len(strict(spelling).splitlines()) == 1 for spelling in spellings)
    assert spellings[-3:] == ["a\\b", "50%.png", "日本.png"]
