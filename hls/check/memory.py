"""Arrays, streams and ports: what an address belongs to, how it is partitioned, how many accesses fit a cycle."""

from __future__ import annotations

from dataclasses import dataclass, field

from hls.check.ir import Address, Type

COMPLETE_THRESHOLD = 4
"""Elements up to which an array is taken apart without being asked (UG1399, config_array_partition)."""
ANY = -(1 << 60)
"""A bank that is known at run time only."""


@dataclass(frozen=True)
class Ports:
    """Accesses in one cycle: `reads` and `writes` at most, `both` together."""

    reads: int
    writes: int
    both: int


UNLIMITED = Ports(1 << 30, 1 << 30, 1 << 30)
PORTS = {
    "": Ports(2, 2, 2),
    "ram_1p": Ports(1, 1, 1),
    "ram_2p": Ports(2, 1, 2),
    "ram_s2p": Ports(1, 1, 2),
    "ram_t2p": Ports(2, 2, 2),
    "ram_1wnr": Ports(1 << 30, 1, 1 << 30),
    "rom_1p": Ports(1, 0, 1),
    "rom_2p": Ports(2, 0, 2),
    "rom_np": Ports(1 << 30, 0, 1 << 30),
    "fifo": Ports(1, 1, 2),
    "axi": Ports(1, 1, 2),
}
"""Ports by BIND_STORAGE's type (UG1399, pragma HLS bind_storage); "" where it is left to the tool."""


@dataclass
class Memory:
    """An array, stream or port of the top.

    `kind`: "memory", "registers" (partitioned completely), "fifo" or "axi". `sizes`: elements by dimension, the
    outermost first; `unit`: bytes of an element; `bits`: of an element, or of a FIFO's; `depth`: of a FIFO, 2 if
    nothing is said; `partitions`: by dimension (1 is the outermost) kind and factor.
    """

    root: str
    name: str
    kind: str
    sizes: tuple[int, ...]
    unit: int
    partitions: dict[int, tuple[str, int]] = field(default_factory=dict)
    storage: str = ""
    implementation: str = ""
    bundle: str = ""
    bits: int = 0
    depth: int = 2

    @property
    def ports(self) -> Ports:
        """Accesses of one bank in one cycle."""
        if self.kind == "registers":
            return UNLIMITED
        return PORTS.get(self.kind if self.kind in ("fifo", "axi") else self.storage, PORTS[""])

    @property
    def banks(self) -> tuple[int, int]:
        """Number of banks, and words of each."""
        count = 1
        for number, size in enumerate(self.sizes, 1):
            kind, factor = self.partitions.get(number, ("", 1))
            count *= size if kind == "complete" else min(factor, size)
        words = 1
        for size in self.sizes:
            words *= size
        return count, -(-words // count)

    def bank(self, address: Address) -> tuple[int, ...]:
        """Which of the memory's banks an address lies in, by partitioned dimension; `ANY` if that is not constant."""
        if self.kind == "fifo":
            return (address.offset,)
        if self.kind != "memory" or not self.partitions:
            return ()
        indices, varying = self.indices(address)
        found = []
        for number, size in enumerate(self.sizes, 1):
            if number not in self.partitions:
                continue
            kind, factor = self.partitions[number]
            index, factors = indices[number - 1], varying[number - 1]
            if kind == "cyclic":
                found.append(index % factor if all(one % factor == 0 for one in factors) else ANY)
            elif factors:
                found.append(ANY)
            else:
                found.append(index if kind == "complete" else index // -(-size // factor))
        return tuple(found)

    def indices(self, address: Address) -> tuple[list[int], list[list[int]]]:
        """The constant part of each dimension's index, and the factors of its varying terms."""
        strides: list[int] = []
        stride = self.unit
        for size in reversed(self.sizes):
            strides.insert(0, stride)
            stride *= size
        varying: list[list[int]] = [[] for _ in self.sizes]
        for _, factor in address.terms:
            place = next((number for number, stride in enumerate(strides) if factor % stride == 0), len(strides) - 1)
            varying[place].append(factor // strides[place])
        rest = address.offset
        constant = []
        for number, stride in enumerate(strides):
            # the constant part of an index that varies may be below 0, as in a[i - 1]
            inner = next((place for place in range(number + 1, len(strides)) if varying[place]), None)
            index = (rest + (strides[inner - 1] // 2 if inner is not None else 0)) // stride
            constant.append(index)
            rest -= index * stride
        return constant, varying


def shape(kind: Type) -> tuple[tuple[int, ...], int]:
    """Sizes of an array type and the bytes of an element."""
    sizes = []
    while kind.kind == "array":
        sizes.append(kind.count)
        kind = kind.parts[0]
    return tuple(sizes), kind.size


def meet(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two banks can be the same."""
    return all(left == right or ANY in (left, right) for left, right in zip(one, other, strict=True))
