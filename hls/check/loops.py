"""The initiation interval of every pipelined loop of a design's C++."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bnn.paths import plain
from hls.check import dataflow, delays, llvm, memory, pragmas, source
from hls.check.body import Body, BodyError, Dependence
from hls.check.ir import Function, Loop, Module, Place
from hls.check.memory import Memory
from hls.check.source import Pragma, Source
from hls.directives import DEFAULT_VERSION

VERSION = 4
"""Counts changes of how the IR is made, which the cache depends on."""


AXI_DEFAULT = 16
"""Requests under way, and beats of a burst, where the pragma says nothing (UG1399, pragma HLS interface)."""


@dataclass(frozen=True)
class LoopReport:
    """What one pipelined loop is held to.

    `recurrence`, `resource`, `exit`: the II that dependences, memory ports and the exit test need; `longest`: ns of the
    longest recurrence or exit test, out of `budget`; `depth`: cycles of an iteration. `reason` and `places` explain the
    largest of the three, or for an II of 1 the longest recurrence. `error`: why there are no figures, else "".
    """

    label: str
    place: Place
    target: int
    instructions: int
    recurrence: int = 0
    resource: int = 0
    exit: int = 0
    depth: int = 0
    longest: float = 0.0
    budget: float = 0.0
    reason: str = ""
    places: tuple[Place, ...] = ()
    error: str = ""

    @property
    def interval(self) -> int:
        """The smallest II."""
        return max(self.recurrence, self.resource, self.exit)

    @property
    def faults(self) -> list[str]:
        """What is wrong with the loop, a line each."""
        name = f"{self.place} {self.label or '(no label)'}"
        if self.error:
            return [f"{name}: {self.error}"]
        found = []
        if self.interval > self.target:
            found.append(f"{name}: II = {self.interval}, expected {self.target}: {self.reason}")
        if self.instructions > delays.INSTRUCTIONS:
            found.append(f"{name}: {self.instructions} instructions, expected at most {delays.INSTRUCTIONS}")
        return found


@dataclass(frozen=True)
class Report:
    """Of a design: its loops in the order of the source, and what is wrong with pragmas and dataflow regions."""

    loops: list[LoopReport]
    rules: list[str]
    memories: list[Memory]
    """Arrays in memories, and FIFOs, that the loops use; a channel between processes is there twice."""
    buffers: list[tuple[str, int]]
    """Buffers of the ports to memory, in beats."""

    @property
    def faults(self) -> list[str]:
        """All that is wrong, a line each."""
        return [line for one in self.loops for line in one.faults] + self.rules


def budget(period_ns: float) -> float:
    """ns of a cycle that operators may fill."""
    return period_ns * (1 - delays.UNCERTAINTY)


def check(
    path: Path,
    top: str,
    ap_types: Path,
    period_ns: float,
    part: str,
    cache: Path | None = None,
    version: str = DEFAULT_VERSION,
) -> Report:
    """Check the pipelined loops that a top function reaches, the pragmas and the dataflow regions.

    Args:
        path: the C++ with the top; headers lie beside it.
        top: its name.
        ap_types: folder with the vendor's ap_int.h.
        period_ns: the clock's period.
        part: name of the device, which the delays depend on.
        cache: folder for the IR, by content; None keeps nothing.
        version: of the tool that the source is written for.

    Raises:
        hls.check.llvm.CompileError: a tool is missing or refuses the source.
    """
    path = plain(path.resolve())  # names of files are compared, which clang writes in one way here and another there
    text = llvm.preprocess(path, ap_types)
    found = source.scan(text, [path.parent])
    key = llvm.digest(str(VERSION), llvm.versions(), text, top, str(sorted(_complete(found))))
    raw = llvm.cached(cache, "raw", key, lambda: llvm.translate(path, ap_types))
    inlined = llvm.cached(cache, "inlined", key, lambda: _inline(raw, top, found))
    module = Module(inlined)
    function = module.function(_mangled(module, top))
    variables = _variables(function)
    pipelined = {
        (one.scope.file, one.scope.line): one
        for one in found.pragmas
        if one.name == "PIPELINE" and one.scope.kind == "loop"
    }
    unrolled = {
        (one.scope.file, one.scope.line)
        for one in found.pragmas
        if one.name == "UNROLL" and one.scope.kind == "loop" and "factor" not in one.options
    }
    folded = llvm.cached(cache, "folded", key, lambda: _fold(inlined, function, set(pipelined), unrolled))
    files = [str(one) for one in path.parent.glob("*")]
    bits = _bits(function)
    function = Module(folded).function(function.name)
    memories = _memories(function, found, variables)
    for root, width in bits.items():
        if root in memories:
            memories[root].bits = width
    reports = _loops(function, found, pipelined, variables, memories, files, budget(period_ns), delays.family(part))
    regions = dataflow.regions(raw, found)
    rules = pragmas.faults(found, version, top) + [line for region in regions for line in region.faults]
    channels = {one.name for region in regions for one in region.channels if one.kind == "array"}
    kept = [one for one in memories.values() if one.kind in ("memory", "fifo") and one.bits]
    return Report(reports, rules, kept + [one for one in kept if one.name in channels], _buffers(found))


def straight(path: Path, top: str, ap_types: Path, core: Path) -> Function:
    """A function with all its loops unrolled, as `check` sees it; the core's headers lie in the folder `core`.

    Raises:
        hls.check.llvm.CompileError: clang refuses it.
    """
    path, core = plain(path.resolve()), plain(core.resolve())
    text = llvm.preprocess(path, ap_types, core)
    found = source.scan(text, [path.parent, core])
    inlined = _inline(llvm.translate(path, ap_types, core), top, found)
    module = Module(inlined)
    function = module.function(_mangled(module, top))
    unrolled = {(one.scope.file, one.scope.line) for one in found.pragmas if one.name == "UNROLL"}
    return Module(_fold(inlined, function, set(), unrolled)).function(function.name)


# ---- the IR -------------------------------------------------------------------------------------


def _mangled(module: Module, top: str) -> str:
    """The mangled name of the function `top`.

    Raises:
        hls.check.llvm.CompileError: there is none.
    """
    name = module.mangled(top)
    if not name:
        raise llvm.CompileError(f"function {top}: not found")
    return name


def _complete(source: Source) -> dict[tuple[str, str], set[int]]:
    """Dimensions that are partitioned completely (0: all), by function and variable."""
    found: dict[tuple[str, str], set[int]] = {}
    for one in source.pragmas:
        kind, _, dimension = partition(one, source)
        function = one.scope.function
        if one.name == "ARRAY_PARTITION" and kind == "complete" and function is not None:
            found.setdefault((function.name, one.options.get("variable", "")), set()).add(dimension)
    return found


def partition(pragma: Pragma, source: Source) -> tuple[str, int, int]:
    """Kind, factor and dimension of an ARRAY_PARTITION, as either form of it says them."""
    kind = pragma.options.get("type") or next(
        (word for word in pragma.words if word in ("complete", "cyclic", "block")), "complete"
    )
    return kind, source.number(pragma.options.get("factor", ""), 1), source.number(pragma.options.get("dim", ""), 1)


def _inline(text: str, top: str, found: Source) -> str:
    complete = _complete(found)
    module = Module(text)
    variables = dict(re.findall(r'^!(\d+) = !DILocalVariable\(name: "([^"]*)"', text, re.MULTILINE))
    declared = dict(re.findall(r"^ +#dbg_declare\(ptr %([\w.]+), !(\d+)", text, re.MULTILINE))

    def keep(function: str, local: str, kind: str) -> bool:
        if kind.startswith("%"):
            return "hls::stream" in kind
        sizes = [int(size) for size in re.findall(r"\[(\d+) x ", kind)]
        elements = 1
        for size in sizes:
            elements *= size
        if elements <= memory.COMPLETE_THRESHOLD:
            return False
        name = variables.get(declared.get(local, ""), local)
        dimensions = complete.get((module.titles.get(function, ""), name), set())
        return 0 not in dimensions and not dimensions >= set(range(1, len(sizes) + 1))

    text = llvm.inline_all(text, _mangled(module, top))
    return llvm.run(llvm.externalise(llvm.keep_memories(text, keep)), llvm.INLINE)


def _fold(inlined: str, function: Function, pipelined: set[tuple[str, int]], unrolled: set[tuple[str, int]]) -> str:
    wanted = set()
    for loop in function.loops:
        place = function.nodes.loop(loop.node)
        if place and (place.file, place.line) in unrolled:
            wanted.add(loop.node)
        outer = loop.parent
        while outer is not None:
            around = function.nodes.loop(outer.node)
            if around and (around.file, around.line) in pipelined:
                wanted.add(loop.node)
            outer = outer.parent
    text = re.sub(r"^ +#dbg_.*\n", "", inlined, flags=re.MULTILINE)
    return llvm.run(llvm.unroll(text, wanted - {""}), llvm.FOLD)


# ---- variables and memories ---------------------------------------------------------------------


def _variables(function: Function) -> dict[tuple[str, str], set[str]]:
    """Roots by function and variable, parameters and locals."""
    found: dict[tuple[str, str], set[str]] = {}
    for node, values in function.variables.items():
        key = function.nodes.function(node), function.nodes.value(node, "name")
        roots = {function.address(value).root for value in values}
        found.setdefault(key, set()).update(root for root in roots if root)
    for symbol in function.globals:
        # a static of a function: _ZZ<function>E<length><name>
        local = re.fullmatch(r'@"?_ZZ.*E(\d+)(\w+?)(?:_\d+)?"?', symbol)
        if local and len(local[2]) >= int(local[1]):
            found.setdefault(("", local[2][: int(local[1])]), set()).add(symbol)
    return found


def _bits(function: Function) -> dict[str, int]:
    """Bits of an element of what a variable stands for, by its root."""
    found = {}
    for node, values in function.variables.items():
        for value in values:
            root = function.address(value).root
            if root.startswith("@") and not function.nodes.value(node, "arg"):
                found[root] = function.nodes.bits(node)
    for node, text in function.nodes.text.items():
        if text.startswith("!DIGlobalVariable("):
            name = function.nodes.value(node, "name")
            for symbol in function.globals:
                if re.fullmatch(rf'@"?_ZZ.*E\d+{re.escape(name)}(?:_\d+)?"?', symbol):
                    found[symbol] = function.nodes.bits(node)
    return found


def _memories(
    function: Function,
    source: Source,
    variables: dict[tuple[str, str], set[str]],
) -> dict[str, Memory]:
    found: dict[str, Memory] = {}
    for symbol, kind in {**function.globals, **function.locals}.items():
        sizes, unit = memory.shape(kind)
        name = (
            symbol.strip('@%"').removeprefix(llvm.MEMORY).rsplit(".", 1)[-1]
            if llvm.MEMORY in symbol
            else symbol.strip('@%"').split(".")[0]
        )
        statics = re.fullmatch(r"_ZZ.*E\d+(\w+)", name)
        one = Memory(symbol, statics[1] if statics else name, "memory", sizes, unit)
        if symbol[0] == "%":
            one.kind = "registers"
        elif not sizes and kind.kind == "struct":
            one.kind = "fifo"
        found[symbol] = one
    for argument in function.arguments:
        found[argument] = Memory(argument, argument[1:], "axi", (), 1)
    for pragma in source.pragmas:
        for root in roots(pragma, variables):
            if root not in found or found[root].kind == "registers":
                continue
            one = found[root]
            if pragma.name == "ARRAY_PARTITION":
                style, factor, dimension = partition(pragma, source)
                for number in [dimension] if dimension else range(1, len(one.sizes) + 1):
                    one.partitions[number] = style, factor
                if all(one.partitions.get(number, ("", 0))[0] == "complete" for number in range(1, len(one.sizes) + 1)):
                    one.kind = "registers"
            elif pragma.name == "STREAM":
                one.depth = source.number(pragma.options.get("depth", ""), 2)
            elif pragma.name == "BIND_STORAGE":
                one.storage = pragma.options.get("type", "").lower()
                one.implementation = pragma.options.get("impl", "").lower()
    for pragma in source.pragmas:
        if (
            pragma.name == "INTERFACE"
            and "bundle" in pragma.options
            and (pragma.options.get("mode") == "m_axi" or "m_axi" in pragma.words)
        ):
            port = found.get("%" + pragma.options.get("port", ""))
            if port is not None:
                port.bundle = pragma.options["bundle"]
    return found


def _buffers(source: Source) -> list[tuple[str, int]]:
    """An m_axi bundle holds as many beats as its bursts under way have (UG1399, pragma HLS interface)."""
    found: dict[str, int] = {}
    for one in source.pragmas:
        if one.name == "INTERFACE" and "m_axi" in {one.options.get("mode"), *one.words}:
            for way in ("read", "write"):
                beats = source.number(one.options.get(f"num_{way}_outstanding", ""), AXI_DEFAULT) * source.number(
                    one.options.get(f"max_{way}_burst_length", ""), AXI_DEFAULT
                )
                name = f"{one.options.get('bundle', 'gmem')} {way}"
                found[name] = max(found.get(name, 0), beats)
    return sorted(found.items())


def roots(pragma: Pragma, variables: dict[tuple[str, str], set[str]]) -> set[str]:
    """What the variable of a pragma stands for."""
    function = pragma.scope.function
    name = pragma.options.get("variable", "")
    if not name or function is None:
        return set()
    return variables.get((function.name, name)) or variables.get(("", name), set())


# ---- loops --------------------------------------------------------------------------------------


def _loops(
    function: Function,
    found: Source,
    pipelined: dict[tuple[str, int], Pragma],
    variables: dict[tuple[str, str], set[str]],
    memories: dict[str, Memory],
    files: list[str],
    cycle: float,
    family: delays.Family,
) -> list[LoopReport]:
    reports: dict[tuple[str, int], LoopReport] = {}
    for loop in function.loops:
        place = function.nodes.loop(loop.node)
        pragma = pipelined.get((place.file, place.line)) if place else None
        if place is None or pragma is None:
            continue
        key = place.file, place.line
        dependences = []
        for one in found.pragmas:
            if one.name == "DEPENDENCE" and (one.scope is pragma.scope or one.scope is pragma.scope.function):
                dependences += [_dependence(one, found, root) for root in roots(one, variables)]
        report = _report(
            function, loop, memories, dependences, pragma, place, files, cycle, family, _target(pragma, found)
        )
        worse = reports.get(key)
        if worse is None or _rank(report) > _rank(worse):
            reports[key] = report
    for key, pragma in pipelined.items():
        if key not in reports:
            reports[key] = LoopReport(
                pragma.scope.label,
                Place(*key),
                _target(pragma, found),
                0,
                error="not found in the compiled code: the top does not reach it, or it does nothing",
            )
    return [reports[key] for key in sorted(reports)]


def _rank(report: LoopReport) -> tuple[bool, int, float, int]:
    return bool(report.error), report.interval, report.longest, report.instructions


def _target(pragma: Pragma, source: Source) -> int:
    return max(1, source.number(pragma.options.get("ii", ""), 1))


def _dependence(pragma: Pragma, source: Source, root: str) -> Dependence:
    words = {word.lower() for word in pragma.words} | {
        pragma.options.get(key, "").lower() for key in ("type", "direction", "dependent")
    }
    return Dependence(
        root,
        "intra" if "intra" in words else "inter",
        next((one for one in ("RAW", "WAR", "WAW") if one.lower() in words), ""),
        "true" in words,
        source.number(pragma.options.get("distance", ""), 0),
    )


def _report(
    function: Function,
    loop: Loop,
    memories: dict[str, Memory],
    dependences: list[Dependence],
    pragma: Pragma,
    place: Place,
    files: list[str],
    cycle: float,
    family: delays.Family,
    target: int,
) -> LoopReport:
    instructions = sum(len(function.blocks[block].instructions) for block in loop.blocks)
    label = pragma.scope.label
    try:
        body = Body(function, loop, memories, dependences, family, cycle)
    except BodyError as error:
        return LoopReport(label, place, target, instructions, error=str(error))
    recurrence, cycle_nodes = body.interval()
    exit_interval, exit_nodes = body.exit_interval()
    ports = body.ports()
    resource = ports[0].interval if ports else 1
    worst = max(recurrence, exit_interval, resource)

    def places(nodes: list[int]) -> tuple[Place, ...]:
        lines: list[Place] = []
        # what joins the values of several paths has the line of a call around them, if any
        work = [node for node in nodes if body.nodes[node].text not in ("register", "phi")]
        for node in work or nodes:
            here = function.place(body.nodes[node].dbg, files)
            if here is not None and (not lines or lines[-1] != here):
                lines.append(here)
        return tuple(lines)

    def chain(nodes: list[int]) -> str:
        parts: list[str] = []
        for node in nodes:
            here = function.place(body.nodes[node].dbg, files)
            text = f"{body.nodes[node].text} ({here})" if here else body.nodes[node].text
            if not parts or parts[-1] != text:
                parts.append(text)
        return " -> ".join(parts)

    longest = 0.0
    lines: tuple[Place, ...] = ()
    if worst == 1:
        longest, binding = body.critical()
        reason, lines = "", places(binding)
    elif recurrence == worst:
        reason, lines = f"recurrence {chain(cycle_nodes)}", places(cycle_nodes)
    elif resource == worst:
        port = ports[0]
        here = function.place(port.dbg, files)
        bank = "".join("[*]" if one == memory.ANY else f"[{one}]" for one in port.bank)
        ports_of = port.memory.ports
        reason = (
            f"{port.memory.name}{bank}: {port.reads} reads and {port.writes} writes in an iteration ({here}), "
            f"ports for {ports_of.reads} and {ports_of.writes}, {ports_of.both} in all"
        )
        lines = (here,) if here else ()
    else:
        reason, lines = f"exit test {chain(exit_nodes)}", places(exit_nodes)
    return LoopReport(
        label,
        place,
        target,
        instructions,
        recurrence,
        resource,
        exit_interval,
        body.depth(worst),
        longest,
        cycle,
        reason,
        lines,
    )
