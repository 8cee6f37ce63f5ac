"""What pytest has to know before it imports the tests."""

import contextlib

import pytest

from bnn import cpu

for name in ("board", "cores", "host", "models", "programs", "tools"):
    pytest.register_assert_rewrite(f"helpers.{name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that of several processes none is left alone with a long file at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_sessionstart() -> None:
    """Compile the CPU engine, so that no test's process does and says so."""
    with contextlib.suppress(cpu.EngineError):
        cpu.library()
