"""Synthesis of a hierarchy with yosys: every distinct module once, two at a time, kept by content.

`elaborate` reads the SystemVerilog with yosys' slang front end and joins equal instances; `synthesise` runs
`synth_xilinx -family xc7` on each module with its children as black boxes; a module with long paths is mapped a
second time with ABC's restructuring for delay, and the better one is kept. Results lie in a cache folder under a
hash of what they depend on, so that a second run does what changed.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bnn.errors import ExpectedError
from bnn.files import locked, write_atomically
from hls import yosys
from hls.rtl_report import netlist, rtlil

JOBS = 2
VERSION = 1
"""Counts changes of the scripts below, which the cache depends on."""
LEVELS = 4
"""LUT levels above which a module is mapped a second time, for delay."""
_DELAY = (
    "scratchpad -set abc9.script +&scorr,;,&sweep,;,&dc2,;,&st,;,&if,-g,-K,6,;,&dch,-f,-r,;,&ps,;"
    ",&if,{W},{D},{R},-v,;,&mfs; "
)
"""The usual mapping with a delay-optimising restructuring before it."""
_CELLS = {
    "DSP48E1": """module DSP48E1 #(
  parameter AREG = 1, BREG = 1, CREG = 1, DREG = 1, ADREG = 1, MREG = 1, PREG = 1, OPMODEREG = 1, ALUMODEREG = 1,
  parameter ACASCREG = 1, BCASCREG = 1, USE_MULT = "MULTIPLY", USE_DPORT = "FALSE", USE_SIMD = "ONE48"
) (
  input [29:0] A, ACIN, input [17:0] B, BCIN, input [47:0] C, PCIN, input [24:0] D, output [47:0] P, PCOUT,
  input [6:0] OPMODE, input [4:0] INMODE, input [3:0] ALUMODE, input [2:0] CARRYINSEL,
  input CLK, CARRYIN, CARRYCASCIN, MULTSIGNIN, CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP, CECTRL, CEALUMODE,
  input CEINMODE, CECARRYIN, RSTA, RSTB, RSTC, RSTD, RSTM, RSTP, RSTCTRL, RSTALUMODE, RSTINMODE, RSTALLCARRYIN
);
endmodule
""",
    "MUXF7": "module MUXF7 (input I0, I1, S, output O); endmodule\n",
    "MUXF8": "module MUXF8 (input I0, I1, S, output O); endmodule\n",
}
"""Cells of the chip that modules name, as far as they do."""
_READ = "read_slang -j 1 -D SYNTHESIS --keep-hierarchy " + " ".join(f"--blackboxed-module {name}" for name in _CELLS)
_LIBRARY, _FORGET = "read_verilog -lib +/xilinx/cells_sim.v", "delete =A:blackbox =A:whitebox"
"""yosys' own models of them, and the end of either kind."""
_PREPARE = "proc; opt_expr; opt_clean" + 5 * "; opt_hier; opt_expr; opt_clean"
"""Each round of `opt_hier` takes what is unused or constant one level of the hierarchy further."""


class SynthesisError(ExpectedError):
    """A source, module, parameter or memory is not what it must be; one line."""


class Memory(NamedTuple):
    """A memory of a module: shape, `style` it asks for (empty without one), and what it became.

    `became`: "block RAM", "LUT RAM", "registers" or "removed" (unused or constant).
    """

    name: str
    words: int
    bits: int
    style: str
    became: str


class Netlist(NamedTuple):
    """Result of one module: its part of the netlist and its memories."""

    modules: dict[str, Any]
    memories: list[Memory]


def elaborate(sources: Sequence[Path], top: str, parameters: Mapping[str, int], cache: Path) -> dict[str, str]:
    """Elaborate `top` and join equal instances.

    Args:
        sources: SystemVerilog files with names of their own, packages first.
        parameters: values of the top's parameters.
        cache: folder for results.

    Returns:
        Text (RTLIL) by module name, children before parents; constants and unused signals are
        propagated across modules.

    Raises:
        yosys.YosysError: yosys fails, e.g. on a syntax error, which the message names with file and line.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in sources}
    key = _key(
        "elaborate",
        _READ,
        _LIBRARY,
        _PREPARE,
        _FORGET,
        *_CELLS.values(),
        top,
        *(f"{k}={v}" for k, v in sorted(parameters.items())),
        *(part for path, text in texts.items() for part in (path.name, text)),
    )
    place, target = cache / f"{top}-{key}", cache / f"{top}-{key}.il"
    if target.is_file():
        return rtlil.split(target.read_text(encoding="utf-8"))
    with locked(place):
        if not target.is_file():  # else another process was at it
            _elaborate(texts, top, parameters, place, target)
    return rtlil.split(target.read_text(encoding="utf-8"))


def _elaborate(texts: Mapping[Path, str], top: str, parameters: Mapping[str, int], place: Path, target: Path) -> None:
    """Write the modules of sources to `target`; yosys runs in a folder of its own."""
    flags = " ".join(f"-G {name}={value}" for name, value in sorted(parameters.items()))
    # yosys, which runs in a sandbox, sees the folder it runs in
    named = {path.name: text for path, text in texts.items()} | {f"{name}.v": text for name, text in _CELLS.items()}
    for name, text in named.items():
        write_atomically(place / "src" / name, text.encode())
    files = " ".join(f"src/{name}" for name in named)
    yosys.run(f"{_READ} --top {top} {flags} {files}; {_FORGET}; write_rtlil raw.il", place, "elaborate.log")
    shutil.rmtree(place / "src")
    made, _ = rtlil.share(rtlil.split((place / "raw.il").read_text(encoding="utf-8")), f"\\{top}")
    write_atomically(place / "shared.il", "".join(made.values()).encode())
    yosys.run(
        f"{_LIBRARY}; read_rtlil shared.il; hierarchy -check -top {top}; {_PREPARE}; {_FORGET}; write_rtlil raw.il",
        place,
        "prepare.log",
    )
    made, _ = rtlil.share(rtlil.split((place / "raw.il").read_text(encoding="utf-8")), f"\\{top}")
    write_atomically(target, "".join(made.values()).encode())
    for name in ("shared.il", "raw.il"):
        (place / name).unlink()


def below(modules: Mapping[str, str], top: str) -> dict[str, str]:
    """The modules from `top` (a name without the leading backslash) on down.

    Raises:
        SynthesisError: there is no such module.
    """
    if f"\\{top}" not in modules:
        known = ", ".join(name[1:] for name in modules)
        raise SynthesisError(f"module {top}: not one of {known}")
    chosen: set[str] = set()
    waiting = [f"\\{top}"]
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting.extend(child for child in rtlil.children(modules[name]) if child in modules)
    return {name: text for name, text in modules.items() if name in chosen}


def synthesise(
    modules: Mapping[str, str], cache: Path, jobs: int = JOBS, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Netlist]:
    """Synthesise every module by itself.

    Args:
        modules: text by name, as `elaborate` gives them, with all children.
        cache: folder for results.
        jobs: runs of yosys at a time.
        progress: called with a line for every module that is not in the cache.

    Raises:
        yosys.YosysError: yosys fails.
    """
    texts = {}
    for name, text in modules.items():
        parts = [rtlil.stub(modules[child]) for child in rtlil.children(text) if child in modules]
        texts[name[1:]] = "".join([*parts, text])
    # the largest first, so that none is left alone at the end
    order = sorted(texts, key=lambda name: -len(texts[name]))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = {name: pool.submit(_one, name, texts[name], modules[f"\\{name}"], cache, progress) for name in order}
        try:
            return {name: waiting[name].result() for name in texts}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _key(*parts: str) -> str:
    state = hashlib.sha256()
    for part in (str(VERSION), yosys.version(), *parts):
        state.update(f"{len(part)}:{part}".encode())
    return state.hexdigest()[:16]


def _one(name: str, text: str, own: str, cache: Path, progress: Callable[[str], None]) -> Netlist:
    stem = f"{name}-{_key('synthesise', text)}"

    def kept(stem: str, before: str) -> dict[str, Any]:
        target = cache / f"{stem}.json"
        began = time.monotonic()
        if not target.is_file():
            with locked(cache / stem):
                if not target.is_file():  # else another process was at it
                    made = _run(name, text, rtlil.memories(own), cache / stem, before)
                    write_atomically(target, json.dumps(made, separators=(",", ":")).encode())
            progress(f"{name}: {time.monotonic() - began:.0f} s{', for delay' if before else ''}")
        data: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        return data

    data = kept(stem, "")
    longest = _longest(data["modules"][name])
    if longest[0] > LEVELS:
        second = kept(f"{stem}.delay", _DELAY)
        if _longest(second["modules"][name]) < longest:
            data = second
    return Netlist(data["modules"], [Memory(*row) for row in data["memories"]])


def _longest(module: dict[str, Any]) -> tuple[float, float]:
    """Levels and ns of the longest paths of a module without its children."""
    placed = netlist.Design(netlist.read({"modules": {"module": netlist.opened(module)}}), "module")
    paths = placed.paths(1), placed.paths(1, levels=False)
    return (paths[0][0].levels, paths[1][0].ns) if paths[0] else (0, 0)


_REFUSED = re.compile(r"no valid mapping found for memory (\S+)")
_MAPPED = re.compile(r"^mapping memory (\S+) via (\S+)", re.MULTILINE)
_REGISTERS = re.compile(r"^using FF mapping for memory (\S+)", re.MULTILINE)


def _run(name: str, text: str, arrays: Sequence[rtlil.Array], place: Path, before: str) -> dict[str, Any]:
    """Run yosys on a module in a folder of its own."""
    source, result, log = "in.il", "out.json", "yosys.log"
    write_atomically(place / source, text.encode())
    flags = f"-family xc7 -noiopad -noclkbuf -top {name}"
    free: list[str] = []
    while True:
        # a memory that cannot be what its ram_style asks for is mapped freely and reported
        loosen = "".join(f"setattr -unset ram_style {name}/{memory}; " for memory in free)
        script = f"read_rtlil {source}; {loosen}{before}synth_xilinx {flags}; write_json {result}"
        try:
            printed = yosys.run(script, place, log)
            break
        except yosys.YosysError:
            refused = _REFUSED.search((place / log).read_text(encoding="utf-8"))
            memory = refused.group(1).removeprefix(f"{name}.") if refused else ""
            if not memory or memory in free:
                raise
            free.append(memory)
    mapped = {memory.removeprefix(f"{name}."): cell for memory, cell in _MAPPED.findall(printed)}
    registers = {memory.removeprefix(f"{name}.") for memory in _REGISTERS.findall(printed)}
    memories = []
    for array in arrays:
        cell = mapped.get(array.name, "")
        became = (
            "block RAM"
            if "BLOCKRAM" in cell
            else "LUT RAM"
            if cell
            else "registers"
            if array.name in registers
            else "removed"
        )
        memories.append((array.name, array.words, array.bits, array.style, became))
    data = json.loads((place / result).read_text(encoding="utf-8"))
    chosen = data["modules"][name]
    chosen["attributes"].pop("blackbox", None)
    for path in (source, result):
        (place / path).unlink()
    return {"modules": {name: chosen}, "memories": memories}
