"""One damaged file, read: what came of it, and whether that is allowed."""

from __future__ import annotations

import random
import resource
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from fuzz_readers import Reader
from shapleycam.errors import ShapleyCamError, ShapleyCamWarning

SECONDS, MEGABYTES = 10, 1000
"""What one file of at most 64 KiB may take, of processor time and of memory beyond what was used before."""
SILENT = (DeprecationWarning, SyntaxWarning)
"""What Python says of a backslash in the header of an array, which numpy reads as Python's literals."""
LONGEST_MESSAGE = 2000
FAULT = "fault: "


@dataclass(frozen=True)
class Trial:
    """A damaged file: its number, its name and content, and what came of it.

    `outcome` is "accepted", "refused" with the error's class, or begins with `FAULT`; `detail` says more of a fault.
    """

    index: int
    outcome: str
    detail: str = ""


def damaged_file(reader: Reader, seed: int, index: int) -> tuple[str, bytes]:
    """The name and content of a reader's file of this number; the same numbers give the same file."""
    rng = random.Random(f"{seed} {reader.name} {index}")  # noqa: S311
    valid = reader.valid()
    chosen = rng.choice(valid)
    return chosen.name, chosen.damaged(rng, reader.tokens, [each.content() for each in valid])


def prepare(reader: Reader, folder: Path) -> None:
    """Write the valid files, of which each trial replaces one."""
    for seed in (*reader.valid(), *reader.beside()):
        path = folder / seed.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seed.content())


def try_file(reader: Reader, folder: Path, name: str, content: bytes, index: int = 0) -> Trial:
    """Read a damaged file in place of the valid one of its name."""
    path = folder / name
    valid = path.read_bytes() if path.is_file() else None
    path.write_bytes(content)
    start, memory = time.process_time(), _peak_megabytes()
    try:
        outcome, detail = _read(reader, path)
    finally:
        path.unlink()
        if valid is not None:
            path.write_bytes(valid)
    seconds, megabytes = time.process_time() - start, _peak_megabytes() - memory
    if seconds > SECONDS:
        outcome, detail = f"{FAULT}slow", f"{seconds:.0f} s"
    if megabytes > MEGABYTES:
        outcome, detail = f"{FAULT}memory", f"{megabytes:.0f} MB"
    return Trial(index, outcome, detail)


def _read(reader: Reader, path: Path) -> tuple[str, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            reader.read(path)
            outcome, detail = "accepted", ""
        except ShapleyCamError as error:
            outcome, detail = f"refused ({type(error).__name__})", str(error)
            if len(detail.splitlines()) != 1 or len(detail) > LONGEST_MESSAGE:
                outcome = f"{FAULT}a message that is not one short line"
        except Exception as error:  # noqa: BLE001  that is what is looked for
            outcome, detail = f"{FAULT}{type(error).__name__}", traceback.format_exc()
    if foreign := [warning for warning in caught if not issubclass(warning.category, (ShapleyCamWarning, *SILENT))]:
        outcome, detail = f"{FAULT}a library's warning", f"{foreign[0].category.__name__}: {foreign[0].message}"
    if len(caught) > 3:
        outcome, detail = f"{FAULT}many warnings", str(caught[0].message)
    return outcome, detail


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
