"""Directives of the HLS C++ in the words of the tool that reads them.

The sources are written for Vitis HLS 2021.1 and newer (UG1399: `mode=`, `type=`, `impl=`). Vitis HLS 2020.2
names the kind of a partition, a dependence or an interface by position; Vivado HLS 2019.2 (UG902) also
places memories with RESOURCE in place of BIND_STORAGE.
"""

from __future__ import annotations

import re

from bnn.errors import ExpectedError

DEFAULT_VERSION = "2022.2"
OLDEST, NEWEST = "2019.2", "2024.2"
_PRAGMA = re.compile(r"^(\s*#pragma HLS )([A-Za-z_]+)([^/\n]*?)(\s*(?://.*)?)$", re.MULTILINE)
_COMMON = {
    "dim",
    "factor",
    "offset",
    "bundle",
    "depth",
    "latency",
    "max_read_burst_length",
    "max_write_burst_length",
    "num_read_outstanding",
    "num_write_outstanding",
}
"""Options that every tool names so."""
_CORES = {("ram_s2p", "bram"): "RAM_S2P_BRAM", ("ram_s2p", "lutram"): "RAM_S2P_LUTRAM"}


class DirectiveError(ExpectedError):
    """A directive or a tool version that is not known; one line."""


def dialect(version: str) -> str:
    """ "vivado_hls", "vitis_hls_2020" or "vitis_hls": what a tool of `version` (as "2022.2") understands.

    Raises:
        DirectiveError: it is not a version from 2019.2 to 2024.2.
    """
    if not re.fullmatch(r"20\d\d\.\d", version) or not OLDEST <= version <= NEWEST:
        raise DirectiveError(f"HLS version {version!r} is not one of {OLDEST} to {NEWEST}")
    return "vivado_hls" if version < "2020.2" else "vitis_hls_2020" if version < "2021.1" else "vitis_hls"


def translate(text: str, version: str) -> str:
    """The C++ `text` with its directives as the tool of `version` writes them.

    Raises:
        DirectiveError: a directive has no translation, or the version is not known.
    """
    target = dialect(version)
    return text if target == "vitis_hls" else _PRAGMA.sub(lambda found: _one(found, target), text)


def _one(found: re.Match[str], target: str) -> str:
    start, name, rest, end = found.groups()
    words = rest.split()
    options = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]

    def pick(*names: str) -> str:
        missing = [key for key in names if key not in options]
        unknown = sorted(set(options) - {*names, *_COMMON})
        if missing or unknown or plain:
            raise DirectiveError(
                f"#pragma HLS {name}{rest}: {' '.join(missing + unknown + plain)}: missing or not known to {target}"
            )
        return " ".join(f"{key}={value}" for key, value in options.items() if key not in names)

    if name == "INTERFACE":
        more = pick("mode", "port")
        text = f"{options['mode']} port={options['port']} {more}"
    elif name == "ARRAY_PARTITION":
        more = pick("variable", "type")
        text = f"variable={options['variable']} {options['type']} {more}"
    elif name == "DEPENDENCE":
        pick("variable", "type", "dependent", *(key for key in ("direction", "distance") if key in options))
        parts = [options["type"], options.get("direction", "")]
        parts += [f"distance={options['distance']}"] if "distance" in options else []
        text = " ".join(filter(None, [f"variable={options['variable']}", *parts, options["dependent"]]))
    elif name == "BIND_STORAGE" and target == "vivado_hls":
        pick("variable", "type", "impl")
        kind = options["type"], options["impl"]
        if kind not in _CORES:
            raise DirectiveError(f"#pragma HLS {name}{rest}: no core of Vivado HLS for {' '.join(kind)}")
        name, text = "RESOURCE", f"variable={options['variable']} core={_CORES[kind]}"
    elif name in ("BIND_STORAGE", "STREAM", "PIPELINE", "LATENCY", "UNROLL", "INLINE", "DATAFLOW"):
        text = rest.strip()
    else:
        raise DirectiveError(f"#pragma HLS {name}{rest}: not known")
    return f"{start}{name} {text}".rstrip() + end
