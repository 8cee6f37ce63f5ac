"""Report of the synthesised core: timing and fan-out of hand-made netlists, sharing of modules, memories."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scipy import optimize

from hls import shell
from hls import sources as rtl
from hls.boards import BOARDS
from hls.designs import DESIGNS
from hls.resources import Resources
from hls.rtl_report import __main__ as report
from hls.rtl_report import cells, netlist, rtlil, synth, wires

CLOCK = 2
"""Bit of the clock in the netlists made here."""


def cell(kind: str, parameters: Mapping[str, str] | None = None, **pins: object) -> dict:
    return {
        "type": kind,
        "parameters": dict(parameters or {}),
        "connections": {pin: bits if isinstance(bits, list) else [bits] for pin, bits in pins.items()},
    }


def register(d: object, q: int, enable: object = "1") -> dict:
    return cell("FDRE", C=CLOCK, D=d, Q=q, CE=enable, R="0")


def module(
    ports: Mapping[str, tuple[str, Sequence[object]]],
    inside: Mapping[str, dict],
    names: Mapping[str, Sequence[object]] | None = None,
) -> dict:
    listed = {name: {"direction": way, "bits": list(bits)} for name, (way, bits) in ports.items()}
    return {
        "attributes": {},
        "ports": listed,
        "cells": dict(inside),
        "netnames": {name: {"hide_name": 0, "bits": list(bits)} for name, bits in (names or {}).items()},
    }


def design(modules: Mapping[str, dict], top: str = "top") -> netlist.Design:
    return netlist.Design(netlist.read({"modules": dict(modules)}), top)


def test_levels_and_ns_of_a_path_through_three_modules() -> None:
    made = design(
        {
            "top": module(
                {"clk": ("input", [CLOCK])},
                {
                    "source": cell("source", clk=CLOCK, q=10),
                    "logic": cell("logic", a=10, b=11),
                    "sink": cell("sink", clk=CLOCK, d=11),
                },
            ),
            "source": module(
                {"clk": ("input", [CLOCK]), "q": ("output", [3])}, {"f": register("0", 3)}, {"state_q": [3]}
            ),
            "logic": module(
                {"a": ("input", [4]), "b": ("output", [5])},
                {"l1": cell("LUT1", I0=4, O=6), "l2": cell("LUT3", I0=6, I1=4, I2="1", O=5)},
            ),
            "sink": module(
                {"clk": ("input", [CLOCK]), "d": ("input", [3])},
                {"l": cell("LUT2", I0=3, I1="0", O=4), "f": register(4, 5)},
                {"taken_q": [5]},
            ),
        }
    )
    (path,) = [path for path in made.paths(10) if path.end == "top.sink.taken_q"]
    assert (path.levels, path.start, path.cells) == (3, "top.source.state_q", "logic: LUT1 LUT3, sink: LUT2")
    (slow,) = [path for path in made.paths(10, levels=False) if path.end == "top.sink.taken_q"]
    # state_q has two loads; the LUT before the register has it in its slice
    nets = wires.net_ns(2, 0) + 2 * wires.net_ns(1, 0)
    assert slow.ns == pytest.approx(cells.CLOCK_TO_Q_NS + 3 * cells.LUT_NS + nets + cells.SETUP_NS, abs=0.006)
    assert slow.wire_ns == pytest.approx(nets, abs=0.006) and slow.loads == (2, 1, 1)
    assert slow.logic_ns == pytest.approx(slow.ns - slow.wire_ns, abs=0.006)
    assert (made.slower(slow.ns - 0.01), made.slower(slow.ns + 0.01)) == (1, 0)
    own = made.module_cells()
    assert {name: made.longest_through(own[name]).levels for name in ("source", "logic", "sink")} == {
        "source": 3,
        "logic": 3,
        "sink": 3,
    }
    assert made.longest_through(own["logic"]) == path
    assert made.longest_through(own["top"]) is None


def test_of_two_ways_the_longer_and_each_module_its_own() -> None:
    made = design(
        {
            "top": module({"clk": ("input", [CLOCK])}, {"a": cell("short", clk=CLOCK), "b": cell("long", clk=CLOCK)}),
            "short": module({"clk": ("input", [CLOCK])}, {"f": register(5, 3), "l": cell("LUT2", I0=3, I1=3, O=5)}),
            "long": module(
                {"clk": ("input", [CLOCK])},
                {"f": register(6, 3), "l": cell("LUT2", I0=3, I1=3, O=5), "m": cell("LUT2", I0=5, I1=3, O=6)},
            ),
        }
    )
    own = made.module_cells()
    assert made.longest_through(own["short"]).levels == 1
    assert made.longest_through(own["long"]).levels == 2
    assert [path.levels for path in made.paths(10)] == [2, 1]


def carry(first: int, carry_in: object, s: object) -> dict:
    return cell(
        "CARRY4",
        CI=carry_in,
        CYINIT="0",
        DI=["0"] * 4,
        S=["0", "0", "0", s],
        O=[first, first + 1, first + 2, first + 3],
        CO=[first + 4, first + 5, first + 6, first + 7],
    )


def test_a_carry_chain_counts_by_its_delay() -> None:
    made = design(
        {
            "top": module(
                {"clk": ("input", [CLOCK])},
                {
                    "f": register("0", 3),
                    "l": cell("LUT1", I0=3, O=4),
                    "c0": carry(10, "0", 4),
                    "c1": carry(20, 17, "0"),
                    "c2": carry(30, 27, "0"),
                    "g": register(33, 5),
                },
            )
        }
    )
    (path,) = made.paths(10)
    chain = cells.CARRY_NS["in"] + cells.CARRY_NS["carry"] + cells.CARRY_NS["carry_sum"]
    assert path.cells == "LUT1 CARRY4x3"
    assert path.levels == pytest.approx(1 + chain / cells.LEVEL_NS, abs=0.006)
    (slow,) = made.paths(10, levels=False)
    rest = cells.CLOCK_TO_Q_NS + wires.net_ns(1, 0) + cells.LUT_NS + cells.SETUP_NS
    assert slow.ns == pytest.approx(rest + chain + wires.FIT.chain_ns, abs=0.006)
    assert slow.loads == (1,), "the LUT and its carry share a slice"


def test_wide_multiplexers_block_ram_and_enables() -> None:
    made = design(
        {
            "top": module(
                {"clk": ("input", [CLOCK])},
                {
                    "ram": cell(
                        "RAMB18E1", {"DOA_REG": "0"}, CLKARDCLK=CLOCK, ADDRARDADDR=[9, "0"], DOADO=[3], WEA=[9]
                    ),
                    "l1": cell("LUT1", I0=3, O=4),
                    "l2": cell("LUT1", I0=3, O=5),
                    "m": cell("MUXF7", I0=4, I1=5, S="0", O=6),
                    "f": register("0", 7, 6),
                    "g": register("0", 9),
                },
            )
        }
    )
    by_end = {path.end: path for path in made.paths(10, levels=False)}
    path = by_end["top.f"]
    assert path.ns == pytest.approx(
        cells.BRAM_NS
        + wires.net_ns(2, 0)
        + cells.LUT_NS
        + cells.MUX_NS["MUXF7"][0]
        + wires.net_ns(1, 0)
        + cells.CONTROL_SETUP_NS["CE"],
        abs=0.006,
    )
    assert path.levels == pytest.approx(1 + cells.MUX_NS["MUXF7"][0] / cells.LEVEL_NS, abs=0.006)
    loads = {item.name: item.loads for item in made.fanout(10)}
    # g is an address and a write enable, the multiplexer an enable, the LUTs inputs of it
    assert (loads["top.ram"], loads["top.g"], loads["top.m"], loads["top.f"]) == (2, 2, 1, 0)
    assert {item.name: item.control for item in made.fanout(10, control=True)}["top.g"] == 1


def test_a_registered_block_ram_is_faster_and_a_lut_ram_reads_through() -> None:
    made = design(
        {
            "top": module(
                {"clk": ("input", [CLOCK])},
                {
                    "ram": cell("RAMB36E1", {"DOA_REG": "00000001"}, CLKARDCLK=CLOCK, DOADO=[3], ADDRARDADDR=["0"]),
                    "a": register(3, 4),
                    "sample": cell("RAM64X1D", A=[4, "0"], DPRA=[5, "0"], D="0", DPO=6, SPO=7, WCLK=CLOCK, WE="1"),
                    "b": register(6, 8),
                    "c": register("0", 5),
                },
            )
        }
    )
    ends = {path.end: path for path in made.paths(10, levels=False)}
    assert ends["top.a"].ns == pytest.approx(cells.BRAM_REGISTERED_NS + wires.net_ns(1, 0) + cells.SETUP_NS, abs=0.006)
    levels = {path.end: path for path in made.paths(10)}
    assert (levels["top.b"].levels, levels["top.b"].start) == (1, "top.c")


def test_fan_out_across_modules_and_through_wires() -> None:
    leaf = module(
        {"clk": ("input", [CLOCK]), "i": ("input", [3]), "o": ("output", [3])},
        {"l": cell("LUT2", I0=3, I1="0", O=4), "f": register(4, 5), "g": register("0", 6, 3), "h": register(3, 7)},
    )
    # o is i: each instance hands the net on to the next
    made = design(
        {
            "leaf": leaf,
            "top": module(
                {"clk": ("input", [CLOCK]), "y": ("output", [12])},
                {
                    "f": register("0", 10),
                    "a": cell("leaf", clk=CLOCK, i=10, o=11),
                    "b": cell("leaf", clk=CLOCK, i=11, o=12),
                },
            ),
        }
    )
    first = made.fanout(1)[0]
    # enables are loads as data are, clocks are not
    assert (first.loads, first.control, first.name) == (2 * 3 + 1, 2, "top.f")
    assert (first.module, first.kind) == ("top", "register")
    assert netlist.total(made.modules, "top") == Resources(lut=2, ff=7)


def test_the_fit_to_routed_paths() -> None:
    """The model's parameters are those of the least squares, and within 20 % of every path."""

    def errors(values: Sequence[float]) -> list[float]:
        modelled = [path.logic_ns + wires.wire_ns(path, wires.Fit(*values)) for path in wires.ROUTED]
        return [ns / (path.logic_ns + path.wire_ns) - 1 for ns, path in zip(modelled, wires.ROUTED, strict=True)]

    best = optimize.least_squares(errors, wires.FIT, bounds=(0, 20))
    assert wires.FIT == pytest.approx(best.x, abs=0.002)
    assert max(map(abs, errors(wires.FIT))) < 0.2
    # and the report of a netlist with the path's loads says the same
    path = wires.ROUTED[-1]
    loads = {f"f{i}": cell("FDRE", C=CLOCK, D="0", Q=100 + i, CE="1", R=3) for i in range(path.loads[0])}
    text = {"top": module({"clk": ("input", [CLOCK])}, {"clear": register("0", 3), **loads})}
    (found,) = [
        found
        for found in netlist.Design(netlist.read({"modules": text}), "top", path.full).paths(100, levels=False)
        if found.end == "top.f0"
    ]
    assert found.ns == pytest.approx(path.logic_ns + path.wire_ns, rel=0.2)


def test_more_loads_and_a_fuller_part_take_longer() -> None:
    delays = [wires.net_ns(loads, 0.5) for loads in (0, 1, 4, 64, 1000)]
    assert delays[0] == 0 and delays == sorted(delays)
    delays = [wires.net_ns(4, full) for full in (0, 0.01, 0.15, 0.8, 1)]
    assert delays == sorted(delays)


def test_nets_that_cross_the_borders_of_instances() -> None:
    inner = module({"i": ("input", [3]), "o": ("output", [4])}, {"l": cell("LUT1", I0=3, O=4)})
    # i goes in and, through a register of its own and one inside, out; the register's own loop stays
    tile = module(
        {"clk": ("input", [CLOCK]), "i": ("input", [3]), "o": ("output", [6])},
        {"f": register(3, 4), "x": cell("inner", i=4, o=5), "g": register(5, 6), "h": register(7, 7)},
    )
    made = design(
        {
            "inner": inner,
            "tile": tile,
            "top": module(
                {"clk": ("input", [CLOCK])},
                {
                    "f": register("0", 10),
                    "a": cell("tile", clk=CLOCK, i=10, o=11),
                    "b": cell("tile", clk=CLOCK, i=11, o=12),
                    "g": register(12, 13),
                    "outside": register(13, 14),
                },
            ),
        }
    )
    assert made.crossing("tile") == 3 and made.crossing("inner") == 4 and made.crossing("other") == 0


def test_constants_and_inputs_of_the_top() -> None:
    made = design(
        {
            "child": module(
                {"zero": ("output", ["0"]), "i": ("input", [3]), "o": ("output", [4])},
                {"l": cell("LUT2", I0=3, I1="x", O=4)},
            ),
            "top": module(
                {"clk": ("input", [CLOCK]), "i": ("input", [5])},
                {"c": cell("child", zero=6, i=5, o=7), "l": cell("LUT2", I0=6, I1=7, O=8), "f": register(8, 9)},
            ),
        }
    )
    (path,) = made.paths(10)
    assert (path.levels, path.start) == (2, "top.i")
    constant = design(
        {"top": module({"clk": ("input", [CLOCK])}, {"l": cell("LUT1", I0="1", O=3), "f": register(3, 4)})}
    )
    assert constant.paths(10) == [] and [item.loads for item in constant.fanout(10)] == [1, 0]


def test_a_module_without_its_children_ends_at_their_pins() -> None:
    inside = module(
        {"clk": ("input", [CLOCK])},
        {
            "f": register("0", 3),
            "l": cell("LUT1", I0=3, O=4),
            "c": cell("child", i=4, o=5),
            "m": cell("LUT1", I0=5, O=6),
            "n": cell("LUT1", I0=6, O=7),
            "g": register(7, 8),
        },
    )
    inside["cells"]["c"]["port_directions"] = {"i": "input", "o": "output"}
    made = design({"top": netlist.opened(inside)})
    assert [(path.levels, path.start, path.end) for path in made.paths(10)] == [
        (2, "top.c.o", "top.g"),
        (1, "top.f", "top.c.i"),
    ]


def chain(luts: int) -> dict:
    inside = {"f": register("0", 10), "g": register(10 + luts, 5)}
    inside.update({f"l{i}": cell("LUT1", I0=10 + i, O=11 + i) for i in range(luts)})
    return {"modules": {"slow": module({"clk": ("input", [CLOCK])}, inside)}, "memories": []}


@pytest.mark.parametrize(("usual", "delay", "runs", "kept"), [(4, 3, 1, 4), (6, 5, 2, 5), (6, 7, 2, 6)])
def test_a_slow_module_is_mapped_for_delay_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: int, delay: int, runs: int, kept: int
) -> None:
    ran = []

    def run(name: str, text: str, arrays: object, place: Path, before: str) -> dict:
        ran.append(before)
        return chain(delay if before else usual)

    monkeypatch.setattr(synth, "_run", run)
    for _ in range(2):
        result = synth.synthesise({"\\slow": "module \\slow\nend\n"}, tmp_path)
        assert len(ran) == runs
        luts = [entry for entry in result["slow"].modules["slow"]["cells"].values() if entry["type"] == "LUT1"]
        assert len(luts) == kept


def test_two_reports_of_the_same_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one cache: the second waits for the first, and runs nothing."""
    ran: list[tuple[str, str]] = []
    source = tmp_path / "inverter.sv"
    source.write_text("module inverter(input logic i, output logic o);\n  assign o = ~i;\nendmodule\n")
    run_yosys = synth.yosys.run

    def run(script: str, folder: Path, log: str) -> str:
        ran.append((folder.name, log))
        return run_yosys(script, folder, log)

    monkeypatch.setattr(synth.yosys, "run", run)

    def report(number: int) -> dict:
        modules = synth.elaborate([source], "inverter", {}, tmp_path / "cache")
        return synth.synthesise(modules, tmp_path / "cache")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(report, range(2))
    assert first == second and len(ran) == len(set(ran)) == 3


def test_what_is_no_netlist_is_refused() -> None:
    loop = module({}, {"a": cell("LUT1", I0=3, O=4), "b": cell("LUT2", I0=4, I1=5, O=3), "f": register("0", 5)})
    with pytest.raises(netlist.NetlistError, match=r"combinational loop through top\.\S+$"):
        design({"top": loop})
    with pytest.raises(cells.CellError, match="cell type FOO: not a known cell"):
        design({"top": module({}, {"a": cell("FOO")})})
    with pytest.raises(netlist.NetlistError, match="no module other"):
        design({"top": module({}, {})}, "other")
    with pytest.raises(netlist.NetlistError, match="top.a: port i of child does not have 2 bits"):
        design({"child": module({"i": ("input", [2])}, {}), "top": module({}, {"a": cell("child", i=[3, 4])})})
    with pytest.raises(netlist.NetlistError, match="no object named modules"):
        netlist.read({})


FIRST = r"""
attribute \src "a.sv:1"
module \leaf$top.a
  attribute \src "a.sv:2"
  wire width 2 input 1 \i
  wire output 2 \o
  wire $auto$17
  attribute \ram_style "block"
  memory width 8 size 32 \mem
  cell $not $not$a.sv:3$12
    connect \A \i
    connect \Y $auto$17
  end
  connect \o $auto$17
end
"""
SECOND = FIRST.replace("top.a", "top.b").replace("$auto$17", "$auto$99").replace("$12", "$13")
SECOND = SECOND.replace(".sv:1", ".sv:8").replace(".sv:2", ".sv:9")
OTHER = FIRST.replace("top.a", "top.c").replace("$not ", "$pos ")
TOP = r"""
module \top
  cell \leaf$top.a \a
  end
  cell \leaf$top.b \b
  end
  cell \leaf$top.c \c
  end
end
"""


def test_equal_modules_are_joined() -> None:
    modules = rtlil.split((FIRST + SECOND + OTHER + TOP).replace("\n\n", "\n"))
    assert list(modules) == [r"\leaf$top.a", r"\leaf$top.b", r"\leaf$top.c", r"\top"]
    shared, names = rtlil.share(modules, r"\top")
    assert list(shared) == [r"\leaf", r"\leaf.2", r"\top"]
    assert names[r"\leaf$top.b"] == r"\leaf" and names[r"\leaf$top.c"] == r"\leaf.2"
    assert rtlil.children(shared[r"\top"]) == [r"\leaf", r"\leaf.2"]
    assert rtlil.split("".join(shared.values())) == shared
    assert rtlil.memories(shared[r"\leaf"]) == [rtlil.Array("mem", 32, 8, "block")]
    box = rtlil.stub(shared[r"\leaf"])
    assert r"wire width 2 input 1 \i" in box and r"wire output 2 \o" in box and "blackbox" in box and "cell" not in box


@pytest.mark.parametrize(
    ("style", "words", "became", "wrong"),
    [
        ("block", 1024, "block RAM", False),
        ("block", 1024, "LUT RAM", True),
        ("block", 4, "registers", True),
        ("distributed", 32, "LUT RAM", False),
        ("distributed", 32, "registers", True),
        ("", 16, "registers", True),
        ("", 3, "registers", False),
        ("", 512, "LUT RAM", False),
        ("registers", 64, "registers", False),
        ("block", 16, "removed", False),
    ],
)
def test_a_memory_that_is_not_as_meant(style: str, words: int, became: str, wrong: bool) -> None:
    assert report.failed(synth.Memory("mem", words, 8, style, became)) is wrong


SMALL = """
module sample #(parameter int unsigned Pe = 2) (
    input logic clk, input logic rst, input logic go, input logic [4:0] a, input logic [7:0] d,
    output logic [7:0] good, output logic [7:0] bad, output logic [Pe-1:0] room, output logic [8*Pe-1:0] out
);
  (* ram_style = "block" *) logic [7:0] wanted[32];
  (* ram_style = "block" *) logic [7:0] proper[512];
  logic [7:0] read_q;
  always_ff @(posedge clk) begin
    if (go) wanted[a] <= d;
    if (go) proper[{4'b0, a}] <= d;
    read_q <= proper[{4'b0, d[4:0]}];
  end
  assign bad = wanted[d[4:0]] ^ wanted[a];
  assign good = read_q;
  for (genvar i = 0; i < Pe; i++) begin : gen_fifo
    logic valid;
    bnn_fifo #(.Width(8), .Depth(16)) u_fifo (.clk_i(clk), .rst_i(rst), .push_i(go), .data_i(d ^ 8'(i)),
        .room_o(room[i]), .valid_o(valid), .pop_i(valid), .data_o(out[8*i+:8]));
  end
endmodule
"""


def test_from_source_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = tmp_path / "rtl"
    sources.mkdir()
    (sources / "sample.sv").write_text(SMALL)
    for name in ("bnn_fifo", "bnn_fifo_step"):
        (sources / f"{name}.sv").write_bytes(rtl.find(name).read_bytes())
    command = [
        "--design",
        "sim_small",
        "--module",
        "sample",
        "--alone",
        "-P",
        "Pe=3",
        "--rtl",
        str(sources),
        "--cache",
        str(tmp_path / "cache"),
        "-o",
        str(tmp_path),
    ]
    assert report.main(command) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "error: memory sample.wanted (32 x 8, block) became LUT RAM"
    found = json.loads((tmp_path / "report_sample.json").read_text())
    assert {"total", "array_lut_per_mac", "max_logic_levels", "max_fanout", "modules", "memories"} <= set(found)
    assert found["array_lut_per_mac"] is None
    fifo, small = found["modules"]["bnn_fifo"], found["modules"]["sample"]
    assert fifo["instances"] == 3 and fifo["total"]["ff"] == fifo["own"]["ff"] > 8
    assert found["total"]["ff"] == small["total"]["ff"] == small["own"]["ff"] + 3 * fifo["own"]["ff"]
    assert found["total"]["bram36"] == 0.5 and found["percent"]["bram36"] == 0.4
    became = {item["name"]: (item["words"], item["bits"], item["became"]) for item in found["memories"]}
    assert became["proper"] == (512, 8, "block RAM") and became["mem"] == (16, 8, "LUT RAM")
    assert found["max_logic_levels"] >= 1 and found["max_fanout"] >= 1
    assert "proper" in printed.out and "% of pynq_z1" in printed.out

    # all from the cache
    assert report.main(command) == 1
    assert "bnn_fifo:" not in capsys.readouterr().err
    (sources / "sample.sv").write_text(SMALL.replace("assign good = read_q;", "assign good = read_q"))
    assert report.main(command) == 1
    assert "sample.sv:" in capsys.readouterr().err


def test_the_table_says_what_is_assumed() -> None:
    board = BOARDS["pynq_z1"]
    whole = synth.Netlist(**chain(3))
    found = {**report.analyse({"slow": whole}, "slow", board, 1, 300, full=0.8), "board": board.name}
    # the last LUT has the register in its slice
    wire = 3 * wires.net_ns(1, 0.8)
    assert found["max_ns"] == pytest.approx(cells.CLOCK_TO_Q_NS + wire + 3 * cells.LUT_NS + cells.SETUP_NS, abs=0.006)
    assert found["slack_ns"] == pytest.approx(1000 / 300 - wires.UNCERTAINTY_NS - found["max_ns"], abs=0.006)
    assert (found["failing_ends"], found["max_fanout"], found["full"]) == (1, 1, 0.8)
    (worst,) = found["slowest"]
    assert worst["wire_ns"] == pytest.approx(wire, abs=0.006)
    text = report.table(found)
    assert f"{found['slack_ns']:.2f} ns at 300 MHz less 0.7 ns: fails at 1 ends" in text
    assert f"{worst['ns']:.2f} = {worst['logic_ns']:.2f} + {worst['wire_ns']:.2f}  slow.f -> slow.g" in text.replace(
        worst["start"], "slow.f"
    ).replace(worst["end"], "slow.g")
    assert f"a net of 4 loads {wires.net_ns(4, 0.8):.2f} ns" in text and "80% is taken" in text
    slower = report.analyse({"slow": whole}, "slow", board, 1, 100)
    assert slower["slack_ns"] > 0 == slower["failing_ends"] and slower["full"] < 0.001
    assert "met" in report.table({**slower, "board": board.name})
    assert "around" not in text
    text = report.table({**found, "around": shell.summary(DESIGNS["pynq_z1"])})
    assert f"{'LUT with what is around':24} {found['total']['lut'] + 1940:9g}" in text and "an estimate" in text
    # A share of the sum, not the sum of two rounded shares: 65.7 and 3.6
    pynq = {"total": {**found["total"], "lut": 34978}, "percent": {**found["percent"], "lut": 65.7}}
    text = report.table(
        {**found, **pynq, "available": {"lut": 53200, "ff": 106400}, "around": shell.summary(DESIGNS["pynq_z1"])}
    )
    assert f"{36918:9g}   69.4 % of" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--design", "none"], "error: design 'none' is not one of"),
        (["-P", "Pe"], "error: parameter 'Pe': expected NAME=NUMBER"),
        (["--module", "nothing", "--alone"], "error: module nothing: no file"),
        (["--rtl", "nowhere"], "error: nowhere: no SystemVerilog files"),
    ],
)
def test_errors_take_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clock", "0"], "error: argument --clock: 0: expected a number above 0"),
        (["--full", "101"], "error: argument --full: 101: expected 0 to 100"),
    ],
)
def test_options_out_of_range(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report.main(arguments)
    assert capsys.readouterr().err.startswith(message)
