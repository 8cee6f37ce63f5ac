"""Modules of yosys' intermediate text: split, named by content, shared.

The SystemVerilog front end makes one module of every instance. Here modules of equal content become one, whose
name is that of the source module, with a number where parameters make it differ.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

_MODULE = re.compile(r"^((?:attribute [^\n]*\n)*)module (\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"^ *attribute \\(?:src|hdlname|module_src) [^\n]*\n", re.MULTILINE)
_CELL = re.compile(r"^  cell (\\\S+) (\S+)$", re.MULTILINE)
_DECLARED = re.compile(r"^  (?:wire(?: \w+(?: -?\d+)?)*|memory(?: \w+ -?\d+)*|cell \S+|process) (\$\S+)$", re.MULTILINE)
_PRIVATE = re.compile(r"\$[^\s\"]+")
_PORT = re.compile(r"^  wire(?: width (\d+))?(?: \w+ -?\d+)*? (input|output|inout) (\d+)(?: \w+)* (\S+)$", re.MULTILINE)
_MEMORY = re.compile(r"((?:^  attribute [^\n]*\n)*)^  memory((?: \w+ -?\d+)*) (\\\S+)$", re.MULTILINE)
_STYLE = re.compile(r'attribute \\ram_style "(\w+)"')


class Array(NamedTuple):
    """A memory before mapping; `style` is its ram_style, empty without one."""

    name: str
    words: int
    bits: int
    style: str


def split(text: str) -> dict[str, str]:
    """Text of every module by name, in order, without notes on sources and with its private names numbered."""
    found = {}
    for match in _MODULE.finditer(text):
        attributes, name, body = match.groups()
        found[name] = _NOTE.sub("", attributes) + f"module {name}\n" + _number(_NOTE.sub("", body)) + "end\n"
    return found


def _number(body: str) -> str:
    """`body` with private names counted from 0 in order, which makes equal content equal text."""
    names = {name: f"$p{index}" for index, name in enumerate(dict.fromkeys(_DECLARED.findall(body)))}
    return _PRIVATE.sub(lambda match: names.get(match.group(), match.group()), body)


def children(text: str) -> list[str]:
    """Types of the instances in a module, cells of yosys' own left out."""
    return list(dict.fromkeys(kind for kind, _ in _CELL.findall(text)))


def share(modules: Mapping[str, str], top: str) -> tuple[dict[str, str], dict[str, str]]:
    """Join equal modules below `top`.

    Args:
        modules: text by name, as `split` gives them; names are `\\SOURCE` or `\\SOURCE$PATH`.

    Returns:
        Text by new name, children first; new name by old name.
    """
    named: dict[str, str] = {}
    made: dict[str, str] = {}
    by_content: dict[str, str] = {}
    variants: dict[str, int] = {}

    def visit(name: str) -> str:
        if name in named or name not in modules:
            return named.get(name, name)
        text = modules[name]
        for child in children(text):
            new = visit(child)
            if new != child:
                text = text.replace(f"  cell {child} ", f"  cell {new} ")
        source = name.split("$")[0]
        header = f"module {name}\n"
        content = hashlib.sha256(text.replace(header, f"module {source}\n", 1).encode()).hexdigest()
        if content not in by_content:
            variants[source] = variants.get(source, 0) + 1
            new = source if variants[source] == 1 else f"{source}.{variants[source]}"
            by_content[content] = new
            made[new] = text.replace(header, f"module {new}\n", 1)
        named[name] = by_content[content]
        return named[name]

    visit(top)
    return made, named


def stub(text: str) -> str:
    """A black box with the ports of a module."""
    name = re.search(r"^module (\S+)$", text, re.MULTILINE)
    if name is None:
        raise ValueError("no module")
    wires = [
        f"  wire{f' width {width}' if width else ''} {way} {number} {port}\n"
        for width, way, number, port in _PORT.findall(text)
    ]
    return f"attribute \\blackbox 1\nmodule {name.group(1)}\n{''.join(wires)}end\n"


def memories(text: str) -> list[Array]:
    """The memories that a module declares under a name."""
    found = []
    for attributes, sizes, name in _MEMORY.findall(text):
        words = sizes.split()
        size = dict(zip(words[::2], map(int, words[1::2]), strict=True))
        style = _STYLE.search(attributes)
        found.append(Array(name[1:], size.get("size", 1), size.get("width", 1), style.group(1) if style else ""))
    return found
