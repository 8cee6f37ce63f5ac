"""The simulated board's `.hwh` and `.bit`, read by the parsers of the real pynq package."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hls import designs, overlay, render
from hls.registers import registers

pytest.importorskip("pynq")

from pynq.pl_server.embedded_device import bit2bin, parse_bit_header  # noqa: E402
from pynq.pl_server.hwh_parser import _HWHZynq  # noqa: E402
from pynqmetadata.frontends import Metadata  # noqa: E402
from pynqmetadata.views.runtime import RuntimeMetadataParser  # noqa: E402

BASE, RANGE = 0x43C00000, 0x10000


@pytest.fixture(params=sorted(designs.DESIGNS))
def design(request: pytest.FixtureRequest) -> designs.Design:
    return designs.find(request.param)


def test_metadata_of_pynq_4(design: designs.Design, tmp_path: Path) -> None:
    overlay.write(design, tmp_path)
    found = RuntimeMetadataParser(Metadata(input=tmp_path / f"{design.name}.hwh"))
    core = found.ip_dict["core"]
    assert (core["phys_addr"], core["addr_range"], core["type"]) == (BASE, RANGE, "bnn:hls:bnn_top:1.0")
    assert (found.ps_name, found.family_ps) == ("ps", "processing_system7")
    assert found.clock_dict[0]["enable"] == 1
    assert found.clock_dict[0]["frequency"] == pytest.approx(design.clock_mhz, 1e-4)
    assert [found.clock_dict[index]["enable"] for index in (1, 2, 3)] == [0, 0, 0]
    assert {name: entry["address_offset"] for name, entry in core["registers"].items()} == {
        item.name: item.offset for item in registers()
    }


def test_handoff_of_earlier_pynq(design: designs.Design, tmp_path: Path) -> None:
    overlay.write(design, tmp_path)
    found = _HWHZynq(hwh_name=str(tmp_path / f"{design.name}.hwh"))
    core = found.ip_dict["core"]
    assert (core["phys_addr"], core["addr_range"]) == (BASE, RANGE)
    assert core["interrupts"]["interrupt"]["raw_irq"] == 61
    divide = found.clock_dict[0]["divisor0"] * found.clock_dict[0]["divisor1"]
    assert design.board.ps.pll_mhz / divide == pytest.approx(design.clock_mhz, 1e-4)
    fields = core["registers"]["geometry"]["fields"]
    assert (fields["SIMD"]["bit_offset"], fields["SIMD"]["bit_width"]) == (16, 16)


def test_block_design_is_that_of_the_script(design: designs.Design) -> None:
    """Every instance and connection of vivado/build.tcl is in the .hwh."""
    root = ElementTree.fromstring(overlay.render_hwh(design))
    script = render.render(design, backend="rtl")["vivado/build.tcl"]
    cells = set(re.findall(r"create_bd_cell .* (\w+)\]", script))
    assert {item.get("INSTANCE") for item in root.iter("MODULE")} == cells
    ports = {item.get("INSTANCE"): {port.get("NAME") for port in item.iter("PORT")} for item in root.iter("MODULE")}
    for module in root.iter("MODULE"):
        for port in module.iter("PORT"):
            for link in port.iter("CONNECTION"):
                if link.get("INSTANCE") != "External_Ports":
                    assert link.get("PORT") in ports[link.get("INSTANCE")]


def test_bitstream(design: designs.Design, tmp_path: Path) -> None:
    content = overlay.write(design, tmp_path).read_bytes()
    head = parse_bit_header(content)
    assert (head["design"], head["part"], head["version"]) == (design.name, "7z020clg400", "Version=simulation")
    assert len(head["data"]) % 4 == 0
    assert bytes.fromhex("AA995566") not in head["data"], "a device would take it for a configuration"
    swapped = bit2bin(content)
    assert bytes(swapped[at ^ 3] for at in range(len(swapped))) == head["data"]
    text = head["data"].split(overlay.MAGIC)[1].split(b"\n")[0]
    assert json.loads(text)["design"] == design.parameters()
    assert overlay.bitfile(design) == content


@pytest.mark.parametrize(
    ("clock", "pll", "product"), [(100, 1000, 10), (125, 1000, 8), (187.5, 1500, 8), (31.25, 1000, 32)]
)
def test_divisors(clock: float, pll: float, product: int) -> None:
    first, second = overlay.divisors(clock, pll)
    assert first * second == product and max(first, second) < 64


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert overlay.main(["--design", "sim_small", "-o", str(tmp_path / "new")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["sim_small.bit", "sim_small.hwh"]
    assert overlay.main(["--design", "none", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: design 'none'")
