"""Boards: what their parts offer, their processing systems and the settings of those.

A new board of a known processing system is one row of `BOARDS`, or a table in a design's file (docs/adding_a_board.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bnn.errors import ExpectedError


class DesignError(ExpectedError):
    """A board, a design, or a model on a design, breaks a constraint; one line names object, value and constraint."""


class MemoryPort(NamedTuple):
    """A port of a processing system through which the core reaches the memory.

    `clock` is the pin of its clock, `use` and `width` are the parameters of the IP that enable it and set its data
    width, `segment` is the memory behind it.
    """

    name: str
    clock: str
    use: str
    width: str
    segment: str


@dataclass(frozen=True)
class ProcessingSystem:
    """The hard processors of a family of parts, and what their parts are called in Vivado.

    `ip` is the name of its IP and `family` that of its parts. `control` is its port to the core's registers, `memory`
    those from the core's memory ports, `control_base` the registers' address. The core's clock is a PLL of `pll_mhz`
    over an integer: timing calls it `clock`, the IP's parameter `frequency` asks for it and `actual` tells what it
    became.
    """

    ip: str
    family: str
    control: str
    memory: tuple[MemoryPort, MemoryPort]
    control_base: int
    pll_mhz: float
    clock: str
    frequency: str
    actual: str

    def divider(self, clock_mhz: float) -> int:
        """The divider that comes closest to a clock."""
        return max(1, round(self.pll_mhz / clock_mhz))


ZYNQ7 = ProcessingSystem(
    "processing_system7",
    "zynq",
    "M_AXI_GP0",
    (
        MemoryPort(
            "S_AXI_HP0",
            "S_AXI_HP0_ACLK",
            "PCW_USE_S_AXI_HP0",
            "PCW_S_AXI_HP0_DATA_WIDTH",
            "ps/S_AXI_HP0/HP0_DDR_LOWOCM",
        ),
        MemoryPort(
            "S_AXI_HP1",
            "S_AXI_HP1_ACLK",
            "PCW_USE_S_AXI_HP1",
            "PCW_S_AXI_HP1_DATA_WIDTH",
            "ps/S_AXI_HP1/HP1_DDR_LOWOCM",
        ),
    ),
    0x43C00000,
    1000.0,
    "clk_fpga_0",
    "PCW_FPGA0_PERIPHERAL_FREQMHZ",
    "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ",
)
"""Its IO PLL is at 1000 MHz with the crystals of all boards here: 20 times 50 or 30 times 33.333 MHz."""
ZYNQMP = ProcessingSystem(
    "zynq_ultra_ps_e",
    "zynquplus",
    "M_AXI_HPM0_FPD",
    (
        MemoryPort(
            "S_AXI_HP0_FPD",
            "saxihp0_fpd_aclk",
            "PSU__USE__S_AXI_GP2",
            "PSU__SAXIGP2__DATA_WIDTH",
            "ps/SAXIGP2/HP0_DDR_LOW",
        ),
        MemoryPort(
            "S_AXI_HP1_FPD",
            "saxihp1_fpd_aclk",
            "PSU__USE__S_AXI_GP3",
            "PSU__SAXIGP3__DATA_WIDTH",
            "ps/SAXIGP3/HP1_DDR_LOW",
        ),
    ),
    0xA0000000,
    1500.0,
    "clk_pl_0",
    "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ",
    "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ",
)
"""Its IO PLL is at 45 times 33.333 MHz: the FBDIV of Avnet's board files, and what Vivado takes for the K26."""

CLOCK_TOLERANCE = 1e-3
"""By which a clock may differ from the one that is asked for: crystals are 33.333 MHz in Vivado, not 33 1/3."""
PROCESSING_SYSTEMS = {"zynq7": ZYNQ7, "zynqmp": ZYNQMP}
"""By the name in a design's file."""

PYNQ_PS = {
    "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": "50",
    "PCW_APU_PERIPHERAL_FREQMHZ": "650",
    "PCW_PRESET_BANK0_VOLTAGE": "LVCMOS 3.3V",
    "PCW_PRESET_BANK1_VOLTAGE": "LVCMOS 1.8V",
    "PCW_QSPI_PERIPHERAL_ENABLE": "1",
    "PCW_QSPI_GRP_SINGLE_SS_ENABLE": "1",
    "PCW_QSPI_GRP_FBCLK_ENABLE": "1",
    "PCW_ENET0_PERIPHERAL_ENABLE": "1",
    "PCW_ENET0_ENET0_IO": "MIO 16 .. 27",
    "PCW_ENET0_GRP_MDIO_ENABLE": "1",
    "PCW_ENET0_GRP_MDIO_IO": "MIO 52 .. 53",
    "PCW_ENET0_RESET_ENABLE": "1",
    "PCW_ENET0_RESET_IO": "MIO 9",
    "PCW_USB0_PERIPHERAL_ENABLE": "1",
    "PCW_USB0_USB0_IO": "MIO 28 .. 39",
    "PCW_USB0_RESET_ENABLE": "1",
    "PCW_USB0_RESET_IO": "MIO 46",
    "PCW_SD0_PERIPHERAL_ENABLE": "1",
    "PCW_SD0_SD0_IO": "MIO 40 .. 45",
    "PCW_SD0_GRP_CD_ENABLE": "1",
    "PCW_SD0_GRP_CD_IO": "MIO 47",
    "PCW_SDIO_PERIPHERAL_FREQMHZ": "50",
    "PCW_UART0_PERIPHERAL_ENABLE": "1",
    "PCW_UART0_UART0_IO": "MIO 14 .. 15",
    "PCW_UIPARAM_DDR_PARTNO": "MT41J256M16 RE-125",
    "PCW_UIPARAM_DDR_BUS_WIDTH": "16 Bit",
    "PCW_UIPARAM_DDR_FREQ_MHZ": "525",
    "PCW_UIPARAM_DDR_TRAIN_WRITE_LEVEL": "1",
    "PCW_UIPARAM_DDR_TRAIN_READ_GATE": "1",
    "PCW_UIPARAM_DDR_TRAIN_DATA_EYE": "1",
    "PCW_UIPARAM_DDR_BOARD_DELAY0": "0.223",
    "PCW_UIPARAM_DDR_BOARD_DELAY1": "0.212",
    "PCW_UIPARAM_DDR_BOARD_DELAY2": "0.085",
    "PCW_UIPARAM_DDR_BOARD_DELAY3": "0.092",
    "PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_0": "0.040",
    "PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_1": "0.058",
    "PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_2": "-0.009",
    "PCW_UIPARAM_DDR_DQS_TO_CLK_DELAY_3": "-0.033",
}
"""Settings of processing_system7 on the PYNQ-Z1 and PYNQ-Z2, without the prefix CONFIG: what their schematics and
memory fix (crystal, DDR3 of 16 bit at 525 MHz with the delays of its traces, pins of flash, Ethernet, USB, SD and
UART). Both have the same; they are written out, so that no board file has to be installed."""


class Device(NamedTuple):
    """What a device offers, in any package and speed grade."""

    lut: int
    ff: int
    bram36: int
    dsp: int


DEVICES = {
    "xc7z010": Device(17600, 35200, 60, 80),
    "xc7z020": Device(53200, 106400, 140, 220),
    "xczu3eg": Device(70560, 141120, 216, 360),
    "xck26": Device(117120, 234240, 144, 1248),
}
"""By the first letters of a part (DS190, DS891, DS987)."""


@dataclass(frozen=True)
class Board:
    """A board: its part and what that offers, its processing system, and how Vivado knows it.

    `board_part` is Vivado's name of the board, used where its board files are installed and needed where
    `preset`, settings of the processing system, is empty.

    Raises:
        DesignError: a resource is not positive, or neither `board_part` nor `preset` is given.
    """

    name: str
    part: str
    ps: ProcessingSystem
    lut: int
    ff: int
    bram36: int
    dsp: int
    board_part: str = ""
    preset: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for key in Device._fields:
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
                raise DesignError(f"board {self.name}: {key}={value!r} is not a positive integer")
        if not self.board_part and not self.preset:
            raise DesignError(
                f"board {self.name}: needs board_part, Vivado's name of it, or a preset of its processing system"
            )


def known(
    name: str, part: str, ps: ProcessingSystem, board_part: str = "", preset: Mapping[str, str] | None = None
) -> Board:
    """A board whose part is one of `DEVICES`.

    Raises:
        DesignError: it is not.
    """
    device = next((key for key in DEVICES if part.startswith(key)), None)
    if device is None:
        raise DesignError(
            f"board {name}: part {part!r} is of none of {', '.join(DEVICES)}: say what it offers, "
            f"{', '.join(Device._fields)}"
        )
    return Board(name, part, ps, *DEVICES[device], board_part, preset or {})


BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        known("pynq_z1", "xc7z020clg400-1", ZYNQ7, "www.digilentinc.com:pynq-z1:part0:1.0", PYNQ_PS),
        known("pynq_z2", "xc7z020clg400-1", ZYNQ7, "tul.com.tw:pynq-z2:part0:1.0", PYNQ_PS),
        known("zybo_z7_10", "xc7z010clg400-1", ZYNQ7, "digilentinc.com:zybo-z7-10:part0:1.1"),
        known("ultra96v2", "xczu3eg-sbva484-1-i", ZYNQMP, "em.avnet.com:ultra96v2:part0:1.2"),
        known("kv260", "xck26-sfvc784-2LV-c", ZYNQMP, "xilinx.com:kv260_som:part0:1.3"),
    )
}
"""By name."""


def find(name: str) -> Board:
    """The board called `name`.

    Raises:
        DesignError: there is none.
    """
    if name not in BOARDS:
        raise DesignError(f"board {name!r} is not one of {', '.join(BOARDS)}")
    return BOARDS[name]
