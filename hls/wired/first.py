"""The array design's first layer with a model's weights wired in: an engine in place of the programmable array."""

from __future__ import annotations

import numpy as np

from bnn.model import Model, ModelError
from hls.designs import Design
from hls.program import first_block
from hls.render import environment
from hls.schedule import plan
from hls.wired import cpp, verilog
from hls.wired.network import TEMPLATES, digest_of, engine, task_of

MODULE = "bnn_first_wired"
TABLE_BYTES = 256
LEVELS_PER_STAGE = 1
"""Carry chains between two registers: the array design has no longer path than that."""


def sources(model: Model, design: Design) -> dict[str, dict[str, str]]:
    """Files that a core with this first layer has beside those of every core: texts by name, by folder `rtl`, `hls`.

    Raises:
        ModelError: the model does not begin with a convolution, or does not fit the design.
    """
    placed = plan(model, design, 1)
    layer = model.layers[0]
    if not placed.first.channels:
        raise ModelError(f"layer {layer.name}: only a convolution can be wired in as the first layer")
    if layer.requantised or layer.flip is None:
        raise ModelError(f"layer {layer.name}: gives a value, one that is wired in gives bits of its sums only")
    built = engine(task_of(model, layer, bits=8), "best")
    channels = placed.first.channels
    index_bits = max((channels - 1).bit_length(), (2 * design.first_pe - 1).bit_length())
    beats = [int(beat) for beat in np.frombuffer(first_block(placed)[TABLE_BYTES:], "<u8")]
    names = {
        "model": f"model {model.name} (SHA-256 {digest_of(model)[:16]})",
        "module": built.module,
        "engine": cpp.engine(built.graph, built.module, *built.task.value_range()),
        "latency": verilog.latency(built.graph, LEVELS_PER_STAGE),
        "inputs": model.channels,
        "outputs": layer.outputs,
        "channels": channels,
        "first_pe": design.first_pe,
        "index_bits": index_bits,
        "beats": beats,
        "beats_hex": f"{sum(beat << (64 * index) for index, beat in enumerate(beats)):x}",
        "flip_hex": f"{sum(int(flip) << index for index, flip in enumerate(layer.flip)):x}",
    }

    def filled(folder: str, name: str) -> dict[str, str]:
        text = (TEMPLATES / folder / f"{name}.j2").read_text(encoding="utf-8")
        return {name: environment().from_string(text).render(names)}

    text = verilog.engine(built.graph, built.module, *built.task.value_range(), LEVELS_PER_STAGE)
    return {"rtl": filled("rtl", f"{MODULE}.sv") | {f"{built.module}.sv": text}, "hls": filled("hls", f"{MODULE}.h")}
