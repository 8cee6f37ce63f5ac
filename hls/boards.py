"""What Vivado needs to know of a board: its processing system, the settings of that, and where the core sits.

The settings of the PYNQ boards are what their schematics and memory fix (crystal, DDR3 of 16 bit at 525 MHz with
the delays of its traces, pins of flash, Ethernet, USB, SD and UART); both boards have the same. They are
written out, so that no board file has to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProcessingSystem:
    """The hard processors of a family of parts, and what their parts are called in Vivado.

    `ip` is the name of its IP and `family` that of its parts. `control` and `memory` are its ports to the core's
    registers and from the core, `segment` the memory behind the latter, `control_base` the registers' address. The
    core's clock is a PLL of `pll_mhz` over an integer: timing calls it `clock`, the IP's parameter `frequency` asks
    for it and `actual` tells what it became.
    """

    ip: str
    family: str
    control: str
    memory: str
    segment: str
    control_base: int
    pll_mhz: float
    clock: str
    frequency: str
    actual: str

    def divider(self, clock_mhz: float) -> int:
        """The divider that comes closest to a clock."""
        return max(1, round(self.pll_mhz / clock_mhz))


ZYNQ7 = ProcessingSystem(
    "processing_system7", "zynq", "M_AXI_GP0", "S_AXI_HP0", "ps/S_AXI_HP0/HP0_DDR_LOWOCM", 0x43C00000, 1000.0,
    "clk_fpga_0", "PCW_FPGA0_PERIPHERAL_FREQMHZ", "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ")
"""Its IO PLL is at 1000 MHz with the crystals of all boards here: 20 times 50 or 30 times 33.333 MHz."""
ZYNQMP = ProcessingSystem(
    "zynq_ultra_ps_e", "zynquplus", "M_AXI_HPM0_FPD", "S_AXI_HP0_FPD", "ps/SAXIGP2/HP0_DDR_LOW", 0xA0000000, 1500.0,
    "clk_pl_0", "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ", "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ")
"""Its IO PLL is at 45 times 33.333 MHz: the FBDIV of Avnet's board files, and what Vivado takes for the K26."""

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
"""Settings of processing_system7 on the PYNQ-Z1 and PYNQ-Z2, without the prefix CONFIG."""


@dataclass(frozen=True)
class Platform:
    """A board in Vivado.

    `board_part` is Vivado's name of the board, used where its board files are installed and needed where
    `preset` is empty. `preset` holds settings of the processing system.
    """

    ps: ProcessingSystem
    board_part: str
    preset: Mapping[str, str] = field(default_factory=dict)


PLATFORMS: dict[str, Platform] = {
    "pynq_z1": Platform(ZYNQ7, "www.digilentinc.com:pynq-z1:part0:1.0", PYNQ_PS),
    "pynq_z2": Platform(ZYNQ7, "tul.com.tw:pynq-z2:part0:1.0", PYNQ_PS),
    "zybo_z7_10": Platform(ZYNQ7, "digilentinc.com:zybo-z7-10:part0:1.1"),
    "ultra96v2": Platform(ZYNQMP, "em.avnet.com:ultra96v2:part0:1.2"),
    "kv260": Platform(ZYNQMP, "xilinx.com:kv260_som:part0:1.3"),
}
"""By the name of the board in `hls.designs.BOARDS`."""
