"""The contract as data, what is made from it, and that its files agree with it."""

from __future__ import annotations

import ast
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bnn import contract
from bnn.contract import ContractError, Descriptor, Field, FirstBeat, Header, Record, Registers, ScoreHeader
from hls import contract_files

ROOT = Path(__file__).resolve().parent.parent
RECORDS = pytest.mark.parametrize("record", contract.RECORDS, ids=lambda record: record.__name__)


def filled(record: type[Record], seed: int) -> tuple[Record, dict[str, int]]:
    """A record with a value in every field that is no word of parts, and these values."""
    rng = random.Random(seed)
    fields = [field for field in record.FIELDS if not field.parts]
    values = {
        field.name: rng.choice([field.least, field.largest, rng.randint(field.least, field.largest)])
        for field in fields
    }
    return record(**values), values


@RECORDS
def test_fields_lie_apart(record: type[Record]) -> None:
    taken = 0
    for field in record.FIELDS:
        if not field.parts:
            place = field.mask << record.WIDTH * field.word
            assert not taken & place, f"{record.__name__}.{field.name} shares bits"
            taken |= place
        if field.inside:
            assert field.mask <= field.inside.mask and field.word == field.inside.word, field.name
    assert taken < 1 << record.WIDTH * record.WORDS
    assert all(field.doc for field in record.FIELDS)


@RECORDS
@pytest.mark.parametrize("seed", range(5))
def test_a_record_is_its_words(record: type[Record], seed: int) -> None:
    made, values = filled(record, seed)
    content = b"head" + bytes(made)
    for again in (record.unpack(made.pack()), record.read(content, 4)):
        assert again == made and {name: getattr(again, name) for name in values} == values
    assert len(content) == 4 + record.size_bytes()
    whole = int.from_bytes(bytes(made), "little")
    for field in record.FIELDS:
        if field.name in values:
            bits = whole >> (record.WIDTH * field.word + field.low) & ((1 << field.bits) - 1)
            assert bits == values[field.name] % (1 << field.bits), field.name


def test_fields_work_on_arrays() -> None:
    values = np.array([-32768, -1, 0, 5, 32767], np.int64)
    assert (ScoreHeader.scale.extract(ScoreHeader.scale.insert(values)) == values).all()
    beats = FirstBeat.threshold.insert(values) | FirstBeat.flip.insert(np.array([0, 1, 0, 1, 1]))
    assert (FirstBeat.threshold.extract(beats) == values).all() and FirstBeat.flip.extract(beats).tolist()[1] == 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ContractError, match=r"^header: height is 65536, not in 0 to 65535$"):
        Header(height=65536)
    with pytest.raises(ContractError, match=r"^firstbeat: threshold is -32769, not in -32768 to 32767$"):
        FirstBeat(threshold=-32769)
    with pytest.raises(ContractError, match=r"^descriptor: 5 words, expected 32$"):
        Descriptor.unpack([0] * 5)
    with pytest.raises(ContractError, match=r"^header: 100 bytes, expected at least 128$"):
        Header.read(bytes(100))
    with pytest.raises(TypeError, match="^Header has no field hight$"):
        Header(hight=1)
    program = bytes(Header(descriptors=Header.size_bytes(), layers=2)) + bytes(Descriptor())
    with pytest.raises(ContractError, match=r"^descriptor: 256 bytes, expected at least 384$"):
        contract.layers(program)


def test_two_fields_of_a_name_are_one_place() -> None:
    """Geometry is the same word in a program and in a register."""
    for name in ("pe", "lanes", "simd"):
        there, here = getattr(Header, name), getattr(Registers, name)
        assert (there.low, there.bits) == (here.low, here.bits)


def test_files_are_those_that_are_made() -> None:
    for path, text in contract_files.files(ROOT).items():
        assert path.read_text() == text, f"{path.relative_to(ROOT)}: run bnn contract"


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (contract_files.CPP, contract_files.SYSTEMVERILOG, contract_files.DOCUMENT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.setattr(contract_files, "ROOT", tmp_path)
    assert contract_files.main(["--check"]) == 0
    header = tmp_path / contract_files.CPP
    header.write_text(header.read_text().replace("H_BATCH = 7", "H_BATCH = 8"))
    assert contract_files.main(["--check"]) == 1
    assert capsys.readouterr().err == f"error: {header}: is not what it is made from; run bnn contract\n"
    assert contract_files.main([]) == 0 and capsys.readouterr().out == f"{header}\n3 files, 1 written\n"
    assert contract_files.main(["--check"]) == 0


def cpp_name(record: type[Record], field: Field) -> str:
    return f"{contract_files.PREFIXES[record]}_{field.name.upper()}"


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_cpp_reads_what_python_writes(tmp_path: Path) -> None:
    lines, expected = [], []
    for record in (Header, Descriptor):
        made, values = filled(record, 7)
        words = ", ".join(f"{word}u" for word in made.pack())
        lines.append(f"{{ const unsigned words[] = {{{words}}};")
        for name, value in values.items():
            field = getattr(record, name)
            read = (
                f"words[bnn::{cpp_name(record, field)}]"
                if field.bits == 32
                else (f"unsigned(bnn::get(words, bnn::{cpp_name(record, field)}))")
            )
            lines.append(f'std::printf("%u\\n", {read});')
            expected.append(int(value))
        lines.append("}")
    lines.append('std::printf("%u\\n", bnn::insert(3, bnn::REG_FIRST_PE) | bnn::mask(bnn::REG_KEEP));')
    expected.append(Registers(first_pe=3).weights | Registers.keep.mask)
    source = tmp_path / "main.cpp"
    source.write_text('#include <cstdio>\n#include "bnn_contract.h"\nint main() {\n' + "\n".join(lines) + "\n}\n")
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{ROOT / 'hw_templates/hls'}"]
    subprocess.run(["g++", *flags, str(source), "-o", str(tmp_path / "main")], check=True)
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True)
    assert [int(line) for line in done.stdout.split()] == expected


def structs() -> dict[str, list[tuple[str, int, int]]]:
    """Of every packed struct of the package its leaves: path, lowest bit and bits."""
    text = re.sub(r"//[^\n]*", "", (ROOT / contract_files.SYSTEMVERILOG).read_text())
    found: dict[str, list[tuple[str, int, int]]] = {}
    for body, name in re.findall(r"typedef struct packed \{(.*?)\} (\w+);", text, re.S):
        leaves: list[tuple[str, int, int]] = []
        at = 0
        for kind, high, label in reversed(re.findall(r"(\w+)\s*(?:\[(\d+):0\])?\s+(\w+);", body)):
            inner = [("", 0, int(high or 0) + 1)] if kind == "logic" else found[kind]
            leaves += [(f"{label}.{path}".strip("."), at + low, bits) for path, low, bits in inner]
            at += sum(bits for _, _, bits in inner)
        found[name] = leaves
    return found


@RECORDS
def test_structs_have_the_fields_in_their_place(record: type[Record]) -> None:
    leaves = {path: (low, bits) for path, low, bits in structs().get(contract_files.snake(record.__name__) + "_t", [])}
    if record is Registers:
        assert structs()["reg_count_t"] == [("image_count", 0, 31), ("keep", 31, 1)]
        return
    for field in record.FIELDS:
        if not field.parts:
            path = f"{field.inside.name}.{field.name}" if field.inside else field.name
            assert leaves.pop(path) == (record.WIDTH * field.word + field.low, field.bits), path
    assert all("unused" in path for path in leaves)


def test_the_interface_of_the_hls_core_is_that_of_the_registers() -> None:
    """The offsets of the pragmas, which take literals."""
    text = (ROOT / "hw_templates/hls/bnn_top.cpp").read_text()
    found = {
        name: int(offset, 16)
        for name, offset in re.findall(r"mode=s_axilite port=(\w+) bundle=control offset=(0x\w+)", text)
    }
    wanted = {
        field.label or field.name: field.offset
        for field in Registers.FIELDS
        if isinstance(field, contract.Register) and field.offset >= Registers.program.offset
    }
    assert found == wanted


def test_standard_library_only() -> None:
    tree = ast.parse((ROOT / "bnn/contract.py").read_text())
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= {"__future__", "enum", "struct", "typing", "bnn.errors"}


# ---- Nobody else writes an index, an offset or a flag as a number ---------------------------------

HOLDERS = {
    "h",
    "d",
    "head",
    "header",
    "item",
    "layer",
    "descriptor",
    "descriptors",
    "registers",
    "words",
    "table",
    "program",
}
"""Names under which words of a program or registers are held."""
OFFSETS = {field.offset + 4 * half for field in Registers.FIELDS for half in range(field.bits // 32)} - set(range(16))
MAGICS = {int(contract.PROGRAM_MAGIC), int(contract.CORE_ID)}
ALLOWED = {
    "hls/rtl_report",
    "hls/wired",
    "hls/check",  # other words than a program's
    "sim/cocotb/test_datapath.py: words[2]",  # activations
    "sim/cocotb/test_top.py: 0x80",
    "sim/verilator/bnn_sim.cpp: 0x80",  # scores before they are written
    "sim/verilator/bnn_sim.cpp: head[7]",  # of a trace
    "hw_templates/rtl/vector/bnn_vector_header.sv: [8*32-1:0]",  # a word for each of eight channels
    "bnn/cpu.py: 0x504E4E42",  # of a model packed in memory
    "sim/board/server.py: 0x10",  # of the processing system
    "tests/test_rtl_sim.py: head[2:]",  # a stage of a network
}
"""Folders, and findings, that are about something else."""


def raw_python(text: str) -> Iterator[str]:
    """Raw words, offsets and magic numbers in Python: a literal index from 2 on, a hexadecimal literal, a number."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Subscript):
            holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            parts = [node.slice.lower, node.slice.upper] if isinstance(node.slice, ast.Slice) else [node.slice]
            numbers = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, int)]
            if holder in HOLDERS and any(number >= 2 for number in numbers):
                yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value in OFFSETS | MAGICS:
            written = ast.get_source_segment(text, node) or ""
            if node.value in MAGICS or written.lower().startswith("0x"):
                yield written


def raw_cpp(text: str) -> Iterator[str]:
    """The same in C++; the offsets of interface pragmas are literals, which another test compares."""
    code = re.sub(r"//[^\n]*|#pragma HLS INTERFACE[^\n]*|\"[^\"\n]*\"", "", text)
    yield from re.findall(rf"\b(?:{'|'.join(sorted(HOLDERS))})\[\d+\]", code)
    for literal in re.findall(r"\b0x[0-9A-Fa-f]+", code):
        if int(literal, 16) in OFFSETS | MAGICS:
            yield literal


def raw_systemverilog(text: str) -> Iterator[str]:
    """The same in SystemVerilog: words of a vector, offsets of eight bits, magic numbers."""
    code = re.sub(r"//[^\n]*", "", text)
    yield from re.findall(r"\[\d+ ?\* ?32\b[^\]]*\]", code)
    for literal in re.findall(r"\b(?:8|32)'h[0-9A-Fa-f_]+", code):
        if int(literal.partition("h")[2].replace("_", ""), 16) in (OFFSETS if literal[0] == "8" else MAGICS):
            yield literal


def findings() -> Iterator[str]:
    generated = {ROOT / contract_files.CPP, ROOT / contract_files.SYSTEMVERILOG, ROOT / "bnn/contract.py"}
    cpp = ("hw_templates/hls", "hw_templates/wired/hls", "sim/verilator", "sim/dpi")
    for folder, ending, find in (
        *((folder, ".py", raw_python) for folder in ("bnn", "hls", "sim", "host", "tests")),
        *((folder, ending, raw_cpp) for folder in cpp for ending in (".h", ".cpp", ".j2")),
        *((folder, ".sv", raw_systemverilog) for folder in ("hw_templates/rtl", "sim/dpi")),
    ):
        for path in sorted((ROOT / folder).rglob(f"*{ending}")):
            name = path.relative_to(ROOT).as_posix()
            if path not in generated and not any(name.startswith(f"{allowed}/") for allowed in ALLOWED):
                yield from (f"{name}: {found}" for found in find(path.read_text(encoding="utf-8")))


def test_nobody_else_writes_an_index_or_an_offset() -> None:
    assert set(findings()) == {allowed for allowed in ALLOWED if ": " in allowed}


@pytest.mark.parametrize(
    ("find", "text", "expected"),
    [
        (raw_python, "a = head[7] + item.words[15]", ["head[7]", "item.words[15]"]),
        (raw_python, "b, c = head[4:9], CONTROL + 0x34", ["head[4:9]", "0x34"]),
        (raw_python, f"magic != {int(contract.CORE_ID)} or other[9] or words[0] or 52", [str(contract.CORE_ID)]),
        (raw_cpp, "x = h[20] & 7; y = d[D_ROWS]; read(0xA0);  // h[3]", ["h[20]", "0xA0"]),
        (raw_cpp, "#pragma HLS INTERFACE port=id offset=0x40\nmagic(0x504E4E42)", ["0x504E4E42"]),
        (
            raw_systemverilog,
            "a = header_q[5*32+:16]; 8'hC0: b = 32'h314E_4E42; 8'hFF;",
            ["[5*32+:16]", "8'hC0", "32'h314E_4E42"],
        ),
    ],
)
def test_what_it_finds(find: Callable[[str], Iterator[str]], text: str, expected: list[str]) -> None:
    assert sorted(find(text)) == sorted(expected)
