"""What commands say: remarks on the way, bars, and results; as text, without the remarks, or as one JSON object.

`--quiet` leaves the results, `--json` prints them as one object at the end, so that nothing else is on the standard
output. What goes on until it is stopped prints an object a line, each at once. A command is one process, so what was
asked for is kept here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, TextIO, TypeVar

Item = TypeVar("Item")


class _State:
    """What the command line asked for, and the results so far."""

    quiet = False
    as_json = False
    results: Dict[str, Any] = {}
    stream: Optional[TextIO] = None
    """Where JSON goes; None while results are collected."""
    streamed = False


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
    with _state(quiet or as_json, as_json, sys.stdout):
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            yield
        if as_json and not _State.streamed:
            lines = ",".join(f"\n  {json.dumps(name)}: {_json(value)}" for name, value in _State.results.items())
            print(f"{{{lines}\n}}" if lines else "{}")


@contextlib.contextmanager
def collected() -> Iterator[Dict[str, Any]]:
    """For the time of a command's work: nothing is said, and the results by name are in the dictionary."""
    with _state(True, True, None):
        yield _State.results


@contextlib.contextmanager
def _state(quiet: bool, as_json: bool, stream: Optional[TextIO]) -> Iterator[None]:
    names = ("quiet", "as_json", "results", "stream", "streamed")
    before = [getattr(_State, name) for name in names]
    _State.quiet, _State.as_json, _State.results, _State.stream, _State.streamed = quiet, as_json, {}, stream, False
    try:
        yield
    finally:
        for name, value in zip(names, before):
            setattr(_State, name, value)


def options() -> List[str]:
    """The options that make another command say what this one was asked to say."""
    return ["--json"] if _State.as_json else ["--quiet"] if _State.quiet else []


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain)


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


def event(text: str, **values: Any) -> None:
    """One result of a command that goes on until it is stopped: as text, or as one JSON object on a line, at once."""
    _State.results.update(values)
    if not _State.as_json:
        print(text, flush=True)
    elif _State.stream is not None:
        _State.streamed = True
        print(_json(values), file=_State.stream, flush=True)


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
