"""Fail unless the sdist holds what git tracks, and the wheel the package of it: no file too few and none too many."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "shapleycam/"
SOURCE = f"src/{PACKAGE}"


def main(folder: Path) -> str:
    """Check the sdist and the wheel in a folder; return how many files they hold.

    Raises:
        SystemExit: a file is missing or too many.
    """
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    tracked = set(
        subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0")
    )
    tracked -= {""}
    in_sdist = {name.partition("/")[2] for name in _names_in_sdist(sdist)} - {"PKG-INFO"}
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {PACKAGE + name.removeprefix(SOURCE) for name in tracked if name.startswith(SOURCE)}
    problems = [*_differences(sdist.name, in_sdist, tracked), *_differences(wheel.name, in_wheel, package)]
    if problems:
        raise SystemExit("\n".join(problems))
    return (
        f"{sdist.name}: {len(in_sdist)} files, all that git tracks; {wheel.name}: {len(in_wheel)} files of the package"
    )


def _names_in_sdist(sdist: Path) -> list[str]:
    with tarfile.open(sdist) as archive:
        return [member.name for member in archive.getmembers() if member.isfile()]


def _differences(archive: str, names: set[str], expected: set[str]) -> Iterable[str]:
    """Yield a line for the files that are missing, and one for those that are too many."""
    for kind, files in (("missing", expected - names), ("too many", names - expected)):
        if files:
            yield f"{archive}: {len(files)} files are {kind}: {', '.join(sorted(files)[:5])}; see [tool.hatch.build]"


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
