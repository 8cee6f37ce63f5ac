"""yosys on engines and on whole wired designs; results are kept under the digest of what was synthesised."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

from bnn.files import write_atomically
from bnn.model import Model
from hls import yosys
from hls.resources import Resources
from hls.rtl_report import cells
from hls.wired import beats, network
from hls.wired.beats import Beat
from hls.wired.network import Engine


def synthesise(sources: dict[str, str], top: str, cache: Path, srl: bool = True) -> Resources:
    """Synthesise `top` out of context, with the design flattened.

    Args:
        sources: SystemVerilog text by file name.
        top: name of the module.
        cache: folder for results, and for the sources and the log of a run that fails.
        srl: whether long delays may become LUT shift registers.

    Raises:
        YosysError: yosys is not installed, fails or runs out of time.
    """
    digest = hashlib.sha256(json.dumps([yosys.version(), sources, top, srl]).encode()).hexdigest()[:32]
    place = cache / f"{digest}.json"
    if place.is_file():
        return Resources(**json.loads(place.read_text()))
    folder = cache / digest
    for path, text in sources.items():
        write_atomically(folder / path, text.encode())
    yosys.run(
        f"read_verilog -sv {' '.join(sources)}; "
        "setattr -mod -unset keep_hierarchy bnn_*; "
        f"synth_xilinx -family xc7 -flatten -noiopad -noclkbuf {'' if srl else '-nosrl '}-top {top}; "
        "tee -q -o stat.json stat -json",
        folder,
        "yosys.log",
    )
    found = Resources()
    nothing = {name for text in sources.values() for name in re.findall(r"^module (\w+)", text, re.MULTILINE)}
    nothing.add("$scopeinfo")  # the place of a module that was flattened
    for module in json.loads((folder / "stat.json").read_text())["modules"].values():
        for kind, count in module["num_cells_by_type"].items():
            if kind not in nothing:  # beside black boxes
                found += cells.resources(kind) * int(count)
    write_atomically(place, json.dumps(asdict(found)).encode())
    shutil.rmtree(folder)
    return found


def engine(item: Engine, cache: Path) -> Resources:
    """One engine; its delays are registers, as its text asks for."""
    return synthesise({"engine.sv": item.verilog()}, item.module, cache, srl=False)


def _outside(item: Engine) -> str:
    """An engine's ports, its inside left out."""
    text = item.verilog()
    start = text.index(f"module {item.module} (")
    return f"(* blackbox *)\n{text[start : text.index(');', start)]});\nendmodule\n"


def design(model: Model, built: list[Engine], cache: Path, beat: Beat = beats.PIXEL) -> dict[str, Resources]:
    """A whole design: each layer's engines by its name, and `stream`, all that is around the engines.

    Of engines side by side one is synthesised and counted as often as there are of them.

    Raises:
        YosysError: yosys is not installed, fails or runs out of time.
    """
    sources = network.render_rtl(model, built, beat)
    sources |= {f"{item.module}.sv": _outside(item) for item in built}
    found = {}
    for item, count in zip(built, network.side_by_side(model, beat), strict=True):
        found[item.task.name] = engine(item, cache) * count
    return found | {"stream": synthesise(sources, network.TOP, cache)}
