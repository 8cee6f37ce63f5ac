"""Where tools from PyPI keep what they compile, on machines where neither their package nor the home can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Dict

from bnn.paths import private_folder

VARIABLES = {"NUMBA_CACHE_DIR": "numba", "YOWASP_CACHE_DIR": "yowasp", "MPLCONFIGDIR": "matplotlib"}
"""Of numba, which da4ml compiles with, of YoWASP, which yosys comes as, and of matplotlib; and the folder of each."""


def variables() -> Dict[str, str]:
    """Environment variables that are missing where the user's cache folder cannot be written, else none."""
    if _is_writable(user_cache()):
        return {}
    folder = private_folder()
    return {name: str(folder / place) for name, place in VARIABLES.items() if not os.environ.get(name)}


def provide() -> None:
    """Set the variables for what this process imports."""
    os.environ.update(variables())


def user_cache() -> Path:
    """The folder for what this user's programs keep."""
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
