"""Install a wheel into an environment of its own, and explain a photograph with it from another folder."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

PICTURE = "grace_hopper_top3_pathcam-h.png"
"""What `shapleycam explain` writes; a photograph that comes with matplotlib is explained."""


def main() -> None:
    """Install the wheel of the arguments, and use it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument(
        "--dependencies", action="store_true", help="from the index; otherwise those of this environment"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # A user's pictures, and a user's environment: nothing of the checkout is in reach.
        (elsewhere := Path(folder, "elsewhere")).mkdir()
        program = install(arguments.wheel.resolve(), Path(folder, "environment"), own=arguments.dependencies)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        version = arguments.wheel.name.split("-")[1]
        use(program, version, elsewhere, environment)
    print(f"{arguments.wheel.name}: installed, and wrote {PICTURE}")


def install(wheel: Path, environment: Path, *, own: bool) -> Path:
    """Return the program that a wheel installs, in a new environment.

    With `own` dependencies are installed too; otherwise the packages of the running environment stand behind its own.
    """
    venv.create(environment, with_pip=own, symlinks=os.name != "nt")
    paths = sysconfig.get_paths("venv", {"base": str(environment), "platbase": str(environment)})
    python = Path(paths["scripts"], "python")
    if own:
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    else:
        subprocess.run(["pip", "--python", python, "install", "--quiet", "--no-deps", wheel], check=True)
        # Only now, or pip would find the package there, and leave it out.
        behind = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
        Path(paths["purelib"], "dependencies.pth").write_text("\n".join(behind), encoding="utf-8")
    return Path(paths["scripts"], "shapleycam")


def use(program: Path, version: str, folder: Path, environment: dict[str, str]) -> None:
    """Print the version, and explain the photograph that comes along.

    Raises:
        SystemExit: another version answers, or there is no picture.
    """

    def run(*command: Path | str) -> str:
        ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        return ran.stdout.strip()

    file = run(program.with_name("python"), "-c", "import shapleycam; print(shapleycam.__file__)")
    if not Path(file).is_relative_to(program.parents[1]):
        raise SystemExit(f"shapleycam was imported from {file}; expected the one in {program.parents[1]}")
    answer = run(program, "--version")
    if answer != f"shapleycam {version}":
        raise SystemExit(f"the program says {answer!r}; expected 'shapleycam {version}'")
    print(run(program, "explain"))
    if not Path(folder, PICTURE).is_file():
        raise SystemExit(f"shapleycam explain wrote no {PICTURE}")


if __name__ == "__main__":
    main()
