"""The import contracts of pyproject.toml hold, and find an import that they forbid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shapleycam

pytest.importorskip("importlinter")

PACKAGE = Path(shapleycam.__file__).parent
CONTRACTS = Path(__file__).parents[1] / "pyproject.toml"
COMMAND = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint_imports(folder: Path) -> tuple[int, str]:
    """Check the contracts on the package that lies in a folder; return the exit code and the report."""
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, str(CONTRACTS), "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def copied_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package's code."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "shapleycam", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_import_contracts_are_kept():
    code, report = lint_imports(PACKAGE.parent)
    assert code == 0, report
    assert "2 kept, 0 broken" in report


FORBIDDEN = {
    "import shapleycam.explaining": "explaining",
    "from shapleycam import cli, web": "web",
    "from shapleycam import Explainer": "explaining",
    "from shapleycam.fidelity import fidelity": "fidelity",
    "from .. import drawing": "drawing",
    "from ..explaining import Explainer": "explaining",
    "def f():\n    from shapleycam.metrics import METRICS": "metrics",
    "import typing\nif typing.TYPE_CHECKING:\n    import shapleycam.web": "web",
}
"""Statements that may not stand in shapleycam.cams, and the package that each would import."""


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_forbidden_import_is_found(copied_package, statement):
    added = copied_package / "shapleycam" / "cams" / "added.py"
    added.write_text(f"import torch\n{statement}\n")
    code, report = lint_imports(copied_package)
    added.unlink()
    assert code != 0
    assert f"shapleycam.cams is not allowed to import shapleycam.{FORBIDDEN[statement]}" in report


def test_a_circle_is_found(copied_package):
    cams = copied_package / "shapleycam" / "cams"
    (cams / "one.py").write_text("from shapleycam.cams import two\n")
    (cams / "two.py").write_text("from . import one\n")
    code, report = lint_imports(copied_package)
    (cams / "one.py").unlink()
    (cams / "two.py").unlink()
    assert code != 0
    assert "No cycles are allowed in shapleycam.cams" in report


def test_a_module_without_a_place_in_the_order_is_found(copied_package):
    added = copied_package / "shapleycam" / "added.py"
    added.write_text("")
    code, report = lint_imports(copied_package)
    added.unlink()
    assert code != 0
    assert "shapleycam.added" in report


def test_every_test_file_has_a_name_of_its_own():
    """Test folders are no packages: pytest imports their files by bare names."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
