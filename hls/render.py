"""Rendering: the text of every file of a design's build folder.

A template (`NAME.j2` in `hw_templates`) becomes `NAME`; other files are copied as they are.
Rendering reads the templates and nothing else, so the same design gives the same files.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from bnn.errors import ExpectedError
from hls import sources
from hls.boards import MemoryPort, ProcessingSystem
from hls.designs import BACKENDS, Design, DesignError, check_backend
from hls.directives import DEFAULT_VERSION, dialect, translate
from hls.registers import registers

TEMPLATES = Path(__file__).resolve().parent.parent / "hw_templates"
TOP = "bnn_top"
VENDOR, LIBRARY, VERSION = "bnn", "hls", "1.0"
"""With `TOP`, the VLNV of the core as an IP."""
FOLDERS = {"hls": (".h", ".cpp", ".j2"), "rtl": (".sv", ".svh", ".j2"), "vitis": (".j2",), "vivado": (".j2",)}
"""Folders of `TEMPLATES` and the files taken from them."""

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def tcl_quote(value: object) -> str:
    """`value` as one word of Tcl, without any substitution.

    Raises:
        ExpectedError: it has a control character other than tab and newline.
    """
    text = str(value)
    if any(ord(letter) < 32 and letter not in _ESCAPES for letter in text):
        raise ExpectedError(f"{text!r} has a control character")
    return '"' + "".join("\\" + c if c in '\\"$[]{}' else _ESCAPES.get(c, c) for c in text) + '"'


def environment() -> jinja2.Environment:
    """The environment of the templates: an unknown variable is an error."""
    made = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters["tcl_quote"] = tcl_quote
    return made


def number(value: float) -> str:
    """`value` without trailing zeros."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


class MemoryPath(NamedTuple):
    """From a memory port of the core, through the SmartConnect `cell`, to a port of the processing system.

    `address` is a signal of the core's port, by which the simulated board's overlay stands for all of them.
    """

    master: str
    cell: str
    address: str
    slave: MemoryPort


def memory_paths(memory_ports: int, ps: ProcessingSystem) -> list[MemoryPath]:
    """The paths of a core with one or two memory ports, of which the second reads."""
    masters = (("m_axi_gmem", "memory", "AWADDR"), ("m_axi_gmem1", "memory1", "ARADDR"))
    paths = [MemoryPath(*master, slave) for master, slave in zip(masters, ps.memory, strict=True)]
    return paths[:memory_ports]


SECOND_PORT = "m_axi_gmem1_"
"""Begins the names of the second memory port's signals."""


def core_ports(memory_ports: int = 1) -> list[tuple[str, str, str]]:
    """Ports of a core with one or two memory ports: direction, width such as "[7:0]" or "", name.

    They are those of rtl/bnn_top.sv, none without that file.
    """
    path = sources.find(TOP)
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^ *(input|output) +logic +(\[\d+:\d+\])? *(\w+)", text[: text.index("\n);")], re.MULTILINE)
    return [port for port in found if memory_ports > 1 or not port[2].startswith(SECOND_PORT)]


def variables(
    design: Design,
    hls_version: str = DEFAULT_VERSION,
    backend: str = "hls",
    first: dict[str, dict[str, str]] | None = None,
) -> dict[str, Any]:
    """What the templates may name.

    Raises:
        DesignError: the board cannot give the clock, or the back end is not one of `BACKENDS`.
        hls.directives.DirectiveError: the tool's version is not known.
    """
    design.check_clock()
    if backend not in BACKENDS:
        raise DesignError(f"back end {backend!r} is not one of {', '.join(BACKENDS)}")
    board, ps = design.board, design.board.ps
    legacy = dialect(hls_version) == "vivado_hls"
    ports, every = core_ports(design.ports), core_ports(2)
    rtl = [path.relative_to(sources.RTL).as_posix() for path in sources.files()] + sorted(first["rtl"] if first else ())
    return {
        **design.parameters(),
        "clock_mhz": number(design.clock_mhz),
        "period_ns": number(1000 / design.clock_mhz),
        "part": board.part,
        "family": ps.family,
        "board_part": board.board_part,
        "preset": board.preset,
        "ps_ip": ps.ip,
        "ps_control": ps.control,
        "memory_paths": memory_paths(design.ports, ps),
        "ps_clock": ps.clock,
        "ps_frequency": ps.frequency,
        "control_base": ps.control_base,
        "backend": backend,
        "hls_version": hls_version,
        "hls_tool": "vivado_hls" if legacy else "vitis_hls",
        "legacy": legacy,
        "top": TOP,
        "vendor": VENDOR,
        "library": LIBRARY,
        "version": VERSION,
        "vlnv": f"{VENDOR}:{LIBRARY}:{TOP}:{VERSION}",
        "sources": ["bnn_top.cpp"],
        "bench": ["csim_main.cpp"],
        "rtl_sources": [*rtl, "bnn_core.v"],
        "first_wired": int(bool(first)),
        "core_ports": [
            " ".join(part for part in (direction, "wire", width, name) if part) for direction, width, name in ports
        ],
        "core_port_names": [name for _, _, name in ports],
        "core_idle_inputs": [name for direction, _, name in every[len(ports) :] if direction == "input"],
        "registers": registers(),
        "jobs": 4,
    }


def render_header(design: Design, first: dict[str, dict[str, str]] | None = None) -> str:
    """The text of bnn_design.h; `first` as in `render`."""
    return _render(TEMPLATES / "hls" / "bnn_design.h.j2", variables(design, first=first))


def render(
    design: Design,
    hls_version: str = DEFAULT_VERSION,
    backend: str = "hls",
    first: dict[str, dict[str, str]] | None = None,
) -> dict[str, str]:
    """The text of every file, by its path relative to the build folder, in order of path.

    The SystemVerilog is left out as long as its top `rtl/bnn_top.sv` is missing.

    Args:
        design: what is rendered.
        hls_version: version of the HLS tool, such as "2022.2"; its directives and scripts differ.
        backend: which core becomes the IP.
        first: files of a wired first layer, of `hls.wired.first.sources`.

    Raises:
        jinja2.UndefinedError: a template names an unknown variable.
        hls.designs.DesignError, hls.directives.DirectiveError: a choice is not known, or the core cannot be of that
            design.
    """
    check_backend(design, backend)
    names = variables(design, hls_version, backend, first)
    files = {f"{folder}/{name}": text for folder, texts in (first or {}).items() for name, text in texts.items()}
    for folder, endings in FOLDERS.items():
        if folder == "rtl" and not sources.find(TOP).is_file():
            continue
        for path in (TEMPLATES / folder).rglob("*"):
            at = path.relative_to(TEMPLATES)
            if path.suffix == ".j2":
                files[at.with_suffix("").as_posix()] = _render(path, names)
            elif path.suffix in endings:
                text = path.read_text(encoding="utf-8")
                files[at.as_posix()] = translate(text, hls_version) if folder == "hls" else text
    return dict(sorted(files.items()))


def digest(files: dict[str, str]) -> str:
    """SHA-256 of the files, their paths included."""
    state = hashlib.sha256()
    for path, text in sorted(files.items()):
        for part in (path.encode(), text.encode()):
            state.update(len(part).to_bytes(8, "little") + part)
    return state.hexdigest()


def _render(path: Path, names: dict[str, Any]) -> str:
    return environment().from_string(path.read_text(encoding="utf-8")).render(names)
