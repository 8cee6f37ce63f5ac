"""The base of every error that a user's input can cause."""

from __future__ import annotations

from bnn.text import first_line, printable


class ExpectedError(Exception):
    """Something given, found or measured is not as it must be.

    The message is one line that names the object, the value and the constraint. Commands print it and end with
    status 1; any other exception is a defect and shows its traceback.
    """


def line(error: BaseException) -> str:
    """What an error says, in one line; of an operating system's error the file and the reason.

    An expected error's message is one line but for names in it.
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return printable(f"{error.filename}: {error.strerror}")
    if isinstance(error, ExpectedError) and str(error).strip():
        return printable(str(error).strip())
    return first_line(error)
