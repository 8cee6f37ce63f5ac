"""What a model costs: MACs, bits, memory accesses and energy, against the same network in 32-bit floats.

Energy figures are those of 45 nm at 0.9 V in M. Horowitz, "Computing's energy problem (and what we can do about it)",
ISSCC 2014, figure 1.1.9, which BNN (arXiv 1602.02830, tables 2 and 3) uses as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnn.geometry import walk
from bnn.model import Layer, Model, shapes

# pJ, Horowitz 2014
ADD_8 = 0.03
ADD_32 = 0.1
MULTIPLY_FLOAT_32 = 3.7
ADD_FLOAT_32 = 0.9
CACHES = ((8 << 10, 10.0), (32 << 10, 20.0), (1 << 20, 100.0))
"""Reading 64 bits: capacity in bytes up to which, pJ."""
DRAM_64 = 1300.0  # the lower end of 1.3 to 2.6 nJ

BINARY_MAC = ADD_8 / 8
"""Horowitz has no binary operation. An XNOR and the share of a counter are taken as one bit of an 8-bit adder."""
BYTE_MAC = ADD_32
"""First layer: a signed 8-bit value is added or subtracted."""


@dataclass(frozen=True)
class LayerCost:
    """One layer, for one image; `kernels` is the share of unique 3x3 kernels, None where there are none.

    `passes` are those of the array over the MACs; an average has no MACs, and its additions count for nothing.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    bases: int
    passes: int
    weight_bits: int
    input_bits: int
    output_bits: int
    thresholds: tuple[int, int] | None
    flips: int
    kernels: float | None
    byte_input: bool


@dataclass(frozen=True)
class Cost:
    """Of one image: bits of weights and thresholds, bits read and written, energy in pJ."""

    parameter_bits: int
    access_bits: int
    compute_pj: float
    memory_pj: float


def unique_kernels(layer: Layer) -> float | None:
    """Unique 3x3 kernels over all kernels of a 3x3 convolution of one base, None for another layer.

    As BNN counts filter repetitions (arXiv 1602.02830, section 3.3): within an input channel, as only kernels of
    the same input can share work; a kernel and its inverse are one.
    """
    if layer.kernel != 3 or layer.bases > 1:
        return None
    codes = np.tensordot(layer.weights.astype(np.int64), 1 << np.arange(9).reshape(3, 3), ((1, 2), (0, 1)))  # (O, C)
    either = np.minimum(codes, 511 - codes)
    return sum(len(np.unique(channel)) for channel in either.T) / codes.size


def layers(model: Model) -> list[LayerCost]:
    """Every layer's figures, in order."""
    result = []
    shapes(model)
    for number, (layer, item) in enumerate(zip(model.layers, walk(model), strict=True)):
        byte_input = number == 0 and model.eight_bit_input
        thresholds = None
        if layer.thresholds is not None:
            thresholds = (int(layer.thresholds.min()), int(layer.thresholds.max()))
        last = layer is model.layers[-1]
        output_bits = 32 if last else layer.planes + 8 * layer.requantised
        result.append(
            LayerCost(
                name=layer.name,
                inputs=item.input,
                outputs=item.output,
                macs=item.macs,
                bases=item.bases,
                passes=item.passes,
                weight_bits=item.weight_bits,
                input_bits=int(np.prod(item.input)) * (8 if byte_input or layer.kind == "average" else item.planes),
                output_bits=int(np.prod(item.output)) * output_bits,
                thresholds=thresholds,
                flips=0 if layer.flip is None else int(layer.flip.sum()),
                kernels=unique_kernels(layer),
                byte_input=byte_input,
            )
        )
    return result


def read_pj(bits: int, capacity_bits: int) -> float:
    """Energy in pJ of `bits` read from, or written to, a memory that holds `capacity_bits`."""
    for size, energy in CACHES:
        if capacity_bits <= 8 * size:
            return bits / 64 * energy
    return bits / 64 * DRAM_64


def binary_cost(model: Model) -> Cost:
    """The model as it is: per image, weights and inputs of each layer are read once, outputs written once."""
    figures = layers(model)
    thresholds = sum(32 * layer.outputs for layer in model.layers)
    parameters = sum(figure.weight_bits for figure in figures) + thresholds
    largest = max(figure.input_bits + figure.output_bits for figure in figures)
    activations = sum(figure.input_bits + figure.output_bits for figure in figures)
    return Cost(
        parameter_bits=parameters,
        access_bits=parameters + activations,
        compute_pj=sum(
            figure.macs * figure.passes * (BYTE_MAC if figure.byte_input else BINARY_MAC) for figure in figures
        ),
        memory_pj=read_pj(parameters, parameters) + read_pj(activations, largest),
    )


def float_cost(model: Model) -> Cost:
    """The same network with 32-bit floats for weights and activations, 8-bit pixels; two numbers per batch norm."""
    figures = layers(model)
    parameters = sum(32 * figure.weight_bits // figure.bases for figure in figures)
    parameters += sum(64 * layer.outputs for layer in model.layers)
    sizes = []
    for figure in figures:
        pixels = int(np.prod(figure.inputs))
        sizes.append(pixels * (8 if figure is figures[0] else 32) + 32 * int(np.prod(figure.outputs)))
    return Cost(
        parameter_bits=parameters,
        access_bits=parameters + sum(sizes),
        compute_pj=sum(figure.macs for figure in figures) * (MULTIPLY_FLOAT_32 + ADD_FLOAT_32),
        memory_pj=read_pj(parameters, parameters) + read_pj(sum(sizes), max(sizes)),
    )
