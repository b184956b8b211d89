"""PyTorch and torchvision that do not belong together, or are not there: one line says so."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from importlib.metadata import version

import pytest

from shapleycam.errors import ShapleyCamError
from shapleycam.installation import clear_import_errors

NO_LIBRARY = "raise OSError('libcudart.so.13: cannot open shared object file')"
BROKEN = {
    ("torchvision", "raise RuntimeError('operator torchvision::nms\\ndoes not exist')"): (
        "torchvision cannot be imported (RuntimeError: operator torchvision::nms does not exist)"
    ),
    ("torch", NO_LIBRARY): "torch cannot be imported (OSError: libcudart.so.13: cannot open shared object file)",
    ("torch", "import torch_"): "torch cannot be imported (ModuleNotFoundError: No module named 'torch_')",
}
PROGRAMS = {
    "command": "import sys; sys.argv[1:] = ['methods']; from shapleycam.cli import main; main()",
    "name": "import shapleycam\ntry:\n    shapleycam.Explainer\nexcept shapleycam.ShapleyCamError as error:\n"
    "    print('error:', error, file=__import__('sys').stderr)\n    raise SystemExit(2)",
}


def write_package(folder, name: str, code: str):
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    return folder / name / "__init__.py"


@pytest.mark.parametrize(("package", "code"), BROKEN)
def test_an_error_while_one_of_them_is_imported_names_both_versions(package, code, tmp_path):
    path = write_package(tmp_path, package, code)
    with pytest.raises(ShapleyCamError) as raised, clear_import_errors():
        runpy.run_path(str(path))
    versions = f"torch {version('torch')} and torchvision {version('torchvision')}"
    assert str(raised.value).startswith(f"{BROKEN[package, code]}; installed are {versions}, which must belong")


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_one_that_is_missing(package):
    with pytest.raises(ShapleyCamError, match=f"^{package} cannot be imported"), clear_import_errors():
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)


@pytest.mark.parametrize("code", ["raise RuntimeError('mine')", "import torch_that_is_not_there"])
def test_errors_of_other_packages_stay_what_they_are(code, tmp_path):
    path = write_package(tmp_path, "model", code)
    with pytest.raises((RuntimeError, ModuleNotFoundError), match=r"mine|torch_that"), clear_import_errors():
        runpy.run_path(str(path))


@pytest.mark.parametrize("program", PROGRAMS)
def test_is_one_line_wherever_it_is_met(program, tmp_path):
    write_package(tmp_path, "torch", NO_LIBRARY)
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "500"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAMS[program]], capture_output=True, text=True, check=False, env=environment
    )
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: torch cannot be imported (OSError: libcudart.so.13")


def test_importing_the_package_loads_no_other_package():
    program = (
        "import sys; before = set(sys.modules); import shapleycam; shapleycam.__version__\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["shapleycam"]
