"""The study's script on a tiny network: its runs, its stop, its rows and its tables."""

from __future__ import annotations

import lzma
import re
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from helpers.four_colours import colour_photographs
from helpers.small_evaluations import HERE, QUICK, folder_of, tiny_network
from shapleycam.experiments import Evaluation, Store
from shapleycam.experiments.datasets.opening import open_dataset

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "bench"))

import study  # noqa: E402

NETWORK = f"{ROOT / 'tests/helpers/small_evaluations.py'}:tiny_network"
METHODS = ["gradcam", "layercam", "randomcam", "shapleycam", "pathcam-h", "sampledshapley"]
PROTOCOL = f"""
seed = 0
batch_size = 4
[[parts]]
name = "pooled"
networks = ["{NETWORK}"]
layers = ["features"]
utilities = ["log_probability", "rest"]
methods = {METHODS}
metrics = ["average_drop", "coherency", "complexity", "adcc", "shapley_error", "shapley_spearman"]
tolerance = 0.05
images = 6
[[parts]]
name = "half"
networks = ["{NETWORK}"]
layers = ["features"]
utilities = ["rest"]
methods = ["gradcam", "shapleycam", "layercam"]
metrics = ["saco", "shapley_spearman"]
tolerance = 0.01
images = 3
"""
COLOURS = f"{ROOT / 'tests/helpers/four_colours.py'}:four_colours"
MOSAICS = f"""
seed = 0
batch_size = 4
[[parts]]
name = "mosaics"
networks = ["{COLOURS}"]
layers = ["patches"]
utilities = ["logit"]
methods = ["gradcam", "pathcam-h", "sampledshapley"]
metrics = ["relevance_mass", "shapley_spearman"]
class_rule = "label"
mosaic = 2
cell_side = 8
tolerance = 0.05
images = 5
"""


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str, text: str = PROTOCOL) -> Path:
    protocol = folder / "study.toml"
    protocol.write_text(text, encoding="utf-8")
    out, words = (
        folder / "out",
        [str(folder / "photos"), "--protocol", str(protocol), "--device", "cpu", "--resamples", "3000"],
    )
    monkeypatch.setattr(sys, "argv", ["study.py", *words, *options, "--out", str(out)])
    study.main()
    return out


def test_the_study(monkeypatch, tmp_path, capsys):
    folder_of(tmp_path / "photos", 6)
    out = run(monkeypatch, tmp_path)
    with lzma.open(out / "study.csv.xz") as file:
        rows = pl.read_csv(file.read())
    assert rows.group_by("part").len().sort("part").rows() == [("half", 3 * 3), ("pooled", 6 * 2 * len(METHODS))]
    report = (out / "study.md").read_text(encoding="utf-8")
    # Five pairs of the first part, at two utilities by five metrics (ADCC of means is one), and one pair of the second.
    assert "for all 51 leads" in report
    by_method = {
        name: rows.filter(part="pooled", utility="rest", method=name)["average_drop"].mean() for name in METHODS[:4]
    }
    section = report.split("**shapleycam than gradcam, pooled**")[1]
    line = next(line for line in section.splitlines() if "| rest |" in line)
    lead = float(re.split(r" ?\| ?", line)[5].strip("*").split()[0])
    assert lead == pytest.approx(100 * (by_method["gradcam"] - by_method["shapleycam"]), abs=0.06)
    capsys.readouterr()
    run(monkeypatch, tmp_path, "--plan")
    assert "0 images to do" in capsys.readouterr().out


def test_a_part_of_mosaics(monkeypatch, tmp_path):
    """The logit is a mean over places of which one cell alone has the colour: all evidence lies there."""
    colour_photographs(tmp_path / "photos")
    out = run(monkeypatch, tmp_path, "--parts", "mosaics", text=MOSAICS)
    with lzma.open(out / "study.csv.xz") as file:
        rows = pl.read_csv(file.read()).filter(pl.col("method") != "gradcam")
    assert rows["relevance_mass"].to_list() == pytest.approx([1] * 10, abs=1e-3)
    assert f"| mosaics | {COLOURS} | patches | logit | 3 | 5 | 5% |" in (out / "study.md").read_text(encoding="utf-8")


def test_time_that_is_up_leaves_nothing_begun(monkeypatch, tmp_path, capsys):
    folder_of(tmp_path / "photos", 3)
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, tmp_path, "--seconds", "0", "--parts", "half")
    assert "nothing is measured yet" in capsys.readouterr().err


def test_time_that_is_up_loses_no_chunk(tmp_path):
    """Stopped after whole chunks of 32 images, the run has the rows of all of them but one batch."""

    class Slow(study.Clock):
        @property
        def elapsed(self):
            return self.images

    clock = Slow(seconds=30, batch_size=4)
    data, settings = open_dataset(folder_of(tmp_path / "photos", 70)), replace(HERE, batch_size=4)
    evaluation = Evaluation([tiny_network()], data, QUICK, tmp_path / "out", settings=settings)
    with pytest.raises(study.TimeIsUp):
        evaluation.run(clock)
    store = Store(tmp_path / "out")
    assert sum(map(len, store.measured(store.manifest["order"][0]))) == 32


def test_refuses_a_part_that_is_not_there(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "--parts", "thirds")
    assert "expected some of pooled, half" in capsys.readouterr().err
