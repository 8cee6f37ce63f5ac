"""Where tools from PyPI keep what they compile, on machines where neither their package nor the home can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bnn.paths import private_folder

VARIABLES = ("NUMBA_CACHE_DIR", "YOWASP_CACHE_DIR")
"""Of numba, which da4ml compiles with, and of YoWASP, which yosys comes as."""


def variables() -> dict[str, str]:
    """Environment variables that are missing where the user's cache folder cannot be written, else none."""
    if _is_writable(_user_cache()):
        return {}
    folder = private_folder()
    return {name: str(folder / name.partition("_")[0].lower()) for name in VARIABLES if not os.environ.get(name)}


def provide() -> None:
    """Set the variables for what this process imports."""
    os.environ.update(variables())


def _user_cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else Path(os.path.expanduser("~")) / ".cache"


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder that is there or can be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
