"""`--removal` and `--reference`: the same in every command that computes values, and refused in one line."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from shapleycam import Explainer
from shapleycam.cli.removal import removal_arguments
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.titles import figure_title

NAMES = "'zero', 'mean', 'blur', 'impute', 'drop', 'samples'"
LAYER = ("--model", "tiny.py:network", "--layer", "convolution")


@pytest.fixture
def tiny_explainer(tiny, tmp_path, monkeypatch) -> Explainer:
    """The explainer of the commands' network, at a layer whose own mean is not what its head reads."""
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("tiny")
    sys.modules.pop("tiny")
    return Explainer(module.network(), layer="convolution", device="cpu")


def values_of(run, *arguments: object) -> torch.Tensor:
    ran = run("explain", *arguments, *LAYER, "--method", "hirescam", "--json", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    return torch.tensor(json.loads(ran.out)["explained"][0]["values"]["hirescam"])


def test_mean_over_the_images_own_places(run, tiny_explainer, hopper):
    values = values_of(run, hopper, "--removal", "mean")
    expected = tiny_explainer.explain(hopper, "hirescam", removal="mean").values[0]
    torch.testing.assert_close(values, expected)
    assert not torch.allclose(values, values_of(run, hopper))


def test_mean_over_reference_photographs_of_files_and_folders(run, tiny_explainer, hopper, photos, tmp_path):
    folder = tmp_path / "reference"
    folder.mkdir()
    for path in photos[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    values = values_of(run, hopper, "--removal", "mean", "--reference", folder, "--reference", photos[2])
    reference = [*sorted(folder.iterdir()), photos[2]]
    expected = tiny_explainer.explain(hopper, "hirescam", removal="mean", reference=reference).values[0]
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("name", ["r.npy", "r.npz"])
def test_a_file_of_numbers(run, tiny_explainer, hopper, tmp_path, name):
    numbers = np.linspace(-1, 1, 6, dtype=np.float32)
    (np.save if name.endswith("npy") else np.savez)(tmp_path / name, numbers)
    values = values_of(run, hopper, "--removal", name)
    expected = tiny_explainer.explain(hopper, "hirescam", removal=torch.from_numpy(numbers)).values[0]
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("command", ["explain", "compare", "fidelity", "interactions", "layers"])
def test_every_command_says_it(run, tiny, hopper, command):
    named = ("layers", tiny, "--image", hopper) if command == "layers" else (command, hopper, *LAYER)
    ran = run(*named, "--removal", "Mean", "--json", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["removal"] == "mean"
    words = run(*named, "--removal", "mean", "--quiet").out
    assert ("removal    mean" if command == "explain" else ", removal mean") in words
    assert "removal" not in run(*named, "--quiet").out  # zero, the paper's, is taken for granted


def test_the_saved_numbers_have_it(run, tiny, hopper, tmp_path):
    assert run("explain", hopper, *LAYER, "--removal", "mean", "--save").code == 0
    (file,) = tmp_path.glob("*.npz")
    explanation = Explanation.load(file)
    assert explanation.removal == "mean"
    assert figure_title("a.jpg", [explanation], "gradcam", "tiny")[1].endswith(", removal mean")


def test_a_report_of_photographs_says_it(run, tiny, hopper, tmp_path):
    assert run("report", hopper, *LAYER, "--removal", "mean", "--quiet").code == 0
    assert "utility rest, removal mean." in (tmp_path / "report.html").read_text(encoding="utf-8")


class Bomb:
    """A pickle of it makes a file where it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return Path.touch, (self.folder / "exploded",)


@pytest.fixture
def files(tmp_path) -> None:
    """Files that are no removal."""
    np.savez(tmp_path / "two.npz", a=np.ones(6), b=np.ones(6))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.save(tmp_path / "objects.npy", np.array([None], dtype=object), allow_pickle=True)
    np.save(tmp_path / "five.npy", np.ones(5))
    np.save(tmp_path / "nan.npy", np.full(6, np.nan))
    np.save(tmp_path / "complex.npy", np.ones(6, dtype=complex))
    np.save(tmp_path / "booleans.npy", np.ones(6, dtype=bool))
    np.save(tmp_path / "records.npy", np.ones(6, dtype=[("a", "f4"), ("b", "f4")]))
    np.save(tmp_path / "large.npy", np.full(6, 1e300))
    np.save(tmp_path / "longer.npy", np.full(6, np.longdouble(10) ** 4000))
    np.save(tmp_path / "single.npy", np.float32(1))
    np.save(tmp_path / "none.npy", np.ones((0,)))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }"
    (tmp_path / "boasts.npy").write_bytes(b"\x93NUMPY\x01\x00" + bytes([len(header) + 1, 0]) + header + b"\n" + b"1234")
    np.savez(tmp_path / "nothing.npz")
    with zipfile.ZipFile(tmp_path / "words.npz", "w") as archive:
        archive.writestr("read me.txt", "no array")
    torch.save(torch.ones(6), tmp_path / "torch.npy")
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Bomb(tmp_path)))
    (tmp_path / "blank.npy").touch()
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "circle.npy").symlink_to("circle.npy")
    (tmp_path / "damaged.npy").write_bytes(b"no numbers")
    (tmp_path / "empty").mkdir()


NUMBERS = ("i1", "u1", "i2", ">i2", "u2", "i4", "u4", ">i8", "u8", "f2", ">f2", "f4", ">f4", "f8", ">f8", "longdouble")


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_kind_and_order_of_bytes(tmp_path, kind):
    np.save(tmp_path / "r.npy", np.asfortranarray(np.arange(6).reshape(2, 3).astype(kind)))
    tensor, _ = removal_arguments(str(tmp_path / "r.npy"), None)
    assert torch.equal(tensor.double(), torch.arange(6.0, dtype=torch.float64).reshape(2, 3))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the administrator")
def test_a_file_that_may_not_be_read(tmp_path, refused, hopper, tiny):
    np.save(tmp_path / "r.npy", np.ones(6))
    (tmp_path / "r.npy").chmod(0)
    assert "r.npy: cannot be read (Permission denied)" in refused("explain", hopper, *LAYER, "--removal", "r.npy")


@pytest.mark.usefixtures("tiny", "files")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("men",),
            f"removal 'men' is unknown; expected {NAMES}, or a file of numbers, .npy or .npz",
        ),
        (
            ("r.pt",),
            "removal 'r.pt' is unknown; expected 'zero', 'mean', 'blur', 'impute', 'drop', 'samples', or a file",
        ),
        (("no.npy",), "removal no.npy: cannot be read (No such file or directory); check the path"),
        (("damaged.npy",), "removal damaged.npy: not numbers of NumPy ("),
        (("objects.npy",), "removal objects.npy: not numbers of NumPy (Object arrays cannot be loaded"),
        (("words.npy",), "removal words.npy holds <U1 (1,); expected one array of numbers"),
        (("two.npz",), "removal two.npz holds float64 (6,), float64 (6,); expected one array of numbers"),
        (
            ("five.npy",),
            "has shape (5,); expected the activation's, (1, 6, 4, 4), or (6, 4, 4) for all images, or (6,)",
        ),
        (("complex.npy",), "removal complex.npy holds complex128 (6,); expected one array of numbers"),
        (("booleans.npy",), "removal booleans.npy holds bool (6,); expected one array of numbers"),
        (
            ("records.npy",),
            "removal records.npy holds [('a', '<f4'), ('b', '<f4')] (6,); expected one array of numbers",
        ),
        (("large.npy",), "in the activation's precision (torch.float32), holds NaN or infinity"),
        (("longer.npy",), "holds NaN or infinity; expected finite numbers"),
        (("single.npy",), "has shape (); expected the activation's, (1, 6, 4, 4)"),
        (("none.npy",), "has shape (0,); expected the activation's, (1, 6, 4, 4)"),
        (("boasts.npy",), "removal boasts.npy: not numbers of NumPy ("),
        (("nothing.npz",), "removal nothing.npz holds nothing; expected one array of numbers"),
        (("words.npz",), "removal words.npz holds a file that is no array (bytes); expected one array of numbers"),
        (("torch.npy",), "removal torch.npy"),
        (("pickle.npy",), "removal pickle.npy: not numbers of NumPy ("),
        (("blank.npy",), "removal blank.npy: not numbers of NumPy ("),
        (("folder.npy",), "removal folder.npy: cannot be read (a folder); check the path"),
        (("pipe.npy",), "removal pipe.npy: cannot be read ("),
        (("circle.npy",), "removal circle.npy: cannot be read (Too many levels of symbolic links); check the path"),
        (("nan.npy",), "removal holds NaN or infinity; expected finite numbers"),
        (("zero", "--reference", "empty"), "--reference was given with removal 'zero'; expected --removal mean"),
        (("mean", "--reference", "empty"), "empty: a folder without pictures"),
        (("samples",), "removal 'samples' takes reference photographs to stand in; give them as --reference"),
        (("mean", "--reference", "no.jpg"), "--reference: no.jpg: no such file; check the path"),
    ],
)
def test_refusals(refused, hopper, arguments, says):
    assert says in refused("explain", hopper, *LAYER, "--removal", *arguments)
    assert not Path("exploded").exists()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("command", ["explain", "compare", "fidelity", "interactions", "layers", "evaluate", "report"])
def test_it_is_in_every_help(run, command):
    words = " ".join(run(command, "--help").out.split())
    assert "--removal zero|mean|blur|impute|drop|samples|FILE" in words
    assert "--reference IMAGE" in words


def test_the_papers_tables_are_of_zero_alone(refused):
    assert "--removal" in refused("reproduce", "--imagenet", "x", "--removal", "mean")
