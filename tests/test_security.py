"""What docs/security.md promises, where no other test shows it; and that the tests it names are there."""

from __future__ import annotations

import ast
import io
import re
import runpy
import socket
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import shapleycam
from shapleycam.errors import ImageError, ShapleyCamError, ShapleyCamWarning, warn
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph
from shapleycam.models import zoo

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src/shapleycam").rglob("*.py"))
RUN_TEXT = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "subprocess.getoutput"}
UNPICKLE = {"pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "np.load", "numpy.load"}
MAY_UNPICKLE = {
    "experiments/started_chunk.py",
    "cli/removal.py",
    "explanations/storage.py",
    "models/checkpoint.py",
    "models/lite_networks.py",
}


def calls_in(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Return the dotted name of each call in a file, with those of its keyword arguments that are constants."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    constants = [
        {each.arg: each.value.value for each in call.keywords if each.arg and isinstance(each.value, ast.Constant)}
        for call in calls
    ]
    return [(ast.unparse(call.func), options) for call, options in zip(calls, constants, strict=True)]


def test_calls_that_run_text():
    for path in SOURCES:
        for name, options in calls_in(path):
            assert name not in RUN_TEXT, f"{path} calls {name}"
            assert not options.get("shell"), f"{path} starts a shell"


def test_calls_that_unpickle():
    found = set()
    for path in SOURCES:
        place = path.relative_to(ROOT / "src/shapleycam").as_posix()
        for name, options in calls_in(path):
            if name in UNPICKLE and not place.startswith("experiments/engines/ray/"):  # what its own workers sent
                found.add(place)
                assert options.get("weights_only") is True or options.get("allow_pickle") is False, f"{place}: {name}"
    assert found == MAY_UNPICKLE


def test_the_tests_that_the_page_names_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)*)`", (ROOT / "docs/security.md").read_text(encoding="utf-8"))
    assert len(named) > 12
    for file, parts in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        for part in filter(None, parts.split("::")):
            assert re.search(rf"(class|def) {part}\b", text), f"{file} has no {part}"


@pytest.mark.slow
def test_nothing_is_fetched(hopper, monkeypatch):
    def fail(*args):
        raise AssertionError(f"a connection to {args}")

    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    explanation = shapleycam.Explainer(zoo.load_network(zoo.DEFAULT), device="cpu").explain(hopper, "gradcam")
    assert explanation.label() == "academic gown"


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def write_archive(path: Path, name: str) -> Path:
    """Write a tar or a zip with one picture of this name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, png())
    else:
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(png())
            archive.addfile(info, io.BytesIO(png()))
    return path


@pytest.fixture
def empty_folders(tmp_path, monkeypatch):
    """The working folder, and the one for temporary files."""
    folders = [tmp_path / "work", tmp_path / "temporary"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    monkeypatch.setattr(tempfile, "tempdir", str(folders[1]))
    return folders


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_archives_are_not_extracted(suffix, tmp_path, empty_folders):
    dataset = open_dataset(write_archive(tmp_path / f"a{suffix}", "folder/a.png"))
    assert open_photograph(dataset.open(0)).size == (8, 8)
    assert [list(folder.iterdir()) for folder in empty_folders] == [[], []]


@pytest.mark.parametrize("name", ["../../a.png", "/tmp/a.png"])  # noqa: S108  that is what an attacker writes
@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_paths_that_lead_out_of_an_archive(name, suffix, tmp_path, empty_folders):
    before = sorted(tmp_path.rglob("*"))
    path = write_archive(tmp_path / f"a{suffix}", name)
    with pytest.raises(ImageError) as refused:
        open_dataset(path)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])
    assert not any(list(folder.iterdir()) for folder in empty_folders)


@pytest.mark.parametrize(
    "hostile", ["two\nlines", "\x1b[2J\x1b]0;title\x07", "\r\x08", "\u202egpj.exe", "\udcff", "\u2028"]
)
def test_messages_are_one_printable_line(hostile):
    with pytest.warns(ShapleyCamWarning) as warned:
        warn(ShapleyCamWarning, f"{hostile}.jpg: odd")
    for message in (str(ShapleyCamError(f"{hostile}.jpg: damaged")), str(ImageError(hostile)), str(warned[0].message)):
        assert message.isprintable()
        assert message.encode("utf-8")


class TestAdvisories:
    """What the step `.ci/steps/audit` makes of pip-audit's answers."""

    SAFE, VULNERABLE, UNKNOWN = (
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "version": "2", "vulns": [{"id": "CVE-2025-32434"}]},
        {"name": "c", "skip_reason": "Dependency not found on PyPI"},
    )

    @pytest.fixture
    def verdict(self):
        return runpy.run_path(str(ROOT / ".ci/advisories.py"))["verdict"]

    @pytest.mark.parametrize("on_github", [False, True])
    def test_a_known_vulnerability_fails_everywhere(self, verdict, on_github):
        text, code = verdict([self.SAFE, self.VULNERABLE], on_github=on_github)
        assert "b 2: CVE-2025-32434" in text
        assert code == 1

    @pytest.mark.parametrize("packages", [[SAFE, UNKNOWN], [UNKNOWN], []])
    def test_what_could_not_be_looked_up_fails_on_github_alone(self, verdict, packages):
        text, code = verdict(packages, on_github=False)
        assert "\n" not in text
        assert code == 0
        assert verdict(packages, on_github=True)[1] == 1

    def test_all_looked_up_and_safe(self, verdict):
        assert verdict([self.SAFE], on_github=True) == ("no known vulnerabilities in 1 packages", 0)
