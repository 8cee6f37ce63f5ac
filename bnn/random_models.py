"""Models with random weights: for sizes, cycles and tests, where only the shape counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bnn.geometry import Shape, Spec, walk
from bnn.golden import Output, max_pool, read_pixels, result, sums
from bnn.layers import FEATURES, INPUT, MEAN_BITS, Layer, Model, bit_shifts, map_mean
from bnn.networks import INPUT_BINARY, Network
from bnn.rules import INT16, MAX_FAN_IN, SHIFTS, shapes


def random_model(network: Network, seed: int = 1) -> Model:
    """A model of the topology with random weights, and thresholds about the middle of their sums.

    Raises:
        bnn.model.ModelError: the image is too small for the topology.
    """
    pixels = np.arange(256)
    table = np.where(pixels < 128, -1, 1) if network.input_table == INPUT_BINARY else pixels - 128
    size = (network.height, network.width, network.channels)
    rng = np.random.default_rng(seed)
    return _drawn(network.title or network.name, size, table, network.layers, rng)


def edge_model(seed: int, size: Shape, specs: Sequence[Spec], binary: bool = False) -> Model:
    """A model with random weights at the edges of what the format holds, for tests.

    Bits depend on the image, but for the first of each layer, which never is, and the last, which always is, as far as
    the sums go. Offsets of scores have 32 bits.

    Args:
        seed: of all that is random.
        size: of the images.
        specs: the layers; the first has padding value 0, whatever it says.
        binary: pixels become -1 and +1, else random 8-bit numbers.

    Raises:
        bnn.model.ModelError: the images are too small for the layers.
    """
    rng = np.random.default_rng(seed)
    table = np.where(np.arange(256) < 128, -1, 1) if binary else rng.integers(-128, 128, 256)
    model = _drawn("random", size, table, [replace(specs[0], pad_value=0), *specs[1:]], rng)
    layers: List[Layer] = []
    for layer in model.layers[:-1]:
        never, always = (32767, -32768) if not layers and layer.kind == "conv" else (65535, 0)
        limits = np.full(layer.outputs, 1, np.int32)  # found by the sums
        limits[0] = never
        if len(limits) > 1:
            limits[-1] = always
        layers.append(replace(layer, thresholds=limits))
    offset = rng.integers(-(2**31), 2**31, specs[-1].outputs).astype(np.int32)
    return calibrated(replace(model, layers=(*layers, replace(model.layers[-1], offset=offset))), rng)


def _drawn(name: str, size: Shape, table: np.ndarray, specs: Sequence[Spec], rng: np.random.Generator) -> Model:
    unnamed = _Unnamed(*size, specs)
    layers: List[Layer] = []
    previous = "input"
    for spec, geometry in zip(specs, walk(unnamed)):
        eight_bit = not layers and spec.kind == "conv"
        if spec.kind == "average":
            layers.append(map_mean(spec.name, previous, geometry.input))
            previous = spec.name
            continue
        tail = (spec.kernel, spec.kernel, geometry.input[2]) if spec.kind == "conv" else (geometry.fan_in,)
        vectors: Dict[str, Any]
        if len(layers) == len(specs) - 1:
            vectors = {
                "scale": rng.integers(-300, 300, spec.outputs).astype(np.int32),
                "offset": rng.integers(-(10**6), 10**6, spec.outputs).astype(np.int32),
            }
        else:
            spread = 500 if eight_bit else int(np.sqrt(max(geometry.fan_in, 0))) + 1
            centre = 0 if eight_bit else geometry.fan_in // 2
            limits = np.maximum(centre + rng.integers(-spread, spread, spec.outputs), -500 if eight_bit else 0)
            vectors = {"thresholds": limits.astype(np.int32), "flip": rng.integers(0, 2, spec.outputs) > 0}
        if spec.value:  # of a spread of about 20, and their signs
            scale = rng.integers(1, 1 + (20 << 12) // spread, spec.outputs)
            vectors = {"scale": scale.astype(np.int32), "offset": (2048 - centre * scale).astype(np.int32), "shift": 12}
            if spec.planes:
                vectors.update(thresholds=np.zeros(spec.outputs, np.int32), flip=np.zeros(spec.outputs, np.bool_))
            if spec.stride > 1:
                vectors.update(average_shortcut=True)
        elif layers and layers[-1].kind == "average":
            vectors.update(plane_shifts=bit_shifts(MEAN_BITS))
        weights = rng.integers(0, 2, (spec.outputs, *(max(size, 0) for size in tail)), np.uint8)
        layers.append(
            Layer(
                spec.name,
                spec.kind,
                spec.inputs or (previous,),
                weights,
                spec.pad,
                spec.pad_value,
                spec.pool,
                stride=spec.stride,
                **vectors,
            )
        )
        previous = spec.name
    classes = tuple(str(index) for index in range(specs[-1].outputs))
    model = Model(name, *size, table.astype(np.int8), tuple(layers), classes)
    shapes(model)
    return model


class _Unnamed(NamedTuple):
    """What `walk` needs of a topology."""

    height: int
    width: int
    channels: int
    layers: Sequence[Spec]


def calibrated(model: Model, rng: np.random.Generator) -> Model:
    """A version-1 model with thresholds within the middle half of the sums that random images give.

    So the bits of every layer depend on the image; with thresholds regardless of the sums those of a deep network
    soon do not. Thresholds that make a bit constant stay.
    """
    images = rng.integers(0, 256, (8, model.height, model.width, model.channels)).astype(np.uint8)
    planes = read_pixels(model, images)
    layers = []
    for index, layer in enumerate(model.layers[:-1]):
        assert layer.thresholds is not None
        eight_bit = index == 0 and model.eight_bit_input
        acc = sums(layer, planes, eight_bit)
        ranked = np.sort((max_pool(acc) if layer.pool else acc).reshape(-1, layer.outputs), axis=0)
        rank = rng.integers(len(ranked) // 4, 3 * len(ranked) // 4 + 1, layer.outputs)
        limits = ranked[rank, np.arange(layer.outputs)].astype(np.int32)
        least, most = (-32767, 32766) if eight_bit else (1, layer.fan_in)
        limits = np.where((layer.thresholds < least) | (layer.thresholds > most), layer.thresholds, limits)
        layers.append(replace(layer, thresholds=limits))
        planes = result(layers[-1], acc).planes
    return replace(model, layers=(*layers, model.layers[-1]))


def with_planes(model: Model, planes: int, bases: int = 1, own: bool = False, seed: int = 1) -> Model:
    """A model's shape with K planes by thresholds and M bases in every layer but the first, random weights.

    Bits depend on the image, as those of `calibrated`; where a layer gives a value, thresholds up to half a step of 16
    from its own.

    Args:
        model: whose sizes count, of version 1 or one of `random_model`.
        planes: K of every hidden layer.
        bases: M.
        own: whether passes have coefficients of their own, as ABC-Net's, of values that are not read.
        seed: of all that is random.
    """
    rng = np.random.default_rng(seed)
    grower = _Grower(rng, frozenset(FEATURES), Sizes())
    images = rng.integers(0, 256, (2, model.height, model.width, model.channels)).astype(np.uint8)
    given = read_pixels(model, images)
    for layer in model.layers:
        first = layer is model.layers[0]
        if not first and bases > 1 and layer.kind != "average":
            layer = replace(layer, weights=rng.integers(0, 2, (bases, *layer.weights.shape), np.uint8))
        if layer.requantised:
            grower.layers.append(_more_planes(layer, planes, 1 if first else planes * bases))
            continue
        acc = sums(layer, given, first and model.eight_bit_input)
        if own and not first:
            shape = (layer.outputs, bases, len(given))
            layer = replace(layer, coefficients=rng.integers(100, 1000, shape).astype(np.int32), flip=None)
            acc = sums(layer, given, False)
            layer = grower.scaled(replace(layer, thresholds=None), acc)
            given_value = result(replace(layer, bits=0, pool=False), acc).value
            assert given_value is not None
            acc = given_value
            layer = replace(layer, bits=0, flip=np.zeros(layer.outputs, np.bool_))
        pooled = max_pool(acc) if layer.pool else acc
        limits = np.sort(grower.quantiles(pooled, planes), axis=0)
        layer = replace(layer, thresholds=limits if planes > 1 else limits[0])
        grower.layers.append(layer)
        given = result(layer, sums(layer, given, first and model.eight_bit_input)).planes
    found = replace(model, layers=tuple(grower.layers))
    shapes(found)
    return found


def _more_planes(layer: Layer, planes: int, passes: int) -> Layer:
    """A layer of a value, of scores or of a mean with so many planes and passes, its value in the middle as before."""
    if layer.thresholds is not None and planes > 1:
        spread = [layer.thresholds + step for step in np.linspace(-8, 8, planes).astype(np.int32)]
        layer = replace(layer, thresholds=np.stack(spread))
    if layer.kind != "conv":
        return layer
    assert layer.scale is not None and layer.offset is not None
    middle = (passes - 1) * (layer.fan_in // 2)  # of the sums of the further passes
    return replace(layer, offset=(layer.offset - middle * layer.scale).astype(np.int32))


@dataclass(frozen=True)
class Sizes:
    """What random networks stay within."""

    edge: int = 11
    """Rows and columns of an image"""
    channels: int = 9
    """Output channels of a layer"""
    convolutions: int = 6
    dense: int = 2
    classes: int = 5
    images: int = 6
    """Images on which thresholds and scales are chosen"""


class _Grower:
    """Adds random layers to a network, each with thresholds and scales that fit the sums of random images."""

    def __init__(self, rng: np.random.Generator, allowed: FrozenSet[str], sizes: Sizes) -> None:
        self.rng, self.allowed, self.sizes = rng, allowed, sizes
        self.layers: List[Layer] = []
        self.outputs: Dict[str, Output] = {}

    def may(self, feature: str, chance: float = 0.4) -> bool:
        """Whether to use a feature, by chance if it is allowed."""
        return bool(self.rng.random() < chance) and feature in self.allowed

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def bits_of(self, shape: Tuple[int, ...]) -> np.ndarray:
        return self.rng.integers(0, 2, shape).astype(np.uint8)

    def start(self) -> Model:
        """A model without layers whose first may be of any kind; its table goes with `first_bits`."""
        rng, sizes = self.rng, self.sizes
        height, width = (self.pick(*range(3, sizes.edge + 1)) for _ in range(2))
        self.first_conv = bool(rng.random() < 0.75) and sizes.convolutions > 0
        several = "planes" in self.allowed and self.may("pixel planes", 0.3)
        self.first_bits = self.pick(2, 3, 8) if several else 0
        if self.first_bits:
            half = 1 << self.first_bits - 1
            table = rng.integers(-half, half, 256)
        else:
            table = rng.integers(-128, 128, 256) if self.first_conv else rng.choice([-1, 1], 256)
        channels = self.pick(1, 2, 3, 4)
        return Model("random", height, width, channels, table.astype(np.int8), (), ())

    def exponents(self, count: int) -> Tuple[int, ...]:
        """Of `count` bases or planes, as the rules have them."""
        steps = self.rng.integers(0, 2, count)
        steps[-1] = 0
        return tuple(int(item) for item in np.cumsum(steps[::-1])[::-1])

    def passes(self, layer: Layer, planes: int) -> Layer:
        """Several bases and coefficients, perhaps."""
        fields: Dict[str, Any] = {}
        bases = self.pick(2, 3, 4) if self.may("bases") else 1
        if bases > 1:
            fields["weights"] = self.bits_of((bases, *layer.weights.shape))
        if self.may("powers", 0.5):
            base_shifts, plane_shifts = self.exponents(bases), self.exponents(planes)
            fields.update(
                base_shifts=base_shifts if any(base_shifts) else (),
                plane_shifts=plane_shifts if any(plane_shifts) else (),
            )
        return replace(layer, **fields)

    def own_coefficients(self, layer: Layer, planes: int) -> Layer:
        """Coefficients in place of exponents and scale."""
        most = self.pick(3, 300, 32767)
        drawn = self.rng.integers(-most - 1, most + 1, (layer.outputs, layer.bases, planes)).astype(np.int32)
        drawn[0] = most  # the greatest sum that there can be
        return replace(layer, base_shifts=(), plane_shifts=(), coefficients=drawn)

    def quantiles(self, acc: np.ndarray, planes: int) -> np.ndarray:
        """Thresholds within what is seen, some of them never or always reached: int32 (planes, O)."""
        ranked = np.sort(acc.reshape(-1, acc.shape[-1]), axis=0)
        rank = self.rng.integers(0, len(ranked), (planes, acc.shape[-1]))
        return np.take_along_axis(ranked, rank, axis=0).astype(np.int32)

    def scaled(self, layer: Layer, acc: np.ndarray) -> Layer:
        """Scale, offset and shift such that the value is spread over its range, or beyond both ends of it."""
        rng = self.rng
        several = (2, 3, 5, 7, 8) if "planes" in self.allowed else ()
        bits = self.pick(1, *several) if self.may("bits", 0.35) else 0
        low, high = replace(layer, bits=bits).value_range
        spread = (high - low + 1) * float(rng.choice([0.1, 0.3, 1.0]))
        flat = acc.reshape(-1, acc.shape[-1]).astype(np.float64)
        middle, deviation = flat.mean(0), flat.std(0) + 1
        if layer.coefficients is None:
            gain = spread / deviation * rng.choice([-1, 1], layer.outputs)
            shift = max([item for item in SHIFTS if (np.abs(gain) * 2.0**item).max() < 2**12], default=0)
            scale = np.clip(np.rint(gain * 2.0**shift), -32768, 32767).astype(np.int32)
            scaled = scale * middle
        else:
            shift = min(SHIFTS, key=lambda item: abs(deviation.mean() / spread - 2.0**item))
            scale, scaled = None, middle
        centre = (low + high + 1) / 2 + rng.normal(0, 0.2 * spread, layer.outputs)
        offset = np.rint(centre * 2.0**shift - scaled) + (1 << shift >> 1)
        offset = np.clip(offset, -(2**31), 2**31 - 1).astype(np.int32)
        return replace(layer, scale=scale, offset=offset, shift=shift, bits=bits)

    def finish(self, layer: Layer, acc: np.ndarray, value: bool, planes: bool, shortcut: Optional[np.ndarray]) -> None:
        """Thresholds or a value on the sums, and the layer is there.

        Args:
            layer: without either.
            acc: its sums.
            value: whether it gives a value.
            planes: whether it must give planes.
            shortcut: the value that it adds.
        """
        flip = self.rng.integers(0, 2, layer.outputs) > 0
        count = self.pick(2, 3) if self.may("planes", 0.5) else 1
        if value:
            layer = self.scaled(layer, acc)
            given = result(layer, acc, shortcut).value
            assert given is not None
            if planes and (not layer.bits or self.rng.random() < 0.2):
                low, high = layer.value_range
                limits = np.clip(self.quantiles(given, count) + self.rng.integers(-1, 2), low, high + 1)
                layer = replace(
                    layer, thresholds=limits.astype(np.int32) if count > 1 else limits[0].astype(np.int32), flip=flip
                )
        else:
            pooled = max_pool(acc) if layer.pool else acc
            limits = self.quantiles(pooled, count)
            layer = replace(layer, thresholds=limits if count > 1 else limits[0], flip=flip)
        self.layers.append(layer)
        self.outputs[layer.name] = result(layer, acc, shortcut)

    def shortcut(self, shape: Shape) -> Optional[str]:
        """A layer of the last four whose value fits a map of `shape`."""
        found = []
        for layer in self.layers[-4:]:
            value = self.outputs[layer.name].value
            if value is None or layer.bits == 8 or value.shape[3] > shape[2]:
                continue
            rows, columns = value.shape[1:3]
            halved = ((rows + 1) // 2, (columns + 1) // 2)
            if shape[:2] in ((rows, columns), halved):
                found.append(layer.name)
        alone = [name for name in found if not len(self.outputs[name].planes)]  # nothing else can read them
        return (alone or found)[self.rng.integers(len(alone or found))] if found else None

    def convolution(self, name: str, planes: np.ndarray, source: str, eight_bit: bool) -> bool:
        """Add a convolution, unless the map is too small for the one that was drawn."""
        rng = self.rng
        height, width, channels = planes.shape[2:]
        kernel = self.pick(1, 5) if self.may("kernels") else 3
        pad = self.pick(*range(kernel // 2 + 1))
        stride = 2 if self.may("strides", 0.3) else 1
        outputs = self.pick(*range(1, self.sizes.channels + 1))
        recent = [self.outputs[item.name].value for item in self.layers[-4:]]
        values = [item.shape[3] for item in recent if item is not None]
        residual = bool(values) and self.may("shortcuts", 0.6)
        if residual:  # of a shape that fits a value before it
            pad, outputs = kernel // 2, max(outputs, *values)
            stride = 2 if height % 2 == width % 2 == 0 and self.may("strides", 0.7) else stride
        if min(height, width) + 2 * pad < kernel:
            return False  # with a pad of 1 a kernel of 3 fits any map
        rows, columns = ((edge + 2 * pad - kernel) // stride + 1 for edge in (height, width))
        pool = bool(rng.random() < 0.25) and stride == 1 and min(rows, columns) > 1 and not residual
        pads = [0] if eight_bit else [-1, 1] if len(planes) == 1 else [-1, 0, 1]
        layer = Layer(
            name,
            "conv",
            (source,),
            self.bits_of((outputs, kernel, kernel, channels)),
            pad=pad,
            pad_value=self.pick(*pads),
            pool=pool,
            stride=stride,
            input_bits=0 if self.layers else self.first_bits,
        )
        layer = self.passes(layer, len(planes))
        self._add(layer, planes, (rows, columns, outputs), eight_bit, residual)
        return True

    def dense(self, name: str, planes: np.ndarray, source: str) -> None:
        """Add a hidden dense layer."""
        outputs, inputs = self.pick(*range(1, self.sizes.channels + 1)), int(np.prod(planes.shape[2:]))
        layer = Layer(
            name, "dense", (source,), self.bits_of((outputs, inputs)), input_bits=0 if self.layers else self.first_bits
        )
        self._add(self.passes(layer, len(planes)), planes, (1, 1, outputs), False, False)

    def _add(self, layer: Layer, planes: np.ndarray, shape: Shape, eight_bit: bool, residual: bool) -> None:
        """Choose what a layer gives, the `shape` before a pool, and what it adds."""
        value = residual or self.may("values", 0.5)
        factors = layer.base_factors.sum() * (128 if eight_bit else layer.plane_factors(len(planes)).sum())
        if not value and layer.fan_in * factors > (INT16.max - 1 if eight_bit else MAX_FAN_IN):
            layer = replace(layer, weights=layer.base_weights[0], base_shifts=(), plane_shifts=())
        if value and self.may("coefficients", 0.3):
            layer = self.own_coefficients(layer, len(planes))
        added = self.shortcut(shape) if value and not layer.pool and self.may("shortcuts", 0.9) else None
        shortcut = self.outputs[added].value if added else None
        acc = sums(layer, planes, eight_bit)
        if added and shortcut is not None:
            layer = replace(layer, inputs=(*layer.inputs, added))
            rows, columns = shortcut.shape[1:3]
            if (rows, columns) != acc.shape[1:3] and rows % 2 == columns % 2 == 0:
                layer = replace(layer, average_shortcut=bool(self.rng.random() < 0.5))
        alone = any(item.planes for item in self.layers) and self.may("graph", 0.4)  # others read planes before it
        self.finish(layer, acc, value, not alone, shortcut)

    def average(self, name: str, source: str) -> None:
        """Add the average of a value."""
        value = self.outputs[source].value
        assert value is not None
        layer = Layer(name, "average", (source,), np.zeros((value.shape[3], 0), np.uint8))
        acc = value.astype(np.int64).sum((1, 2), keepdims=True)
        self.finish(layer, acc, self.may("values", 0.8), True, None)

    def last(self, planes: np.ndarray, source: str) -> None:
        """Add the scores."""
        rng, classes = self.rng, self.pick(*range(1, self.sizes.classes + 1))
        layer = Layer(
            "scores",
            "dense",
            (source,),
            self.bits_of((classes, int(np.prod(planes.shape[2:])))),
            input_bits=0 if self.layers else self.first_bits,
        )
        layer = self.passes(layer, len(planes))
        offset = rng.integers(-(2**31), 2**31, classes).astype(np.int32)
        if self.may("coefficients", 0.3):
            layer = self.own_coefficients(layer, len(planes))
        else:
            layer = replace(layer, scale=rng.integers(-32768, 32768, classes).astype(np.int32))
        self.layers.append(replace(layer, offset=offset))


def random_graph(seed: int, allowed: Iterable[str] = FEATURES, sizes: Sizes = Sizes()) -> Model:
    """A random model of version 2, or of version 1 where nothing is allowed.

    Thresholds and scales are drawn from what the sums of random images are, so that bits depend on the image and
    values reach both ends of their range; shortcuts span one to four layers.

    Args:
        seed: equal seeds give equal models.
        allowed: keys of `bnn.layers.FEATURES` that it may have.
        sizes: what it stays within.
    """
    rng = np.random.default_rng(seed)
    grower = _Grower(rng, frozenset(allowed), sizes)
    model = grower.start()
    images = rng.integers(0, 256, (sizes.images, model.height, model.width, model.channels)).astype(np.uint8)
    # a first layer of no size says how pixels are read
    kind, shape = ("conv", (1, 1, 1, model.channels)) if grower.first_conv else ("dense", (1, 1))
    probe = Layer("probe", kind, (INPUT,), np.zeros(shape, np.uint8), input_bits=grower.first_bits)
    pixels = read_pixels(replace(model, layers=(probe,)), images)

    def source() -> Tuple[str, np.ndarray]:
        if not grower.layers:
            return INPUT, pixels
        names = [layer.name for layer in grower.layers if layer.planes]
        name = names[-1]
        if grower.may("graph", 0.25):
            name = names[rng.integers(max(0, len(names) - 3), len(names))]
        return name, grower.outputs[name].planes

    if grower.first_conv:
        for number in range(grower.pick(*range(1, sizes.convolutions + 1))):
            name, planes = source()
            eight_bit = not grower.layers and not grower.first_bits
            while not grower.convolution(f"conv{number}", planes, name, eight_bit):
                pass
    valued = [layer.name for layer in grower.layers if grower.outputs[layer.name].value is not None and layer.bits < 8]
    chained = valued and (valued[-1] == grower.layers[-1].name or "graph" in grower.allowed)
    if chained and grower.may("averages", 0.4):
        grower.average("mean", valued[-1])
    for number in range(grower.pick(*range(sizes.dense + 1))):
        name, planes = source()
        grower.dense(f"dense{number}", planes, name)
    name, planes = source()
    grower.last(planes, name)
    needed = {grower.layers[-1].name}
    for layer in grower.layers[::-1]:
        if layer.name in needed:
            needed.update(layer.inputs)
    layers = tuple(layer for layer in grower.layers if layer.name in needed)
    model = replace(model, layers=layers, classes=tuple(map(str, range(layers[-1].outputs))))
    shapes(model)
    return model
