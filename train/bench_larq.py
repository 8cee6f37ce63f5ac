"""`python -m train.bench_larq MODEL IMAGES`: a network in larq-compute-engine, for `train.bench_cpu`.

It runs in larq's own environment. The first line that it prints has the scores and the memory; then every line read
is a number of batches to run, and each answer the seconds of processor time that they took.

Dense layers are convolutions of the whole map, and batch norms come before pools, as larq asks for where it is to
be fast. Of the interpreter's own options, XNNPACK and the indirect product, the fastest counts.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import larq
import larq_compute_engine
import numpy as np
import tensorflow
from larq_compute_engine.tflite.python.interpreter import Interpreter

from bnn.model import Model, load
from train.comparable import affine

EPSILON = 1e-3


def to_keras(model: Model, batch: int) -> Any:
    """The network in larq's layers."""
    layers = tensorflow.keras.layers
    values = image = layers.Input((model.height, model.width, model.channels), batch_size=batch)
    for index, layer in enumerate(model.layers):
        signs = 2.0 * layer.weights.astype(np.float32) - 1
        if layer.kind == "dense":
            signs = signs.reshape(len(signs), *values.shape[1:])
        conv = larq.layers.QuantConv2D(
            layer.outputs,
            signs.shape[1:3],
            padding="same" if layer.pad else "valid",
            pad_values=float(layer.pad_value) if index else 0.0,
            input_quantizer="ste_sign" if index else None,
            kernel_quantizer="ste_sign",
            use_bias=False,
        )
        values = conv(values)
        conv.set_weights([signs.transpose(1, 2, 3, 0)])
        factor, mean, offset = affine(model, index)
        norm = layers.BatchNormalization(epsilon=EPSILON)
        values = norm(values)
        norm.set_weights([factor, offset, mean, np.full_like(mean, 1 - EPSILON)])
        if layer.pool:
            values = layers.MaxPool2D(2)(values)
    return tensorflow.keras.Model(image, layers.Flatten()(values))


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as statistics:
        return int(statistics.read().split()[1]) * 4096


def run(interpreter: Any, pixels: np.ndarray) -> np.ndarray:
    """Scores of a whole batch; `Interpreter.predict` takes one image after the other."""
    return np.asarray(interpreter.interpreter.predict([pixels])[0])


def seconds(interpreter: Any, pixels: np.ndarray, repeats: int) -> float:
    """Processor time of so many batches."""
    began = time.process_time()
    for _ in range(repeats):
        run(interpreter, pixels)
    return time.process_time() - began


def main(path: str, images: str) -> None:
    """Serve one network."""
    model, pixels = load(path), np.load(images).astype(np.float32) - 128
    content = larq_compute_engine.convert_keras_model(to_keras(model, len(pixels)))
    choices = []
    for options in ({}, {"use_xnnpack": True}, {"use_indirect_bgemm": True}):
        before = resident()
        interpreter = Interpreter(content, 1, **options)
        scores = run(interpreter, pixels)
        held = max(len(content), resident() - before)
        choices.append((min(seconds(interpreter, pixels, 1) for _ in range(3)), interpreter, scores, held))
    _, interpreter, scores, held = min(choices, key=lambda choice: choice[0])
    print(json.dumps({"memory_bytes": held, "scores": scores.astype(float).tolist()}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": seconds(interpreter, pixels, int(line))}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
