"""An interpreter of ``program.bin`` in numpy: what the accelerator does, word by word.

It follows docs/ARCHITECTURE.md literally and knows nothing of the model the program
was made from, so it serves to check a program before it reaches a board, and to look
at any layer's bits. It is slow: use ``bnn.golden`` for accuracies.

    scores = run(Path("program.bin").read_bytes(), images, act_depth=2048)
"""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

import numpy as np

from bnn.errors import ExpectedError

MAGIC = 0x504E4E42
VERSION = 1
KERNEL, PAD, PAD_ONE, POOL, SERIAL = 1, 2, 4, 8, 16
SCORES, DENSE, FIRST, LAST, BATCH = 32, 64, 128, 256, 512

Observer = Callable[[int, int, np.ndarray], None]


class ProgramError(ExpectedError):
    """A program breaks the format, or touches memory that the design does not have."""


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


class Interpreter:
    """One program and the memories it works on.

    Args:
        program: the bytes of program.bin.
        act_depth: ACT_DEPTH of the design.
        weight_depth: WEIGHT_DEPTH of the design; None takes any.
        observer: called after every layer with (layer, first image, bits); layer -1 is the
            first-layer engine. Bits are uint8 (N, H, W, C), or (N, 1, 1, C) after dense layers;
            in pack mode layer -1 gives (N, 1, 1, H*W*C).

    Raises:
        ProgramError: the program is damaged.
    """

    def __init__(
        self,
        program: bytes,
        act_depth: int,
        weight_depth: Optional[int] = None,
        observer: Optional[Observer] = None,
    ) -> None:
        if len(program) < 128 or len(program) % 8:
            raise ProgramError(f"program: {len(program)} bytes, expected a multiple of 8 from 128 on")
        self.program = program
        self.header = [int(word) for word in np.frombuffer(program, "<u4", 32)]
        head = self.header
        if head[0] != MAGIC or head[1] != VERSION:
            raise ProgramError(f"program: magic {head[0]:#x} version {head[1]}, expected {MAGIC:#x}, 1")
        if head[3] != len(program):
            raise ProgramError(f"program: {len(program)} bytes, the header says {head[3]}")
        self.pe, self.lanes, self.simd = head[2] & 255, head[2] >> 8 & 255, head[2] >> 16
        self.first_pe = head[18]
        self.depth = act_depth
        self.observer = observer
        self.layers = [
            [int(word) for word in np.frombuffer(program, "<u4", 32, head[9] + 128 * index)]
            for index in range(head[4])
        ]
        if weight_depth is not None:
            for index, item in enumerate(self.layers):
                words = item[15] + (2 if item[0] & SCORES else 1)
                if words > weight_depth:
                    what = f"a group of {words} words, WEIGHT_DEPTH={weight_depth}"
                    raise ProgramError(f"layer {index}: {what}")
            if head[8] and head[11] + head[13] > weight_depth:
                raise ProgramError(f"program: resident, but {head[11] + head[13]} weight words")
        if any(offset % 8 for offset in (head[9], head[10], head[12], head[14])):
            raise ProgramError("program: an offset is not a multiple of 8")
        self.table = np.frombuffer(program, np.int8, 256, head[14])
        self.memory = np.zeros((self.lanes, act_depth, self.simd), np.uint8)
        self.weights = {"A": self._weights(head[10], head[11]), "B": self._weights(head[12], head[13])}

    def _weights(self, offset: int, words: int) -> np.ndarray:
        size = self.pe * self.simd // 8
        if offset + words * size > len(self.program):
            raise ProgramError(f"program: weights end at {offset + words * size}, after the file's end")
        raw = np.frombuffer(self.program, np.uint8, words * size, offset)
        return np.unpackbits(raw, bitorder="little").reshape(words, self.pe, self.simd)

    def _address(self, address: int) -> int:
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
        shape = (head[20] & 0xFFFF, head[20] >> 16, head[21] & 255)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
            raise ProgramError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {shape})")
        self.memory[:] = np.random.default_rng(1).integers(0, 2, self.memory.shape, np.uint8)
        self.scores = np.zeros((len(images), head[17]), np.int32)
        batch, sub_batch, split = head[7], head[6], head[5]
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
                for index in range(split, head[4]):
                    at = self._layer(index, self.weights["B"], at, 0, begin, start + count - begin)
        return self.scores

    def _first_layer(self, images: np.ndarray, parity: int, start: int) -> None:
        head = self.header
        base = head[23 + parity]
        values = self.table[images].astype(np.int32)
        if head[15] == 0:
            for number, image in enumerate(values):
                bits = np.zeros(head[27] * self.simd, np.uint8)
                bits[: head[28]] = image.reshape(-1) > 0
                for word in range(head[27]):
                    address = base + number // self.lanes * head[25] + word
                    part = bits[word * self.simd : (word + 1) * self.simd]
                    self._write(number % self.lanes, address, 0, part)
            if self.observer:
                written = self._read_images(base, head[25], len(images), 1, 1, head[27], head[28])
                self.observer(-1, start, written)
            return
        pad, pool = head[21] >> 8 & 1, head[21] >> 9 & 1
        rows, columns = head[22] & 0xFFFF, head[22] >> 16
        beats = np.frombuffer(self.program, "<u8", head[15], head[14] + 256)
        weights = np.array([[int(beat) >> bit & 1 for bit in range(36)] for beat in beats], np.int32)
        weights = weights.reshape(-1, 3, 3, 4)[:, :, :, : images.shape[3]]
        thresholds = np.array([_signed(int(beat) >> 40 & 0xFFFF, 16) for beat in beats])
        flips = np.array([int(beat) >> 56 & 1 for beat in beats], np.uint8)
        padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        total = np.zeros((len(images), rows, columns, head[15]), np.int32)
        for ky in range(3):
            for kx in range(3):
                total += padded[:, ky : ky + rows, kx : kx + columns] @ (2 * weights[:, ky, kx] - 1).T
        bits = (total >= thresholds).astype(np.uint8)
        if pool:
            bits = bits[:, 0::2, 0::2] | bits[:, 1::2, 0::2] | bits[:, 0::2, 1::2] | bits[:, 1::2, 1::2]
        bits ^= flips
        for channel in range(0, head[15], self.first_pe):
            word, offset = divmod(channel, self.simd)
            for number, y, x in np.ndindex(*bits.shape[:3]):
                address = base + number * head[25] + y * head[26] + x // self.lanes * head[27] + word
                part = bits[number, y, x, channel : channel + self.first_pe]
                self._write(x % self.lanes, address, offset, part)
        if self.observer:
            args = (base, head[25], head[26], head[27], len(images), bits.shape[1], bits.shape[2], head[15])
            self.observer(-1, start, self._read_pixels(*args))

    def _fetch(self, item: List[int], base: int, image: int, y: int, block: int) -> np.ndarray:
        """The inputs of LANES columns: uint8 (LANES, words per group, SIMD)."""
        words, height, width = item[2], item[6] & 0xFFFF, item[6] >> 16
        pad = 1 if item[0] & PAD else 0
        taps = 3 if item[0] & KERNEL else 1
        padding = np.zeros((words, self.simd), np.uint8)
        if item[0] & PAD_ONE:
            padding[:] = 1
            padding[-1, item[16] :] = 0
        result = np.empty((self.lanes, taps, taps, words, self.simd), np.uint8)
        for lane in range(self.lanes):
            for ky in range(taps):
                for kx in range(taps):
                    row, column = y + ky - pad, block * self.lanes + lane + kx - pad
                    if not (0 <= row < height and 0 <= column < width):
                        result[lane, ky, kx] = padding
                        continue
                    at = base + image * item[9] + row * item[10] + column // self.lanes * words
                    self._address(at + words - 1)
                    result[lane, ky, kx] = self.memory[column % self.lanes, at : at + words]
        return result.reshape(self.lanes, -1, self.simd)

    def _layer(self, index: int, stream: np.ndarray, at: int, parity: int, start: int, count: int) -> int:
        """Run one layer on `count` images from image `start` of the run; gives the new stream position."""
        item = self.layers[index]
        flags, group_words = item[0], item[15]
        base = item[7 + parity]
        pool, dense = bool(flags & POOL), bool(flags & DENSE)
        in_batch = start % self.header[7] if self.header[5] < self.header[4] else 0
        places = np.uint64(1) << np.arange(32, dtype=np.uint64)
        for group in range(item[1]):
            headers = 2 if flags & SCORES else 1
            head = stream[at : at + headers, :, :32].astype(np.uint64) @ places
            weights = stream[at + headers : at + headers + group_words]
            if len(weights) != group_words:
                raise ProgramError(f"layer {index}: the weights end early")
            at += headers + group_words
            matrix = weights.transpose(1, 0, 2).reshape(self.pe, -1).astype(np.int32)
            for image in range(-(-count // self.lanes) if dense else count):
                for y in range(0, item[3], 2 if pool else 1):
                    for block in range(item[5]):
                        bits = np.zeros((self.pe, self.lanes), np.uint8)
                        for dy in range(2 if pool else 1):
                            inputs = self._fetch(item, base, image, y + dy, block)
                            inputs = inputs.reshape(self.lanes, -1).astype(np.int32)
                            acc = matrix @ inputs.T + (1 - matrix) @ (1 - inputs).T
                            if flags & SCORES:
                                self._scores(group, image, start, count, acc, head, item[17])
                            else:
                                bits |= acc >= (head[0] & np.uint64(0xFFFF)).astype(np.int64)[:, None]
                        if not flags & SCORES:
                            if pool:
                                bits = bits[:, 0::2] | bits[:, 1::2]
                            bits ^= (head[0] >> np.uint64(16) & np.uint64(1)).astype(np.uint8)[:, None]
                            row = y // 2 if pool else y
                            self._store(item, group, in_batch, image, row, block, bits)
        if self.observer and not flags & SCORES:
            rows = item[3] // 2 if pool else item[3]
            if dense:
                bits = self._read_images(item[11], item[12], count, 1, 1, item[14], item[17])
            elif flags & SERIAL:
                bits = self._read_images(
                    item[11], item[12], in_batch + count, rows, item[18], item[14], item[17]
                )[in_batch:]
            else:
                bits = self._read_pixels(
                    item[11], item[12], item[13], item[14], count, rows, item[18], item[17]
                )
            self.observer(index, start, bits)
        return at

    def _scores(
        self, group: int, block: int, start: int, count: int, acc: np.ndarray, head: np.ndarray, classes: int
    ) -> None:
        for pe in range(self.pe):
            for lane in range(self.lanes):
                image, output = block * self.lanes + lane, group * self.pe + pe
                if image < count and output < classes:
                    scale, offset = _signed(int(head[1, pe]) & 0xFFFF, 16), _signed(int(head[0, pe]), 32)
                    score = (scale * int(acc[pe, lane]) + offset) & 0xFFFFFFFF
                    self.scores[start + image, output] = _signed(score, 32)

    def _store(
        self, item: List[int], group: int, in_batch: int, image: int, row: int, block: int, bits: np.ndarray
    ) -> None:
        """Write the bits (PE, columns) of one block."""
        word, offset = divmod(group * self.pe, self.simd)
        for lane in range(bits.shape[1]):
            column = block * bits.shape[1] + lane
            if item[0] & DENSE:
                self._write(lane, item[11] + image * item[12] + word, offset, bits[:, lane])
            elif column >= item[18]:
                continue
            elif item[0] & SERIAL:
                number = in_batch + image
                address = item[11] + number // self.lanes * item[12] + row * item[13] + word
                address += column * item[14]
                self._write(number % self.lanes, address, offset, bits[:, lane])
            else:
                address = item[11] + image * item[12] + row * item[13] + word
                address += column // self.lanes * item[14]
                self._write(column % self.lanes, address, offset, bits[:, lane])

    def _read_pixels(
        self, base: int, image_stride: int, row_stride: int, words: int, count: int, rows: int, columns: int,
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
