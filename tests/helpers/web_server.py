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
    """A server, its process, and where it keeps files for the time of a request."""

    address: str
    process: psutil.Process
    folder: Path

    def uploads(self) -> list[Path]:
        """Files that it holds, of more than the pictures that it made itself."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".webp"]


class WebServer:
    """A server for the time of a `with` block."""

    def __init__(self, *options: str, scratch: Path | None = None) -> None:
        self._scratch = scratch or Path(tempfile.mkdtemp())
        self._port = free_port()
        limits = ["--max-megabytes", str(MEGABYTES), "--max-megapixels", str(MEGAPIXELS)]
        command = [sys.executable, "-c", "from shapleycam.cli import main; main()", "web", "--no-browser"]
        self._command = [*command, "--port", str(self._port), *limits, *options]

    def __enter__(self) -> Served:
        environment = {**os.environ, "TMPDIR": str(self._scratch)}
        self.log = (self._scratch / "log").open("w+b")
        self._process = subprocess.Popen(self._command, env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        deadline = monotonic() + 60
        while not listens(self._port):
            assert self._process.poll() is None, self.read_log()
            assert monotonic() < deadline, self.read_log()
            sleep(0.1)
        (folder,) = self._scratch.glob("shapleycam-web-*")
        return Served(f"http://127.0.0.1:{self._port}", psutil.Process(self._process.pid), folder)

    def read_log(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        self.log.close()


def own(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", "data:", f"blob:{address}"))
