"""A design of a file."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs/adding_a_board.md").read_text()
ARTY = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
"""The example of the page."""
