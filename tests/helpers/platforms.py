"""Marks of tests for some systems only."""

from __future__ import annotations

import os
import sys

import pytest

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs signals, permissions or processes of POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, or file names of any bytes")
