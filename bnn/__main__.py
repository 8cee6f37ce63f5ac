"""`bnn COMMAND ...`: every command of the project; `python -m bnn` is the same."""

from __future__ import annotations

import sys
from typing import List, Optional

from bnn.command import COMMANDS, GROUPS, USAGE, find, finish


def overview() -> str:
    """What `bnn --help` prints."""
    width = max(map(len, COMMANDS))
    lines = ["usage: bnn COMMAND ...", "", "Binarized neural networks on FPGAs, from training to the board."]
    for group, entries in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:{width}}  {entry.summary}" for name, entry in entries.items()]
    return "\n".join([*lines, "", "bnn COMMAND --help lists a command's options, with an example."])


def _run(arguments: List[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if arguments else USAGE
    return find(arguments[0])(arguments[1:])


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a command; the exit status is its own."""
    return finish(lambda: _run(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    sys.exit(main())
