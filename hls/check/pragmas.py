"""Pragmas against what the vendor documents: names, options and their values by version, and where each may stand.

The options are those of the pages "pragma HLS ..." of UG1399 2022.2
(docs.amd.com/r/2022.2-English/ug1399-vitis-hls/pragma-HLS-pipeline and so on), with what 2020.2 and UG902 2019.2 name
otherwise. An option that a later version brought is known from that version on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hls.check.source import Pragma, Scope, Source
from hls.directives import dialect

INTEGER = "an integer"
NAME = "a name"
ANY_TEXT = "text"
FLAG = ("true", "false")
_MODES = (
    "ap_none",
    "ap_stable",
    "ap_vld",
    "ap_ack",
    "ap_hs",
    "ap_ovld",
    "ap_memory",
    "bram",
    "ap_fifo",
    "axis",
    "s_axilite",
    "m_axi",
    "ap_ctrl_none",
    "ap_ctrl_hs",
    "ap_ctrl_chain",
)
_RAMS = ("ram_1p", "ram_1wnr", "ram_2p", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np")
IMPLEMENTATIONS = {
    **dict.fromkeys(_RAMS, ("auto", "bram", "bram_ecc", "lutram", "uram", "uram_ecc")),
    "fifo": ("auto", "bram", "lutram", "uram", "srl", "memory"),
}
"""Values of BIND_STORAGE's impl by its type."""


@dataclass(frozen=True)
class Rule:
    """One pragma. `options`: values by key; `words`: options without a value; `needs`: keys that must be there.

    `scopes`: kinds of the innermost scope that it may stand in; `since`: first version by option or word, "" for all.
    """

    options: Mapping[str, tuple[str, ...] | str]
    scopes: tuple[str, ...]
    words: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)


_BODY = ("function", "loop", "if")
RULES: dict[str, Rule] = {
    "PIPELINE": Rule(
        {"ii": INTEGER, "style": ("stp", "frp", "flp"), "rewind": FLAG},
        ("function", "loop"),
        ("off", "rewind", "enable_flush"),
        since={"style": "2020.2"},
    ),
    "UNROLL": Rule(
        {"factor": INTEGER, "off": FLAG}, ("loop",), ("skip_exit_check", "off", "region"), since={"off": "2021.1"}
    ),
    "INLINE": Rule({}, ("function",), ("off", "recursive", "region")),
    "DATAFLOW": Rule({}, ("function", "loop"), ("disable_start_propagation",)),
    "DEPENDENCE": Rule(
        {
            "variable": NAME,
            "class": ("array", "pointer"),
            "type": ("inter", "intra"),
            "direction": ("RAW", "WAR", "WAW"),
            "distance": INTEGER,
            "dependent": FLAG,
        },
        ("function", "loop"),
        ("inter", "intra", "RAW", "WAR", "WAW", "true", "false", "array", "pointer"),
        since={"type": "2021.1", "direction": "2021.1", "dependent": "2021.1"},
    ),
    "ARRAY_PARTITION": Rule(
        {"variable": NAME, "type": ("complete", "cyclic", "block"), "factor": INTEGER, "dim": INTEGER, "off": FLAG},
        _BODY,
        ("complete", "cyclic", "block"),
        ("variable",),
        since={"type": "2021.1", "off": "2023.1"},
    ),
    "ARRAY_RESHAPE": Rule(
        {"variable": NAME, "type": ("complete", "cyclic", "block"), "factor": INTEGER, "dim": INTEGER, "object": FLAG},
        _BODY,
        ("complete", "cyclic", "block", "object"),
        ("variable",),
        since={"type": "2021.1"},
    ),
    "BIND_STORAGE": Rule(
        {
            "variable": NAME,
            "type": (*_RAMS, "fifo"),
            "impl": IMPLEMENTATIONS["ram_1p"] + ("srl", "memory"),
            "latency": INTEGER,
        },
        _BODY,
        (),
        ("variable", "type"),
        since={"variable": "2020.2"},
    ),
    "RESOURCE": Rule({"variable": NAME, "core": NAME, "latency": INTEGER}, _BODY, (), ("variable", "core")),
    "STREAM": Rule(
        {"variable": NAME, "type": ("fifo", "pipo", "shared", "unsync"), "depth": INTEGER, "dim": INTEGER},
        _BODY,
        ("off",),
        ("variable",),
        since={"type": "2021.1"},
    ),
    "INTERFACE": Rule(
        {
            "mode": _MODES,
            "port": NAME,
            "bundle": NAME,
            "register": FLAG,
            "depth": INTEGER,
            "register_mode": ("both", "forward", "reverse", "off"),
            "offset": ANY_TEXT,
            "latency": INTEGER,
            "clock": NAME,
            "name": NAME,
            "num_read_outstanding": INTEGER,
            "num_write_outstanding": INTEGER,
            "max_read_burst_length": INTEGER,
            "max_write_burst_length": INTEGER,
            "max_widen_bitwidth": INTEGER,
            "storage_type": _RAMS,
            "storage_impl": ANY_TEXT,
            "channel": ANY_TEXT,
            "interrupt": INTEGER,
        },
        ("function",),
        (*_MODES, "register"),
        ("port",),
        since={"mode": "2021.1", "channel": "2021.1", "storage_type": "2020.2"},
    ),
    "LOOP_TRIPCOUNT": Rule({"min": INTEGER, "max": INTEGER, "avg": INTEGER}, ("loop",)),
    "LOOP_FLATTEN": Rule({}, ("loop",), ("off",)),
    "LATENCY": Rule({"min": INTEGER, "max": INTEGER}, _BODY),
    "BIND_OP": Rule(
        {"variable": NAME, "op": NAME, "impl": NAME, "latency": INTEGER},
        _BODY,
        (),
        ("variable", "op"),
        since={"variable": "2020.2"},
    ),
    "STABLE": Rule({"variable": NAME}, _BODY, (), ("variable",)),
    "AGGREGATE": Rule(
        {"variable": NAME, "compact": ("bit", "byte", "none", "auto")},
        _BODY,
        (),
        ("variable",),
        since={"variable": "2020.2"},
    ),
    "DISAGGREGATE": Rule({"variable": NAME}, _BODY, (), ("variable",), since={"variable": "2020.2"}),
}


def faults(source: Source, version: str, top: str) -> list[str]:
    """What is wrong with the pragmas of a translation unit and with its loops, a line each.

    Args:
        source: the preprocessed text, read.
        version: of the tool that it is written for, as "2022.2".
        top: name of the function that becomes the core.

    Raises:
        hls.directives.DirectiveError: the version is not known.
    """
    dialect(version)
    found = []
    for one in source.pragmas:
        rule = RULES.get(one.name)
        if rule is None:
            found.append(f"{one}: not a pragma that is known, expected one of {', '.join(RULES)}")
            continue
        found += _options(one, rule, source, version)
        found += _place(one, rule, source, top)
    found += _loops(source)
    return found


def _options(one: Pragma, rule: Rule, source: Source, version: str) -> list[str]:
    found = []
    for key, value in one.options.items():
        kind = rule.options.get(key)
        if kind is None or version < rule.since.get(key, ""):
            known = ", ".join(name for name in rule.options if version >= rule.since.get(name, "")) or "none"
            found.append(f"{one}: {key}={value}: no option of it in {version}, expected {known}")
        elif isinstance(kind, tuple) and value.lower() not in {word.lower() for word in kind}:
            found.append(f"{one}: {key}={value}: expected {', '.join(kind)}")
        elif kind == INTEGER and source.number(value, -1) < 0:
            found.append(f"{one}: {key}={value}: expected an integer or the name of a constant")
        elif kind == NAME and not re.fullmatch(r"[A-Za-z_][\w.]*(\[\d+\])*", value):
            found.append(f"{one}: {key}={value}: expected a name")
    words = {word.lower() for word in rule.words}
    found += [
        f"{one}: {word}: no option of it, expected {', '.join(rule.words) or 'none'}"
        for word in one.words
        if word.lower() not in words
    ]
    found += [f"{one}: {key}: missing" for key in rule.needs if key not in one.options]
    if one.name in ("ARRAY_PARTITION", "ARRAY_RESHAPE"):
        kind = str(one.options.get("type") or next(iter(one.words), "complete"))
        if (kind == "complete") == ("factor" in one.options):
            found.append(f"{one}: type {kind} {'takes no factor' if kind == 'complete' else 'needs a factor'}")
    if one.name == "BIND_STORAGE":
        kind, impl = one.options.get("type", "").lower(), one.options.get("impl", "auto").lower()
        if kind in IMPLEMENTATIONS and impl not in IMPLEMENTATIONS[kind]:
            known = ", ".join(IMPLEMENTATIONS[kind])
            found.append(f"{one}: impl={impl}: no implementation of {kind}, expected {known}")
    if one.name == "PIPELINE" and one.options.get("style") == "frp" and "rewind" in {*one.words, *one.options}:
        found.append(f"{one}: style=frp and rewind exclude each other (HLS 207-5512)")
    return found


def _place(one: Pragma, rule: Rule, source: Source, top: str) -> list[str]:
    function = one.scope.function
    if function is None:
        return [f"{one}: outside of a function"]
    if one.scope.kind not in rule.scopes:
        return [f"{one}: in the scope of {_name(one.scope)}, expected that of a {' or '.join(rule.scopes)}"]
    found = []
    if one.name in ("PIPELINE", "UNROLL", "DATAFLOW", "INLINE") and not one.first:
        found.append(f"{one}: behind other statements, expected at the beginning of {_name(one.scope)}")
    if one.name == "INTERFACE":
        if function.name != top:
            found.append(f"{one}: in {function.name}, expected in the top {top}, whose arguments become ports")
        elif one.options.get("port") not in {*_parameters(function), "return"}:
            found.append(f"{one}: port {one.options.get('port')} is no argument of {top}")
    variable = one.options.get("variable", "")
    if variable and one.name != "INTERFACE":
        found += _variable(one, re.split(r"[.\[]", variable)[0], function)
    return found


def _variable(one: Pragma, name: str, function: Scope) -> list[str]:
    """A pragma about a variable belongs into the function that defines it, behind the definition and near to it."""
    parameter = name in _parameters(function)
    if one.name == "DEPENDENCE":
        if parameter or any(_defines(text, name) for scope in _around(one.scope) for _, text in scope.text):
            return []
        return [f"{one}: {name} is neither a parameter nor a variable of {function.name}"]
    if parameter:
        if one.name in ("ARRAY_PARTITION", "ARRAY_RESHAPE", "STABLE", "STREAM", "AGGREGATE", "DISAGGREGATE"):
            return []
        return [f"{one}: {name} is a parameter of {function.name}, expected in the function that defines it"]
    places = [line for line, text in one.scope.text if _defines(text, name)]
    if not places:
        outer = [scope for scope in _around(one.scope) if any(_defines(text, name) for _, text in scope.text)]
        where = f", expected beside its definition in {_name(outer[0])}" if outer else ""
        return [f"{one}: {name} is not defined in {_name(one.scope)}{where}"]
    return [] if min(places) < one.line else [f"{one}: stands before the definition of {name}"]


def _around(scope: Scope) -> Iterable[Scope]:
    here: Scope | None = scope
    while here is not None and here.kind in _BODY:
        yield here
        here = here.parent


def _defines(text: str, name: str) -> bool:
    """Whether a line of code looks like the definition of a variable."""
    return (
        re.search(
            rf"(?:^|[(;{{])\s*(?!return\b)(?:static\s+|const\s+)*[A-Za-z_][\w:]*(?:<[^;]*>)?\s*[&*]?\s+[&*]?"
            rf"(?:[^;]*,\s*)?{re.escape(name)}\s*[\[;=,({{]",
            text,
        )
        is not None
    )


def _parameters(function: Scope) -> set[str]:
    return set(re.findall(r"(\w+)\s*(?:\[[^\]]*\]\s*)*(?:=[^,]*)?(?:,|$)", function.head))


def _loops(source: Source) -> list[str]:
    """Every loop has a name, each its own within a function."""
    found: list[str] = []
    seen: dict[tuple[str, str, str], int] = {}
    for loop in source.loops:
        function = loop.function
        place = f"{loop.file.rsplit('/', 1)[-1]}:{loop.line}"
        if not loop.label:
            found.append(f"{place}: a loop without a label, which reports and directives would name")
            continue
        key = function.name if function else "", loop.file, loop.label
        if key in seen:
            found.append(f"{place}: label {loop.label}: line {seen[key]} of the same function has it")
        seen[key] = loop.line
    return found


def _name(scope: Scope) -> str:
    if scope.kind == "loop":
        return f"the loop {scope.label}" if scope.label else f"the loop of line {scope.line}"
    return scope.name if scope.kind == "function" else f"a block of line {scope.line}"
