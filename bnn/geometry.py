"""The one walk over a network: what every layer reads, computes and gives.

It serves models (`bnn.layers.Model`) and topologies without weights (`bnn.networks.Network`) alike:
both have the image's height, width and channels, and `layers` with the fields of `Spec`.

MACs are those that the network defines, whatever planes and bases it takes them in. A 2x2 pool drops an odd last row
and column, so nothing that is computed there counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Tuple

Shape = Tuple[int, int, int]
"""Height, width, channels."""

POOL = 2
"""Edge and stride of every pool."""


def ceil_div(value: int, divisor: int) -> int:
    """`value / divisor`, rounded up."""
    return -(-value // divisor)


@dataclass(frozen=True)
class Spec:
    """What the walk needs of a layer; models' layers have these fields too, but for `value`."""

    name: str
    kind: str  # conv, dense or average
    outputs: int
    pad: int = 0
    pad_value: int = 0
    pool: bool = False
    kernel: int = 3
    stride: int = 1
    inputs: Tuple[str, ...] = ()  # none: the layer before
    bases: int = 1
    planes: int = 1
    input_bits: int = 0
    value: bool = False  # a layer of a topology gives one


@dataclass(frozen=True)
class Geometry:
    """One layer, for one image. Shapes are (H, W, C); (1, 1, C) behind a dense layer or an average.

    `convolved` are rows and columns before the pool, `computed` those without what it drops; (1, 1) for a dense
    layer or an average. `planes` are those that the layer reads.
    """

    name: str
    kind: str
    input: Shape
    convolved: Tuple[int, int]
    computed: Tuple[int, int]
    output: Shape
    fan_in: int
    bases: int = 1
    planes: int = 1

    @property
    def positions(self) -> int:
        """Places at which every output channel is computed."""
        return self.computed[0] * self.computed[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates: in every pass one XNOR and one count each where inputs are bits."""
        return self.positions * self.output[2] * self.fan_in

    @property
    def passes(self) -> int:
        """Passes of the array over the MACs: bases times planes."""
        return self.bases * self.planes

    @property
    def weight_bits(self) -> int:
        """Binary weights."""
        return self.output[2] * self.fan_in * self.bases


def step(layer: Any, shape: Shape, planes: int = 1) -> Geometry:
    """What `layer` makes of an input of `shape`; sizes of maps too small for it come out zero or negative."""
    one = (1, 1)
    if layer.kind == "average":
        return Geometry(layer.name, layer.kind, shape, one, one, (1, 1, shape[2]), 0)
    if layer.kind == "dense":
        fan_in = shape[0] * shape[1] * shape[2]
        return Geometry(layer.name, layer.kind, shape, one, one, (1, 1, layer.outputs), fan_in, layer.bases, planes)
    rows, columns = ((edge + 2 * layer.pad - layer.kernel) // layer.stride + 1 for edge in shape[:2])
    convolved = computed = after = (rows, columns)
    if layer.pool:
        after = (rows // POOL, columns // POOL)
        computed = (after[0] * POOL, after[1] * POOL)
    fan_in = layer.kernel**2 * shape[2]
    return Geometry(
        layer.name, layer.kind, shape, convolved, computed, (*after, layer.outputs), fan_in, layer.bases, planes
    )


def walk(network: Any) -> List[Geometry]:
    """Every layer's geometry, in order.

    Args:
        network: a model or a topology.
    """
    image: Shape = (network.height, network.width, network.channels)
    sources: Dict[str, Tuple[Shape, int]] = {}
    result: List[Geometry] = []
    for layer in network.layers:
        shape, planes = image, max(1, layer.input_bits)
        if result:
            shape, planes = sources[layer.inputs[0] if layer.inputs else result[-1].name]
        result.append(step(layer, shape, planes))
        sources[layer.name] = (result[-1].output, layer.planes)
    return result


def total_macs(geometries: Iterable[Geometry]) -> int:
    """MACs of one image."""
    return sum(item.macs for item in geometries)
