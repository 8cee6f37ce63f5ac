"""The one error of the host, and one line of any other."""

from __future__ import annotations

from bnn.errors import ExpectedError
from bnn.text import first_line, printable


class HostError(ExpectedError):
    """The accelerator, its program or the images are unusable; one line says what and why."""


def line(error: BaseException) -> str:
    """What an error says, in one line; of a gRPC error its status and details."""
    details, code = getattr(error, "details", None), getattr(error, "code", None)
    if callable(details) and callable(code):
        status = str(getattr(code(), "name", code())).lower().replace("_", " ")
        return printable(f"{status}: {str(details() or '').strip()}".split("\n")[0])
    return first_line(error)
