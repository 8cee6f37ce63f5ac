"""The C++ as the synthesis compiler reads it: functions, loops with their labels, and pragmas, with file and line.

The text is preprocessed first (`__SYNTHESIS__` defined), so that what a macro leaves out is not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_MARK = re.compile(r'# (\d+) "([^"]*)"')
_PRAGMA = re.compile(r"\s*#\s*pragma\s+HLS\s+(\w+)(.*)", re.IGNORECASE)
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'')
_LABEL = re.compile(r"(?:^|[;{}\s])([A-Za-z_]\w*)\s*:(?!:)\s*$")
_LOOP = re.compile(r"\b(for|while|do)\b")
_HEAD = re.compile(r"([~\w]+)\s*(?:<[^<>]*>\s*)?\($")


@dataclass(eq=False)
class Scope:
    """A pair of braces. `kind`: "file", "namespace", "class", "function", "loop", "if" (any other statement), "value".

    `line` is that of the keyword or the name, `end` that of the closing brace; `label` belongs to a loop, `head` is
    what stands between a function's parentheses. `text`: lines of code that are in no inner scope, with their numbers.
    """

    kind: str
    name: str
    file: str
    line: int
    parent: Scope | None
    end: int = 0
    label: str = ""
    head: str = ""
    text: list[tuple[int, str]] = field(default_factory=list)

    def within(self, kind: str) -> Scope | None:
        """The innermost scope of `kind` that this one is or lies in."""
        scope: Scope | None = self
        while scope is not None and scope.kind != kind:
            scope = scope.parent
        return scope

    @property
    def function(self) -> Scope | None:
        """The function that this scope is or lies in."""
        return self.within("function")


@dataclass(frozen=True)
class Pragma:
    """`#pragma HLS NAME options`: names in upper case, keys in lower case; `words` are the options without a value.

    `first`: nothing but pragmas stands between it and the opening brace of its scope.
    """

    name: str
    options: dict[str, str]
    words: tuple[str, ...]
    file: str
    line: int
    scope: Scope
    first: bool

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}: {self.name}"


@dataclass(frozen=True)
class Source:
    """What a preprocessed translation unit has in it, as far as it comes from the design's own files."""

    pragmas: list[Pragma]
    functions: list[Scope]
    loops: list[Scope]
    constants: dict[str, int]

    def number(self, text: str, default: int) -> int:
        """The value of a pragma's option: a number or the name of a constant; `default` for anything else."""
        return int(text) if re.fullmatch(r"\d+", text) else self.constants.get(text, default)


def options(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Key-value pairs and bare words of a pragma's options; blanks around `=` are allowed."""
    pairs, words = {}, []
    for word in re.sub(r"\s*=\s*", "=", text.split("//")[0].strip()).split():
        key, equals, value = word.partition("=")
        if equals:
            pairs[key.lower()] = value
        else:
            words.append(word)
    return pairs, tuple(words)


def scan(text: str, folders: list[Path]) -> Source:
    """Read preprocessed C++ (with line markers); only files below `folders` count."""
    roots = [str(folder.resolve()) for folder in folders]
    pragmas: list[Pragma] = []
    scopes: list[Scope] = []
    file, line, ours = "", 0, False
    scope = Scope("file", "", "", 0, None)
    head: list[tuple[str, int]] = []  # characters since the last statement, with their lines
    empty: set[int] = set()  # scopes that nothing but pragmas has been seen in
    depth = 0  # of parentheses
    for raw in text.split("\n"):
        mark = _MARK.match(raw)
        if mark:
            line, file = int(mark[1]), mark[2]
            ours = any(str(Path(file).resolve()).startswith(root + "/") for root in roots)
            continue
        here, line = line, line + 1
        if not ours:
            continue
        found = _PRAGMA.match(raw)
        if found:
            pairs, words = options(found[2])
            pragmas.append(Pragma(found[1].upper(), pairs, words, file, here, scope, id(scope) in empty))
            continue
        if raw.lstrip().startswith("#"):
            continue
        stripped = _LITERAL.sub(lambda literal: "_" * len(literal[0]), raw)
        if stripped.strip():
            scope.text.append((here, raw))
        for letter in stripped + " ":
            depth += (letter == "(") - (letter == ")")
            if letter == "{" and depth == 0:
                made = _open(head, scope, file, here)
                empty.discard(id(scope))
                scopes.append(made)
                empty.add(id(made))
                scope, head = made, []
            elif letter == "}" and depth == 0:
                scope.end = here
                empty.discard(id(scope))
                value = scope.kind == "value"
                scope = scope.parent or scope
                head = [*head, (" ", here)] if value else []
            elif letter == ";" and depth == 0:
                empty.discard(id(scope))
                head = []
            else:
                head.append((letter, here))
    constants = {
        name: int(value)
        for name, value in re.findall(r"\bconst(?:expr)?\s+(?:unsigned|int|long)\s+(\w+)\s*=\s*(\d+)\s*;", text)
    }
    return Source(
        pragmas,
        [one for one in scopes if one.kind == "function"],
        [one for one in scopes if one.kind == "loop"],
        constants,
    )


def _open(head: list[tuple[str, int]], parent: Scope, file: str, here: int) -> Scope:
    """The scope that a brace after `head` opens."""
    text = "".join(letter for letter, _ in head)

    def at(position: int) -> int:
        return head[min(position, len(head) - 1)][1] if head else here

    words = re.findall(r"\w+", text)
    if parent.kind in ("file", "namespace", "class"):
        if "namespace" in words or text.rstrip().endswith("extern ___"):
            return Scope("namespace", "", file, here, parent)
        if re.search(r"\b(struct|class|union|enum)\b[^()]*$", text):
            return Scope("class", "", file, here, parent)
        opening = text.find("(")
        named = _HEAD.search(text[: opening + 1]) if opening >= 0 else None
        if named and "=" not in text[:opening]:
            return Scope(
                "function",
                named[1],
                file,
                at(named.start(1)),
                parent,
                head=" ".join(text[opening + 1 : text.rfind(")")].split()),
            )
        return Scope("value", "", file, here, parent)
    loop = re.match(r"\s*(?:([A-Za-z_]\w*)\s*:(?!:)\s*)?(for|while|do)\b", text)
    if loop:
        return Scope("loop", loop[2], file, at(loop.start(2)), parent, label=loop[1] or "")
    if re.search(r"=\s*$|\breturn\s*$|[\w\]]\s*$|,\s*$|\(\s*$", text) and not re.match(r"\s*(else|try)\s*$", text):
        return Scope("value", "", file, here, parent)
    return Scope("if", words[0] if words else "", file, here, parent)
