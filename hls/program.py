"""Packing a plan into the bytes of a program (docs/ARCHITECTURE.md, "Program")."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn.model import Layer
from hls.designs import MAX_CHANNELS
from hls.schedule import Descriptor, Plan

MAGIC = 0x504E4E42
VERSION = 1
HEADER_WORDS = 32
DESCRIPTOR_WORDS = 32


def _describe(item: Descriptor) -> list[int]:
    return [item.flags, item.groups, item.words_per_tap, item.rows, item.columns, item.blocks,
            item.height | item.width << 16, item.source_base[0], item.source_base[1],
            item.source_image_stride, item.source_row_stride, item.dest_base, item.dest_image_stride,
            item.dest_row_stride, item.dest_words, item.group_words, item.valid_bits, item.outputs,
            item.out_columns]


def _layer_words(plan: Plan, index: int, layer: Layer) -> np.ndarray:
    """The weight-memory words of one layer: uint8 (groups * words, PE * SIMD / 8)."""
    pe, simd = plan.design.pe, plan.design.simd
    item = plan.descriptors[index]
    weights = layer.weights.reshape(layer.outputs, -1, layer.weights.shape[-1])
    if layer.kind == "dense":
        channels = layer.weights.shape[-1]
        if index:  # the input is a map whose pixels start at word boundaries
            previous = plan.array_layers()[index - 1]
            channels = previous.outputs
        weights = layer.weights.reshape(layer.outputs, -1, channels)
    outputs, taps, channels = weights.shape
    words = -(-channels // simd)
    filled = np.ones((item.groups * pe, taps, words * simd), np.uint8)
    filled[:outputs, :, :channels] = weights
    filled = filled.reshape(item.groups, pe, taps * words, simd).transpose(0, 2, 1, 3)
    body = np.packbits(filled, axis=-1, bitorder="little").reshape(item.groups, taps * words, -1)

    header = np.zeros((item.groups * pe, item.headers, simd // 32), np.uint32)
    if layer.thresholds is not None and layer.flip is not None:
        header[:, 0, 0] = 65535
        header[:outputs, 0, 0] = layer.thresholds.astype(np.uint32) | layer.flip.astype(np.uint32) << 16
    elif layer.scale is not None and layer.offset is not None:
        header[:outputs, 0, 0] = layer.offset.astype(np.int64) & 0xFFFFFFFF
        header[:outputs, 1, 0] = layer.scale.astype(np.int64) & 0xFFFF
    header = header.reshape(item.groups, pe, item.headers, -1).transpose(0, 2, 1, 3)
    head = np.ascontiguousarray(header.astype("<u4")).view(np.uint8).reshape(item.groups, item.headers, -1)
    words_of_layer: np.ndarray = np.concatenate([head, body], axis=1).reshape(-1, plan.design.word_bytes)
    return words_of_layer


def first_block(plan: Plan) -> bytes:
    """The pixel table and one 64-bit beat per output channel of the first layer."""
    table = plan.model.input_table.astype(np.int8).tobytes()
    layer = plan.model.layers[0]
    if not plan.first.channels or layer.thresholds is None or layer.flip is None:
        return table
    beats = np.full(plan.first.channels, 32767 << 40, np.uint64)
    weights = np.zeros((layer.outputs, 9, MAX_CHANNELS), np.uint8)
    weights[:, :, : plan.model.channels] = layer.weights.reshape(layer.outputs, 9, -1)
    packed = np.zeros((layer.outputs, 8), np.uint8)
    packed[:, :5] = np.packbits(weights.reshape(layer.outputs, 36), axis=1, bitorder="little")
    bits = packed.view("<u8").reshape(-1).astype(np.uint64)
    bits |= (layer.thresholds.astype(np.int64) & 0xFFFF).astype(np.uint64) << np.uint64(40)
    bits |= layer.flip.astype(np.uint64) << np.uint64(56)
    beats[: layer.outputs] = bits
    return table + beats.astype("<u8").tobytes()


def pack(plan: Plan) -> bytes:
    """The program of `plan`, a multiple of 8 bytes long."""
    model, design, first = plan.model, plan.design, plan.first
    block = first_block(plan)
    words = [_layer_words(plan, index, layer).tobytes() for index, layer in enumerate(plan.array_layers())]
    segment_a, segment_b = b"".join(words[: plan.segment_a]), b"".join(words[plan.segment_a :])
    at_descriptors = 4 * HEADER_WORDS
    at_first = at_descriptors + 4 * DESCRIPTOR_WORDS * len(plan.descriptors)
    at_a = at_first + len(block)
    at_b = at_a + len(segment_a)
    total = at_b + len(segment_b)
    elements = model.height * model.width * model.channels
    header = [
        MAGIC, VERSION, design.pe | design.lanes << 8 | design.simd << 16, total,
        len(plan.descriptors), plan.segment_a, plan.sub_batch, plan.batch, int(plan.resident),
        at_descriptors, at_a, plan.words_a, at_b if segment_b else 0, plan.words_b,
        at_first, first.channels, (elements + 7) // 8 * 8, len(model.classes), design.first_pe,
        model.height * model.width, model.height | model.width << 16,
        model.channels | first.pad << 8 | first.pool << 9, first.rows | first.columns << 16,
        first.base[0], first.base[1], first.image_stride, first.row_stride, first.words, elements]
    table = np.zeros((1 + len(plan.descriptors), HEADER_WORDS), "<u4")
    table[0, : len(header)] = header
    for index, item in enumerate(plan.descriptors):
        fields = _describe(item)
        table[1 + index, : len(fields)] = fields
    return table.tobytes() + block + segment_a + segment_b


def summary(plan: Plan) -> dict[str, Any]:
    """What plan.json holds: sizes, regions and the cycle model, JSON types only."""
    design = plan.design
    layers = []
    for index, item in enumerate(plan.descriptors):
        layers.append({
            "name": item.name, "segment": "A" if index < plan.segment_a else "B", "groups": item.groups,
            "outputs": item.outputs, "weight_words": item.weight_words, "rows": item.rows,
            "columns": item.columns, "source_base": list(item.source_base), "dest_base": item.dest_base,
            "cycles_per_batch": plan.layer_cycles(index)})
    cycles = plan.batch_cycles()
    return {
        "model": plan.model.name, "design": design.name, "board": design.board.name,
        "clock_mhz": design.clock_mhz, "sub_batch": plan.sub_batch, "batch": plan.batch,
        "segment_a_layers": plan.segment_a, "resident": plan.resident,
        "weight_words": {"a": plan.words_a, "b": plan.words_b, "depth": design.weight_depth},
        "activation_words": {"used": max(item.base + item.words for item in plan.regions),
                             "depth": design.act_depth},
        "regions": [{"name": item.name, "base": item.base, "words": item.words} for item in plan.regions],
        "first_layer_cycles_per_image": plan.first.cycles(
            design.first_pe, plan.model.height * plan.model.width * plan.model.channels),
        "layers": layers, "cycles_per_batch": cycles,
        "images_per_second": round(plan.batch * design.clock_mhz * 1e6 / cycles, 1)}
