"""Modules of one's own as models: traced with torch.fx, without a table of topologies.

Any `nn.Module` whose `forward` is a chain or has shortcuts, made of the binary layers of `train`, of batch norms, pools
and element-wise operators. The module is traced in evaluation and becomes a graph of floating-point operators
(`train.graphs`); docs/own_module.md shows how, and lists what is accepted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from bnn.cpu import infer
from bnn.geometry import Shape
from bnn.layers import MEAN_SHIFT, mean_scale
from bnn.model import Model
from train.graphs.graph import Builder, Graph, GraphError
from train.graphs.lowering import Lowered, lower
from train.layers import (
    VALUE_HIGH,
    VALUE_LOW,
    VALUE_STEP,
    BinaryActivation,
    BinaryConv2d,
    BinaryLinear,
    ScoreNorm,
    Value,
    mean_codes,
    shrink,
)
from train.methods import ShiftNorm1d, ShiftNorm2d, ap2

LEAVES = (BinaryConv2d, BinaryLinear, BinaryActivation, Value, nn.modules.batchnorm._BatchNorm)


class _Tracer(fx.Tracer):
    """Takes the layers of `train` as they are, and looks into every other module of one's own."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(shrink, mean_codes))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or bool(super().is_leaf_module(m, module_qualified_name))


class _Builder(Builder):
    """The graph as the traced nodes are turned into its own."""

    def constant(self, name: str, value: Any) -> str:
        """A constant; gives its name."""
        if isinstance(value, Tensor):
            value = value.detach().cpu().numpy()
        self.constants[name] = np.asarray(value, np.float64 if np.asarray(value).dtype == np.float64 else np.float32)
        return name

    # --- modules

    def convolution(self, name: str, layer: nn.Conv2d, source: str) -> str:
        weight, pads, value = layer.weight, layer.padding, 0.0
        if isinstance(layer, BinaryConv2d):
            weight, pads, value = layer.signs(), (layer.pad, layer.pad), layer.planes * layer.pad_value
        elif isinstance(pads, str):
            raise GraphError(f"module {name} (Conv2d): padding is '{pads}', expected numbers")
        elif any(pads) and layer.padding_mode != "zeros":
            raise GraphError(f"module {name} (Conv2d): padding_mode is {layer.padding_mode}, expected zeros")
        inputs = [source, self.constant(f"{name}.weight", weight)]
        if value and any(pads):
            edges = [0, 0, *pads] * 2
            inputs[0] = self.add(f"{name}.pad", "Pad", [source], pads=edges, value=float(value), mode="constant")
            pads = (0, 0)
        if layer.bias is not None:
            inputs.append(self.constant(f"{name}.bias", layer.bias))
        window = {"strides": list(layer.stride), "pads": [*pads, *pads], "dilations": list(layer.dilation)}
        return self.add(name, "Conv", inputs, kernel_shape=list(layer.kernel_size), group=layer.groups, **window)

    def linear(self, name: str, layer: nn.Linear, source: str) -> str:
        weight = layer.signs() if isinstance(layer, BinaryLinear) else layer.weight
        inputs = [source, self.constant(f"{name}.weight", weight)]
        if layer.bias is not None:
            inputs.append(self.constant(f"{name}.bias", layer.bias))
        return self.add(name, "Gemm", inputs, transB=1)

    def norm(self, name: str, layer: Any, source: str) -> str:
        if layer.running_mean is None or layer.running_var is None:
            raise GraphError(f"module {name} ({type(layer).__name__}): has no running statistics, expected them")
        shape = (-1,) + (1,) * (self.seen[source].dim() - 2)
        if isinstance(layer, ScoreNorm):
            scale, offset, shift = layer.fixed_point(layer.inputs)
            wide = self.add(f"{name}.wide", "Cast", [source], to=11)
            scaled = self.constant(f"{name}.scale", (scale.double() * 2.0**-shift).reshape(shape))
            moved = self.constant(f"{name}.offset", (offset.double() * 2.0**-shift).reshape(shape))
            return self.add(name, "Add", [self.add(f"{name}.mul", "Mul", [wide, scaled]), moved])
        if isinstance(layer, ShiftNorm1d | ShiftNorm2d):
            gain = ap2(torch.rsqrt(layer.running_var + layer.eps)) * ap2(layer.weight)
            centred = self.by(f"{name}.centre", "Sub", source, layer.running_mean.reshape(shape))
            return self.by(
                name, "Add", self.by(f"{name}.gain", "Mul", centred, gain.reshape(shape)), layer.bias.reshape(shape)
            )
        one = torch.ones_like(layer.running_mean)
        parts = {
            "gamma": one if layer.weight is None else layer.weight,
            "beta": 0 * one if layer.bias is None else layer.bias,
            "mean": layer.running_mean,
            "variance": layer.running_var,
        }
        inputs = [source, *(self.constant(f"{name}.{key}", part) for key, part in parts.items())]
        return self.add(name, "BatchNormalization", inputs, epsilon=layer.eps)

    def by(self, name: str, operator_name: str, source: str, value: Any) -> str:
        return self.add(name, operator_name, [source, self.constant(f"{name}.by", value)])

    def activation(self, name: str, layer: BinaryActivation, source: str) -> str:
        if len(layer.steps) == 1:
            return self.by(name, "BipolarQuant", source, 1.0)
        rows = self.constant(f"{name}.steps", [layer.steps])
        count = float(len(layer.steps))
        return self.add(name, "MultiThreshold", [source, rows], out_scale=2.0, out_bias=-count)

    def value(self, name: str, source: str) -> str:
        """Rounded half up to multiples of VALUE_STEP, and saturated."""
        codes = self.add(f"{name}.half", "Add", [self.by(f"{name}.codes", "Mul", source, 1 / VALUE_STEP), "half"])
        limits = [self.constant("low", float(VALUE_LOW)), self.constant("high", float(VALUE_HIGH))]
        clipped = self.add(f"{name}.clip", "Clip", [self.add(f"{name}.floor", "Floor", [codes]), *limits])
        return self.by(name, "Mul", clipped, VALUE_STEP)

    def halved(self, name: str, source: str, outputs: int, stride: int) -> str:
        """A shortcut as `train.layers.shrink` makes it."""
        channels = self.seen[source].shape[1]
        if stride > 1:
            mean = self.add(f"{name}.mean", "AveragePool", [source], kernel_shape=[2, 2], strides=[2, 2])
            codes = self.add(f"{name}.half", "Add", [self.by(f"{name}.codes", "Mul", mean, 1 / VALUE_STEP), "half"])
            source = self.by(f"{name}.rounded", "Mul", self.add(f"{name}.floor", "Floor", [codes]), VALUE_STEP)
        if outputs > channels:
            edges = [0, 0, 0, 0, 0, outputs - channels, 0, 0]
            source = self.add(name, "Pad", [source], pads=edges, value=0.0, mode="constant")
        return source

    def codes_of_mean(self, name: str, source: str) -> str:
        """The mean over a map as `train.layers.mean_codes` makes it."""
        scale = mean_scale(*self.seen[source].shape[2:]) / (1 << MEAN_SHIFT)
        total = self.add(f"{name}.sum", "ReduceSum", [source], axes=[2, 3], keepdims=0)
        wide = self.add(f"{name}.wide", "Cast", [total], to=11)
        mean = self.add(
            f"{name}.half", "Add", [self.by(f"{name}.mean", "Mul", wide, np.float64(scale / VALUE_STEP)), "half"]
        )
        limits = [self.constant("low", float(VALUE_LOW)), self.constant("high", float(VALUE_HIGH))]
        clipped = self.add(f"{name}.clip", "Clip", [self.add(f"{name}.floor", "Floor", [mean]), *limits])
        codes = self.add(f"{name}.codes", "Cast", [clipped], to=1)
        return self.by(name, "Add", self.by(f"{name}.twice", "Mul", codes, 2.0), 1.0)

    def of_module(self, name: str, layer: nn.Module, source: str) -> str:
        """What a leaf of the trace is in the graph.

        Raises:
            GraphError: it is of no known kind.
        """
        simple = {
            nn.ReLU: "Relu",
            nn.Tanh: "Tanh",
            nn.Sigmoid: "Sigmoid",
            nn.Identity: "Identity",
            nn.Dropout: "Identity",
        }
        if isinstance(layer, nn.Conv2d):
            return self.convolution(name, layer, source)
        if isinstance(layer, nn.Linear):
            return self.linear(name, layer, source)
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            return self.norm(name, layer, source)
        if isinstance(layer, BinaryActivation):
            return self.activation(name, layer, source)
        if isinstance(layer, Value):
            return self.value(name, source)
        if isinstance(layer, nn.Hardtanh):
            return self.clip(name, source, layer.min_val, layer.max_val)
        if isinstance(layer, nn.MaxPool2d):
            return self.max_pool(
                name, source, layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode
            )
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            if layer.output_size not in (1, (1, 1)):
                raise GraphError(f"module {name} (AdaptiveAvgPool2d): gives {layer.output_size}, expected 1")
            return self.add(name, "GlobalAveragePool", [source])
        if isinstance(layer, nn.Flatten):
            return self.add(name, "Flatten", [source], axis=layer.start_dim)
        if type(layer) in simple:
            return self.add(name, simple[type(layer)], [source])
        shape = list(self.seen[source].shape)
        known = ["BatchNorm, Conv2d, Linear, Flatten, MaxPool2d, AdaptiveAvgPool2d, Hardtanh, BinaryActivation, Value"]
        known += [kind.__name__ for kind in simple]
        raise GraphError(f"module {name} ({type(layer).__name__}) of {shape}: expected one of {', '.join(known)}")

    # --- functions

    def clip(self, name: str, source: str, low: float | None, high: float | None) -> str:
        given = {key: float(limit) for key, limit in (("min", low), ("max", high)) if limit is not None}
        return self.add(name, "Clip", [source], **given)

    def max_pool(
        self, name: str, source: str, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, **more: Any
    ) -> str:
        pairs = [
            list(item) if isinstance(item, tuple | list) else [item] * 2 for item in (kernel, stride or kernel, padding)
        ]
        return self.add(
            name,
            "MaxPool",
            [source],
            kernel_shape=pairs[0],
            strides=pairs[1],
            pads=pairs[2] * 2,
            ceil_mode=int(bool(more.get("ceil_mode"))),
        )

    def binary(self, name: str, operator_name: str, left: Any, right: Any) -> str:
        sides = [
            side if isinstance(side, str) else self.constant(f"{name}.{key}", side)
            for side, key in ((left, "left"), (right, "right"))
        ]
        return self.add(name, operator_name, sides)


_ARITHMETIC: dict[Any, str] = {
    operator.add: "Add",
    operator.sub: "Sub",
    operator.mul: "Mul",
    operator.truediv: "Div",
    torch.add: "Add",
    torch.sub: "Sub",
    torch.mul: "Mul",
    torch.div: "Div",
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
}
_UNARY: dict[Any, str] = {
    operator.neg: "Neg",
    torch.neg: "Neg",
    F.relu: "Relu",
    torch.relu: "Relu",
    torch.tanh: "Tanh",
    torch.sigmoid: "Sigmoid",
    torch.sign: "Sign",
    torch.floor: "Floor",
    "relu": "Relu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "contiguous": "Identity",
    "float": "Identity",
}


def _called(builder: _Builder, name: str, target: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
    """What a traced function or method is in the graph; numbers where it gives numbers.

    Raises:
        GraphError: it is not supported.
    """
    source = arguments[0]
    seen = builder.seen.get(source) if isinstance(source, str) else None
    rest = arguments[1:]
    if target in _ARITHMETIC and len(arguments) == 2 and not named:
        return builder.binary(name, _ARITHMETIC[target], *arguments)
    if seen is None:
        if target is operator.getitem:
            return source[rest[0]]
    elif target in _UNARY:
        return builder.add(name, _UNARY[target], [source])
    elif target in (torch.flatten, "flatten"):
        return builder.add(name, "Flatten", [source], axis=(rest or [named.get("start_dim", 0)])[0])
    elif target in ("view", "reshape", torch.reshape):
        sizes = list(rest[0]) if isinstance(rest[0], tuple | list) else rest
        return builder.add(name, "Reshape", [source, _sizes(builder, name, sizes)])
    elif target in ("permute", torch.permute):
        order = list(rest[0]) if isinstance(rest[0], tuple | list) else rest
        return builder.add(name, "Transpose", [source], perm=order)
    elif target == "size" or target is getattr and rest == ["shape"]:
        return seen.shape[rest[0]] if target == "size" and rest else tuple(seen.shape)
    elif target in (torch.clamp, "clamp", F.hardtanh):
        low, high = [*rest, *(named[key] for key in ("min", "max") if key in named)] or [-1.0, 1.0]
        return builder.clip(name, source, low, high)
    elif target is F.max_pool2d:
        return builder.max_pool(name, source, *rest, **named)
    elif target is F.adaptive_avg_pool2d and rest[0] in (1, (1, 1)):
        return builder.add(name, "GlobalAveragePool", [source])
    elif target in (torch.mean, "mean"):
        axes = rest[0] if rest else named["dim"]
        keep = (rest[1:] or [named.get("keepdim", False)])[0]
        return builder.add(name, "ReduceMean", [source], axes=list(axes), keepdims=int(keep))
    elif target is shrink:
        return builder.halved(name, source, *rest[:2])
    elif target is mean_codes:
        return builder.codes_of_mean(name, source)
    elif target is F.dropout:
        return builder.add(name, "Identity", [source])
    known = {getattr(key, "__name__", str(key)) for key in (*_ARITHMETIC, *_UNARY)}
    known |= {"flatten", "reshape", "permute", "clamp", "hardtanh", "max_pool2d", "mean", "shrink", "mean_codes"}
    shape = "" if seen is None else f" of {list(seen.shape)}"
    what = getattr(target, "__name__", str(target))
    raise GraphError(f"function {name} ({what}){shape}: is not supported, expected one of {', '.join(sorted(known))}")


def _sizes(builder: _Builder, name: str, sizes: list[int]) -> str:
    constant = f"{name}.sizes"
    builder.constants[constant] = np.array(sizes, np.int64)
    return constant


def graph_of(module: nn.Module, size: Shape, divisor: float = 255.0) -> Graph:
    """The graph of a module in evaluation.

    Args:
        module: takes float32 images (N, C, H, W), gives scores (N, classes).
        size: of the images, (H, W, C).
        divisor: what the pixels 0 to 255 are divided by before the module gets them.

    Raises:
        GraphError: it cannot be traced, or has a part that is not supported.
    """
    module = module.cpu().eval()
    name = type(module).__name__
    try:
        traced = _Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise GraphError(f"{name}: cannot be traced, its forward depends on numbers ({str(error)[:120]})") from None
    builder = _Builder("image", size)
    builder.constant("half", 0.5)
    found: dict[fx.Node, Any] = {}
    modules = dict(module.named_modules())
    output = ""

    def known(argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: found[node])

    with torch.no_grad():
        for node in traced.nodes:
            arguments, named = list(known(node.args)), dict(known(node.kwargs))
            if node.op == "placeholder":
                found[node] = "image"
            elif node.op == "get_attr":
                found[node] = operator.attrgetter(str(node.target))(module)
            elif node.op == "call_module":
                found[node] = builder.of_module(str(node.target), modules[str(node.target)], arguments[0])
            elif node.op == "output":
                output = arguments[0]
            else:
                found[node] = _called(builder, node.name, node.target, arguments, named)
    if not isinstance(output, str):
        raise GraphError(f"{name}: gives {type(output).__name__}, expected a tensor of scores")
    return builder.graph(name, output, divisor)


def export_module(
    module: nn.Module,
    size: Shape,
    classes: tuple[str, ...],
    divisor: float = 255.0,
    images: np.ndarray | None = None,
    meta: dict[str, Any] | None = None,
) -> Lowered:
    """The integer model of a module of one's own, and where it is not exactly the module.

    Args:
        module: takes float32 images (N, C, H, W), gives scores (N, classes).
        size: of the images, (H, W, C).
        classes: their names.
        divisor: what the pixels 0 to 255 are divided by before the module gets them.
        images: uint8 (N, H, W, C), for the range of sums over shortcuts that are no `Value`.
        meta: of the model.

    Raises:
        GraphError: the module has a part that cannot be expressed; names it, its shape and what would be accepted.
        ModelError: the layers do not make a model.
    """
    return lower(graph_of(module, size, divisor), tuple(classes), size, images, meta)


@torch.no_grad()
def mismatches(module: Callable[[Tensor], Tensor], model: Model, images: np.ndarray, divisor: float = 255.0) -> int:
    """Images (N, H, W, C) uint8 for which a score of the model is not the module's."""
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / divisor
    wanted = torch.round(module(pixels).double() * 2.0 ** model.layers[-1].shift).numpy()
    return int((infer(model, images) != wanted).any(axis=1).sum())
