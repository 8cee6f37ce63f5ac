"""What pytest has to know before it imports the tests."""

import pytest

for name in ("board", "cores", "host", "models", "programs", "tools"):
    pytest.register_assert_rewrite(f"helpers.{name}")
