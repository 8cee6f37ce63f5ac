"""A pipelined loop's body as a graph of operations, and the smallest initiation interval (II) that it allows.

Times are ns from the start of an iteration; a cycle is `budget` ns long. An operation starts when its operands
are there and, if it does not fit the rest of the cycle, at the next clock edge. An edge of distance n leads to the
iteration n later, which starts n·II cycles later. An II is possible if such times exist, if the loop's exit test ends
within the first II cycles, and if no memory is asked for more accesses in II cycles than its ports give.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bnn.errors import ExpectedError
from hls.check import delays
from hls.check.delays import Cost, Family, by_width
from hls.check.ir import Address, Function, Instruction, Loop
from hls.check.memory import Memory, meet

EPS = 1e-6
LIMIT = 64
"""Largest II that is tried."""
ROUNDS = 400
"""Passes over a graph after which its times are taken never to settle."""


@dataclass(frozen=True)
class Dependence:
    """What a DEPENDENCE pragma says about the memory with a root: `kind` "inter" or "intra", direction or ""."""

    root: str
    kind: str
    direction: str
    dependent: bool
    distance: int


@dataclass
class Node:
    """An operation: its cost, what it waits for, and where it comes from.

    `data`: number of a node whose output it takes, and the iterations in between. `order`: number of a memory access
    that is issued before, the cycles in between at least, and the iterations. `enables`: nodes that decide whether it
    takes place, and must be there in its cycle.
    """

    cost: Cost
    text: str
    dbg: int
    data: list[tuple[int, int]] = field(default_factory=list)
    order: list[tuple[int, int, int]] = field(default_factory=list)
    enables: list[int] = field(default_factory=list)
    instruction: Instruction | None = None


@dataclass(frozen=True)
class Access:
    """A memory access of the body; one that chooses between addresses is there once for each of them."""

    node: int
    instruction: Instruction
    memory: Memory
    address: Address
    bank: tuple[int, ...]
    write: bool


@dataclass(frozen=True)
class Port:
    """Accesses of a bank on the path with the most of them; `interval`: the II that they need."""

    memory: Memory
    bank: tuple[int, ...]
    reads: int
    writes: int
    interval: int
    dbg: int


class BodyError(ExpectedError):
    """A loop whose body is not a graph: an inner loop that is not unrolled; one line."""


class Body:
    """The graph of one loop; see `interval`."""

    def __init__(
        self,
        function: Function,
        loop: Loop,
        memories: dict[str, Memory],
        dependences: Iterable[Dependence],
        family: Family,
        budget: float,
    ) -> None:
        """Build the graph.

        Raises:
            BodyError: there is a loop inside.
        """
        self.function, self.loop, self.memories, self.family, self.budget = function, loop, memories, family, budget
        self.dependences = list(dependences)
        inner = [one for one in function.loops if one.header in loop.blocks and one is not loop]
        if inner:
            place = function.nodes.loop(inner[0].node)
            raise BodyError(f"the loop at {place} inside is not unrolled" if place else "a loop inside is not unrolled")
        self.order = self._topological()
        self.position = {block: number for number, block in enumerate(self.order)}
        self.instructions = [one for block in self.order for one in function.blocks[block].instructions]
        self.nodes: list[Node] = []
        self.number: dict[str, int] = {}
        self.accesses: list[Access] = []
        self.exits: list[int] = []
        self._arrival: list[float] = []
        self._leaves: dict[int, frozenset[int]] = {}
        self._widths: dict[str, int] = {}
        self._invariant: set[str] = set()
        self._uses = Counter(value for one in self.instructions for value in one.operands)
        self._control()
        self._build()
        self._memory_edges()

    # ---- control

    def _topological(self) -> list[int]:
        blocks, header = self.loop.blocks, self.loop.header
        degree = {
            block: sum(1 for one in self.function.blocks[block].predecessors if one in blocks)
            for block in blocks
            if block != header
        }
        order, ready = [], [header]
        while ready:
            here = ready.pop()
            order.append(here)
            for target in self.function.blocks[here].successors:
                if target in degree:
                    degree[target] -= 1
                    if degree[target] == 0:
                        ready.append(target)
        if len(order) != len(blocks):
            raise BodyError("its blocks are not in an order")
        return order

    def _inside(self, block: int) -> list[int]:
        """Predecessors of a block within the iteration."""
        return (
            []
            if block == self.loop.header
            else [one for one in self.function.blocks[block].predecessors if one in self.loop.blocks]
        )

    def _control(self) -> None:
        blocks, header = self.loop.blocks, self.loop.header
        self.above = self.function.dominators(
            blocks,
            header,
            {block: [one for one in self.function.blocks[block].successors if one != header] for block in blocks},
        )
        # post-dominators: back edges and exits lead to a common end
        end = len(self.function.blocks)
        ahead: dict[int, list[int]] = {end: []}
        for block in blocks:
            ahead.setdefault(block, [])
            for target in self.function.blocks[block].successors:
                to = target if target in blocks and target != header else end
                ahead.setdefault(to, []).append(block)
        self.behind = self.function.dominators(blocks | {end}, end, ahead)

    def _ends(self, block: int, other: int) -> bool:
        """Whether every path from `other` comes through `block`."""
        here = other
        while here != block and here in self.behind and self.behind[here] != here:
            here = self.behind[here]
        return here == block

    def _conditions(self, block: int, top: int, found: set[str], seen: set[int]) -> None:
        """Collect the conditions that decide whether `block` is reached from `top`."""
        while block != top and block not in seen:
            seen.add(block)
            above = self.above[block]
            if self._ends(block, above):
                block = above
                continue
            for one in self._inside(block):
                last = self.function.blocks[one].instructions[-1]
                if len(self.function.blocks[one].successors) > 1 and last.operands:
                    found.add(last.operands[0])
                self._conditions(one, top, found, seen)
            return

    # ---- the graph

    def _node(self, cost: Cost, text: str, dbg: int, instruction: Instruction | None = None) -> int:
        self.nodes.append(Node(cost, text, dbg, instruction=instruction))
        self._arrival.append(0.0)
        return len(self.nodes) - 1

    def _known(self, value: str) -> bool:
        """Whether a value is the same in all iterations."""
        return (
            value[0] not in "%"
            or value not in self.number
            and (
                value in self._invariant
                or value not in self.function.defined
                or self.function.defined[value].block not in self.loop.blocks
            )
        )

    def _build(self) -> None:
        function = self.function
        header = function.blocks[self.loop.header]
        for one in header.instructions:
            if one.op == "phi":
                self.number[one.name] = self._node(Cost(0, 0.0), "register", one.dbg, one)
        for block in self.order:
            for one in function.blocks[block].instructions:
                if one.op == "phi" and block == self.loop.header:
                    continue
                self._add(one, block)
        for one in header.instructions:
            if one.op != "phi":
                continue
            for value, source in function.incoming(one):
                if source in self.loop.blocks and value in self.number:
                    self.nodes[self.number[one.name]].data.append((self.number[value], 1))

    def _add(self, one: Instruction, block: int) -> None:
        if one.op in ("br", "switch"):
            leaves = any(target not in self.loop.blocks for target in self.function.blocks[block].successors)
            if leaves and one.operands and one.operands[0] in self.number:
                found: set[str] = set()
                self._conditions(block, self.loop.header, found, set())
                inputs = [self.number[value] for value in {one.operands[0], *found} if value in self.number]
                made = self._logic if len(inputs) > 1 else self._wire
                self.exits.append(made("exit test", one, inputs))
            return
        if one.op in ("ret", "unreachable", "alloca"):
            return
        if one.op in ("load", "store") or one.op == "call" and "@llvm.mem" in one.text:
            self._access(one, block)
            return
        if one.op == "call" and re.search(r"@llvm\.(lifetime|assume|dbg|experimental)", one.text):
            return
        operands = [value for value in one.operands if value[0] == "%"]
        if one.op == "phi":
            found = set()
            for _, source in self.function.incoming(one):
                last = self.function.blocks[source].instructions[-1]
                if len(self.function.blocks[source].successors) > 1 and last.operands:
                    found.add(last.operands[0])
                self._conditions(source, self.above[block], found, set())
            operands = [value for value, _ in self.function.incoming(one) if value[0] == "%"] + sorted(found)
        inputs = [self.number[value] for value in dict.fromkeys(operands) if value in self.number]
        if not inputs and one.op != "call":
            self._invariant.add(one.name)
            return
        self.number[one.name] = self._operation(one, inputs)

    def _operation(self, one: Instruction, inputs: list[int]) -> int:
        constant = len(one.operands) == 1
        op = one.op
        wire = op in (
            "trunc",
            "zext",
            "sext",
            "bitcast",
            "ptrtoint",
            "inttoptr",
            "freeze",
            "extractvalue",
            "insertvalue",
            "extractelement",
            "insertelement",
            "shufflevector",
        )
        wire = wire or op in ("shl", "lshr", "ashr") and re.search(r", -?\d+$", one.text) is not None
        wire = wire or op in ("and", "or", "xor") and constant or one.joins
        if wire and op in ("trunc", "lshr", "and"):
            inputs = [
                self.number[value]
                for value in sorted(self.function.sources(one.name, 0, one.bits))
                if value in self.number
            ] or inputs
        if op == "getelementptr":
            address = self.function.address(one.name)
            parts = sum(1 for term, _ in address.terms if term in self.number)
            base = one.operands[0]
            before = self.function.address(base) if base in self.number else None
            if before is not None and before.terms and parts > len(before.terms):
                return self._arithmetic(one, inputs, Cost(0, by_width(self.family.carry, 16)))
            wire = True
        if wire:
            return self._arithmetic(one, inputs, Cost(0, 0.0))
        if op in ("and", "or", "xor", "select", "phi"):
            return self._logic(op, one, inputs)
        bits = max([self.width(value) for value in one.operands] or [one.bits])
        if op in ("add", "sub"):
            cost = Cost(0, by_width(self.family.carry, min(bits + 1, one.bits)))
            terms = self._sum(one) if op == "add" else []
            kept = [value for value in terms if self._register(value)]
            if len(terms) > 2 and len(kept) == 1:
                return self._arithmetic(one, [self._balanced(one, terms, kept, cost), self.number[kept[0]]], cost)
            return self._arithmetic(one, inputs, cost)
        if op == "icmp":
            return self._compare(one, inputs)
        if op == "mul":
            return self._arithmetic(one, inputs, self._product(one))
        if op in ("shl", "lshr", "ashr"):
            return self._arithmetic(one, inputs, Cost(0, by_width(self.family.shift, one.bits)))
        if op in ("udiv", "sdiv", "urem", "srem"):
            return self._arithmetic(one, inputs, self.family.divide(one.bits))
        if op == "call":
            return self._call(one, inputs)
        return self._arithmetic(one, inputs, Cost(0, self.family.lut))

    def _sum(self, one: Instruction) -> list[str]:
        """The terms of a sum whose partial sums nobody else uses."""
        terms: list[str] = []
        for value in re.findall(r"(?<=[ ,])(?:%[^ ,]+|-?\d+)(?=,|$)", f" {one.text.partition(' ')[2]}"):
            inner = self.function.defined.get(value)
            part = (
                inner is not None
                and inner.op == "add"
                and inner.bits == one.bits
                and value in self.number
                and self._uses[value] == 1
            )
            terms += self._sum(inner) if inner is not None and part else [value]
        return terms

    def _register(self, value: str) -> bool:
        """Whether a value is one of the loop's own variables as an iteration begins."""
        one = self.function.defined.get(value)
        return one is not None and one.op == "phi" and one.block == self.loop.header

    def _balanced(self, one: Instruction, terms: list[str], kept: list[str], cost: Cost) -> int:
        """The sum of all terms but the loop's own variable, as a tree: integer sums are balanced (UG1399, pragma HLS
        expression_balance)."""
        others = [value for value in terms if value not in kept]
        levels = math.ceil(math.log2(len(others)))
        inputs = [self.number[value] for value in dict.fromkeys(others) if value in self.number]
        return self._arithmetic(one, inputs, Cost(0, levels * cost.delay))

    def _compare(self, one: Instruction, inputs: list[int]) -> int:
        bits = max(
            min(one.bits, max(self.width(value) for value in one.operands)),
            *[self._literal(word) for word in one.text.split()[-2:]],
        )
        equal = one.text.split()[0] in ("eq", "ne")
        words = one.text.replace(",", "").split()
        if not equal and len(one.operands) == 1 and (words[0], words[-1]) in (("slt", "0"), ("sgt", "-1")):
            return self._arithmetic(one, inputs, Cost(0, 0.0))  # the sign
        if bits * len(one.operands) <= delays.LUT_INPUTS and equal and bits <= 2:
            return self._logic("icmp", one, inputs)
        return self._arithmetic(one, inputs, Cost(0, by_width(self.family.equal if equal else self.family.carry, bits)))

    @staticmethod
    def _literal(word: str) -> int:
        word = word.strip(",")
        return abs(int(word)).bit_length() if re.fullmatch(r"-?\d+", word) else 0

    def _product(self, one: Instruction) -> Cost:
        found = re.search(r", (-?\d+)$", one.text)
        if found:
            ones = bin(abs(int(found[1]))).count("1")
            levels = math.ceil(math.log2(max(ones, 1)))
            return Cost(0, levels * by_width(self.family.carry, one.bits))
        widths = [self.width(value) for value in one.operands]
        return self.family.multiply(max(widths), min(widths))

    def _call(self, one: Instruction, inputs: list[int]) -> int:
        name = re.search(r"@llvm\.(\w+)", one.text)
        kind = name[1] if name else ""
        carry = by_width(self.family.carry, one.bits)
        if kind in ("umin", "umax", "smin", "smax", "abs", "usub", "uadd", "ssub", "sadd", "scmp", "ucmp"):
            return self._arithmetic(one, inputs, Cost(0, carry + self.family.lut))
        if kind in ("fshl", "fshr"):
            constant = re.search(r", i\d+ \d+\)", one.text)
            return self._arithmetic(one, inputs, Cost(0, 0.0 if constant else by_width(self.family.shift, one.bits)))
        if kind in ("bswap", "bitreverse"):
            return self._arithmetic(one, inputs, Cost(0, 0.0))
        if kind in ("ctpop", "ctlz", "cttz"):
            return self._arithmetic(one, inputs, Cost(0, self.family.lut * math.ceil(math.log2(max(one.bits, 2)))))
        return self._arithmetic(one, inputs, Cost(0, carry))

    def _arithmetic(self, one: Instruction, inputs: list[int], cost: Cost) -> int:
        made = self._node(cost, one.op, one.dbg, one)
        self.nodes[made].data = [(source, 0) for source in inputs]
        self._arrival[made] = max([self._arrival[source] for source in inputs], default=0.0) + cost.delay
        return made

    def _wire(self, text: str, one: Instruction, inputs: list[int]) -> int:
        made = self._arithmetic(one, inputs, Cost(0, 0.0))
        self.nodes[made].text = text
        return made

    def _logic(self, text: str, one: Instruction, inputs: list[int]) -> int:
        """A function of bits: as much of its inputs' functions as fits is put into the same LUT."""
        chosen: set[int] = set(inputs)
        for source in sorted(set(inputs), key=lambda source: -self._arrival[source]):
            more = self._leaves.get(source)
            if more is None:
                continue
            merged = (chosen - {source}) | more
            if len(merged) <= delays.LUT_INPUTS:
                chosen = merged
        levels = max(1, math.ceil(math.log(max(len(chosen), 2), delays.LUT_INPUTS) - 1e-9))
        if text == "select" and len(inputs) == 1:
            levels = 1
        made = self._node(Cost(0, levels * self.family.lut), text, one.dbg, one)
        self.nodes[made].data = [(source, 0) for source in sorted(chosen)]
        self._leaves[made] = frozenset(chosen)
        self._arrival[made] = max([self._arrival[source] for source in chosen], default=0.0) + levels * self.family.lut
        return made

    def _access(self, one: Instruction, block: int) -> None:
        write = one.op != "load"
        if one.op == "call":
            pointer = next((value for value in one.operands if not value.startswith("@llvm")), "")
        else:
            pointer = one.operands[-1] if one.operands else ""
        addresses = self.function.addresses(pointer) if pointer else (Address("", 0, ()),)
        if len({address.root for address in addresses}) > 1:
            addresses = (self.function.address(pointer),)
        address = addresses[0]
        memory = self.memories.get(address.root)
        if memory is None:
            local = self.function.locals.get(address.root)
            kind = "registers" if local is not None else "memory"
            memory = self.memories[address.root] = Memory(address.root, address.root.strip('%@"') or "?", kind, (), 1)
        values = [value for value in one.operands if value[0] == "%"]
        inputs = {self.number[value] for value in values if value in self.number}
        enables: set[int] = set()
        if write or memory.kind == "fifo":
            found: set[str] = set()
            self._conditions(block, self.loop.header, found, set())
            enables = {self.number[value] for value in found if value in self.number}
            if write:
                inputs |= enables
        if memory.kind == "registers":
            size = math.prod(memory.sizes)
            number = size if address.terms else len(addresses)
            cost = Cost(0, by_width(self.family.choice, number) if number > 1 else 0.0)
        elif memory.kind == "fifo":
            cost = Cost(0, self.family.fifo_write if write else self.family.fifo_read)
        elif memory.kind == "axi":
            cost = Cost(0, 0.0) if write else delays.AXI
        else:
            read = self.family.lut_ram if memory.implementation == "lutram" else self.family.block_ram
            cost = Cost(0, read.setup) if write else read
        made = self._node(cost, f"{one.op} {memory.name}", one.dbg, one)
        self.nodes[made].data = [(source, 0) for source in sorted(inputs)]
        self.nodes[made].enables = [] if write else sorted(enables)
        self._arrival[made] = max([self._arrival[source] for source in inputs], default=0.0) + cost.delay
        if one.name:
            self.number[one.name] = made
        self.accesses += [Access(made, one, memory, address, memory.bank(address), write) for address in addresses]

    def width(self, value: str, depth: int = 0) -> int:
        """Bits of a value that can differ from 0 (or from its sign)."""
        if value[0] not in "%@":
            return abs(int(value)).bit_length() if re.fullmatch(r"-?\d+", value) else 1
        one = self.function.defined.get(value)
        if one is None:
            return 64
        if depth > 6:
            return one.bits
        if value not in self._widths:
            self._widths[value] = self._width(one, depth)
        return self._widths[value]

    def _width(self, one: Instruction, depth: int) -> int:
        last = re.search(r", (-?\d+)$", one.text)
        constant = int(last[1]) if last else None
        first = self.width(one.operands[0], depth + 1) if one.operands else one.bits
        if one.op in ("zext", "sext", "trunc"):
            source = _source_bits(one.text)
            return min(one.bits, source, first if one.op != "sext" else source)
        if one.op == "and":
            if constant is not None:
                return constant.bit_length() if constant >= 0 else first
            return min(self.width(value, depth + 1) for value in one.operands)
        if one.op == "lshr" and constant is not None:
            return max(1, first - constant)
        if one.op == "shl" and constant is not None:
            return min(one.bits, first + constant)
        if one.op in ("or", "xor", "select") and one.operands and (constant is None or constant >= 0):
            values = one.operands[1:] if one.op == "select" else one.operands
            widths = [self.width(value, depth + 1) for value in values] + [abs(constant or 0).bit_length()]
            return min(one.bits, max(widths))
        if one.op == "add" and one.operands and (constant is None or constant >= 0):
            widths = [self.width(value, depth + 1) for value in one.operands] + [abs(constant or 0).bit_length()]
            return min(one.bits, max(widths) + 1)
        return one.bits if one.op != "icmp" else 1

    # ---- memory

    def _memory_edges(self) -> None:
        groups: dict[str, list[Access]] = {}
        for access in self.accesses:
            if access.memory.kind in ("memory", "registers"):
                groups.setdefault(access.memory.root, []).append(access)
        reach = self._reach()
        self._fresh = {
            access.node
            for access in self.accesses
            if access.memory.kind == "registers"
            and not access.write
            and self._overwritten(access, groups[access.memory.root])
        }
        for members in groups.values():
            if not any(access.write for access in members):
                continue
            rank = {access.node: number for number, access in enumerate(members)}
            for early in members:
                for late in members:
                    if not (early.write or late.write) or not meet(early.bank, late.bank):
                        continue
                    self._pair(early, late, rank[early.node] < rank[late.node] and self._follows(early, late, reach))

    def _reach(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for block in reversed(self.order):
            below: set[int] = set()
            for target in self.function.blocks[block].successors:
                if target in found and target != self.loop.header:
                    below |= found[target] | {target}
            found[block] = below
        return found

    def _overwritten(self, load: Access, members: list[Access]) -> bool:
        """Whether every element is written in the same iteration before it is read, whatever path is taken."""
        written: set[int] = set()
        shared = Counter(access.node for access in members)
        for access in members:
            if access.node == load.node:
                break
            sure = shared[access.node] == 1 and self._dominates(access.instruction.block, load.instruction.block)
            if access.write and not access.address.terms and sure:
                size = (
                    access.memory.unit
                    if access.instruction.op == "store"
                    else math.prod(access.memory.sizes) * access.memory.unit
                )
                written |= set(range(access.address.offset, access.address.offset + size))
        return len(written) >= math.prod(load.memory.sizes) * load.memory.unit

    def _dominates(self, block: int, other: int) -> bool:
        while other != block and other != self.above[other]:
            other = self.above[other]
        return other == block

    @staticmethod
    def _follows(early: Access, late: Access, reach: dict[int, set[int]]) -> bool:
        one, other = early.instruction.block, late.instruction.block
        return one == other or other in reach[one]

    def _pair(self, early: Access, late: Access, ordered: bool) -> None:
        direction = ("WAW" if late.write else "RAW") if early.write else "WAR"
        root = early.memory.root
        if ordered and self._intra(early, late) and not self._waived(root, "intra", direction):
            self._edge(early, late, direction, 0)
        distance = self._inter(early, late)
        if early.memory.kind == "registers" and late.node in self._fresh:
            distance = 0
        if distance and not self._waived(root, "inter", direction):
            stated = [
                one.distance
                for one in self.dependences
                if one.root == root
                and one.kind == "inter"
                and one.dependent
                and one.distance
                and one.direction in ("", direction)
            ]
            self._edge(early, late, direction, max([distance, *stated]))

    def _edge(self, early: Access, late: Access, direction: str, distance: int) -> None:
        node = self.nodes[late.node]
        if early.memory.kind == "registers":
            if direction == "RAW":
                node.data.append((early.node, distance))
            return
        node.order.append((early.node, 0 if direction == "WAR" else 1, distance))

    def _waived(self, root: str, kind: str, direction: str) -> bool:
        return any(
            one.root == root and one.kind == kind and not one.dependent and one.direction in ("", direction)
            for one in self.dependences
        )

    @staticmethod
    def _intra(early: Access, late: Access) -> bool:
        if early.address.terms == late.address.terms and early.address.root:
            return early.address.offset == late.address.offset
        return True

    def _inter(self, early: Access, late: Access) -> int:
        """Iterations from `early` to a `late` that may touch the same word; 0 if there are none."""
        if early.address.terms != late.address.terms or not early.address.root:
            return 1
        apart = early.address.offset - late.address.offset
        step = 0
        for term, factor in early.address.terms:
            if self._known(term):
                continue
            one = self._step(term)
            if one is None:
                return 1
            step += one * factor
        if step == 0:
            return 1 if apart == 0 else 0
        return apart // step if apart % step == 0 and apart // step >= 1 else 0

    def _step(self, term: str) -> int | None:
        """By how much a value grows every iteration, if that is constant."""
        one = self.function.defined.get(term)
        if one is None or one.op != "phi" or one.block != self.loop.header:
            return None
        steps = set()
        for value, source in self.function.incoming(one):
            if source in self.loop.blocks:
                constant, terms = self.function.linear(value)
                if terms != {term: 1}:
                    return None
                steps.add(constant)
        return steps.pop() if len(steps) == 1 else None

    # ---- resource II

    def ports(self) -> list[Port]:
        """What each bank is asked for, the worst first."""
        groups: dict[tuple[str, tuple[int, ...]], list[Access]] = {}
        for access in self.accesses:
            key = access.memory.bundle or access.memory.root
            groups.setdefault((key, access.bank), []).append(access)
        found = []
        for (root, bank), members in groups.items():
            memory = members[0].memory
            if memory.kind == "registers":
                continue
            if memory.kind == "memory":
                members = [
                    access
                    for (other, place), more in groups.items()
                    if other == root and meet(place, bank)
                    for access in more
                ]
            reads, writes = self._most(members, (True, False)), self._most(members, (False, True))
            both = self._most(members, (True, True))
            ports = memory.ports
            interval = max(_share(reads, ports.reads), _share(writes, ports.writes), _share(both, ports.both))
            found.append(Port(memory, bank, reads, writes, interval, members[-1].instruction.dbg))
        return sorted(found, key=lambda port: -port.interval)

    def _most(self, members: list[Access], select: tuple[bool, bool]) -> int:
        """The most accesses on a path through the body."""
        chosen = {
            access.node: access.instruction.block for access in members if (select[1] if access.write else select[0])
        }
        counts = Counter(chosen.values())
        best: dict[int, int] = {}
        for block in self.order:
            best[block] = max([best[one] for one in self._inside(block)], default=0) + counts[block]
        return max(best.values())

    # ---- recurrence II

    def interval(self) -> tuple[int, list[int]]:
        """The smallest II that the recurrences allow, and the nodes of the cycle that forbids a smaller one.

        For an II of 1 the cycle is the one that would forbid a shorter clock period.
        """
        core = self._core(exits=False)
        binding: list[int] = []
        for interval in range(1, LIMIT + 1):
            times, cycle = self._times(core, interval, self.budget)
            if times is not None:
                return interval, binding
            binding = cycle
        return LIMIT + 1, binding

    def exit_interval(self) -> tuple[int, list[int]]:
        """The II that the exit test needs, given that the recurrences hold, and the path to it."""
        if not self.exits:
            return 1, []
        core = self._core(exits=True)
        for interval in range(1, LIMIT + 1):
            times, _ = self._times(core, interval, self.budget)
            if times is None:
                continue
            worst = max(self.exits, key=lambda node: times[node][1])
            cycles = max(1, math.ceil(times[worst][1] / self.budget - EPS))
            if cycles <= interval:
                return interval, self._path(worst, times)
            binding = self._path(worst, times)
            if interval == LIMIT:
                return LIMIT + 1, binding
        return LIMIT + 1, []

    def depth(self, interval: int) -> int:
        """Cycles of one iteration."""
        times, _ = self._times(range(len(self.nodes)), interval, self.budget)
        if times is None:
            return 0
        return 1 + max((int((end - EPS) // self.budget) for _, end, _ in times.values()), default=0)

    def critical(self) -> tuple[float, list[int]]:
        """ns of the longest recurrence at an II of 1, or of the exit test, and its nodes: less has no room for it."""
        core = self._core(exits=True)
        low, high = 0.0, self.budget
        binding: list[int] = []
        for _ in range(7):
            middle = (low + high) / 2
            times, cycle = self._times(core, 1, middle)
            late = [node for node in self.exits if times is not None and times[node][1] > middle + EPS]
            if times is not None and not late:
                high = middle
                continue
            low = middle
            binding = cycle if times is None else self._path(late[0], times)
        return high, binding

    def _path(self, node: int, times: dict[int, tuple[float, float, int]]) -> list[int]:
        path = [node]
        while times[path[-1]][2] >= 0 and len(path) < 10_000 and times[path[-1]][2] not in path:
            path.append(times[path[-1]][2])
        return path[::-1]

    def _core(self, exits: bool) -> list[int]:
        """Nodes on cycles, and with `exits` those before the exit test, in an order along edges of distance 0."""
        onward: list[list[int]] = [[] for _ in self.nodes]
        back: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            for source in [source for source, _ in node.data] + [source for source, _, _ in node.order] + node.enables:
                onward[source].append(number)
                back[number].append(source)
        chosen = {
            number for part in _components(onward) if len(part) > 1 or part[0] in onward[part[0]] for number in part
        }
        if exits:
            stack = list(self.exits)
            seen = set(stack)
            while stack:
                for source in back[stack.pop()]:
                    if source not in seen:
                        seen.add(source)
                        stack.append(source)
            chosen |= seen
        return [number for number in range(len(self.nodes)) if number in chosen]

    def _times(
        self,
        core: Iterable[int],
        interval: int,
        budget: float,
    ) -> tuple[dict[int, tuple[float, float, int]] | None, list[int]]:
        """Earliest start, end and the node that both wait for; or None and a cycle that no times satisfy."""
        order = list(core)
        inside = set(order)
        shift = interval * budget
        start = dict.fromkeys(order, 0.0)
        end = dict.fromkeys(order, 0.0)
        cause = dict.fromkeys(order, -1)
        edges = {}
        for number in order:
            node = self.nodes[number]
            edges[number] = (
                [(source, distance * shift) for source, distance in node.data if source in inside],
                [
                    (source, cycles * budget, distance * shift)
                    for source, cycles, distance in node.order
                    if source in inside
                ],
                [source for source in node.enables if source in inside],
            )
        rounds = 0
        while True:
            changed = False
            for number in order:
                data, issue, enables = edges[number]
                begin, why = start[number], cause[number]
                for source, back in data:
                    at = end[source] - back
                    if at > begin + EPS:
                        begin, why = at, source
                for source, ahead, back in issue:
                    at = math.floor(start[source] / budget + EPS) * budget + ahead - back
                    if at > begin + EPS:
                        begin, why = at, source
                for source in enables:
                    at = math.floor(end[source] / budget - EPS) * budget
                    if at > begin + EPS:
                        begin, why = at, source
                cost = self.nodes[number].cost
                begin, finish = _place(begin, cost, budget)
                if begin > start[number] + EPS or finish > end[number] + EPS:
                    start[number], end[number], cause[number] = begin, finish, why
                    changed = True
            if not changed:
                return {number: (start[number], end[number], cause[number]) for number in order}, []
            rounds += 1
            if rounds % 4 == 0:
                for cycle in _cycles(cause):
                    if self._grows(cycle, start[cycle[0]], interval, budget):
                        return None, cycle
                if rounds > ROUNDS:
                    return None, max(_cycles(cause), key=len, default=[])

    def _grows(self, cycle: list[int], start: float, interval: int, budget: float) -> bool:
        """Whether a cycle of nodes has no start that it comes back to: it may have one later in a clock cycle."""
        first = start
        while start < first + 3 * budget:
            at = start
            _, end = _place(at, self.nodes[cycle[0]].cost, budget)
            for before, number in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
                node = self.nodes[number]
                times = [end - distance * interval * budget for source, distance in node.data if source == before]
                edge = math.floor(at / budget + EPS) * budget
                times += [
                    edge + (cycles - distance * interval) * budget
                    for source, cycles, distance in node.order
                    if source == before
                ]
                times += [math.floor(end / budget - EPS) * budget for source in node.enables if source == before]
                at, end = _place(max(times), node.cost, budget)
            if at <= start + EPS:
                return False
            start = at
        return True


def _place(begin: float, cost: Cost, budget: float) -> tuple[float, float]:
    """When an operation starts that could at `begin`, and when it ends."""
    cycle = math.floor(begin / budget + EPS)
    first = cost.setup if cost.latency else cost.delay
    if begin - cycle * budget + first > budget + EPS and begin > cycle * budget + EPS:
        cycle += 1
        begin = cycle * budget
    return begin, (cycle + cost.latency) * budget + min(cost.delay, budget) if cost.latency else begin + cost.delay


def _cycles(cause: dict[int, int]) -> list[list[int]]:
    """Cycles of nodes that wait for each other, each in order."""
    found: list[list[int]] = []
    state: dict[int, int] = {}
    for first in cause:
        path = []
        here = first
        while here >= 0 and here not in state:
            state[here] = first
            path.append(here)
            here = cause[here]
        if here >= 0 and state[here] == first and here in path:
            found.append(path[path.index(here) :][::-1])
    return found


def _share(count: int, ports: int) -> int:
    return max(1, -(-count // ports)) if ports else (LIMIT if count else 1)


def _source_bits(text: str) -> int:
    found = re.match(r"(?:nuw |nsw |nneg )*i(\d+)", text)
    return int(found[1]) if found else 64


def _components(onward: list[list[int]]) -> list[list[int]]:
    """Strongly connected components (Tarjan's algorithm without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    parts: list[list[int]] = []
    for root in range(len(onward)):
        if root in index:
            continue
        work = [(root, 0)]
        while work:
            here, position = work.pop()
            if position == 0:
                index[here] = low[here] = len(index)
                stack.append(here)
                on_stack.add(here)
            descend = False
            for at in range(position, len(onward[here])):
                target = onward[here][at]
                if target not in index:
                    work.append((here, at + 1))
                    work.append((target, 0))
                    descend = True
                    break
                if target in on_stack:
                    low[here] = min(low[here], index[target])
            if descend:
                continue
            if low[here] == index[here]:
                part = []
                while True:
                    one = stack.pop()
                    on_stack.discard(one)
                    part.append(one)
                    if one == here:
                        break
                parts.append(part)
            if work:
                above = work[-1][0]
                low[above] = min(low[above], low[here])
    return parts
