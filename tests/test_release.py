"""A release agrees with itself: version, changelog, citation and tag; and its archives hold every file."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

import check_archives
import check_conformance
import release_agreement
import shapleycam

ROOT = Path(__file__).parents[1]
FILES = ("src/shapleycam/version.py", "CHANGELOG.md", "CITATION.cff")


@pytest.fixture
def project(tmp_path):
    """The files of a release, which agree on the version 1.2.3."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / FILES[0]).write_text('"""Doc."""\n\n__version__ = "1.2.3"\n', encoding="utf-8")
    (tmp_path / FILES[1]).write_text(
        "# Changelog\n\n## Unreleased\n\n## 1.2.3, 2025-02-28\n\n- New.\n\n## 1.2.2, 2025-01-01\n", encoding="utf-8"
    )
    (tmp_path / FILES[2]).write_text('version: 1.2.3\ndate-released: "2025-02-28"\n', encoding="utf-8")
    return tmp_path


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


class TestAgreement:
    def test_of_this_checkout(self):
        assert list(release_agreement.disagreements(ROOT)) == []
        assert release_agreement.package_version(ROOT) == shapleycam.__version__
        assert release_agreement.unreleased_lines(ROOT) is not None

    def test_of_a_project_that_agrees(self, project):
        assert list(release_agreement.disagreements(project, "v1.2.3")) == []
        assert list(release_agreement.reasons_to_wait(project)) == []

    @pytest.mark.parametrize(
        ("file", "old", "new", "line"),
        [
            (0, '"1.2.3"', '"1.2.4"', "CHANGELOG.md: the newest section is of 1.2.3, and the package is 1.2.4"),
            (0, '"1.2.3"', '"1.2.4"', "CITATION.cff: version 1.2.3, and the package is 1.2.4"),
            (0, '"1.2.3"', '"1.2.4"', "tag v1.2.3: the package is 1.2.4; expected the tag v1.2.4"),
            (0, '"1.2.3"', "VERSION", "src/shapleycam/version.py: no line such as"),
            (1, "## 1.2.3, 2025-02-28", "## 1.2.3, unreleased", "CHANGELOG.md: the newest section is of 1.2.2"),
            (1, "2025-02-28", "2025-02-27", "CITATION.cff: date-released 2025-02-28, and CHANGELOG.md says 2025-02-27"),
            (1, "2025-02-28", "2025-02-30", "CHANGELOG.md: 2025-02-30 is no day of the calendar"),
            (2, "version: 1.2.3", "version: 1.2", "CITATION.cff: version 1.2, and the package is 1.2.3"),
            (2, "date-released", "date", "CITATION.cff: date-released None, and CHANGELOG.md says 2025-02-28"),
        ],
    )
    def test_each_disagreement_is_a_line(self, project, file, old, new, line):
        replace_in(project / FILES[file], old, new)
        lines = list(release_agreement.disagreements(project, "v1.2.3"))
        assert any(text.startswith(line) for text in lines), lines

    @pytest.mark.parametrize("tag", ["1.2.3", "v1.2.3rc1", "v1.2", "V1.2.3"])
    def test_of_another_tag(self, project, tag):
        (line,) = release_agreement.disagreements(project, tag)
        assert line == f"tag {tag}: the package is 1.2.3; expected the tag v1.2.3"

    def test_lines_that_would_be_left_out_of_the_release(self, project):
        replace_in(project / "CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- Newer.\n")
        assert list(release_agreement.disagreements(project)) == []
        (line,) = release_agreement.reasons_to_wait(project)
        assert line.startswith("CHANGELOG.md: there are lines under Unreleased (- Newer.)")

    def test_no_place_for_what_comes_next(self, project):
        replace_in(project / "CHANGELOG.md", "## Unreleased\n\n", "")
        (line,) = release_agreement.reasons_to_wait(project)
        assert line.startswith("CHANGELOG.md: no section '## Unreleased'")


class TestCitation:
    def test_names_the_software_and_the_paper(self):
        citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        assert (citation["title"], citation["license"]) == ("shapleycam", metadata("shapleycam")["License-Expression"])
        (paper,) = citation["references"]
        assert paper["authors"] == [{"family-names": "Cai", "given-names": "Huaiguang"}]
        assert paper["url"] in (ROOT / "README.md").read_text(encoding="utf-8")


class TestArchives:
    """Of a small project with one file too few or too many."""

    FILES = ("README.md", "src/shapleycam/__init__.py", "src/shapleycam/page.css", "tests/test_a.py")

    @pytest.fixture
    def archives(self, tmp_path, monkeypatch):
        """Builds archives of these names in a folder, in a checkout that tracks `FILES`."""
        for name in self.FILES:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
        subprocess.run(["git", "add", *self.FILES], cwd=tmp_path, check=True)
        monkeypatch.chdir(tmp_path)

        def build(sdist: tuple[str, ...], wheel: tuple[str, ...]) -> Path:
            (folder := tmp_path / "dist").mkdir()
            with tarfile.open(folder / "shapleycam-1.2.3.tar.gz", "w:gz") as archive:
                for name in ("PKG-INFO", *sdist):
                    archive.addfile(tarfile.TarInfo(f"shapleycam-1.2.3/{name}"), io.BytesIO())
            with zipfile.ZipFile(folder / "shapleycam-1.2.3-py3-none-any.whl", "w") as archive:
                for name in ("shapleycam-1.2.3.dist-info/METADATA", *wheel):
                    archive.writestr(name, "")
            return folder

        return build

    WHEEL = ("shapleycam/__init__.py", "shapleycam/page.css")

    def test_whole(self, archives):
        assert "4 files, all that git tracks" in check_archives.main(archives(self.FILES, self.WHEEL))

    @pytest.mark.parametrize(
        ("sdist", "wheel", "line"),
        [
            (FILES[:3], WHEEL, "shapleycam-1.2.3.tar.gz: 1 files are missing: tests/test_a.py"),
            ((*FILES, "notes.txt"), WHEEL, "shapleycam-1.2.3.tar.gz: 1 files are too many: notes.txt"),
            (FILES, WHEEL[:1], "shapleycam-1.2.3-py3-none-any.whl: 1 files are missing: shapleycam/page.css"),
            (FILES, (*WHEEL, "tests/a.py"), "shapleycam-1.2.3-py3-none-any.whl: 1 files are too many: tests/a.py"),
        ],
    )
    def test_a_file_too_few_or_too_many(self, archives, sdist, wheel, line):
        with pytest.raises(SystemExit) as caught:
            check_archives.main(archives(sdist, wheel))
        assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("cases", "skipped", "passes"), [(100, 0, True), (99, 0, False), (100, 1, False), (0, 0, False)]
)
def test_conformance_must_have_run(tmp_path, cases, skipped, passes):
    case = '<testcase classname="tests.test_conformance" name="a">{}</testcase>'
    body = case.format("") * (cases - skipped) + case.format("<skipped/>") * skipped
    other = '<testcase classname="tests.test_files" name="b"><skipped/></testcase>' * 200
    (tmp_path / "report.xml").write_text(f"<testsuites><testsuite>{body}{other}</testsuite></testsuites>", "utf-8")
    if passes:
        assert check_conformance.main(str(tmp_path / "report.xml")) == f"conformance: {cases} tests ran, none skipped"
    else:
        with pytest.raises(SystemExit, match=f"conformance: {cases} tests ran, {skipped} skipped"):
            check_conformance.main(str(tmp_path / "report.xml"))


@pytest.mark.skipif(shutil.which("bash") is None, reason="the steps are scripts of bash")
@pytest.mark.parametrize("arguments", [[], ["--published"], ["v0.2.0"]])
def test_a_release_is_not_made_by_mistake(arguments):
    ran = subprocess.run(["bash", ROOT / ".ci/steps/release", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "--dry-run" in ran.stderr
