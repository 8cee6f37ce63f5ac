"""Cells of the 7 series: what each costs, its paths and its delays.

The delays are typical of speed grade -1, an estimate and not sign-off. A net costs nothing inside a slice (LUT to its
multiplexer, carry chain or flip-flop), else what `wires` says of its number of loads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bnn.errors import ExpectedError
from hls.resources import Resources

LUT_NS = 0.124
CLOCK_TO_Q_NS = 0.5
SETUP_NS = 0.06
CONTROL_SETUP_NS = {"CE": 0.2, "R": 0.43, "S": 0.43, "CLR": 0.2, "PRE": 0.2}
MUX_NS = {"MUXF7": (0.217, 0.276), "MUXF8": (0.094, 0.273)}
"""From the data inputs, from the select."""
CARRY_NS = {"in": 0.53, "sum": 0.25, "in_sum": 0.6, "carry": 0.114, "carry_sum": 0.33}
"""CARRY4: S or DI to a carry out, to the sum of its bit, to a later sum; CI to a carry out, to a sum."""
LUTRAM_NS, SHIFT_NS = 1.3, 1.6
"""Clock to output of a LUT RAM and of a LUT shift register."""
LUTRAM_SETUP_NS = 0.4
BRAM_NS, BRAM_REGISTERED_NS = 2.45, 0.882
BRAM_SETUP_NS = 0.6
DSP_NS = {"P": 0.434, "M": 1.8, "A": 3.6, "A_M": 2.7, "C": 1.7}
"""DSP48E1: from P, M, A registers; A to M; C to P."""
DSP_SETUP_NS = 0.4

LEVEL_NS = 0.724
"""One LUT level in an empty part, by which the delay of other logic is counted in levels."""

LUT, MUX, CARRY, FF, LUTRAM, SHIFT, BRAM, DSP, PORT = range(9)
"""Kinds of cells that drive nets; PORT is an input of the top."""
KINDS = ("LUT", "MUXF", "CARRY4", "register", "LUT RAM", "shift register", "block RAM", "DSP", "port")
SEQUENTIAL = (FF, LUTRAM, SHIFT, BRAM, DSP)
DRIVERS = (LUT, MUX, CARRY, *SEQUENTIAL)
"""All but inputs of the top."""
ROUTED, TO_MUX, TO_CARRY, TO_CHAIN, TO_FF = range(5)
"""Kinds of input pins, for the delay of the net before it."""

LUTRAM_LUTS = {
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM256X1S": 4,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
}
SHIFTS = ("SRL16E", "SRLC32E")
BRAM36 = {"RAMB36E1": 1.0, "RAMB18E1": 0.5}
_LUT = re.compile(r"LUT[1-6]|INV")
_FF = re.compile(r"FD[RSCP]E(_1)?|LDCE|LDPE")


class CellError(ExpectedError):
    """A netlist holds a cell or a port that is not known; one line."""


def resources(kind: str) -> Resources:
    """What one cell costs.

    Raises:
        CellError: unknown cell.
    """
    if _LUT.fullmatch(kind) or kind in SHIFTS:
        return Resources(lut=1)
    if _FF.fullmatch(kind):
        return Resources(ff=1)
    if kind in LUTRAM_LUTS:
        return Resources(lut=LUTRAM_LUTS[kind])
    if kind in BRAM36:
        return Resources(bram36=BRAM36[kind])
    if kind == "DSP48E1":
        return Resources(dsp=1)
    if kind in MUX_NS or kind in ("CARRY4", "BUFG"):
        return Resources()
    raise CellError(f"cell type {kind}: not a known cell of the 7 series")


def known(kind: str) -> bool:
    """Whether a cell type is one of the 7 series' or of yosys' own."""
    try:
        resources(kind)
    except CellError:
        return kind.startswith("$")
    return True


@dataclass
class Timing:
    """Timing of one cell; bits are those of its connections, pins lie in `loads` once each.

    `arcs`: from bit, to bit, ns, levels, kind of the input pin. `starts`: bit, ns after the clock.
    `ends`: bit, setup in ns, kind of the pin. `loads`: bit, whether a data pin (not clock, enable, reset, write).
    """

    kind: int
    outputs: list[int] = field(default_factory=list)
    arcs: list[tuple[int, int, float, float, int]] = field(default_factory=list)
    starts: list[tuple[int, float]] = field(default_factory=list)
    ends: list[tuple[int, float, int]] = field(default_factory=list)
    loads: list[tuple[int, bool]] = field(default_factory=list)


Connections = Mapping[str, Sequence[int]]


def timing(kind: str, connections: Connections, parameters: Mapping[str, str]) -> Timing:
    """Paths through a cell; bits below 2 are constants and have none.

    Raises:
        CellError: unknown cell or port.
    """
    if _LUT.fullmatch(kind):
        return _logic(LUT, connections, "O", lambda port: (LUT_NS, 1.0, ROUTED))
    if kind in MUX_NS:
        data, select = MUX_NS[kind]
        return _logic(
            MUX,
            connections,
            "O",
            lambda port: (select, select / LEVEL_NS, ROUTED) if port == "S" else (data, data / LEVEL_NS, TO_MUX),
        )
    if kind == "BUFG":
        return _logic(LUT, connections, "O", lambda port: (0.1, 0.0, ROUTED))
    if kind == "CARRY4":
        return _carry(connections)
    if _FF.fullmatch(kind):
        made = Timing(FF, list(connections.get("Q", ())))
        made.starts = [(bit, CLOCK_TO_Q_NS) for bit in made.outputs]
        for port, bits in connections.items():
            for bit in bits:
                if port == "D":
                    made.ends.append((bit, SETUP_NS, TO_FF))
                    made.loads.append((bit, True))
                elif port in CONTROL_SETUP_NS:
                    made.ends.append((bit, CONTROL_SETUP_NS[port], ROUTED))
                    made.loads.append((bit, False))
                elif port not in ("Q", "C", "G", "GE"):
                    raise CellError(f"{kind}: unknown port {port}")
        return made
    if kind in LUTRAM_LUTS or kind in SHIFTS:
        return _lut_memory(kind, connections)
    if kind in BRAM36:
        return _block_ram(connections, parameters)
    if kind == "DSP48E1":
        return _dsp(connections, parameters)
    raise CellError(f"cell type {kind}: not a known cell of the 7 series")


def _logic(kind: int, connections: Connections, output: str, delay) -> Timing:  # type: ignore[no-untyped-def]
    made = Timing(kind, list(connections.get(output, ())))
    for port, bits in connections.items():
        if port == output:
            continue
        for bit in bits:
            made.loads.append((bit, True))
            made.arcs.extend((bit, out, *delay(port)) for out in made.outputs)
    return made


def _carry(connections: Connections) -> Timing:
    carry, total = connections.get("CO", ()), connections.get("O", ())
    made = Timing(CARRY, [*carry, *total])
    for port, bits in connections.items():
        if port in ("CO", "O"):
            continue
        first_pin = TO_CHAIN if port == "CI" else ROUTED if port == "CYINIT" else TO_CARRY
        for index, bit in enumerate(bits):
            made.loads.append((bit, True))
            chain = port in ("CI", "CYINIT")
            for out, to in enumerate(carry):
                if out >= index:
                    ns = CARRY_NS["carry" if chain else "in"]
                    made.arcs.append((bit, to, ns, ns / LEVEL_NS, first_pin))
            for out, to in enumerate(total):
                if chain or out > index or (out == index and port == "S"):
                    ns = CARRY_NS["carry_sum" if chain else "sum" if out == index else "in_sum"]
                    made.arcs.append((bit, to, ns, ns / LEVEL_NS, first_pin))
    return made


_LUTRAM_OUTPUT = re.compile(r"DO[A-H]?|DPO|SPO|O|Q|Q31")
_LUTRAM_ADDRESS = re.compile(r"A\d*|ADDR[A-H]|DPRA\d*")


def _lut_memory(kind: str, connections: Connections) -> Timing:
    shift = kind in SHIFTS
    made = Timing(SHIFT if shift else LUTRAM)
    outputs = {port: bits for port, bits in connections.items() if _LUTRAM_OUTPUT.fullmatch(port)}
    for bits in outputs.values():
        made.outputs.extend(bits)
    made.starts = [(bit, SHIFT_NS if shift else LUTRAM_NS) for bit in made.outputs]
    write_address = "ADDRD" if "ADDRD" in connections else "A"
    for port, bits in connections.items():
        if port in outputs or port in ("CLK", "WCLK"):
            continue
        for bit in bits:
            if _LUTRAM_ADDRESS.fullmatch(port):
                made.loads.append((bit, True))
                reads = [to for output, to in outputs.items() if output != "Q31" and _reads(port, output)]
                made.arcs.extend((bit, to, LUT_NS, 1.0, ROUTED) for read in reads for to in read)
                if not shift and port.rstrip("0123456789") == write_address:
                    made.ends.append((bit, LUTRAM_SETUP_NS, ROUTED))
            elif port in ("WE", "CE"):
                made.ends.append((bit, LUTRAM_SETUP_NS, ROUTED))
                made.loads.append((bit, False))
            elif port.startswith("D"):
                made.ends.append((bit, LUTRAM_SETUP_NS, ROUTED))
                made.loads.append((bit, True))
            else:
                raise CellError(f"{kind}: unknown port {port}")
    return made


def _reads(address: str, output: str) -> bool:
    """Whether this address port of a LUT RAM selects what the output shows."""
    if address.startswith("ADDR"):
        return output == "DO" + address[4]
    return output == "DPO" if address.startswith("DPRA") else output != "DPO"


def _block_ram(connections: Connections, parameters: Mapping[str, str]) -> Timing:
    made = Timing(BRAM)
    for port, bits in connections.items():
        for bit in bits:
            if port.startswith("DO"):
                registered = _one(parameters.get("DOA_REG" if port[-4:-2] == "A" or "ADO" in port else "DOB_REG", "0"))
                made.outputs.append(bit)
                made.starts.append((bit, BRAM_REGISTERED_NS if registered else BRAM_NS))
            elif port.startswith(("CLK", "CASCADEOUT", "DBITERR", "SBITERR", "ECCPARITY", "RDADDRECC")):
                pass
            else:
                data = port.startswith(("ADDR", "DI"))
                made.ends.append((bit, BRAM_SETUP_NS, ROUTED))
                made.loads.append((bit, data))
    return made


_DSP_OUTPUTS = (
    "P",
    "ACOUT",
    "BCOUT",
    "PCOUT",
    "CARRYOUT",
    "CARRYCASCOUT",
    "MULTSIGNOUT",
    "OVERFLOW",
    "UNDERFLOW",
    "PATTERNDETECT",
    "PATTERNBDETECT",
)


def _dsp(connections: Connections, parameters: Mapping[str, str]) -> Timing:
    made = Timing(DSP)
    p, m = (_one(parameters.get(name, "1")) for name in ("PREG", "MREG"))
    for port in _DSP_OUTPUTS:
        made.outputs.extend(connections.get(port, ()))
    if p or m or any(_one(parameters.get(name, "1")) for name in ("AREG", "BREG", "CREG")):
        start = DSP_NS["P"] if p else DSP_NS["M"] if m else DSP_NS["A"]
        made.starts = [(bit, start) for bit in made.outputs]
    for port, bits in connections.items():
        if port in _DSP_OUTPUTS or port == "CLK":
            continue
        control = port.startswith(("CE", "RST"))
        operand = port in ("A", "B", "D", "ACIN", "BCIN")
        name = {"ACIN": "A", "BCIN": "B", "PCIN": "C"}.get(port, port)
        held = control or _one(parameters.get(f"{name}REG", "0"))
        for bit in bits:
            made.loads.append((bit, not control))
            if held:
                made.ends.append((bit, DSP_SETUP_NS, ROUTED))
            elif operand and m:
                made.ends.append((bit, DSP_NS["A_M"], ROUTED))
            else:
                ns = DSP_NS["A"] if operand else DSP_NS["C"]
                if p:
                    made.ends.append((bit, ns, ROUTED))
                else:
                    made.arcs.extend((bit, to, ns, ns / LEVEL_NS, ROUTED) for to in made.outputs)
    return made


def _one(text: str) -> bool:
    """Whether a parameter of a netlist (binary text) is not 0."""
    return any(letter == "1" or letter == "2" for letter in text)
