"""What packed bits are compared with: the naive kernel of the paper, and cuBLAS through PyTorch, on +-1 in numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bnn import golden
from bnn.layers import Model
from gpu.build import GpuError
from gpu.device import Buffer, Device


def signs(bits: np.ndarray) -> np.ndarray:
    """Bits as +1 and -1, float32."""
    return np.where(bits, np.float32(1), np.float32(-1))


class FloatNetwork:
    """A network of dense layers as products of +-1 in float32: `sign * (+1 if sum >= limit else -1)` after each.

    Raises:
        GpuError: the model has other layers.
    """

    def __init__(self, model: Model) -> None:
        if any(layer.kind != "dense" for layer in model.layers) or model.eight_bit_input:
            raise GpuError(f"{model.name}: has other than dense layers, expected none in the baseline")
        self.model = model
        self.matrices = [np.ascontiguousarray(signs(layer.weights).T) for layer in model.layers]
        """(inputs, outputs) of every layer"""
        self.rules: list[tuple[np.ndarray, np.ndarray]] = []
        """Limits and signs of every layer but the last, float32 (outputs,)"""
        for layer in model.layers[:-1]:
            assert layer.thresholds is not None and layer.flip is not None
            limits = 2 * layer.thresholds.astype(np.int64) - layer.fan_in
            self.rules.append((limits.astype(np.float32), signs(~layer.flip)))

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """What the first layer reads of uint8 (N, H, W, C): float32 (N, inputs)."""
        return signs(golden.read_pixels(self.model, images)[0].reshape(len(images), -1))

    def scores(self, sums: np.ndarray) -> np.ndarray:
        """Scores int32 (N, O) of the last layer's sums (N, O)."""
        last = self.model.layers[-1]
        return golden.scores(last, (sums.astype(np.int64) + last.fan_in)[:, None, None] // 2)


class NaiveProduct:
    """a (m, k) times b (k, n), float32, by the naive kernel; with limits and signs float32 (n,) the rule above."""

    def __init__(self, device: Device, a: Buffer, b: np.ndarray, rows: int, *rule: np.ndarray) -> None:
        self._device, self._a, self._b = device, a, device.put(b)
        self.shape = rows, b.shape[1]
        self._sizes = rows, *b.shape
        self._rule = [device.put(array) for array in rule]
        self.out = device.empty(4 * rows * b.shape[1])

    def start(self) -> None:
        """Start the kernel."""
        addresses = [buffer.address for buffer in (self._a, self._b, self.out, *self._rule)]
        self._device.call("multiply_floats", *addresses, *[None] * (5 - len(addresses)), *self._sizes)

    def result(self) -> np.ndarray:
        """float32 (m, n), once the kernel has run."""
        return self.out.download(self.shape, np.float32)


class NaiveNetwork:
    """A network of dense layers by the naive kernel, for given images uint8 (N, H, W, C)."""

    def __init__(self, device: Device, network: FloatNetwork, images: np.ndarray) -> None:
        self._network = network
        self._layers: list[NaiveProduct] = []
        given = device.put(network.pixels(images))
        for matrix, rule in zip(network.matrices, [*network.rules, ()], strict=True):
            self._layers.append(NaiveProduct(device, given, matrix, len(images), *rule))
            given = self._layers[-1].out

    def start(self) -> None:
        """Start the kernels."""
        for layer in self._layers:
            layer.start()

    def scores(self) -> np.ndarray:
        """int32 (N, classes), once the kernels have run."""
        return self._network.scores(self._layers[-1].result())


FLOAT32, TF32, INT8 = "float32", "TF32", "int8"


class Torch:
    """PyTorch's products on the GPU, which are cuBLAS; in place of a simulated GPU on the processor.

    Raises:
        GpuError: there is no PyTorch, or it does not use the GPU.
    """

    def __init__(self, device: Device) -> None:
        try:
            import torch
        except ModuleNotFoundError:
            raise GpuError("PyTorch is not installed") from None
        self._torch = torch
        self._place = "cpu" if device.simulated else "cuda"
        if not device.simulated and not torch.cuda.is_available():
            raise GpuError(f"PyTorch {torch.__version__} does not use this GPU")

    def product(self, kind: str, a: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
        """What multiplies signs (m, k) and (k, n) as numbers of a kind."""
        torch = self._torch
        left, right = (torch.from_numpy(array).to(self._place) for array in (a, b))
        if kind == INT8:
            left, right = left.to(torch.int8), right.to(torch.int8)
            return lambda: torch._int_mm(left, right)

        def multiply() -> Any:
            torch.backends.cuda.matmul.allow_tf32 = kind == TF32
            return left @ right

        return multiply

    def network(self, network: FloatNetwork, images: np.ndarray) -> Callable[[], Any]:
        """What computes the sums of the last layer for images uint8 (N, H, W, C), in float32."""
        torch = self._torch

        def put(array: np.ndarray) -> Any:
            return torch.from_numpy(array).to(self._place)

        pixels, matrices = put(network.pixels(images)), [put(matrix) for matrix in network.matrices]
        rules = [(put(limits), put(sign)) for limits, sign in network.rules]

        def multiply() -> Any:
            torch.backends.cuda.matmul.allow_tf32 = False
            values = pixels
            for matrix, (limits, sign) in zip(matrices[:-1], rules, strict=True):
                values = torch.where(values @ matrix >= limits, sign, -sign)
            return values @ matrices[-1]

        return multiply

    def milliseconds(self, work: Callable[[], object]) -> float:
        """How long work takes on the GPU."""
        torch = self._torch
        if self._place == "cpu":
            begin = time.perf_counter()
            work()
            return 1000 * (time.perf_counter() - begin)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last))
