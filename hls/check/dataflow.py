"""Dataflow regions against the canonical form: calls in a row, each channel written by one and read by a later one.

UG1399, "Limitations of Control-Driven Task-Level Parallelism" and "Canonical Forms" (UG1393): no condition around a
process; an array or a stream has one producer and one consumer; data go forward only; what the region's function is
given is written by one process at most. An array is consumed by the next process, none lies in between (HLS 200-989,
"Dataflow Bypassing Tasks"); a stream may pass a process, the pages since 2022.1 ask no more of it than enough depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hls.check import llvm
from hls.check.ir import Function, Instruction, Loop, Module
from hls.check.source import Scope, Source

_CALL = re.compile(r'@("[^"]*"|[\w.$]+)\((.*)\)$')


@dataclass(frozen=True)
class Channel:
    """What some processes of a region share: `writers` and `readers` by their number in the region."""

    name: str
    kind: str
    writers: tuple[int, ...]
    readers: tuple[int, ...]


@dataclass(frozen=True)
class Region:
    """A dataflow region: its function or loop, the processes in order, and the channels between them.

    `branches`: conditions in the region, that of its loop aside. `values`: processes that return something.
    """

    place: str
    processes: list[str]
    channels: list[Channel]
    branches: int
    values: list[str]

    @property
    def faults(self) -> list[str]:
        """What breaks the canonical form, a line each."""
        found = [f"{self.place}: {name} returns a value, expected a process without one" for name in self.values]
        if self.branches:
            found.append(f"{self.place}: conditions around processes: {self.branches}, expected none")
        for one in self.channels:
            found += [f"{self.place}: {one.name}: {text}" for text in self._channel(one)]
        return found

    def _channel(self, one: Channel) -> Iterator[str]:
        def names(numbers: tuple[int, ...]) -> str:
            return " and ".join(self.processes[number] for number in numbers) or "nobody"

        if one.kind == "argument":
            if len(one.writers) > 1 or one.writers and set(one.readers) - set(one.writers):
                yield (
                    f"an argument written by {names(one.writers)} and read by {names(one.readers)}, expected one "
                    f"process where one writes"
                )
            return
        if len(one.writers) != 1:
            yield f"{one.kind} written by {names(one.writers)}, expected one producer"
        if len(one.readers) != 1:
            yield f"{one.kind} read by {names(one.readers)}, expected one consumer"
        if len(one.writers) == 1 and len(one.readers) == 1:
            writer, reader = one.writers[0], one.readers[0]
            if reader <= writer:
                yield f"{one.kind} from {names(one.writers)} back to {names(one.readers)}, expected forward only"
            elif one.kind == "array" and reader > writer + 1:
                yield (
                    f"array from {names(one.writers)} past {names(tuple(range(writer + 1, reader)))} to "
                    f"{names(one.readers)}, expected the next process"
                )


def regions(text: str, source: Source) -> list[Region]:
    """The regions of a translation unit.

    Args:
        text: its LLVM IR, no pass run.
        source: its preprocessed text, read.
    """
    wanted = [one.scope for one in source.pragmas if one.name == "DATAFLOW"]
    if not wanted:
        return []
    uses = Uses(Module(llvm.run(llvm.plain(text), ("sroa",))))
    return [region for scope in wanted for region in _find(uses, scope)]


class Uses:
    """How the functions of a module use what they are given."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._known: dict[tuple[str, int], frozenset[str]] = {}

    def uses(self, name: str, number: int) -> frozenset[str]:
        """What a function does to what its argument points to: "read", "write"."""
        key = name, number
        if key not in self._known:
            self._known[key] = frozenset()  # for a function that calls itself
            self._known[key] = frozenset(self._find(name, number))
        return self._known[key]

    def _find(self, name: str, number: int) -> set[str]:
        if name not in self.module.titles:
            return {"read", "write"} if not name.startswith("llvm.") else set()
        title = self.module.titles[name]
        function = self.module.function(name)
        if number >= len(function.arguments):
            return set()
        if re.match(r"_ZNK?3hls6stream", name):
            reads = title.startswith(("read", "empty", "operator>>"))
            stream = function.arguments[number] == "%this"
            return {"read"} if reads == stream else {"write"}
        found: set[str] = set()
        value = function.arguments[number]
        for block in function.blocks:
            for one in block.instructions:
                found |= self.access(function, one, value)
        return found

    def access(self, function: Function, one: Instruction, root: str) -> set[str]:
        """What an instruction does to what has a root."""
        if one.op == "load":
            return {"read"} if function.address(one.operands[-1]).root == root else set()
        if one.op == "store":
            return {"write"} if function.address(one.operands[-1]).root == root else set()
        found: set[str] = set()
        if one.op in ("call", "invoke"):
            callee, arguments = called(one)
            for number, argument in enumerate(arguments):
                if argument[:1] not in "%@" or not argument or function.address(argument).root != root:
                    continue
                if callee.startswith(("llvm.memcpy", "llvm.memmove")):
                    found.add("write" if number == 0 else "read")
                elif callee.startswith("llvm.memset"):
                    found.add("write")
                else:
                    found |= self.uses(callee, number)
        return found


def called(one: Instruction) -> tuple[str, list[str]]:
    """The callee and the values of a call's arguments."""
    found = _CALL.search(one.text)
    if not found:
        return "", []
    return found[1].strip('"'), [part.split()[-1] if part.split() else "" for part in _arguments(found[2])]


def _arguments(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]] if text else []


def _find(uses: Uses, scope: Scope) -> Iterator[Region]:
    function = scope.function
    for mangled, name in uses.module.titles.items():
        if function is None or name != function.name:
            continue
        one = uses.module.function(mangled)
        if scope.kind == "loop":
            for loop in one.loops:
                place = one.nodes.loop(loop.node)
                if place and (place.file, place.line) == (scope.file, scope.line):
                    yield _region(uses, one, f"{place} {scope.label}", loop)
        else:
            yield _region(uses, one, f"{scope.file.rsplit('/', 1)[-1]}:{scope.line} {name}", None)


def _region(uses: Uses, function: Function, place: str, loop: Loop | None) -> Region:
    blocks = set(loop.blocks) if loop else set(range(len(function.blocks)))
    for other in function.loops:
        if not other.node:  # the loop that constructs the elements of an array
            blocks -= other.blocks
    inside = [one for number in sorted(blocks) for one in function.blocks[number].instructions]
    calls = []
    values = []
    for one in inside:
        callee = called(one)[0] if one.op == "call" else ""
        title = uses.module.titles.get(callee, "")
        constructor = re.search(r"C[12]E", callee) is not None or title.startswith("~")
        if title and not constructor and not callee.startswith("_ZN7ap_") and "ap_int" not in callee.split("I", 1)[0]:
            calls.append(one)
            if one.name:
                values.append(title)
    branches = sum(
        1 for number in blocks if len(function.blocks[number].successors) > 1 and not (loop and number == loop.header)
    )
    channels = []
    for root in [*function.locals, *function.arguments]:
        kind = function.locals.get(root)
        what = (
            "argument"
            if kind is None
            else "stream"
            if kind.kind == "struct" and _stream(function, root)
            else "array"
            if kind.kind == "array"
            else ""
        )
        if not what:
            continue
        used = [uses.access(function, call, root) for call in calls]
        writers = tuple(number for number, how in enumerate(used) if "write" in how)
        readers = tuple(number for number, how in enumerate(used) if "read" in how)
        if writers or readers:
            channels.append(Channel(root.strip("%"), what, writers, readers))
    return Region(place, [uses.module.titles[called(one)[0]] for one in calls], channels, branches, values)


def _stream(function: Function, root: str) -> bool:
    return "hls::stream" in function.defined[root].text
