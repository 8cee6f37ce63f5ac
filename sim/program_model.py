"""An interpreter of `program.bin` in numpy: what the accelerator does, word by word.

It follows docs/ARCHITECTURE.md literally and knows nothing of the model the program
was made from, so it serves to check a program before it reaches a board, and to look
at any layer's bits. It is slow: use `bnn.golden` for accuracies.

    scores = run(Path("program.bin").read_bytes(), images, act_depth=2048)
"""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

import numpy as np

from bnn.contract import (
    BEAT_BYTES,
    PROGRAM_MAGIC,
    PROGRAM_VERSION,
    PROGRAM_VERSION_2,
    TABLE_BYTES,
    VALUE_BITS,
    CoefficientHeader,
    ContractError,
    Descriptor,
    Header,
    ScoreHeader,
    ThresholdHeader,
    VectorHeader,
    layers,
)
from bnn.errors import ExpectedError
from bnn.golden import Output
from bnn.program import first_layer
from sim.records import (
    Place,
    first_values,
    first_written,
    images_before,
    layer_written,
    pixel_planes,
    shortcut_place,
    source_place,
    value_bits,
    values_of,
)

Observer = Callable[[int, int, Output], None]


class ProgramError(ExpectedError):
    """A program breaks the format, or touches memory that the design does not have."""


class Interpreter:
    """One program and the memories it works on.

    Args:
        program: the bytes of program.bin.
        act_depth: ACT_DEPTH of the design.
        weight_depth: WEIGHT_DEPTH of the design; None takes any.
        observer: called after every layer with (layer, first image, what it has written); layer -1 is the
            first layer. H and W are 1 after dense layers and in pack mode, where C are the elements; the value is
            None where none is written, and signed, as later layers read it.
        wrap: take addresses modulo `act_depth`, as the cores do, instead of refusing those outside.

    Raises:
        ProgramError: the program is damaged.
    """

    def __init__(
        self,
        program: bytes,
        act_depth: int,
        weight_depth: Optional[int] = None,
        observer: Optional[Observer] = None,
        wrap: bool = False,
    ) -> None:
        least = Header.size_bytes()
        if len(program) < least or len(program) % BEAT_BYTES:
            raise ProgramError(f"program: {len(program)} bytes, expected a multiple of {BEAT_BYTES} from {least} on")
        self.program = program
        self.header = head = Header.read(program)
        if head.magic != PROGRAM_MAGIC or head.version not in (PROGRAM_VERSION, PROGRAM_VERSION_2):
            raise ProgramError(
                f"program: magic {head.magic:#x} version {head.version}, expected {PROGRAM_MAGIC:#x}, "
                f"{PROGRAM_VERSION} or {PROGRAM_VERSION_2}"
            )
        if head.size != len(program):
            raise ProgramError(f"program: {len(program)} bytes, the header says {head.size}")
        self.pe, self.lanes, self.simd = head.pe, head.lanes, head.simd
        self.depth = act_depth
        self.observer = observer
        self.wrap = wrap
        try:
            self.layers = layers(program)
        except ContractError as error:
            raise ProgramError(f"program: {error}") from None
        if weight_depth is not None:
            for index, item in enumerate(self.layers):
                words = item.headers + item.group_words
                if words > weight_depth:
                    what = f"a group of {words} words, WEIGHT_DEPTH={weight_depth}"
                    raise ProgramError(f"layer {index}: {what}")
            stays = head.words_a + (0 if head.ring_base else head.words_b)
            if head.resident and stays > (head.ring_base or weight_depth):
                raise ProgramError(f"program: resident, but {stays} weight words")
        if any(offset % BEAT_BYTES for offset in (head.descriptors, head.weights_a, head.weights_b, head.first)):
            raise ProgramError(f"program: an offset is not a multiple of {BEAT_BYTES}")
        self.table = np.frombuffer(program, np.int8, TABLE_BYTES, head.first)
        self.memory = np.zeros((self.lanes, act_depth, self.simd), np.uint8)
        self.weights = {
            "A": self._weights(head.weights_a, head.words_a),
            "B": self._weights(head.weights_b, head.words_b),
        }

    def _weights(self, offset: int, words: int) -> np.ndarray:
        size = self.pe * self.simd // 8
        if offset + words * size > len(self.program):
            raise ProgramError(f"program: weights end at {offset + words * size}, after the file's end")
        raw = np.frombuffer(self.program, np.uint8, words * size, offset)
        return np.unpackbits(raw, bitorder="little").reshape(words, self.pe, self.simd)

    def _address(self, address: int) -> int:
        if self.wrap:
            return address % self.depth
        if not 0 <= address < self.depth:
            raise ProgramError(f"activation address {address}, ACT_DEPTH={self.depth}")
        return address

    def _write(self, lane: int, address: int, offset: int, bits: np.ndarray) -> None:
        """Write bits from bit `offset` of a word on; with 0 the whole word, its other bits 0."""
        word = self.memory[lane, self._address(address)]
        if offset == 0:
            word[:] = 0
        word[offset : offset + len(bits)] = bits

    def _read(self, lane: int, address: int, words: int) -> np.ndarray:
        """Words of a lane: uint8 (words, SIMD)."""
        if words:
            self._address(address)
            self._address(address + words - 1)
        return np.asarray(self.memory[lane].take(np.arange(address, address + words), axis=0, mode="wrap"))

    def run(self, images: np.ndarray) -> np.ndarray:
        """Run the program.

        Args:
            images: uint8 (N, H, W, C).

        Returns:
            int32 (N, classes).

        Raises:
            ProgramError: images of another shape, or an address outside the memory.
        """
        head = self.header
        shape = (head.height, head.width, head.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
            raise ProgramError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {shape})")
        self.memory[:] = np.random.default_rng(1).integers(0, 2, self.memory.shape, np.uint8)
        self.scores = np.zeros((len(images), head.classes), np.int32)
        batch, sub_batch, split = head.batch, head.sub_batch, head.layers_a
        parts: List[Tuple[int, int]] = []  # first image and images of every sub-batch
        for start in range(0, len(images), batch):
            end = min(start + batch, len(images))
            parts += [(at, min(sub_batch, end - at)) for at in range(start, end, sub_batch)]
        for number, (start, count) in enumerate(parts):
            if number == 0:
                self._first_layer(images[start : start + count], 0, start)
            if number + 1 < len(parts):  # the first layer runs ahead by one sub-batch
                after, size = parts[number + 1]
                self._first_layer(images[after : after + size], (number + 1) % 2, after)
            at = 0
            for index in range(split):
                at = self._layer(index, self.weights["A"], at, number % 2, start, count)
            if start + count == len(images) or (start + count) % batch == 0:
                begin, at = start // batch * batch, 0
                for index in range(split, head.layers):
                    at = self._layer(index, self.weights["B"], at, 0, begin, start + count - begin)
        return self.scores

    def _first_layer(self, images: np.ndarray, parity: int, start: int) -> None:
        head = self.header
        written = first_written(head, self.layers, parity == 1)
        place = written.place
        values = self.table[images].astype(np.int32)
        if not head.first_channels:
            maps = pixel_planes(head, values)
            if place.by_image:
                maps = maps.reshape(len(maps), len(images), 1, 1, -1)
            words = written.plane_words
            for plane, image, y, x in np.ndindex(*maps.shape[:4]):
                lane, at = place.pixel(image, y, x, self.lanes)
                bits = np.zeros(words * self.simd, np.uint8)
                bits[: maps.shape[4]] = maps[plane, image, y, x]
                for word in range(words):
                    part = bits[word * self.simd : (word + 1) * self.simd]
                    self._write(lane, at + plane * words + word, 0, part)
            if self.observer:
                self.observer(-1, start, written.read(self.memory, 0, len(images)))
            return
        pad, rows, columns, channels = int(head.pad), head.rows, head.columns, head.first_channels
        first = first_layer(self.program)
        weights = first.weights.astype(np.int32)
        padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        total = np.zeros((len(images), rows, columns, channels), np.int32)
        for ky in range(3):
            for kx in range(3):
                total += padded[:, ky : ky + rows, kx : kx + columns] @ (2 * weights[:, ky, kx] - 1).T
        bits = (total >= first.thresholds).astype(np.uint8)
        if head.pool:
            bits = bits[:, 0::2, 0::2] | bits[:, 1::2, 0::2] | bits[:, 0::2, 1::2] | bits[:, 1::2, 1::2]
            total = total.reshape(len(images), rows // 2, 2, columns // 2, 2, channels).max((2, 4))
        bits ^= first.flips
        for channel in range(0, channels, head.first_pe):
            word, offset = divmod(channel, self.simd)
            for number, y, x in np.ndindex(*bits.shape[:3]):
                lane, at = place.pixel(number, y, x, self.lanes)
                self._write(lane, at + word, offset, bits[number, y, x, channel : channel + head.first_pe])
        if head.value_channels:
            packed = value_bits(first_values(head, first, total), self.simd)
            for number, y, x in np.ndindex(*bits.shape[:3]):
                lane, at = place.pixel(number, y, x, self.lanes)
                for word, part in enumerate(packed[number, y, x].reshape(-1, self.simd)):
                    self._write(lane, at + written.value_word + word, 0, part)
        if self.observer:
            self.observer(-1, start, written.read(self.memory, 0, len(images)))

    def _fetch(self, item: Descriptor, place: Place, unit: int, y: int, x: int, plane: int) -> np.ndarray:
        """The inputs of one pass: uint8 (LANES, words of the pass, SIMD).

        By pixel, lane l is column x + l of image `unit`; by image it is image `unit`·LANES + l at column x.
        """
        words, pad = item.tap_words, item.padding
        bit = item.pad_one or (item.pad_first and plane == 0)
        padding = np.full((words, self.simd), int(bit), np.uint8)
        padding[-1, item.last_bits :] = 0
        step = 2 if item.stride2 else 1
        # by pixel the columns are those of the input, as lanes lie; the odd ones are dropped behind the array
        across = step if item.by_image else 1
        rows, columns = item.kernel
        result = np.empty((self.lanes, rows, columns, words, self.simd), np.uint8)
        for lane, ky, kx in np.ndindex(self.lanes, rows, columns):
            row, column = y * step + ky - pad, x * across + kx - pad
            image = unit * self.lanes + lane
            if not place.by_image:
                image, column = unit, column + lane
            if not 0 <= row < item.height or not 0 <= column < item.width:
                result[lane, ky, kx] = padding
                continue
            source, at = place.pixel(image, row, column, self.lanes)
            result[lane, ky, kx] = self._read(source, at + plane * words, words)
        return result.reshape(self.lanes, -1, self.simd)

    def _sums(
        self, item: Descriptor, place: Place, weights: np.ndarray, head: np.ndarray, unit: int, y: int, x: int
    ) -> np.ndarray:
        """acc, or with `vector` U of the LANES outputs from (y, x) on: int64 (PE, LANES)."""
        outer, inner = (item.planes, item.bases) if item.planes_outer else (item.bases, item.planes)
        acc = np.zeros((self.pe, self.lanes), np.int64)
        total = np.zeros((self.pe, self.lanes), np.int64)
        handed = 0
        for first in range(outer):
            for second in range(inner):
                base, plane = (second, first) if item.planes_outer else (first, second)
                inputs = 2 * self._fetch(item, place, unit, y, x, plane).reshape(self.lanes, -1).astype(np.float64) - 1
                signs = weights[:, base * len(inputs[0]) : (base + 1) * len(inputs[0])]
                acc += (signs @ inputs.T + len(inputs[0])).astype(np.int64) >> 1  # matches
                last_inner, last = second == inner - 1, first == outer - 1 and second == inner - 1
                if item.vector and (item.hand == 2 or (last_inner and item.hand == 1) or last):
                    total += CoefficientHeader.coefficient.extract(head[handed])[:, None] * acc
                    acc[:] = 0
                    handed += 1
        return total if item.vector else acc

    def _value_of(self, item: Descriptor, place: Place, image: int, y: int, x: int, group: int) -> np.ndarray:
        """A group's channels of the shortcut's value at a pixel: int64 (PE,)."""
        lane, at = place.pixel(image, y, x, self.lanes)
        words = self._read(lane, at + item.shortcut_word, item.shortcut_values)
        found = values_of(words.reshape(1, -1), self.simd)[0, group * self.pe : (group + 1) * self.pe]
        return np.pad(found, (0, self.pe - len(found))).astype(np.int64)  # behind them it is 0

    def _added(self, item: Descriptor, place: Place, group: int, unit: int, y: int, x: int, images: int) -> np.ndarray:
        """What is added to the outputs of the lanes, (y, x) being the first's: int64 (PE, LANES)."""
        result = np.zeros((self.pe, self.lanes), np.int64)
        halved = item.stride2 and not place.by_image  # two columns of the array a pixel
        for lane in range(self.lanes):
            image, column = (unit * self.lanes + lane, x) if place.by_image else (unit, x + lane)
            if halved and column % 2:
                continue
            column = column // 2 if halved else column
            if image >= images or column >= item.out_columns:
                continue
            step = 2 if item.stride2 and not item.shortcut_same else 1
            near = (0, 1) if item.shortcut_average else (0,)
            parts = [
                self._value_of(item, place, image, step * y + dy, step * column + dx, group)
                for dy in near
                for dx in near
            ]
            result[:, lane] = (sum(parts) + 2) >> 2 if item.shortcut_average else parts[0]
        return result

    def _averaged(self, item: Descriptor, place: Place, group: int, unit: int, images: int) -> np.ndarray:
        """The sums of the values over their map: int64 (PE, LANES)."""
        result = np.zeros((self.pe, self.lanes), np.int64)
        for lane in range(self.lanes):
            image = unit * self.lanes + lane
            for y, x in np.ndindex(item.height, item.width):
                if image < images:
                    result[:, lane] += self._value_of(item, place, image, y, x, group)
        return result

    def _vector(
        self, item: Descriptor, head: np.ndarray, total: np.ndarray, added: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Bits by thresholds before the flip, uint8 (K, PE, LANES), and the value, int64 (PE, LANES)."""
        values, bits = [], []
        for plane in range(max(1, item.thresholds)):
            at = item.hand_overs + VectorHeader.WORDS * plane
            offset = VectorHeader.offset.extract(head[at + VectorHeader.offset.word])[:, None]
            limit = VectorHeader.limit.extract(head[at + VectorHeader.limit.word])[:, None]
            values.append(np.clip(((total + offset) >> item.shift) + added, *item.value_range))
            bits.append((values[-1] >= limit).astype(np.uint8))
        return np.stack(bits)[: item.thresholds], values[0]

    def _layer(self, index: int, stream: np.ndarray, at: int, parity: int, start: int, count: int) -> int:
        """Run one layer on `count` images from image `start` of the run; gives the new stream position."""
        item = self.layers[index]
        written = layer_written(item)
        odd = parity == 1
        source, dest, shortcut = source_place(item, odd), written.place, shortcut_place(item, odd)
        before = images_before(self.header, item, start)
        places = 1 << np.arange(32, dtype=np.int64)
        near = (0, 1) if item.pool else (0,)
        for group in range(item.groups):
            head = stream[at : at + item.headers, :, :32].astype(np.int64) @ places
            weights = stream[at + item.headers : at + item.headers + item.group_words]
            if len(weights) != item.group_words:
                raise ProgramError(f"layer {index}: the weights end early")
            at += item.headers + item.group_words
            signs = 2 * weights.transpose(1, 0, 2).reshape(self.pe, -1).astype(np.float64) - 1
            for unit in range(item.units(count, self.lanes)):
                for y in range(0, item.rows, len(near)):
                    for block in range(item.blocks):
                        parts = []
                        # by image a pool's four pixels follow each other, else two rows do
                        for dy in near:
                            for dx in near if item.by_image else (0,):
                                x = block * len(near) + dx if item.by_image else block * self.lanes
                                added = np.zeros((self.pe, self.lanes), np.int64)
                                if item.average:
                                    coefficient = CoefficientHeader.coefficient.extract(head[0])[:, None]
                                    total = coefficient * self._averaged(item, shortcut, group, unit, count)
                                else:
                                    total = self._sums(item, source, signs, head, unit, y + dy, x)
                                if item.shortcut:
                                    added = self._added(item, shortcut, group, unit, y + dy, x, count)
                                parts.append((total, added))
                        if item.scores:
                            self._scores(item, group, unit, start, count, parts[0][0], head)
                            continue
                        planes, value = self._finish(item, head, parts)
                        row = y // len(near)
                        for lane in range(planes.shape[2]):
                            column = block * planes.shape[2] + lane
                            image = before + unit
                            if item.dense or item.by_image:
                                image = before + unit * self.lanes + lane
                                column = 0 if item.dense else block
                            elif column >= item.out_columns:
                                continue
                            self._store(item, dest, group, image, row, column, planes[:, :, lane], value[:, lane])
        if self.observer and not item.scores:
            self.observer(index, start, written.read(self.memory, before, count))
        return at - item.weights_back

    def _finish(
        self, item: Descriptor, head: np.ndarray, parts: List[Tuple[np.ndarray, np.ndarray]]
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Planes uint8 (K, PE, outputs side by side) and the value int64 (PE, ...) behind threshold, pool and flip."""
        if not item.vector:
            limit = ThresholdHeader.threshold.extract(head[0])[:, None]
            given = [((total >= limit).astype(np.uint8)[None], total) for total, _ in parts]
            flips = ThresholdHeader.flip.extract(head[:1])
        else:
            given = [self._vector(item, head, total, added) for total, added in parts]
            first = item.hand_overs + VectorHeader.flip.word
            flips = VectorHeader.flip.extract(head[first : first + VectorHeader.WORDS * item.thresholds : 2])
        bits, value = given[0]
        for other, more in given[1:]:
            bits, value = bits | other, np.maximum(value, more)
        if not item.by_image:
            if item.pool:
                bits = bits[..., 0::2] | bits[..., 1::2]
                value = np.maximum(value[:, 0::2], value[:, 1::2])
            elif item.stride2:
                bits, value = bits[..., 0::2], value[:, 0::2]
        bits = bits ^ flips.astype(np.uint8)[:, :, None]
        if item.bit_planes:
            bits = np.stack([value >> bit & 1 for bit in range(item.given_planes - 1, -1, -1)]).astype(np.uint8)
        return bits, value

    def _scores(
        self, item: Descriptor, group: int, block: int, start: int, count: int, total: np.ndarray, head: np.ndarray
    ) -> None:
        for pe in range(self.pe):
            for lane in range(self.lanes):
                image, output = block * self.lanes + lane, group * self.pe + pe
                if image < count and output < item.outputs:
                    if item.vector:
                        offset = VectorHeader.offset.extract(int(head[item.hand_overs, pe]))
                        score = int(total[pe, lane]) + offset
                    else:
                        factor = ScoreHeader.unpack(head[:, pe].tolist())
                        score = factor.scale * int(total[pe, lane]) + factor.offset
                    self.scores[start + image, output] = np.int64(score).astype(np.int32)  # in two's complement

    def _store(
        self,
        item: Descriptor,
        place: Place,
        group: int,
        image: int,
        y: int,
        x: int,
        planes: np.ndarray,
        value: np.ndarray,
    ) -> None:
        """Write a group's part of one record: planes (K, PE), value (PE,)."""
        lane, at = place.pixel(image, y, x, self.lanes)
        word, offset = divmod(group * self.pe, self.simd)
        for plane, bits in enumerate(planes):
            self._write(lane, at + plane * item.plane_words + word, offset, bits)
        if item.value:
            for part, bits in enumerate(value_bits(value, self.pe).reshape(VALUE_BITS, -1)):
                self._write(lane, at + item.value_word + VALUE_BITS * word + part, offset, bits)


def run(
    program: bytes,
    images: np.ndarray,
    act_depth: int,
    weight_depth: Optional[int] = None,
    observer: Optional[Observer] = None,
) -> np.ndarray:
    """Scores int32 (N, classes) of `images`, uint8 (N, H, W, C); see `Interpreter`.

    Raises:
        ProgramError: a damaged program, images of another shape, an address outside the memory.
    """
    return Interpreter(program, act_depth, weight_depth, observer).run(images)
