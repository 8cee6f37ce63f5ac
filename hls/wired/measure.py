"""yosys on engines and on whole wired designs; results are kept under the digest of what was synthesised."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bnn.files import write_atomically
from bnn.model import Model
from hls.wired import network, yosys
from hls.wired.network import Engine


def _cached(sources: dict[str, str], top: str, srl: bool, cache: Path) -> yosys.Resources:
    digest = hashlib.sha256(json.dumps([sources, top, srl]).encode()).hexdigest()[:32]
    place = cache / f"{digest}.json"
    if place.is_file():
        return yosys.Resources(*json.loads(place.read_text()))
    found = yosys.synthesise(sources, top, srl)
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(place, json.dumps(found).encode())
    return found


def engine(item: Engine, cache: Path) -> yosys.Resources:
    """One engine; its delays are registers, as its text asks for."""
    return _cached({"engine.sv": item.verilog()}, item.module, False, cache)


def _outside(item: Engine) -> str:
    """An engine's ports, its inside left out."""
    text = item.verilog()
    start = text.index(f"module {item.module} (")
    return f"(* blackbox *)\n{text[start : text.index(');', start)]});\nendmodule\n"


def design(model: Model, built: list[Engine], cache: Path) -> dict[str, yosys.Resources]:
    """A whole design: each engine by its layer's name, and `stream`, all that is around the engines.

    Raises:
        YosysError: yosys is missing, fails or runs out of time.
    """
    sources = network.render_rtl(model, built)
    sources |= {f"{item.module}.sv": _outside(item) for item in built}
    found = {item.task.name: engine(item, cache) for item in built}
    return found | {"stream": _cached(sources, network.TOP, True, cache)}
