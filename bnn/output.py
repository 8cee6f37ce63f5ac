"""What commands say: remarks on the way, bars, and results; as text, without the remarks, or as one JSON object.

`--quiet` leaves the results, `--json` prints them as one object at the end, so that nothing else is on the standard
output. A command is one process, so what was asked for is kept here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, TypeVar

Item = TypeVar("Item")


class _State:
    """What the command line asked for, and the results so far."""

    quiet = False
    as_json = False
    results: Dict[str, Any] = {}


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--quiet` and `--json`; where a command has commands of its own, to each of these."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                add_options(inner)
            return
    parser.add_argument("-q", "--quiet", action="store_true", help="print the results alone")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")


@contextlib.contextmanager
def told(quiet: bool, as_json: bool) -> Iterator[None]:
    """For the time of a command's work: what it says, as asked; with `as_json` the object at its end."""
    before = _State.quiet, _State.as_json, _State.results
    _State.quiet, _State.as_json, _State.results = quiet or as_json, as_json, {}
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            yield
        if as_json:
            print(json.dumps(_State.results, indent=2, default=_plain))
    finally:
        _State.quiet, _State.as_json, _State.results = before


@contextlib.contextmanager
def collected() -> Iterator[Dict[str, Any]]:
    """For the time of a command's work: nothing is said, and the results by name are in the dictionary."""
    before = _State.quiet, _State.as_json, _State.results
    _State.quiet, _State.as_json, _State.results = True, True, {}
    try:
        yield _State.results
    finally:
        _State.quiet, _State.as_json, _State.results = before


def _plain(value: Any) -> Any:
    """What JSON has no type for: numbers and arrays of numpy, paths."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def note(text: str) -> None:
    """A remark on the way."""
    if not _State.quiet:
        print(text, flush=True)


def result(text: str, **values: Any) -> None:
    """A result, as text and by name; the same name again replaces the value."""
    _State.results.update(values)
    if not _State.as_json:
        print(text, flush=True)


def each(name: str, text: str, value: Any) -> None:
    """One of several results, which are listed under a name."""
    _State.results.setdefault(name, []).append(value)
    if not _State.as_json:
        print(text, flush=True)


def progress(items: Iterable[Item], what: str, total: Optional[int] = None) -> Iterable[Item]:
    """The items, with a bar and the time left on a terminal; without tqdm, or with --quiet, without."""
    if _State.quiet or not sys.stderr.isatty():
        return items
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    bar: Iterable[Item] = tqdm(items, desc=what, total=total, leave=False)
    return bar


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as need be: text to the left, numbers to the right."""
    filled = [[_cell(value) for value in row] for row in rows]
    body = [[text for text, _ in row] for row in filled]
    right = [all(row[at][1] for row in filled) and bool(filled) for at in range(len(head))]
    widths = [max(len(line[at]) for line in [list(head), *body]) for at in range(len(head))]
    lines: List[str] = []
    for line in [list(head), *body]:
        cells = (text.rjust(width) if number else text.ljust(width) for text, width, number in zip(line, widths, right))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> "tuple[str, bool]":
    """A value as text, and whether it is a number."""
    if isinstance(value, float):
        return f"{value:,.2f}", True
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}", True
    return str(value), False
