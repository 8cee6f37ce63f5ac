"""A model on a GPU: `infer` and `trace` of `bnn.golden`, for models of version 1.

Every layer keeps its output in packed bits in the GPU's memory; nothing but images and scores crosses the bus.
docs/gpu.md has the algorithm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnn.geometry import Geometry, walk
from bnn.layers import Layer, Model, require
from bnn.rules import shapes
from gpu.build import GpuError
from gpu.device import PATHS, POPCOUNT, Buffer, Device, FirstLayer, Product
from gpu.packed import aligned_words_of, constants, limits_of, pack, rows_of_weights, unpack, words_of

BATCH_BYTES = 1 << 30
"""Memory that the maps of the images that are computed at once take at most."""
MAX_BATCH = 1 << 16


class _Step:
    """A layer as a kernel: its constants on the GPU, and the shape of what it gives in words.

    Args:
        device: the GPU.
        layer, geometry: the layer.
        words: of a pixel that it reads.
        path: one of PATHS.
        eight_bit: whether it reads 8-bit pixels.
    """

    def __init__(
        self, device: Device, layer: Layer, geometry: Geometry, words: int, path: str, eight_bit: bool
    ) -> None:
        self.layer, self.geometry, self.eight_bit = layer, geometry, eight_bit
        self.scores = layer.requantised
        convolution = layer.kind == "conv"
        height, width, channels = geometry.output
        self.words = words_of(channels) if convolution else aligned_words_of(channels)
        self.places = height * width
        weights = layer.weights.reshape(layer.outputs, layer.kernel**2 if convolution else -1, geometry.input[2])
        arrays: dict[str, np.ndarray] = {}
        constant: np.ndarray | int = 0
        if eight_bit:  # four signed bytes in a word
            signs = np.zeros((32 * self.words, weights.shape[1], 4), np.int8)
            signs[: layer.outputs, :, : weights.shape[2]] = 2 * weights.astype(np.int8) - 1
            arrays["weights"] = signs
        else:
            constant = constants(weights, path)
            arrays["weights"] = rows_of_weights(weights, words)
        if layer.thresholds is not None:
            assert layer.flip is not None
            arrays["limits"] = limits_of(layer.thresholds, constant, self.words)
            arrays["flip"] = pack(layer.flip[None], self.words)
        else:
            assert layer.scale is not None and layer.offset is not None
            offset = layer.offset.astype(np.int64) + layer.scale.astype(np.int64) * constant
            arrays["scale"] = layer.scale.astype(np.int32)
            arrays["offset"] = (offset & 0xFFFFFFFF).astype(np.uint32)
        self._kept = {name: device.put(array) for name, array in arrays.items()}
        addresses = {name: buffer.address for name, buffer in self._kept.items()}
        self.kernel: FirstLayer | Product
        if eight_bit:
            self.kernel = FirstLayer(
                **addresses,
                height=geometry.input[0],
                width=geometry.input[1],
                pad=layer.pad,
                out_rows=height,
                out_columns=width,
                pool=layer.pool,
                out_words=self.words,
            )
            return
        # a dense layer is a convolution of kernel 1 over an image of one pixel, which has all words of its map
        rows, columns = geometry.computed
        flat = (1, 1, words * geometry.input[0] * geometry.input[1])
        in_height, in_width, in_words = (*geometry.input[:2], words) if convolution else flat
        set_bits = 0xFFFFFFFF if convolution and layer.pad and layer.pad_value > 0 else 0
        self.kernel = Product(
            **addresses,
            height=in_height,
            width=in_width,
            words=in_words,
            kernel=layer.kernel,
            pad=layer.pad,
            pad_word=set_bits,
            pad_last=set_bits & (0xFFFFFFFF >> -geometry.input[2] % 32),
            computed_rows=rows,
            computed_columns=columns,
            pool=layer.pool,
            outputs=layer.outputs,
            out_words=self.words,
            depth=arrays["weights"].shape[1],
        )

    @property
    def bytes_per_image(self) -> int:
        """Of its output."""
        return 4 * (self.layer.outputs if self.scores else self.places * self.words)

    @property
    def rows(self) -> int:
        """Rows of the product for an image."""
        return self.geometry.positions


class Engine:
    """A model on a GPU.

    Args:
        model: the network, of version 1.
        device: the GPU; None: the one there is.
        path: one of `gpu.device.PATHS`; None: the faster.
        tile: one of `gpu.device.TILES` for every layer; None: by each one's size.

    Raises:
        ModelError: the model is inconsistent or beyond version 1.
        GpuError: there is no GPU, or what it says.
    """

    def __init__(
        self, model: Model, device: Device | None = None, path: str | None = None, tile: str | None = None
    ) -> None:
        shapes(model)
        require(model, "the GPU engine")
        self.model = model
        self.device = Device() if device is None else device
        self.path = path or self.device.path
        if self.path not in PATHS:
            raise GpuError(f"path: is {self.path}, expected one of {', '.join(PATHS)}")
        self._tile = tile
        pixels = model.height * model.width
        self._elements = pixels * model.channels
        self._eight_bit = model.eight_bit_input
        words = 1 if self._eight_bit else aligned_words_of(self._elements)
        self._input_words = pixels if self._eight_bit else words
        self._table = self.device.put(model.input_table)
        self._steps: list[_Step] = []
        for layer, geometry in zip(model.layers, walk(model), strict=True):
            first = not self._steps
            if first and not self._eight_bit:  # the packed image is one pixel that has all its elements
                geometry = replace(geometry, input=(1, 1, self._elements))
            step = _Step(self.device, layer, geometry, words, self.path, first and self._eight_bit)
            self._steps.append(step)
            words = step.words
        per_image = self._elements + 4 * self._input_words
        per_image += sum(step.bytes_per_image + 4 * step.rows for step in self._steps)
        self.max_batch = max(1, min(MAX_BATCH, BATCH_BYTES // per_image))
        """Images that are computed at once"""
        self._room = 0
        self._buffers: list[Buffer] = []

    def _reserve(self, images: int) -> None:
        """Memory for a batch: images, what the first layer reads, ones of rows, then every layer's output."""
        if images <= self._room:
            return
        for buffer in self._buffers:
            buffer.release()
        self._room = images
        ones = max((step.rows for step in self._steps if not step.eight_bit), default=0)
        sizes = [self._elements, 4 * self._input_words, 4 * ones, *(step.bytes_per_image for step in self._steps)]
        self._buffers = [self.device.empty(images * size) for size in sizes]

    def load(self, images: np.ndarray) -> int:
        """Bring a batch, uint8 (N, H, W, C) of at most `max_batch`, to the GPU; gives N."""
        self._check(images)
        if not 0 < len(images) <= self.max_batch:
            raise GpuError(f"images: are {len(images)}, expected 1 to {self.max_batch}")
        self._reserve(len(images))
        self._buffers[0].upload(images)
        return len(images)

    def start(self, count: int) -> None:
        """Start the kernels for the `count` images that were loaded."""
        device = self.device
        pixels, read, ones, *outputs = self._buffers
        if self._eight_bit:
            places = count * self.model.height * self.model.width
            device.call("read_pixels", pixels.address, self._table.address, read.address, places, self.model.channels)
        else:
            sizes = count, self._elements, self._input_words
            device.call("pack_pixels", pixels.address, self._table.address, read.address, *sizes)
        source = read
        for step, output in zip(self._steps, outputs, strict=True):
            kernel = step.kernel
            kernel.images = count
            if isinstance(kernel, FirstLayer):
                kernel.pixels, kernel.bits = source.address, output.address
                device.call("first_layer", kernel)
            else:
                kernel.maps = source.address
                kernel.bits, kernel.scores = (None, output.address) if step.scores else (output.address, None)
                device.multiply(kernel, None if self.path == POPCOUNT else ones, self._tile)
            source = output

    def scores(self, count: int) -> np.ndarray:
        """int32 (count, classes), once the kernels have run."""
        return self._buffers[-1].download((count, len(self.model.classes)), np.int32)

    def _check(self, images: np.ndarray) -> None:
        shape = (self.model.height, self.model.width, self.model.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
            raise GpuError(f"images: are {images.dtype.name} {images.shape}, expected uint8 (N, {shape})")

    def infer(self, images: np.ndarray) -> np.ndarray:
        """Scores int32 (N, classes) of images uint8 (N, H, W, C), as `bnn.golden.infer` gives them.

        Raises:
            GpuError: images of another shape, or what the GPU says.
        """
        self._check(images)
        found = np.zeros((len(images), len(self.model.classes)), np.int32)
        for first in range(0, len(images), self.max_batch):
            count = self.load(images[first : first + self.max_batch])
            self.start(count)
            found[first : first + count] = self.scores(count)
        return found

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Every layer's output, as `bnn.golden.trace` gives it, for at most `max_batch` images.

        Raises:
            GpuError: images of another shape, or what the GPU says.
        """
        count = self.load(images)
        self.start(count)
        found: dict[str, np.ndarray] = {}
        for step, output in zip(self._steps[:-1], self._buffers[3:-1], strict=True):
            words = output.download((count, step.places, step.words), np.uint32)
            bits = unpack(words, step.layer.outputs)
            shape = step.geometry.output if step.layer.kind == "conv" else step.geometry.output[2:]
            found[step.layer.name] = bits.reshape(count, *shape)
        found[self._steps[-1].layer.name] = self.scores(count)
        return found
