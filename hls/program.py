"""Packing a plan into the bytes of a program (docs/ARCHITECTURE.md, "Program")."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn.contract import (
    BEAT_BYTES,
    FIRST_TAPS,
    MAX_CHANNELS,
    PROGRAM_MAGIC,
    Descriptor,
    FirstBeat,
    FirstValue,
    Header,
)
from bnn.geometry import ceil_div
from bnn.program import value_order
from hls.area import estimate_area
from hls.boards import Device
from hls.cycles import first_layer_cycles
from hls.lowering import engine_layer
from hls.schedule import Plan


def _layer_words(plan: Plan, index: int) -> np.ndarray:
    """The weight-memory words of one array layer: uint8 (groups * words, PE * SIMD / 8)."""
    pe, simd = plan.design.pe, plan.design.simd
    stage, item = plan.stages[index], plan.descriptors[index]
    outputs = stage.outputs
    bases, _, rows, columns, channels = stage.weights.shape
    taps = rows * columns
    if item.dense and item.from_first:  # an image packed without gaps
        taps, channels = 1, taps * channels
    weights = stage.weights.reshape(bases, outputs, taps, channels)
    words = ceil_div(channels, simd)
    filled = np.ones((bases, item.groups * pe, taps, words * simd), np.uint8)
    filled[:, :outputs, :, :channels] = weights
    filled = filled.reshape(bases, item.groups, pe, taps * words, simd).transpose(1, 0, 3, 2, 4)
    body = np.packbits(filled, axis=-1, bitorder="little").reshape(item.groups, item.group_words, pe * simd // 8)

    header = np.zeros((item.groups * pe, item.headers, simd // 32), np.uint32)
    header[:, :, 0] = stage.absent
    header[:outputs, :, 0] = (stage.headers.T & 0xFFFFFFFF).astype(np.uint32)
    header = header.reshape(item.groups, pe, item.headers, -1).transpose(0, 2, 1, 3)
    head = np.ascontiguousarray(header.astype("<u4")).view(np.uint8).reshape(item.groups, item.headers, -1)
    words_of_layer: np.ndarray = np.concatenate([head, body], axis=1).reshape(-1, plan.design.word_bytes)
    return words_of_layer


def first_block(plan: Plan) -> bytes:
    """The pixel table and a beat of 64 bits per output channel of the first layer's engine, plane after plane, then one
    more per channel with a value."""
    table = plan.model.input_table.astype(np.int8).tobytes()
    first, simd = plan.first, plan.design.simd
    if not first.channels:
        return table
    layer = engine_layer(plan.model.layers[0])
    outputs = len(layer.weights)
    beats = np.full(first.channels, FirstBeat.threshold.insert(FirstBeat.threshold.largest), np.uint64)
    weights = np.zeros((outputs, FIRST_TAPS, MAX_CHANNELS), np.uint8)
    weights[:, :, : plan.model.channels] = layer.weights.reshape(outputs, FIRST_TAPS, -1)
    packed = np.zeros((outputs, BEAT_BYTES), np.uint8)
    bits = np.packbits(weights.reshape(outputs, -1), axis=1, bitorder="little")
    packed[:, : bits.shape[1]] = bits
    values = FirstBeat.weights.insert(packed.view("<u8").reshape(-1).astype(np.int64))
    values |= FirstBeat.flip.insert(layer.flip.astype(np.int64))
    step = ceil_div(outputs, simd) * simd
    for plane, limits in enumerate(layer.limits):
        whole = values | FirstBeat.threshold.insert(limits.astype(np.int64))
        beats[plane * step : plane * step + outputs] = whole.astype(np.uint64)
    factors = np.zeros(first.value_channels, np.uint64)
    if first.value_channels:
        given = FirstValue.scale.insert(layer.scale) | FirstValue.offset.insert(layer.offset)
        factors[:outputs] = given.astype(np.uint64)
        order = value_order(first.channels, simd)
        beats, factors = beats[order], factors[order[: first.value_channels]]
    return table + beats.astype("<u8").tobytes() + factors.astype("<u8").tobytes()


def pack(plan: Plan) -> bytes:
    """The program of `plan`, a multiple of 8 bytes long."""
    model, design, first = plan.model, plan.design, plan.first
    block = first_block(plan)
    # the bands of a layer have the same words
    given = {stage.name: _layer_words(plan, index).tobytes() for index, stage in enumerate(plan.stages)}
    in_a = {stage.name for stage in plan.stages[: plan.segment_a]}
    segment_a, segment_b = (
        b"".join(words for name, words in given.items() if (name in in_a) == a) for a in (True, False)
    )
    at_descriptors = Header.size_bytes()
    at_first = at_descriptors + Descriptor.size_bytes() * len(plan.descriptors)
    at_a = at_first + len(block)
    at_b = at_a + len(segment_a)
    header = Header(
        magic=PROGRAM_MAGIC,
        version=plan.version,
        pe=design.pe,
        lanes=design.lanes,
        simd=design.simd,
        size=at_b + len(segment_b),
        layers=len(plan.descriptors),
        layers_a=plan.segment_a,
        sub_batch=plan.sub_batch,
        batch=plan.batch,
        resident=plan.resident,
        ring_base=plan.ring_base,
        descriptors=at_descriptors,
        weights_a=at_a,
        words_a=plan.words_a,
        weights_b=at_b if segment_b else 0,
        words_b=plan.words_b,
        first=at_first,
        first_channels=first.channels,
        image_bytes=plan.image_bytes,
        classes=len(model.classes),
        first_pe=design.first_pe,
        pixels=model.height * model.width,
        height=model.height,
        width=model.width,
        channels=model.channels,
        pad=first.pad,
        pool=first.pool,
        rows=first.rows,
        columns=first.columns,
        first_planes=first.planes,
        pixel_map=first.pixel_map,
        out_even=first.base[0],
        out_odd=first.base[1],
        out_image_stride=first.image_stride,
        out_row_stride=first.row_stride,
        out_words=first.words,
        elements=plan.elements,
        value_channels=first.value_channels,
        value_bits=first.value_bits,
        shift=first.shift,
    )
    return b"".join([bytes(header), *map(bytes, plan.descriptors), block, segment_a, segment_b])


def summary(plan: Plan) -> dict[str, Any]:
    """What plan.json holds: sizes, regions, the cycle model, cells of design (estimated) and part; JSON types."""
    design, board = plan.design, plan.design.board
    cells = estimate_area(design)
    layers = []
    for index, (stage, item) in enumerate(zip(plan.stages, plan.descriptors, strict=True)):
        layers.append(
            {
                "name": stage.name,
                "segment": "A" if index < plan.segment_a else "B",
                "groups": item.groups,
                "outputs": item.outputs,
                "weight_words": item.weight_words,
                "rows": item.rows,
                "columns": item.columns,
                "source_base": [item.source_even, item.source_odd],
                "dest_base": item.dest_base,
                "cycles_per_batch": plan.layer_cycles(index),
            }
        )
    cycles = plan.batch_cycles()
    return {
        "model": plan.model.name,
        "design": design.name,
        "board": design.board.name,
        "clock_mhz": design.clock_mhz,
        "sub_batch": plan.sub_batch,
        "batch": plan.batch,
        "segment_a_layers": plan.segment_a,
        "resident": plan.resident,
        "weight_words": {
            "a": plan.words_a,
            "b": plan.words_b,
            "depth": design.weight_depth,
            "ring_base": plan.ring_base,
        },
        "activation_words": {"used": max(item.base + item.words for item in plan.regions), "depth": design.act_depth},
        "regions": [{"name": item.name, "base": item.base, "words": item.words} for item in plan.regions],
        "first_layer_cycles_per_image": first_layer_cycles(plan.first, design.first_pe, plan.image_bytes),
        "layers": layers,
        "cycles_per_batch": cycles,
        "cycles_of_one_image": plan.run_cycles(1),
        "cells": {kind: getattr(cells, kind) for kind in Device._fields},
        "part": {"name": board.part, **{kind: getattr(board, kind) for kind in Device._fields}},
        "images_per_second": round(plan.batch * design.clock_mhz * 1e6 / cycles, 1),
    }
