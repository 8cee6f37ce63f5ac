"""The one walk over a network: what every layer reads, computes and gives.

It serves models (:class:`bnn.model.Model`) and topologies without weights (:class:`bnn.networks.Network`) alike:
both have the image's height, width and channels, and ``layers`` with the fields of :class:`Spec`.

MACs are those that the network defines. A 2x2 pool drops an odd last row and column, so nothing that is computed
there counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, List, Tuple

Shape = Tuple[int, int, int]
"""Height, width, channels."""

KERNEL = 3
"""Edge of every convolution's kernel."""
POOL = 2
"""Edge and stride of every pool."""


@dataclass(frozen=True)
class Spec:
    """What the walk needs of a layer; models' layers have these fields too."""

    name: str
    kind: str  # conv or dense
    outputs: int
    pad: int = 0
    pad_value: int = 0
    pool: bool = False


@dataclass(frozen=True)
class Geometry:
    """One layer, for one image. Shapes are (H, W, C); (1, 1, C) behind a dense layer.

    ``convolved`` are rows and columns before the pool, ``computed`` those without what it drops; (1, 1) for a dense
    layer.
    """

    name: str
    kind: str
    input: Shape
    convolved: Tuple[int, int]
    computed: Tuple[int, int]
    output: Shape
    fan_in: int

    @property
    def positions(self) -> int:
        """Places at which every output channel is computed."""
        return self.computed[0] * self.computed[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates: one XNOR and one count each where inputs are bits."""
        return self.positions * self.weight_bits

    @property
    def weight_bits(self) -> int:
        """Binary weights."""
        return self.output[2] * self.fan_in


def step(layer: Any, shape: Shape) -> Geometry:
    """What `layer` makes of an input of `shape`; sizes of maps too small for it come out zero or negative."""
    if layer.kind == "dense":
        fan_in = shape[0] * shape[1] * shape[2]
        return Geometry(layer.name, layer.kind, shape, (1, 1), (1, 1), (1, 1, layer.outputs), fan_in)
    convolved = computed = after = (shape[0] + 2 * layer.pad - KERNEL + 1, shape[1] + 2 * layer.pad - KERNEL + 1)
    if layer.pool:
        after = (convolved[0] // POOL, convolved[1] // POOL)
        computed = (after[0] * POOL, after[1] * POOL)
    return Geometry(layer.name, layer.kind, shape, convolved, computed, (*after, layer.outputs), KERNEL**2 * shape[2])


def walk(network: Any) -> List[Geometry]:
    """Every layer's geometry, in order.

    Args:
        network: a model or a topology.
    """
    shape: Shape = (network.height, network.width, network.channels)
    result = []
    for layer in network.layers:
        result.append(step(layer, shape))
        shape = result[-1].output
    return result


def total_macs(geometries: Iterable[Geometry]) -> int:
    """MACs of one image."""
    return sum(item.macs for item in geometries)
