"""What an operation costs, as data: for the fabric of the Zynq-7000 and of the UltraScale+, both of speed grade -1.

A scheduler of an HLS tool gives each operator a latency in clock edges and a delay in ns, and puts one after the other
into a cycle as long as their sum stays below the clock period less its uncertainty. The figures are those that the tool
has written into schedules (`*.verbose.sched.rpt`) that people keep in public repositories:

- `ZYNQ7`: Vivado HLS 2018.3 for xc7z020clg400-1 (JTP75/Advanced-Digital-Design, labs 5 and 6); 2019.2 for xc7a35t-1
  (MukulSingh105/Accelerated-Matrix-Multiplication), the same fabric and grade; widths that neither has from 2019.2 for
  xc7z020-2 (HJL2020-s/FPGAZYNQ_TESTCONV), times 1.35, the ratio of the two grades where both are known.
- `ULTRASCALE`: Vitis HLS 2025.1 for xczu3eg-sbva484-1 (asandeep1/FPGA_ECE8893, WYI1223/ECE8893MyLab); FIFOs from 2021.2
  for xczu7ev-2, times 1.2.

That block RAM takes a cycle between address and data, and that a read may follow a write to the same word in the cycle
after, is AMD's answer record 51269.
"""

from __future__ import annotations

from dataclasses import dataclass

UNCERTAINTY = 0.27
"""Part of the clock period that is left to place and route (UG1399, "Specifying the Clock Frequency")."""
INSTRUCTIONS = 60_000
"""Instructions that a loop may have after unrolling: logs end with HLS 200-1471 or XFORM 203-504 near 170,000."""
LUT_INPUTS = 6
Table = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Cost:
    """Of an operator: clock edges between inputs and output, ns before the first of them and after the last.

    Without an edge it takes `delay` ns of a cycle.
    """

    latency: int
    delay: float
    setup: float = 0.0


@dataclass(frozen=True)
class Family:
    """Costs by fabric. Tables give ns by bits.

    `lut`: a function of six bits and its net. `carry`: an addition, or a comparison of order. `equal`: a comparison for
    equality. `shift`: by a variable number of bits. `choice`: one of some registers, by their number. `block_ram`,
    `lut_ram`: a read; a write takes as much as the address of a read. `fifo_read`, `fifo_write`: the first word falls
    through.
    `product`: of two factors in one DSP without registers; `product_bits`: of the wider factor of such a product.
    """

    name: str
    lut: float
    carry: Table
    equal: Table
    shift: Table
    choice: Table
    block_ram: Cost
    lut_ram: Cost
    fifo_read: float
    fifo_write: float
    product: float
    product_bits: int

    def multiply(self, wide: int, narrow: int) -> Cost:
        """A product by the bits of its factors: one DSP without registers, or several with three or five edges."""
        if wide <= self.product_bits and narrow <= 18:
            return Cost(0, self.product)
        return Cost(3 if wide <= 2 * self.product_bits else 5, 0.0)

    def divide(self, bits: int) -> Cost:
        """A quotient: a bit a cycle."""
        return Cost(bits + 4, 0.0)


AXI = Cost(8, 0.0)
"""A read through an m_axi port: a request of seven cycles and the data, which fill a cycle of their own."""
ZYNQ7 = Family(
    "Zynq-7000",
    lut=0.98,
    carry=((1, 0.98), (2, 1.58), (5, 1.77), (8, 1.91), (12, 1.91), (16, 2.08), (19, 2.16), (32, 2.55), (64, 3.52)),
    equal=((2, 0.93), (6, 1.42), (8, 1.55), (10, 1.77), (11, 1.88), (19, 2.43), (32, 2.47), (64, 2.78)),
    shift=((1, 0.98), (4, 1.6), (8, 2.1), (16, 3.0), (32, 4.42), (64, 4.42)),
    choice=((2, 0.98), (4, 1.77), (8, 1.9), (16, 2.3), (64, 3.4), (512, 5.34)),
    block_ram=Cost(1, 3.25, 3.25),
    lut_ram=Cost(1, 2.32, 2.32),
    fifo_read=2.19,
    fifo_write=2.19,
    product=3.36,
    product_bits=18,
)
ULTRASCALE = Family(
    "UltraScale+",
    lut=0.43,
    carry=((1, 0.33), (7, 0.89), (11, 0.94), (16, 1.01), (24, 1.10), (32, 1.19), (64, 1.47)),
    equal=((1, 0.33), (7, 0.89), (15, 1.00), (24, 1.10), (32, 1.19), (64, 1.47)),
    shift=((1, 0.43), (8, 0.9), (16, 1.1), (32, 1.45), (64, 1.6)),
    choice=((2, 0.43), (4, 0.60), (8, 0.83), (64, 0.97), (512, 1.6)),
    block_ram=Cost(1, 1.35, 1.35),
    lut_ram=Cost(1, 0.79, 0.79),
    fifo_read=1.97,
    fifo_write=2.2,
    product=3.38,
    product_bits=27,
)


def family(part: str) -> Family:
    """The costs for a part, by its name."""
    return ZYNQ7 if part.startswith("xc7") else ULTRASCALE


def by_width(table: Table, bits: int) -> float:
    """ns between the table's points, linearly; beyond its end in proportion."""
    low, last = table[0]
    if bits <= low:
        return last
    for width, delay in table[1:]:
        if bits <= width:
            return last + (delay - last) * (bits - low) / (width - low)
        low, last = width, delay
    return last * bits / low
