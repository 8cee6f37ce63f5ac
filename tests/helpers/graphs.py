"""Small ONNX graphs of binary networks, in the dialects that importers read."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
CUSTOM = ("BipolarQuant", "Quant", "MultiThreshold")


class Builder:
    """A graph that grows at its end; `tensor` is the last one."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0, pixels: bool = False) -> None:
        self.draw = np.random.default_rng(seed)
        self.shape, self.pixels = shape, pixels
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.tensor = "image"

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node that reads `inputs`, or the last tensor alone."""
        name = name or f"{operator}_{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs) or [self.tensor], [f"{name}.out"], name=name, **attributes)
        node.domain = QONNX if operator in CUSTOM else ""
        self.nodes.append(node)
        self.tensor = f"{name}.out"
        return self.tensor

    def by(self, operator: str, value: Any) -> str:
        """Add a node of the last tensor and a constant."""
        return self.add(operator, self.tensor, self.constant(value))

    def scale_pixels(self) -> None:
        """2 p - 1, as Brevitas' examples have it."""
        self.by("Mul", 2.0)
        self.by("Sub", [1.0])

    def signs(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.draw.choice([-1.0, 1.0], shape).astype(np.float32)

    def weights(self, shape: tuple[int, ...], dialect: str = "qonnx", scale: float = 1.0) -> str:
        """+-scale, as the dialect has it."""
        signs = self.signs(shape)
        last = self.tensor
        if dialect == "qonnx":
            latent = signs * self.draw.uniform(0.1, 1, shape)
            name = self.add("BipolarQuant", self.constant(latent), self.constant(scale))
        elif dialect == "qcdq":
            codes, one, zero = self.constant(signs, np.int8), self.constant(scale), self.constant(0, np.int8)
            name = self.add("DequantizeLinear", codes, one, zero)
        else:
            name = self.constant(signs * scale)
        self.tensor = last
        return name

    def conv(self, inputs: int, outputs: int, kernel: int = 3, dialect: str = "qonnx", **attributes: Any) -> str:
        weights = self.weights((outputs, inputs, kernel, kernel), dialect)
        return self.add("Conv", self.tensor, weights, kernel_shape=[kernel, kernel], **attributes)

    def dense(self, inputs: int, outputs: int, dialect: str = "qonnx") -> str:
        """A MatMul behind the Transpose of its weights."""
        source, weights = self.tensor, self.weights((outputs, inputs), dialect)
        self.tensor = weights
        turned = self.add("Transpose", perm=[1, 0])
        return self.add("MatMul", source, turned)

    def norm(self, channels: int, spread: float) -> str:
        """A batch norm whose gains have both signs."""
        draw = self.draw
        gain = draw.uniform(0.3, 2, channels) * draw.choice([-1, 1], channels)
        parts = (
            gain,
            draw.normal(0, 0.7, channels),
            draw.normal(0, spread / 2, channels),
            spread**2 * draw.uniform(0.5, 2, channels),
        )
        return self.add("BatchNormalization", self.tensor, *(self.constant(part) for part in parts), epsilon=1e-5)

    def quant(self, bits: int, scale: float, signed: int = 1, narrow: int = 0, rounding: str = "ROUND") -> str:
        values = (self.constant(value) for value in (scale, 0.0, float(bits)))
        return self.add("Quant", self.tensor, *values, signed=signed, narrow=narrow, rounding_mode=rounding)

    def qcdq(self, scale: float, low: int, high: int) -> str:
        """QuantizeLinear, Clip and DequantizeLinear."""
        one, zero = self.constant(scale), self.constant(0, np.int8)
        self.add("QuantizeLinear", self.tensor, one, zero)
        self.add("Clip", self.tensor, self.constant(low, np.int8), self.constant(high, np.int8))
        return self.add("DequantizeLinear", self.tensor, one, zero)

    def sign(self) -> str:
        return self.add("BipolarQuant", self.tensor, self.constant(1.0))

    def pool(self) -> str:
        return self.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])

    def proto(self, outputs: int) -> Any:
        """The file."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *self.shape])
        scores = helper.make_tensor_value_info(self.tensor, TensorProto.FLOAT, [1, outputs])
        graph = helper.make_graph(self.nodes, "made", [image], [scores], self.constants)
        if self.pixels:
            note = graph.quantization_annotation.add()
            note.tensor_name = "image"
            note.quant_parameter_tensor_names.add(key="finn_datatype", value="UINT8")
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)
