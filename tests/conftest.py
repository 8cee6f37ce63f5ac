"""What pytest has to know before it imports the tests."""

import contextlib

import pytest

from bnn import cpu

for name in ("board", "cores", "host", "models", "programs", "tools"):
    pytest.register_assert_rewrite(f"helpers.{name}")


def pytest_sessionstart() -> None:
    """Compile the CPU engine, so that no test's process does and says so."""
    with contextlib.suppress(cpu.EngineError):
        cpu.library()
