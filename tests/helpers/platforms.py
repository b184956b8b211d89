"""Marks of tests for some systems only."""

from __future__ import annotations

import multiprocessing
import os
import sys

import pytest

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals, permissions or processes of POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, or file names of any bytes")
forked_only = pytest.mark.skipif(
    (multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]) != "fork",
    reason="sends functions of a test to other processes, which only a fork has",
)
