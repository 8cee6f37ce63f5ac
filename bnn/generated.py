"""Files that are made from others and checked in: written where they differ, or only looked at."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Dict

from bnn import output
from bnn.command import FAILED
from bnn.files import write_atomically


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--check`."""
    parser.add_argument("--check", action="store_true", help="only tell whether it is as it would be written")


def put(files: Dict[Path, str], check: bool, maker: str) -> int:
    """Write the files whose text is another one; with `check` name them instead.

    Args:
        files: the text of each.
        check: leave them as they are.
        maker: the command that writes them.

    Returns:
        The exit status.
    """
    stale = [path for path, text in files.items() if not path.is_file() or path.read_bytes() != text.encode()]
    for path in stale:
        if check:
            print(f"error: {path}: is not what it is made from; run {maker}", file=sys.stderr)
        else:
            write_atomically(path, files[path].encode())
            output.note(str(path))
    output.result(
        f"{len(files)} files, {len(stale)} {'to be written' if check else 'written'}",
        files=len(files),
        stale=[str(path) for path in stale],
    )
    return FAILED if check and stale else 0
