"""Tables in Markdown files that commands make."""

from __future__ import annotations

from bnn.errors import ExpectedError


def marked(text: str, name: str, content: str) -> str:
    """`text` with what stands between the markers of `name` replaced by `content`.

    The markers are the lines `<!-- NAME: made by ... -->` and `<!-- end of NAME -->`.

    Raises:
        ExpectedError: a marker is missing.
    """
    begin, end = f"<!-- {name}: made by", f"<!-- end of {name} -->"
    head, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise ExpectedError(f"markers '{begin} ...' and '{end}' are missing")
    first_line = rest.partition("\n")[0]
    tail = rest.partition(end)[2]
    return f"{head}{begin}{first_line}\n{content}\n{end}{tail}"
