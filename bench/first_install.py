"""Does what README says first work on a fresh clone, and do the tests run from the sdist?

python bench/first_install.py [--python V ...]     prints, and writes bench/results/first_install.md

For each Python that is named (and that uv finds on this machine), the commit that is checked out is cloned into an
empty folder, `python -m venv` makes an environment, and the first command of README is run there as it is written: it
installs by pip from the index and explains a photograph. Then the sdist is built and unpacked; its tests are collected,
which must be as many as in the checkout, and some hundred of them are run there, by the Python that runs this.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from measure import machine, report

ROOT = Path(__file__).parents[1]
SELECTION = ("tests/values", "tests/game", "tests/experiments/datasets", "-m", "not slow and not ray", "-n", "2")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that must succeed, without this checkout in its path, and return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def first_command() -> str:
    """Return the first code block of README."""
    return re.search(r"^```\n(.+?)\n```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)[1]


def install(version: str, folder: Path) -> str:
    """Clone, install and explain with one Python; return the row of the table."""
    python = run("uv", "python", "find", "--no-python-downloads", version, cwd=folder).strip()
    run("git", "clone", "--quiet", ROOT, "checkout", cwd=folder)
    run(python, "-m", "venv", "environment", cwd=folder)
    start, scripts = time.perf_counter(), folder / "environment/bin"
    printed = run("bash", "-ec", first_command(), cwd=folder / "checkout", PATH=f"{scripts}:{os.environ['PATH']}")
    seconds = time.perf_counter() - start
    if not list((folder / "checkout").glob("grace_hopper*.png")):
        raise RuntimeError(f"no picture was written: {printed}")
    said = re.search(r"top 5 +(.+?)%", printed)
    answer = run(scripts / "python", "--version", cwd=folder).split()[1]
    size = sum(path.lstat().st_size for path in (folder / "environment").rglob("*")) / 1e9
    return f"| {answer} | {said[1]}% | {seconds:.0f} | {size:.1f} |"


def run_sdist(folder: Path) -> str:
    """Build and unpack the sdist, collect and run tests there; return a sentence."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT, cwd=folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    collected = {
        place: run(sys.executable, "-m", "pytest", "--collect-only", "-n", "0", cwd=place, PYTHONPATH="src")
        for place in (ROOT, unpacked)
    }
    counts = [re.search(r"(\d+) tests collected", text)[1] for text in collected.values()]
    tests = run(sys.executable, "-m", "pytest", *SELECTION, cwd=unpacked, PYTHONPATH="src")
    return (
        f"`{archive.name}` unpacked: {counts[1]} tests are collected ({counts[0]} in the checkout); "
        f"`pytest {' '.join(SELECTION)}` there: {tests.strip().splitlines()[-1].strip('= ')}."
    )


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="*", default=("3.11", "3.12", "3.13"))
    options = parser.parse_args()
    rows = []
    for version in options.python:
        folder = Path(tempfile.mkdtemp())
        try:
            rows.append(install(version, folder))
            print(rows[-1], flush=True)
        finally:
            shutil.rmtree(folder)
    with tempfile.TemporaryDirectory() as folder:
        sdist = run_sdist(Path(folder))
    text = f"""# The first install

{machine()}

`{first_command()}` in a fresh clone, in a fresh environment of `python -m venv`:

| Python | the first of the classes that it printed | seconds | GB |
|---|---|---:|---:|
{chr(10).join(rows)}

{sdist}
"""
    report("first_install.md", text)


if __name__ == "__main__":
    main()
