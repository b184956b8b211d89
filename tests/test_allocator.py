"""Memory of large tensors is kept between passes in commands, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import pytest

from helpers.platforms import linux_only
from shapleycam import __main__ as program
from shapleycam import allocator, cli

FAULTS = """
import resource, torch
from shapleycam.allocator import keep_large_blocks, return_large_blocks
{setting}
for _ in range(10):
    torch.empty(12 * 2**20).fill_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.empty(12 * 2**20).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""The page faults of ten tensors of 48 MB, one after the other, after ten others."""


@cache
def faults(setting: str, **environment: str) -> int:
    script = [sys.executable, "-c", FAULTS.format(setting=setting)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(script, capture_output=True, text=True, check=True, env={**inherited, **environment})
    return int(ran.stdout)


@linux_only
@pytest.mark.slow
def test_what_is_kept_is_not_asked_for_again():
    by_default, kept = faults(""), faults("keep_large_blocks()")
    assert kept < by_default / 4
    assert faults("return_large_blocks()") > by_default / 2


@linux_only
@pytest.mark.slow
def test_what_the_user_set_stays():
    assert faults("keep_large_blocks()", MALLOC_MMAP_THRESHOLD_="1000000") > faults("keep_large_blocks()") * 4


@pytest.mark.parametrize(("word", "count"), [("evaluate", 1), ("web", 0)])
def test_commands_keep_it_and_the_server_does_not(monkeypatch, word, count):
    calls = []
    monkeypatch.setattr(allocator, "keep_large_blocks", lambda: calls.append(word))
    monkeypatch.setattr(cli, "main", lambda: None)
    monkeypatch.setattr(sys, "argv", ["shapleycam", word])
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    program.main()
    assert len(calls) == count
