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
    TABLE_BYTES,
    ContractError,
    Descriptor,
    Header,
    ScoreHeader,
    ThresholdHeader,
    layers,
)
from bnn.errors import ExpectedError
from bnn.program import first_layer

Observer = Callable[[int, int, np.ndarray], None]


class ProgramError(ExpectedError):
    """A program breaks the format, or touches memory that the design does not have."""


class Interpreter:
    """One program and the memories it works on.

    Args:
        program: the bytes of program.bin.
        act_depth: ACT_DEPTH of the design.
        weight_depth: WEIGHT_DEPTH of the design; None takes any.
        observer: called after every layer with (layer, first image, bits); layer -1 is the
            first-layer engine. Bits are uint8 (N, H, W, C), or (N, 1, 1, C) after dense layers;
            in pack mode layer -1 gives (N, 1, 1, H*W*C).
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
        if head.magic != PROGRAM_MAGIC or head.version != PROGRAM_VERSION:
            raise ProgramError(
                f"program: magic {head.magic:#x} version {head.version}, expected {PROGRAM_MAGIC:#x}, {PROGRAM_VERSION}"
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
            if head.resident and head.words_a + head.words_b > weight_depth:
                raise ProgramError(f"program: resident, but {head.words_a + head.words_b} weight words")
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
        word = self.memory[lane, self._address(address)]
        if offset == 0:
            word[:] = 0
        word[offset : offset + len(bits)] = bits

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
        base = head.out_odd if parity else head.out_even
        stride, words = head.out_image_stride, head.out_words
        values = self.table[images].astype(np.int32)
        if not head.first_channels:
            for number, image in enumerate(values):
                bits = np.zeros(words * self.simd, np.uint8)
                bits[: head.elements] = image.reshape(-1) > 0
                for word in range(words):
                    address = base + number // self.lanes * stride + word
                    part = bits[word * self.simd : (word + 1) * self.simd]
                    self._write(number % self.lanes, address, 0, part)
            if self.observer:
                self.observer(-1, start, self._read_images(base, stride, len(images), 1, 1, words, head.elements))
            return
        pad, rows, columns, channels = int(head.pad), head.rows, head.columns, head.first_channels
        weights, thresholds, flips = first_layer(self.program)
        weights = weights.astype(np.int32)
        padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        total = np.zeros((len(images), rows, columns, channels), np.int32)
        for ky in range(3):
            for kx in range(3):
                total += padded[:, ky : ky + rows, kx : kx + columns] @ (2 * weights[:, ky, kx] - 1).T
        bits = (total >= thresholds).astype(np.uint8)
        if head.pool:
            bits = bits[:, 0::2, 0::2] | bits[:, 1::2, 0::2] | bits[:, 0::2, 1::2] | bits[:, 1::2, 1::2]
        bits ^= flips
        for channel in range(0, channels, head.first_pe):
            word, offset = divmod(channel, self.simd)
            for number, y, x in np.ndindex(*bits.shape[:3]):
                address = base + number * stride + y * head.out_row_stride + x // self.lanes * words + word
                part = bits[number, y, x, channel : channel + head.first_pe]
                self._write(x % self.lanes, address, offset, part)
        if self.observer:
            self.observer(-1, start, self._read_pixels(base, stride, head.out_row_stride, words, *bits.shape))

    def _fetch(self, item: Descriptor, base: int, image: int, y: int, block: int) -> np.ndarray:
        """The inputs of LANES columns: uint8 (LANES, words per group, SIMD)."""
        words, height, width, pad = item.tap_words, item.height, item.width, int(item.pad)
        taps = 3 if item.kernel3 else 1
        padding = np.zeros((words, self.simd), np.uint8)
        if item.pad_one:
            padding[:] = 1
            padding[-1, item.last_bits :] = 0
        result = np.empty((self.lanes, taps, taps, words, self.simd), np.uint8)
        for lane in range(self.lanes):
            for ky in range(taps):
                for kx in range(taps):
                    row, column = y + ky - pad, block * self.lanes + lane + kx - pad
                    if not (0 <= row < height and 0 <= column < width):
                        result[lane, ky, kx] = padding
                        continue
                    at = base + image * item.source_image_stride + row * item.source_row_stride
                    at += column // self.lanes * words
                    self._address(at + words - 1)
                    memory = self.memory[column % self.lanes]
                    result[lane, ky, kx] = memory.take(np.arange(at, at + words), axis=0, mode="wrap")
        return result.reshape(self.lanes, -1, self.simd)

    def _layer(self, index: int, stream: np.ndarray, at: int, parity: int, start: int, count: int) -> int:
        """Run one layer on `count` images from image `start` of the run; gives the new stream position."""
        item = self.layers[index]
        headers, group_words, pool = item.headers, item.group_words, item.pool
        base = item.source_odd if parity else item.source_even
        in_batch = start % self.header.batch if self.header.layers_a < self.header.layers else 0
        places = 1 << np.arange(32, dtype=np.int64)
        for group in range(item.groups):
            head = stream[at : at + headers, :, :32].astype(np.int64) @ places
            weights = stream[at + headers : at + headers + group_words]
            if len(weights) != group_words:
                raise ProgramError(f"layer {index}: the weights end early")
            at += headers + group_words
            matrix = weights.transpose(1, 0, 2).reshape(self.pe, -1).astype(np.int32)
            for image in range(item.units(count, self.lanes)):
                for y in range(0, item.rows, 2 if pool else 1):
                    for block in range(item.blocks):
                        bits = np.zeros((self.pe, self.lanes), np.uint8)
                        for dy in range(2 if pool else 1):
                            inputs = self._fetch(item, base, image, y + dy, block)
                            inputs = inputs.reshape(self.lanes, -1).astype(np.int32)
                            acc = matrix @ inputs.T + (1 - matrix) @ (1 - inputs).T
                            if item.scores:
                                self._scores(group, image, start, count, acc, head, item.outputs)
                            else:
                                bits |= acc >= ThresholdHeader.threshold.extract(head[0])[:, None]
                        if not item.scores:
                            if pool:
                                bits = bits[:, 0::2] | bits[:, 1::2]
                            bits ^= ThresholdHeader.flip.extract(head[0]).astype(np.uint8)[:, None]
                            row = y // 2 if pool else y
                            self._store(item, group, in_batch, image, row, block, bits)
        if self.observer and not item.scores:
            rows = item.rows // 2 if pool else item.rows
            place, words, outputs = (item.dest_base, item.dest_image_stride), item.dest_words, item.outputs
            if item.dense:
                bits = self._read_images(*place, count, 1, 1, words, outputs)
            elif item.serial:
                bits = self._read_images(*place, in_batch + count, rows, item.out_columns, words, outputs)[in_batch:]
            else:
                bits = self._read_pixels(*place, item.dest_row_stride, words, count, rows, item.out_columns, outputs)
            self.observer(index, start, bits)
        return at

    def _scores(
        self, group: int, block: int, start: int, count: int, acc: np.ndarray, head: np.ndarray, classes: int
    ) -> None:
        for pe in range(self.pe):
            for lane in range(self.lanes):
                image, output = block * self.lanes + lane, group * self.pe + pe
                if image < count and output < classes:
                    factor = ScoreHeader.unpack(head[:, pe].tolist())
                    score = factor.scale * int(acc[pe, lane]) + factor.offset
                    self.scores[start + image, output] = np.int64(score).astype(np.int32)  # in two's complement

    def _store(
        self, item: Descriptor, group: int, in_batch: int, image: int, row: int, block: int, bits: np.ndarray
    ) -> None:
        """Write the bits (PE, columns) of one block."""
        word, offset = divmod(group * self.pe, self.simd)
        for lane in range(bits.shape[1]):
            column = block * bits.shape[1] + lane
            address = item.dest_base + word
            if item.dense:
                self._write(lane, address + image * item.dest_image_stride, offset, bits[:, lane])
            elif column >= item.out_columns:
                continue
            elif item.serial:
                number = in_batch + image
                address += number // self.lanes * item.dest_image_stride + row * item.dest_row_stride
                address += column * item.dest_words
                self._write(number % self.lanes, address, offset, bits[:, lane])
            else:
                address += image * item.dest_image_stride + row * item.dest_row_stride
                address += column // self.lanes * item.dest_words
                self._write(column % self.lanes, address, offset, bits[:, lane])

    def _read_pixels(
        self,
        base: int,
        image_stride: int,
        row_stride: int,
        words: int,
        count: int,
        rows: int,
        columns: int,
        channels: int,
    ) -> np.ndarray:
        result = np.zeros((count, rows, columns, channels), np.uint8)
        for image, y, x in np.ndindex(count, rows, columns):
            at = base + image * image_stride + y * row_stride + x // self.lanes * words
            result[image, y, x] = self.memory[x % self.lanes, at : at + words].reshape(-1)[:channels]
        return result

    def _read_images(
        self, base: int, image_stride: int, count: int, rows: int, columns: int, words: int, channels: int
    ) -> np.ndarray:
        result = np.zeros((count, rows, columns, channels), np.uint8)
        for image in range(count):
            at = base + image // self.lanes * image_stride
            data = self.memory[image % self.lanes, at : at + rows * columns * words]
            result[image] = data.reshape(rows, columns, -1)[:, :, :channels]
        return result


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
