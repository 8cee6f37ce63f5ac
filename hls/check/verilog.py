"""Straight-line LLVM IR as a Verilog module of wires, for a synthesiser to count."""

from __future__ import annotations

import re
from collections.abc import Callable

from hls.check.ir import Function, Instruction
from hls.check.llvm import CompileError

_BINARY = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^", "shl": "<<", "lshr": ">>"}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def module(function: Function, name: str) -> str:
    """A module with a port for each pointer of the function, in bits as they lie in memory.

    Raises:
        CompileError: the function has a branch or an instruction that has no wire.
    """
    if len(function.blocks) != 1:
        raise CompileError(f"{name}: {len(function.blocks)} blocks, expected straight-line code")
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}
    written: set[str] = set()
    body: list[str] = []

    def value(word: str, bits: int) -> str:
        if re.fullmatch(r"-?\d+", word):
            return f"{bits}'d{int(word) % (1 << bits)}"
        if word in ("true", "false"):
            return f"1'd{int(word == 'true')}"
        return names[word]

    def port(one: Instruction, pointer: str) -> tuple[str, int]:
        address = function.address(pointer)
        if address.terms or address.root not in function.arguments:
            raise CompileError(f"{name}: {one.text}: expected an argument at a constant place")
        sizes[address.root] = max(sizes.get(address.root, 0), 8 * address.offset + one.bits)
        return address.root[1:], 8 * address.offset

    for number, one in enumerate(function.blocks[0].instructions):
        if one.op in ("ret", "getelementptr"):
            continue
        if one.op == "store":
            root, low = port(one, one.operands[-1])
            words = re.match(r"i\d+ (\S+), ", one.text)
            written.add(root)
            body.append(f"  assign {root}[{low} +: {one.bits}] = {value(words[1] if words else '0', one.bits)};")
            continue
        names[one.name] = f"w{number}"
        bits = 1 if one.op == "icmp" else one.bits
        body.append(f"  wire [{bits - 1}:0] w{number} = {_wire(one, value, port)};")
    ports = [
        f"{'output' if root[1:] in written else 'input'} [{bits - 1}:0] {root[1:]}" for root, bits in sizes.items()
    ]
    return f"module {name}({', '.join(ports)});\n" + "\n".join(body) + "\nendmodule\n"


def _wire(
    one: Instruction, value: Callable[[str, int], str], port: Callable[[Instruction, str], tuple[str, int]]
) -> str:
    """The expression of one instruction."""
    words = re.findall(r"(?:%[\w.\-]+|(?<=[ ])-?\d+|\btrue\b|\bfalse\b)", f" {one.text}")
    if one.op == "load":
        root, low = port(one, one.operands[-1])
        return f"{root}[{low} +: {one.bits}]"
    if one.op in _BINARY:
        first, second = words[-2:]
        return f"{value(first, one.bits)} {_BINARY[one.op]} {value(second, one.bits)}"
    if one.op == "icmp":
        kind = one.text.split()[0]
        signed = "$signed" if kind[0] == "s" else ""
        first, second = (f"{signed}({value(word, one.bits)})" for word in words[-2:])
        return f"{first} {_COMPARE[kind if kind in _COMPARE else kind[1:]]} {second}"
    if one.op in ("zext", "trunc", "freeze"):
        return value(words[0], one.bits)
    if one.op == "sext":
        source = int(one.text[1:].split()[0])
        word = value(words[0], source)
        return f"{{{{{one.bits - source}{{{word}[{source - 1}]}}}}, {word}}}"
    if one.op == "select":
        condition, first, second = words[-3:]
        return f"{value(condition, 1)} ? {value(first, one.bits)} : {value(second, one.bits)}"
    raise CompileError(f"{one.op} {one.text}: no wires for it")
