"""The page under load: many visitors, eight at once, bodies of a gigabyte, slow senders, and the first answer.

python bench/page_load.py [--visitors N] [--seconds N] [--only PART]     prints, and writes results/page.md

Each part has a server of its own (`shapleycam web`, the default model, two CPU threads) and measures the memory of its
process. The exit code is 1 where memory was ever more than 5% over that after the tenth visitor, a request failed, or a
body that is too large was taken.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from measure import RESULTS, machine
from shapleycam.cli.photographs import demo_photo

GROWTH, GIGABYTE, MEGA = 0.05, 10**9, 2**20
WARM_UP = 10
"""Visitors before memory is first measured: the model, the allocator and Python's own caches are then in place."""
AT_ONCE = 8
FORM = "multipart/form-data; boundary=x"
FILE_BEGINS = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@dataclass(frozen=True)
class Server:
    """A server: its address, its process, and when it was started."""

    address: str
    process: psutil.Process
    started: float

    def megabytes(self) -> float:
        """Return the memory of the process."""
        return self.process.memory_info().rss / MEGA

    def client(self) -> httpx.Client:
        """Return a client of its own connections, as a visitor has them."""
        return httpx.Client(base_url=self.address, timeout=300)


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server until the block ends; at the beginning it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    process = subprocess.Popen(
        [sys.executable, "-m", "shapleycam", "web", "--no-browser", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid), started)
    finally:
        process.terminate()
        process.wait(30)


class Visitor:
    """Sends photographs of their own, and looks at the answers with their pictures."""

    def __init__(self, server: Server, seed: int) -> None:
        self._client, self._random = server.client(), np.random.default_rng(seed)
        with Image.open(demo_photo()) as opened:
            self._picture = opened.convert("RGB").resize((500, 375))

    def look(self) -> float:
        """Return the seconds from sending a photograph that nobody has sent to its answer with all pictures."""
        began = time.perf_counter()
        file = {"file": ("photograph.jpg", self._photograph(), "image/jpeg")}
        response = self._client.post("/photographs", data={"view": "explain"}, files=file)
        query = response.headers["Location"].partition("?")[2]
        html = self._client.get(f"/answer/explain?{query}").raise_for_status().text
        if 'data-state="done"' not in html or 'role="alert"' in html:
            raise RuntimeError(f"no answer: {html[-500:]}")
        for kind in ("photo", "heatmap", "values"):
            self._client.get(f"/picture?kind={kind}&{query}").raise_for_status()
        return time.perf_counter() - began

    def leave(self) -> None:
        """Close the connections."""
        self._client.close()

    def _photograph(self) -> bytes:
        """Return the photograph shifted and with noise, as a file."""
        pixels = np.roll(np.asarray(self._picture, dtype=np.int16), int(self._random.integers(500)), axis=1)
        noise = self._random.integers(-8, 9, pixels.shape)
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        return file.getvalue()


@dataclass
class Report:
    """Lines of the page of results, and whether something was not as it should be."""

    lines: list[str]
    faults: list[str]

    def row(self, *cells: str) -> None:
        """Print a row of the table, and keep it."""
        print(" | ".join(cells), flush=True)
        self.lines.append(f"| {' | '.join(cells)} |")


def first_answer(report: Report, _: argparse.Namespace) -> None:
    """From the start of the command, and from the moment at which the browser is sent to the page."""
    with serve() as server, server.client() as client:
        listening = time.perf_counter()
        client.get("/explain").raise_for_status()
        shown = time.perf_counter()
        html = client.get("/answer/explain").raise_for_status().text
        answered = time.perf_counter()
        if "academic gown" not in html:
            report.faults.append("the example was not answered")
        report.row("first answer", "from the command to the browser", f"{listening - server.started:.1f} s")
        report.row("first answer", "from the browser to the page", f"{shown - listening:.1f} s")
        report.row("first answer", "from the browser to the example's answer", f"{answered - listening:.1f} s")
        report.row("first answer", "again", f"{_seconds(lambda: client.get('/answer/explain')) * 1000:.0f} ms")


def many_visitors(report: Report, options: argparse.Namespace) -> None:
    """One after another, each with another photograph."""
    with serve() as server:
        times, before, largest = [], 0.0, 0.0
        for number in range(options.visitors):
            visitor = Visitor(server, number)
            times.append(visitor.look())
            visitor.leave()
            if number + 1 == min(WARM_UP, options.visitors):
                before = server.megabytes()
            largest = max(largest, server.megabytes())
            if (number + 1) % 50 == 0:
                print(f"  {number + 1} visitors: {server.megabytes():.0f} MB", flush=True)
        after = server.megabytes()
        name = f"{options.visitors} visitors one after another"
        report.row(name, "a photograph, its answer and three pictures", f"{statistics.median(times):.2f} s")
        result = f"{before:.0f} MB, {after:.0f} MB, {largest:.0f} MB"
        report.row(name, f"memory after {WARM_UP}, after all, and at most", result)
        report.row(name, f"growth from {WARM_UP} to the most", f"{largest / before - 1:+.1%}")
        if largest > (1 + GROWTH) * before:
            report.faults.append(f"memory grew by {largest / before - 1:.1%}")


def eight_at_once(report: Report, options: argparse.Namespace) -> None:
    """Each sends photographs and looks at their answers, as fast as they can."""
    with serve() as server:
        Visitor(server, 10**6).look()
        before, deadline = server.megabytes(), time.perf_counter() + options.seconds
        times: list[float] = []

        def visit(seed: int) -> None:
            visitor = Visitor(server, seed)
            try:
                while time.perf_counter() < deadline:
                    times.append(visitor.look())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                report.faults.append(f"a visitor among eight: {error!r}"[:300])
            visitor.leave()

        _all_at_once([lambda seed=seed: visit(seed) for seed in range(AT_ONCE)])
        name = f"{AT_ONCE} at once for {options.seconds:.0f} s"
        report.row(name, "answers", str(len(times)))
        report.row(name, "median and longest wait", f"{statistics.median(times):.1f} s, {max(times):.1f} s")
        report.row(name, "memory before and after", f"{before:.0f} MB, {server.megabytes():.0f} MB")


def large_bodies(report: Report, _: argparse.Namespace) -> None:
    """A gigabyte, declared and not, to a route that takes photographs and to one that takes nothing."""
    with serve() as server, server.client() as client:
        client.get("/answer/explain")
        before = server.megabytes()
        peaks = [before]
        for path in ("/photographs", "/answer/explain"):
            for is_declared in (True, False):
                seconds, sent, status = _send_gigabyte(server, path, peaks, is_declared=is_declared)
                kind = "declared" if is_declared else "not declared"
                result = f"{status or 'connection closed'} after {sent / 1e6:.0f} MB, {seconds:.1f} s"
                report.row("1 GB", f"{path}, {kind}", result)
                if status not in {413, 405, None} or (sent > 0.9 * GIGABYTE and status is None):
                    report.faults.append(f"a body of a gigabyte to {path}: {status}")
        report.row("1 GB", "memory before, and at most", f"{before:.0f} MB, {max(peaks):.0f} MB")
        if max(peaks) - before > 50:
            report.faults.append(f"bodies took {max(peaks) - before:.0f} MB")


def slow_senders(report: Report, _: argparse.Namespace) -> None:
    """A byte in each second, from eight clients of one address; meanwhile somebody there asks about the example."""
    with serve() as server, server.client() as client:
        client.get("/answer/explain")
        ends: list[float] = []

        def send() -> None:
            began = time.perf_counter()
            with _connection(server) as connection:
                connection.sendall(_head("/photographs", "Content-Length: 100000") + FILE_BEGINS)
                while time.perf_counter() - began < 120:
                    try:
                        connection.sendall(b"x")
                        connection.settimeout(1)
                        if (answer := connection.recv(100)) or answer == b"":
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
            ends.append(time.perf_counter() - began)

        threads = [threading.Thread(target=send) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        seconds = _seconds(lambda: client.get("/answer/explain?method=gradcam").raise_for_status())
        for thread in threads:
            thread.join()
        report.row("8 slow senders", "refused after", f"{max(ends):.0f} s")
        report.row("8 slow senders", "another visitor's answer meanwhile", f"{seconds:.1f} s")
        if max(ends) > 60:
            report.faults.append("slow senders were not refused")


def _send_gigabyte(
    server: Server, path: str, peaks: list[float], *, is_declared: bool
) -> tuple[float, int, int | None]:
    """Return the seconds until it was refused, the bytes that were sent until then, and the status, None without."""
    began, sent, status = time.perf_counter(), 0, None
    length = f"Content-Length: {GIGABYTE}" if is_declared else "Transfer-Encoding: chunked"
    chunk = bytes(10**6) if is_declared else b"f4240\r\n" + bytes(10**6) + b"\r\n"
    with _connection(server) as connection:
        connection.sendall(_head(path, length))
        first = FILE_BEGINS if is_declared else f"{len(FILE_BEGINS):x}\r\n".encode() + FILE_BEGINS + b"\r\n"
        try:
            connection.sendall(first)
            connection.settimeout(0.001)
            while sent < GIGABYTE and status is None:
                try:
                    status = int(connection.recv(15).split()[1])
                except (TimeoutError, IndexError):
                    connection.settimeout(10)
                    connection.sendall(chunk)
                    connection.settimeout(0.001)
                    sent += 10**6
                peaks.append(server.megabytes())
        except OSError:
            pass
    return time.perf_counter() - began, sent, status


def _connection(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=10)


def _head(path: str, length: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {FORM}", length, "", "")
    return "\r\n".join(lines).encode()


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _all_at_once(calls: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


PARTS = {
    "first": first_answer,
    "visitors": many_visitors,
    "eight": eight_at_once,
    "bodies": large_bodies,
    "slow": slow_senders,
}


def main() -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=200, help="one after another")
    parser.add_argument("--seconds", type=float, default=60, help="of eight at once")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; repeatable, default all")
    parser.add_argument("--out", type=Path, default=RESULTS / "page.md", help="where the page of results is written")
    options = parser.parse_args()
    report = Report([], [])
    for name in options.only or PARTS:
        PARTS[name](report, options)
    text = (
        "# The page under load\n\nMade by `python bench/page_load.py`, with the default model (EfficientNet-Lite0) and "
        f"photographs of 500 x 375 pixels.\n\n{machine('starlette', 'uvicorn')}\n\n| what | measured | result |\n"
        "|---|---|---|\n" + "\n".join(report.lines) + "\n"
    )
    options.out.write_text(text, encoding="utf-8")
    for fault in report.faults:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
