"""The bench of the whole core on three devices: the RTL, the HLS C++ behind DPI, and a folder of Verilog.

The RTL itself is in test_top.py. A folder, as Vitis HLS leaves it in bnn_hls/solution/syn/verilog, is
given by BNN_RTL (`make sim RTL=path`): every .v and .sv in it, top bnn_top. Registers, interrupt, buses and
scores are checked, and where the device has the taps of the RTL every layer's bits. BNN_DESIGN names the
design it was made for, by default the one whose registers it has.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import List

import cocotb
import pytest
import test_top
from bench import HERE, LIBRARY, run
from helpers.programs import change

from bnn.contract import CONSTANT, Error
from bnn.paths import plain
from hls import sources as rtl
from hls.ap_types import find_ap_types
from hls.designs import DESIGNS
from hls.render import core_ports, render_header
from sim import hls_csim

DPI = HERE.parent / "dpi"
KNOWN = {design.name: design for design in (test_top.DESIGN, *DESIGNS.values())}
COMMON = ("device_networks", "device_registers")
UNTIMED = (*COMMON, "device_control", "device_restart", "device_errors")


class DeviceError(Exception):
    """A folder that is not the core; one line."""


class Bench(test_top.Bench):
    """The bench of test_top.py without a look inside, where the device has no taps."""

    async def watch(self):
        if hasattr(self.dut, "tap_write_lane"):
            await super().watch()

    def check(self, name, program, pixels):
        if hasattr(self.dut, "tap_write_lane"):
            return super().check(name, program, pixels)
        model = test_top.NETWORKS[name][0]
        want = test_top.golden.infer(model, pixels)
        assert (self.scores(len(pixels), len(model.classes)) == want).all(), f"{name}: scores"
        assert not self.memory.outside, f"{name}: addresses {[hex(a) for a in self.memory.outside]}"


async def begin(dut, **options) -> Bench:
    """A bench for the design that the device is."""
    bench = await Bench(dut, **options).reset()
    assert await bench.read(test_top.CONTROL) == test_top.IDLE
    wanted = os.environ.get("BNN_DESIGN")
    values = [await bench.read(register.offset) for register in CONSTANT]
    for design in [KNOWN[wanted]] if wanted else KNOWN.values():
        if values == [design.registers().words[register.word] for register in CONSTANT]:
            test_top.DESIGN = design
            return bench
    raise AssertionError(
        f"registers {[(register.name, hex(value)) for register, value in zip(CONSTANT, values)]}: of no known design"
    )


@cocotb.test()
async def device_networks(dut):
    await test_top.all_networks(await begin(dut))


@cocotb.test()
async def device_registers(dut):
    bench = await begin(dut)
    await bench.infer("dense", 3)
    await bench.infer("dense", 2, keep=True)
    await bench.setup(b"", test_top.np.zeros((0, 8), test_top.np.uint8), 1)
    await bench.write(test_top.CONTROL, test_top.START)
    await bench.finish()  # no images: nothing but an interrupt
    await bench.infer("resident", 2)


# What only devices with the registers of the RTL core do in the same number of cycles.
async def _as(test, dut):
    test_top.Bench, original = Bench, test_top.Bench
    try:
        await test.func(dut)
    finally:
        test_top.Bench = original


@cocotb.test()
async def device_control(dut):
    await _as(test_top.control, dut)


@cocotb.test()
async def device_restart(dut):
    await _as(test_top.auto_restart, dut)


@cocotb.test()
async def device_errors(dut):
    """Error responses of the memory, and wrong programs of each kind."""
    bench = await begin(dut)
    program, pixels = await bench.infer("resident_segments", 3)
    classes = len(test_top.NETWORKS["resident_segments"][0].classes)
    unfit = [(Error.RANGE, words) for words, _ in test_top.unfit("resident_segments")]
    for code, words in test_top.WRONG + unfit:
        await bench.setup(program, pixels, classes)
        base = bench.memory.regions["program"][0]
        bench.memory.place("program", base, change(program, **words))
        bench.expect(program, len(pixels))
        await bench.write(test_top.CONTROL, test_top.START)
        await bench.finish(code, limit=10_000)
        bench.memory.outside.clear()
    for region, offset in (("program", 0), ("program", 200), ("images", 8), ("scores", 4)):
        await bench.setup(program, pixels, classes)
        at = bench.memory.regions[region][0] + offset
        bench.memory.bad = range(at // 8 * 8, at // 8 * 8 + 8)
        bench.expect(program, len(pixels))
        await bench.write(test_top.CONTROL, test_top.START)
        await bench.finish(Error.RESPONSE)
        bench.memory.bad = range(0)
        await bench.infer("dense", 2)


# ---- Building -----------------------------------------------------------------------------------


def generated(folder: Path) -> List[Path]:
    """The Verilog of a folder, checked to be the core: its top, the ports, a reset that is active low.

    Raises:
        DeviceError: there is no folder, no Verilog, or bnn_top lacks a port.
    """
    if not folder.is_dir():
        raise DeviceError(f"{folder}: no such folder")
    sources = sorted(path for path in folder.iterdir() if path.suffix in (".v", ".sv"))
    top = next((path for path in sources if path.stem == "bnn_top"), None)
    if top is None:
        raise DeviceError(f"{folder}: no bnn_top.v or bnn_top.sv among {len(sources)} files")
    text = re.sub(r"//[^\n]*|/\*.*?\*/|`[^\n]*", "", top.read_text(errors="replace"), flags=re.S)
    head = re.search(r"\bmodule\s+bnn_top\b([^;]*);", text)  # its port list, of either style
    ports = set(re.findall(r"\b\w+\b", head.group(1))) if head else set()
    missing = [name for _, _, name in core_ports() if name not in ports]
    if "ap_rst_n" in missing and "ap_rst" in ports:
        raise DeviceError(f"{top}: reset is ap_rst, expected ap_rst_n, which is active low")
    if missing:
        raise DeviceError(f"{top}: no port {', '.join(missing)}")
    return sources


@pytest.mark.slow
@pytest.mark.skipif(find_ap_types() is None, reason="ap_int.h is not installed")
def test_hls_core(tmp_path: Path) -> None:
    """(b) The HLS C++ behind DPI."""
    (tmp_path / "bnn_design.h").write_text(render_header(test_top.DESIGN))
    folders = f"-isystem {plain(find_ap_types())} -I{plain(tmp_path)} -I{plain(hls_csim.SOURCES)}"
    sources = [DPI / "bnn_top.sv", *(rtl.find(f"bnn_{name}") for name in ("control", "axi_read", "axi_write"))]
    cpp = [str(plain(DPI / "bnn_dpi.cpp")), str(plain(hls_csim.SOURCES / "bnn_top.cpp"))]
    run(
        __file__,
        "bnn_top",
        {name: value for name, value in test_top.PARAMETERS.items() if name not in ("Ports", "DspLanes")},
        tmp_path / "build",
        UNTIMED,
        sources,
        ["-Wno-fatal", "-CFLAGS", f"{folders} -Wno-unknown-pragmas", *LIBRARY, *cpp],
    )


def stand_in(folder: Path) -> Path:
    """A folder as Vitis HLS leaves it: a top without parameters, its modules beside it, other files."""
    folder.mkdir()
    for path in rtl.files():
        if path.stem != "bnn_top":
            shutil.copyfile(path, folder / path.name)
    text = rtl.find("bnn_top").read_text()
    (folder / "bnn_top_inner.sv").write_text(re.sub(r"\bmodule bnn_top\b", "module bnn_top_inner", text))
    ports = core_ports()
    user = [
        f"{direction} wire [0:0] m_axi_gmem_{name}"
        for direction, name in (
            ("output", "AWUSER"),
            ("output", "WID"),
            ("output", "WUSER"),
            ("input", "BUSER"),
            ("output", "ARUSER"),
            ("input", "RUSER"),
        )
    ]
    listed = [" ".join(part for part in (direction, "wire", width, name) if part) for direction, width, name in ports]
    parameters = ", ".join(f".{name}({value})" for name, value in test_top.PARAMETERS.items())
    (folder / "bnn_top.v").write_text(
        "`timescale 1 ns / 1 ps\nmodule bnn_top (\n  " + ",\n  ".join(listed + user) + "\n);\n"
        f"bnn_top_inner #({parameters}) inner ("
        + ", ".join(f".{name}({name})" for _, _, name in ports)
        + ");\n"
        + "".join(f"assign m_axi_gmem_{name} = 0;\n" for name in ("AWUSER", "WID", "WUSER", "ARUSER"))
        + "endmodule\n"
    )
    (folder / "bnn_top_table.dat").write_text("00\n")
    (folder / "bnn_top_ip.tcl").write_text("# a script that the simulation leaves alone\n")
    return folder


@pytest.mark.slow
def test_folder(tmp_path: Path) -> None:
    """(c) A folder of generated Verilog: BNN_RTL, else a stand-in for one."""
    given = os.environ.get("BNN_RTL")
    folder = Path(given).resolve() if given else stand_in(tmp_path / "syn verilog")
    sources = generated(folder)
    run(__file__, "bnn_top", {}, tmp_path / "build", COMMON, sources, ["-Wno-fatal", "-y", str(folder)], large=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ap_rst_n", "ap_rst", "reset is ap_rst, expected ap_rst_n, which is active low"),
        ("m_axi_gmem_ARADDR", "m_axi_gmem0_ARADDR", "no port m_axi_gmem_ARADDR"),
        ("s_axi_control", "s_axi_ctl", "no port s_axi_control_AWVALID, "),
    ],
)
def test_a_folder_with_other_ports(old: str, new: str, message: str, tmp_path: Path) -> None:
    folder = stand_in(tmp_path / "verilog")
    assert len(generated(folder)) > 5
    path = folder / "bnn_top.v"
    path.write_text(re.sub(rf"\b{old}(?=\b|_)", new, path.read_text()))
    with pytest.raises(DeviceError, match=message):
        generated(folder)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no such folder"):
        generated(tmp_path / "none")
    with pytest.raises(DeviceError, match="no bnn_top.v or bnn_top.sv among 0 files"):
        generated(tmp_path)
