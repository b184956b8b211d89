"""The server of the page in a process of its own, as `shapleycam web` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psutil
from matplotlib.cbook import get_sample_data

from helpers.ports import free_port, listens

HOPPER = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
MEGABYTES, MEGAPIXELS = 5, 20


@dataclass(frozen=True)
class Served:
    """A server: its address, its process, the file of what it prints, and its folder of temporary files."""

    address: str
    process: psutil.Process
    log: Path
    scratch: Path

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def files(self) -> list[Path]:
        """Return the temporary files that it holds, but for one that PyTorch 2.6 writes when it is imported."""
        paths = self.scratch.rglob("*")
        return [path for path in paths if path.is_file() and path.name != "_remote_module_non_scriptable.py"]

    def memory(self) -> int:
        """Return the bytes of memory that it holds."""
        return int(self.process.memory_info().rss)


class WebServer:
    """A server for the time of a `with` block; `port` is given where a second one follows at the same place."""

    def __init__(self, *options: str, port: int | None = None, environment: dict[str, str] | None = None) -> None:
        self.port = port or free_port()
        limits = ["--max-megabytes", str(MEGABYTES), "--max-megapixels", str(MEGAPIXELS)]
        command = [sys.executable, "-c", "from shapleycam.cli import main; main()", "web", "--no-browser"]
        self._command = [*command, "--port", str(self.port), *limits, *options]
        self._folder = tempfile.TemporaryDirectory()
        self.scratch, self.log = Path(self._folder.name, "scratch"), Path(self._folder.name, "log")
        self.scratch.mkdir()
        self._environment = {**os.environ, "TMPDIR": str(self.scratch), **(environment or {})}

    def __enter__(self) -> Served:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        deadline = monotonic() + 60
        while not listens(self.port):
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert monotonic() < deadline, self.log.read_text(encoding="utf-8")
            sleep(0.05)
        process = psutil.Process(self.process.pid)
        return Served(f"http://127.0.0.1:{self.port}", process, self.log, self.scratch)

    def stop(self) -> None:
        """End the server; it may have ended already."""
        self.process.terminate()
        self.process.wait(20)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()


def own(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", "data:", f"blob:{address}"))
