"""Where tools from PyPI keep what they compile, on machines where neither their package nor the home can be written."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

VARIABLES = ("NUMBA_CACHE_DIR", "YOWASP_CACHE_DIR")
"""Of numba, which da4ml compiles with, and of YoWASP, which yosys comes as."""


def variables() -> dict[str, str]:
    """Environment variables that are missing where the user's cache folder cannot be written, else none."""
    if _is_writable(_user_cache()):
        return {}
    folder = _temporary()
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


def _temporary() -> Path:
    """A folder of this user's alone: what lies there is run."""
    folder = Path(tempfile.gettempdir()) / f"bnn-fpga-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    except OSError:
        mine = False
    return folder if mine else Path(tempfile.mkdtemp(prefix="bnn-fpga-"))
