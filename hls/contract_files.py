"""`bnn contract [--check]`: write what others need of the contract, `bnn.contract`.

The C++ header, the SystemVerilog package and the tables of docs/ARCHITECTURE.md are checked in; `--check` says which of
them differ from what would be written.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from bnn import contract, generated
from bnn.command import Command
from bnn.contract import (
    CoefficientHeader,
    Constant,
    Descriptor,
    Error,
    Field,
    FirstBeat,
    FirstValue,
    Header,
    Record,
    Register,
    Registers,
    ScoreHeader,
    ThresholdHeader,
    VectorHeader,
)
from bnn.tables import marked

ROOT = Path(__file__).resolve().parent.parent
CPP = "hw_templates/hls/bnn_contract.h"
SYSTEMVERILOG = "hw_templates/rtl/bnn_pkg.sv"
DOCUMENT = "docs/ARCHITECTURE.md"
WIDTH = 120
PREFIXES = {
    Header: "H",
    Descriptor: "D",
    ThresholdHeader: "T",
    ScoreHeader: "S",
    CoefficientHeader: "C",
    VectorHeader: "V",
    FirstBeat: "B",
    FirstValue: "F",
}
"""Of the C++ names of a record's fields."""
CPP_FIELD = """\
// Part of a word: `bits` bits from bit `low` of word `word` on.
struct Field {
  int word, low, bits;
};

// Its value in that word, and among a record's words of 32 bits.
inline int extract(unsigned word, const Field& field) {
  return int(word >> field.low & ((1U << field.bits) - 1));
}
template <typename T>
int get(const T* words, const Field& field) {
  return extract(unsigned(words[field.word]), field);
}

// Ones in its place, and a value there.
constexpr unsigned mask(const Field& field) { return ((1U << field.bits) - 1) << field.low; }
constexpr unsigned insert(int value, const Field& field) { return unsigned(value) << field.low & mask(field); }
"""
SYSTEMVERILOG_LATENCY = """\
  // Cycles from operands to sums in the array.
  function automatic int unsigned array_latency(input int unsigned simd);
    return simd > 64 ? ArrayLatency + $clog2(simd / 64) : ArrayLatency;
  endfunction
"""
SYSTEMVERILOG_LAYER = """\
  // What the array is told of a layer: its descriptor, and what changes from one time to the next.
  typedef struct packed {
    logic [15:0] in_batch;  // number of the first image where the destination is written by image
    logic [15:0] images;  // images of the sub-batch or batch
    logic odd;  // parity of the sub-batch
    descriptor_t descriptor;
  } layer_t;
"""
_ASCII = str.maketrans({"×": "x", "·": "*", "…": "...", "−": "-", "`": ""})


def constants() -> dict[str, Constant]:
    """The numbers of the architecture, by name."""
    return {name: value for name, value in vars(contract).items() if isinstance(value, Constant)}


def camel(name: str) -> str:
    """`some_name` or `SOME_NAME` as `SomeName`."""
    return "".join(part.capitalize() for part in name.split("_"))


def snake(name: str) -> str:
    """`SomeName` as `some_name`."""
    return "".join(
        "_" + letter.lower() if letter.isupper() and at else letter.lower() for at, letter in enumerate(name)
    )


def _literal(value: int) -> str:
    return f"0x{value:08X}" if value > 0xFFFF else str(value)


def _summary(record: type[Record]) -> str:
    return " ".join((record.__doc__ or "").partition("\n\n")[0].split())


def _comments(text: str, indent: str = "") -> Iterator[str]:
    width = WIDTH - len(indent)
    for line in textwrap.wrap(text.translate(_ASCII), width - 3, break_on_hyphens=False):
        yield f"{indent}// {line}"


def _with_comment(code: str, doc: str) -> Iterator[str]:
    """A line with its comment behind it, or above where both are too long."""
    line = f"{code}  // {doc.translate(_ASCII)}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield from _comments(doc, code[: len(code) - len(code.lstrip())])
        yield code


def _words(record: type[Record]) -> list[Field]:
    return [field for field in record.FIELDS if field.inside is None]


def cpp() -> str:
    """The text of the C++ header."""
    lines = [*_head(), "#ifndef BNN_CONTRACT_H", "#define BNN_CONTRACT_H", "", "namespace bnn {", ""]
    for name, value in constants().items():
        if name not in ("HEADER_WORDS", "DESCRIPTOR_WORDS"):  # H_WORDS, D_WORDS
            kind = "unsigned" if value > 0xFFFF else "int"
            lines += _with_comment(f"constexpr {kind} {name} = {_literal(value)};", value.doc)
    lines += ["", "// Codes of the error register.", "enum Error {"]
    for error in Error:
        lines += _with_comment(f"  E_{error.name} = {error.value},", _error(error))
    lines += ["};", "", *CPP_FIELD.splitlines()]
    for record, prefix in PREFIXES.items():
        lines += ["", *_comments(_summary(record)), f"constexpr int {prefix}_WORDS = {record.WORDS};"]
        if record.USED < record.WORDS:
            lines += _with_comment(f"constexpr int {prefix}_USED = {record.USED};", "words up to the last of these")
        for field in record.FIELDS:
            if field.bits == record.WIDTH:
                lines += _with_comment(f"constexpr int {prefix}_{field.name.upper()} = {field.word};", field.doc)
        for field in record.FIELDS:
            if field.bits < record.WIDTH:
                word = f"{prefix}_{field.inside.name.upper()}" if field.inside else str(field.word)
                lines += _cpp_part(f"{prefix}_{field.name.upper()}", word, field)
    lines += ["", "// Offsets of the registers."]
    for name, offset, field in _offsets():
        lines += _with_comment(f"constexpr int REG_{name.upper()} = 0x{offset:02X};", field.doc)
    for field in Registers.FIELDS:
        if field.inside:
            lines += _cpp_part(f"REG_{field.name.upper()}", f"REG_{field.inside.name.upper()} / 4", field)
    return "\n".join([*lines, "", "}  // namespace bnn", "", "#endif", ""])


def _cpp_part(name: str, word: str, field: Field) -> Iterator[str]:
    return _with_comment(f"constexpr Field {name} = {{{word}, {field.low}, {field.bits}}};", field.doc)


def _head() -> list[str]:
    return [
        *_comments(
            "The contract between planner, cores and host: registers, the words of a program, error codes "
            f"({DOCUMENT}). Generated from bnn/contract.py by `python -m hls contract`; do not edit."
        )
    ]


def _error(error: Error) -> str:
    return error.doc or error.message


def _offsets() -> Iterator[tuple[str, int, Field]]:
    """Name, offset and field of every register of 32 bits."""
    for field in _words(Registers):
        yield field.name, field.offset, field
        if field.bits > Registers.WIDTH:
            yield f"{field.name}_high", field.offset + 4, field


def systemverilog() -> str:
    """The text of the SystemVerilog package."""
    lines = [
        *_head(),
        "package bnn_pkg;",
        "  // verilator lint_off UNUSEDPARAM  // a package names what some of its users leave out",
    ]
    for name, value in constants().items():
        large = value > 0xFFFF
        kind, number = ("logic [31:0]", f"32'h{value:08X}") if large else ("int unsigned", str(value))
        lines += _with_comment(f"  localparam {kind} {camel(name)} = {number};", value.doc)
    lines += _with_comment(
        f"  localparam int unsigned DescriptorUsed = {Descriptor.USED};",
        "words of a descriptor up to the last that is not 0",
    )
    lines += ["", *SYSTEMVERILOG_LATENCY.splitlines(), "", *_error_type()]
    known: dict[str, list[Member]] = {}
    for record in contract.RECORDS:
        for word in _words(record):
            members = [_member(part) for part in word.parts]
            kind = _type(record, word)
            if members and known.setdefault(kind, members) is members:
                lines += ["", *_comments(word.doc[:1].upper() + word.doc[1:] + ".", "  ")]
                lines += _struct(members, record.WIDTH, kind)
            assert not members or members == known[kind], f"{kind} has two shapes"
        if record is not Registers:
            note = " Word 0 is in the least significant bits." if record.WORDS > 1 else ""
            lines += ["", *_comments(_summary(record) + note, "  ")]
            members = [_member(word, record.WIDTH * word.word, _type(record, word)) for word in _words(record)]
            words = record.USED if record is Descriptor else record.WORDS
            lines += _struct(members, record.WIDTH * words, f"{snake(record.__name__)}_t")
    lines += ["", *SYSTEMVERILOG_LAYER.splitlines(), "", "  // Offsets of the registers."]
    for name, offset, field in _offsets():
        lines += _with_comment(f"  localparam logic [7:0] Reg{camel(name)} = 8'h{offset:02X};", field.doc)
    return "\n".join([*lines, "endpackage", ""])


def _error_type() -> Iterator[str]:
    bits = max(Error).bit_length()
    yield "  // Codes of the error register."
    yield f"  typedef enum logic [{bits - 1}:0] {{"
    for error in Error:
        comma = "," if error is not max(Error) else ""
        yield from _with_comment(f"    Error{camel(error.name)} = {bits}'d{error.value}{comma}", _error(error))
    yield "  } error_e;"


Member = tuple[int, int, str, str, str]
"""Lowest bit, bits, type or nothing, name, sentence."""


def _type(record: type[Record], word: Field) -> str:
    """The type of a word that has parts, else nothing. Header and registers have the same geometry."""
    prefix = "reg_" if record is Registers and word.name != "geometry" else ""
    return f"{prefix}{word.name}_t" if word.parts else ""


def _member(field: Field, base: int = 0, kind: str = "") -> Member:
    return base + field.low, field.bits, kind, field.name, field.doc


def _struct(members: Iterable[Member], width: int, name: str) -> list[str]:
    """A packed struct of `width` bits, the last member first, as SystemVerilog wants it; gaps are `unused`."""
    lines, at, gaps = [], 0, 0
    for low, bits, kind, label, doc in sorted(members):
        if low > at:
            lines.append([f"    {_logic(low - at)} unused{gaps or ''};"])
            gaps += 1
        lines.append(list(_with_comment(f"    {kind or _logic(bits)} {label};", doc)))
        at = low + bits
    if at < width:
        lines.append([f"    {_logic(width - at)} unused{gaps or ''};"])
    return ["  typedef struct packed {", *[line for group in reversed(lines) for line in group], f"  }} {name};"]


def _logic(bits: int) -> str:
    return "logic" if bits == 1 else f"logic [{bits - 1}:0]"


def tables() -> dict[str, str]:
    """The tables of docs/ARCHITECTURE.md, by the name of their markers."""
    made = {
        "constants": ["| name | value | meaning |", "|---|--:|---|"],
        "errors": ["| code | name | meaning |", "|--:|---|---|"],
    }
    for name, value in constants().items():
        made["constants"].append(f"| `{name}` | {_literal(value)} | {value.doc} |")
    for error in Error:
        made["errors"].append(f"| {error.value} | {error.name} | {_error(error)} |")
    for record in contract.RECORDS:
        registers = record is Registers
        rows = [f"| {'offset' if registers else 'word'} | bits | name | meaning |", "|---|---|---|---|"]
        for field in record.FIELDS:
            place = f"0x{field.offset:02X}" if registers else str(field.word)
            if field.bits > record.WIDTH:
                place += f", 0x{field.offset + 4:02X}"
            last = field.low + field.bits - 1
            bits = f"[{last}:{field.low}]" if field.bits > 1 else f"[{last}]"
            bits = "" if field.bits >= record.WIDTH else bits
            label = f", `{field.label}`" if isinstance(field, Register) and field.label else ""
            rows.append(f"| {'' if field.inside else place} | {bits} | `{field.name}`{label} | {field.doc} |")
        made[snake(record.__name__)] = rows
    return {name: "\n".join(rows) for name, rows in made.items()}


def files(root: Path) -> dict[Path, str]:
    """The text of every file that the contract is written to."""
    document = (root / DOCUMENT).read_text(encoding="utf-8")
    for name, content in tables().items():
        document = marked(document, name, content)
    return {root / CPP: cpp(), root / SYSTEMVERILOG: systemverilog(), root / DOCUMENT: document}


def _options(parser: argparse.ArgumentParser) -> None:
    generated.add_option(parser)


def _run(options: argparse.Namespace) -> int:
    return generated.put(files(ROOT), options.check, "bnn contract")


main = Command("contract", _options, _run, "--check")


if __name__ == "__main__":
    sys.exit(main())
