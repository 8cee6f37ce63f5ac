"""Rendering: the text of every file of a design's build folder.

A template (`NAME.j2` in `hw_templates`) becomes `NAME`; other files are copied as they are.
Rendering reads the templates and nothing else, so the same design gives the same files.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jinja2

from hls.designs import ACC_BITS, BOARDS, FIRST_CHANNELS, MAX_CHANNELS, Design
from hls.schedule import MAX_BATCH

TEMPLATES = Path(__file__).resolve().parent.parent / "hw_templates"
TOP = "bnn_top"
VENDOR, LIBRARY, VERSION = "bnn", "hls", "1.0"
"""With `TOP`, the VLNV of the core as an IP."""
CONTROL_BASE = 0x43C00000
"""Address of the core's registers."""
BOARD_PARTS = {"pynq_z1": "www.digilentinc.com:pynq-z1:part0:1.0"}
"""Vivado's names of boards; a board without one is built from its part alone."""
FOLDERS = {"hls": (".h", ".cpp", ".j2"), "rtl": (".sv", ".svh", ".j2"), "vitis": (".j2",), "vivado": (".j2",)}
"""Folders of `TEMPLATES` and the files taken from them."""

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def tcl_quote(value: object) -> str:
    """`value` as one word of Tcl, without any substitution.

    Raises:
        ValueError: it has a control character other than tab and newline.
    """
    text = str(value)
    if any(ord(letter) < 32 and letter not in _ESCAPES for letter in text):
        raise ValueError(f"{text!r} has a control character")
    return '"' + "".join("\\" + c if c in '\\"$[]{}' else _ESCAPES.get(c, c) for c in text) + '"'


def environment() -> jinja2.Environment:
    """The environment of the templates: an unknown variable is an error."""
    made = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters["tcl_quote"] = tcl_quote
    return made


def number(value: float) -> str:
    """`value` without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def variables(design: Design) -> dict[str, Any]:
    """What the templates may name."""
    return {
        **dataclasses.asdict(design),
        "max_channels": MAX_CHANNELS,
        "first_channels": FIRST_CHANNELS,
        "acc_bits": ACC_BITS,
        "max_batch": MAX_BATCH,
        "clock_mhz": number(design.clock_mhz),
        "period_ns": number(1000 / design.clock_mhz),
        "part": BOARDS[design.board].part,
        "board_part": BOARD_PARTS.get(design.board, ""),
        "top": TOP,
        "vendor": VENDOR,
        "library": LIBRARY,
        "version": VERSION,
        "vlnv": f"{VENDOR}:{LIBRARY}:{TOP}:{VERSION}",
        "control_base": CONTROL_BASE,
        "sources": ["bnn_top.cpp"],
        "bench": ["csim_main.cpp"],
    }


def render_header(design: Design) -> str:
    """The text of bnn_design.h."""
    return _render(TEMPLATES / "hls" / "bnn_design.h.j2", design)


def render(design: Design) -> dict[str, str]:
    """The text of every file, by its path relative to the build folder, in order of path.

    The SystemVerilog is left out as long as its top `rtl/bnn_top.sv` is missing.

    Raises:
        jinja2.UndefinedError: a template names an unknown variable.
    """
    files = {}
    for folder, endings in FOLDERS.items():
        if folder == "rtl" and not (TEMPLATES / "rtl" / "bnn_top.sv").is_file():
            continue
        for path in (TEMPLATES / folder).iterdir():
            if path.suffix == ".j2":
                files[f"{folder}/{path.stem}"] = _render(path, design)
            elif path.suffix in endings:
                files[f"{folder}/{path.name}"] = path.read_text(encoding="utf-8")
    return dict(sorted(files.items()))


def digest(files: dict[str, str]) -> str:
    """SHA-256 of the files, their paths included."""
    state = hashlib.sha256()
    for path, text in sorted(files.items()):
        for part in (path.encode(), text.encode()):
            state.update(len(part).to_bytes(8, "little") + part)
    return state.hexdigest()


def _render(path: Path, design: Design) -> str:
    return environment().from_string(path.read_text(encoding="utf-8")).render(variables(design))
