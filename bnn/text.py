"""Text from files of strangers, made fit for a terminal."""

from __future__ import annotations

import unicodedata
from typing import Sequence


def printable(text: object) -> str:
    """`text` in one line that every terminal takes, what else it holds written as escapes.

    Control characters, line breaks, marks that turn the direction of writing and lone surrogates (which Python makes of
    file names that are not UTF-8: then the byte itself) are written as Python writes them in a string; letters of any
    script and spaces stay.
    """
    return "".join(
        letter if letter.isprintable() or unicodedata.category(letter) == "Zs" else _escape(letter)
        for letter in str(text)
    )


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def first_line(error: BaseException) -> str:
    """What an exception says, its first line, as `printable` text; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].strip() if lines else type(error).__name__)


def label_text(label: int, classes: Sequence[str]) -> str:
    """The name of a class, or the label itself where it is none."""
    return classes[label] if 0 <= label < len(classes) else str(label)
