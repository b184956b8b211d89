"""Fixtures of the tests of games."""

from __future__ import annotations

import pytest
from jaxtyping import config


@pytest.fixture
def unchecked():
    """Without the run-time checks of annotations, which would come before the library's own messages."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", before)
