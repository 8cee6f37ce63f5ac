"""LLVM IR as text, read: instructions, blocks, loops, addresses and source lines of one function.

Only what clang and LLVM print is understood, not all that the language allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_VALUE = r'[%@](?:"[^"]*"|[\w.$\-]+)(?:~-?\d+)?'
_TOKEN = re.compile(_VALUE)
_RESULT = re.compile(rf"^  ({_VALUE}) = (.*)$")
_PLAIN = re.compile(r"i(\d+)\b|ptr\b|float\b|double\b|x86_fp80\b|void\b|metadata\b")
_LABEL = re.compile(r'^("[^"]*"|[\w.$\-]+):')
_TAIL = re.compile(r",? !\w[\w.]*(?: !\d+| !\{\})|,? align \d+|,? #\d+")
_DBG = re.compile(r"!dbg !(\d+)")
_INT = re.compile(r"\bi(\d+)\b")
_CONSTANT = re.compile(r'getelementptr (?:inbounds |nuw |nusw )*\(i8, ptr (@(?:"[^"]*"|[\w.$]+)), i\d+ (-?\d+)\)')
_FLAGS = re.compile(r"\b(?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|nusw|fast|inrange\([^)]*\)) ")
CHOICES = 32
"""Addresses that a pointer may have before it counts as unknown."""
CASTS = frozenset("trunc zext sext bitcast ptrtoint inttoptr freeze".split())


# ---- Types --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Type:
    """A type: `kind` is "int", "ptr", "array", "struct" or "other"; sizes in bytes, `bits` of an int."""

    kind: str
    size: int
    align: int
    bits: int = 0
    count: int = 0
    parts: tuple[Type, ...] = ()
    offsets: tuple[int, ...] = ()


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _int(bits: int) -> Type:
    size = -(-bits // 8)
    align = 1
    while align < size and align < 16:
        align *= 2
    return Type("int", _up(size, align), align, bits)


POINTER = Type("ptr", 8, 8, 64)
OTHER = Type("other", 8, 8)


class Types:
    """The named types of a module."""

    def __init__(self, text: str) -> None:
        self.bodies = dict(re.findall(r'^(%(?:"[^"]*"|[\w.$\-:]+)) = type (.*)$', text, re.MULTILINE))
        self._made: dict[str, Type] = {}

    def named(self, name: str) -> Type:
        """The type called `name`."""
        if name not in self._made:
            body = self.bodies.get(name, "")
            self._made[name] = self.parse(body, 0)[0] if body and body != "opaque" else OTHER
        return self._made[name]

    def parse(self, text: str, at: int) -> tuple[Type, int]:
        """The type that starts at a position, and where it ends."""
        while at < len(text) and text[at] == " ":
            at += 1
        plain = _PLAIN.match(text, at)
        if plain:
            return (
                _int(int(plain[1]))
                if plain[1]
                else POINTER
                if plain[0] == "ptr"
                else Type("other", 4, 4)
                if plain[0] == "float"
                else OTHER
            ), plain.end()
        if text[at : at + 1] == "[" or re.compile(r"<\d+ x").match(text, at):
            found = re.compile(r"[\[<](\d+) x ").match(text, at)
            if not found:
                return OTHER, at + 1
            inner, end = self.parse(text, found.end())
            return Type("array", int(found[1]) * inner.size, inner.align, count=int(found[1]), parts=(inner,)), end + 1
        if text[at : at + 1] == "{" or text[at : at + 2] == "<{":
            packed = text[at] == "<"
            at += 2 if packed else 1
            parts: list[Type] = []
            offsets: list[int] = []
            size, align = 0, 1
            while text[at : at + 2].strip()[:1] not in ("}", ""):
                part, at = self.parse(text, at)
                unit = 1 if packed else part.align
                size, align = _up(size, unit), max(align, unit)
                parts.append(part)
                offsets.append(size)
                size += part.size
                at += 1 if text[at : at + 1] == "," else 0
            end = text.index("}", at) + (2 if packed else 1)
            return Type("struct", _up(size, align), align, parts=tuple(parts), offsets=tuple(offsets)), end
        name = re.compile(r'%(?:"[^"]*"|[\w.$\-:]+)').match(text, at)
        if name:
            return self.named(name[0]), name.end()
        return OTHER, at + 1


# ---- Instructions -------------------------------------------------------------------------------


@dataclass(eq=False)
class Instruction:
    """One instruction. `operands`: names of values and globals that it uses, in order; `block`: its block's number.

    `text` is what follows the opcode, without flags and metadata; `bits` the width of the result (of the stored
    value for a store), `dbg` the number of its source location. `joins`: an `or` of words that share no bits.
    """

    name: str
    op: str
    text: str
    operands: list[str]
    bits: int
    block: int
    dbg: int
    volatile: bool = False
    joins: bool = False


@dataclass(eq=False)
class Block:
    """A basic block, its successors by number, and the metadata node of a loop that its branch closes."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)
    successors: list[int] = field(default_factory=list)
    predecessors: list[int] = field(default_factory=list)
    loop: str = ""


@dataclass(eq=False)
class Loop:
    """A natural loop: `blocks` by number, `latches` those that branch back to the header, its metadata node."""

    header: int
    blocks: set[int]
    latches: list[int]
    node: str
    parent: Loop | None = None


@dataclass(frozen=True)
class Place:
    """A line of the source."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


@dataclass(frozen=True)
class Address:
    """An address: `root` is a global or an argument, "" if it is not known; bytes `offset` + sum of terms.

    A term is a value and the bytes that it is multiplied by.
    """

    root: str
    offset: int
    terms: tuple[tuple[str, int], ...]


class Module:
    """A module's text: its types, globals, metadata, and where its functions are."""

    def __init__(self, text: str) -> None:
        self.types = Types(text)
        self.nodes = Nodes(text)
        self.globals: dict[str, Type] = {}
        for symbol, kind in re.findall(
            r'^(@(?:"[^"]*"|[\w.$]+)) = [^\n]*?\b(?:global|constant) ([^\n]*)$', text, re.MULTILINE
        ):
            self.globals[symbol] = self.types.parse(kind, 0)[0]
        self.titles: dict[str, str] = {}
        """Names of functions in the source, without template arguments, by mangled name."""
        self.texts: dict[str, tuple[str, str]] = {}
        """What stands between a function's parentheses, and its body."""
        for found in re.finditer(r'^define [^\n]*?@"?([\w.$]+)"?\(([^\n]*)\{$', text, re.MULTILINE):
            self.texts[found[1]] = found[2], text[found.end() + 1 : text.index("\n}\n", found.end())]
            dbg = _DBG.search(found[2])
            self.titles[found[1]] = self.nodes.value(dbg[1], "name").partition("<")[0] if dbg else found[1]
        self._functions: dict[str, Function] = {}

    def function(self, name: str) -> Function:
        """A function by its mangled name."""
        if name not in self._functions:
            self._functions[name] = Function(self, name)
        return self._functions[name]

    def mangled(self, title: str) -> str:
        """The mangled name of a function, "" if there is none."""
        return next((name for name, known in self.titles.items() if known == title), "")


class Function:
    """A function of a module with its debug information."""

    def __init__(self, module: Module, name: str) -> None:
        """Read the function `name` (mangled)."""
        self.name = name
        self.types, self.nodes, self.globals = module.types, module.nodes, module.globals
        self.names = set(self.types.bodies)
        head, body = module.texts[name]
        self.arguments = [token for token in _TOKEN.findall(head) if token[0] == "%" and token not in self.names]
        self.locals: dict[str, Type] = {}
        self.variables: dict[str, set[str]] = {}
        """Debug variables (metadata nodes) and the values that they stand for."""
        self.blocks: list[Block] = []
        self._read(body)
        self.defined = {one.name: one for block in self.blocks for one in block.instructions if one.name}
        for block in self.blocks:
            for one in block.instructions:
                if one.op == "alloca":
                    self.locals[one.name] = self.types.parse(one.text, 0)[0]
        self.loops = self._find_loops()
        self._addresses: dict[str, tuple[Address, ...]] = {}

    # ---- reading

    def _read(self, body: str) -> None:
        numbers: dict[str, int] = {}
        pending: list[tuple[int, list[str], str]] = []
        block = Block("")
        lines = iter(body.split("\n"))
        for line in lines:
            if not line or line.startswith(";"):
                continue
            if line[0] != " ":
                found = _LABEL.match(line)
                if found:
                    block = self._block(found[1].strip('"'), numbers)
                continue
            if line.startswith("    #dbg_") or line.startswith("  #dbg_"):
                record = re.match(rf"\s*#dbg_(?:value|declare)\(ptr ({_VALUE}), !(\d+)", line)
                if record:
                    self.variables.setdefault(record[2], set()).add(record[1])
                continue
            if not self.blocks:
                block = self._block("entry", numbers)
            if line.startswith("  switch ") and not line.rstrip().endswith("]"):
                parts = [line]
                for more in lines:
                    parts.append(more)
                    if more.startswith("  ]"):
                        break
                line = " ".join(parts)
            self._instruction(line, block, pending)
        for number, labels, node in pending:
            here = self.blocks[number]
            here.successors = list(dict.fromkeys(numbers[label] for label in labels))
            here.loop = node
        for number, here in enumerate(self.blocks):
            for target in here.successors:
                self.blocks[target].predecessors.append(number)
        self.numbers = numbers

    def _block(self, name: str, numbers: dict[str, int]) -> Block:
        numbers[name] = len(self.blocks)
        self.blocks.append(Block(name))
        return self.blocks[-1]

    def _instruction(self, line: str, block: Block, pending: list[tuple[int, list[str], str]]) -> None:
        found = _RESULT.match(line)
        name, rest = (found[1], found[2]) if found else ("", line[2:])
        dbg = _DBG.search(rest)
        node = re.search(r"!llvm\.loop !(\d+)", rest)
        cut = rest.find(", !")
        rest = _TAIL.sub("", rest if cut < 0 else rest[:cut]) if "!" in rest or "#" in rest or "align" in rest else rest
        op, _, text = rest.partition(" ")
        if op in ("tail", "musttail", "notail"):
            op, _, text = text.partition(" ")
        number = len(self.blocks) - 1
        if op in ("br", "switch"):
            labels = [label.strip('"') for label in re.findall(r'label %("[^"]*"|[\w.$\-]+)', text)]
            pending.append((number, labels, node[1] if node else ""))
            condition = re.match(rf"i\d+ ({_VALUE})", text)
            operands = [condition[1]] if condition else []
            block.instructions.append(Instruction("", op, text, operands, 0, number, int(dbg[1]) if dbg else 0))
            return
        volatile = text.startswith("volatile ")
        joins = op == "or" and text.startswith("disjoint ")
        if "getelementptr" in text:
            text = _CONSTANT.sub(r"\1~\2", text)  # a constant address: symbol~bytes
        text = _FLAGS.sub("", text[9:] if volatile else text)
        operands = [token for token in _TOKEN.findall(text) if token not in self.names]
        bits = 1
        if op not in ("icmp", "fcmp"):
            width = _INT.search(
                text.rsplit(" to ", 1)[-1]
                if op in CASTS and op != "freeze"
                else text.split(", ", 1)[-1]
                if op == "select"
                else text
            )
            bits = int(width[1]) if width else 64
        else:
            width = _INT.search(text)
            bits = int(width[1]) if width else 64
        if op == "phi":
            operands = [token for token in re.findall(rf"\[ ({_VALUE}|[^,]+), ", text)]
        block.instructions.append(
            Instruction(name, op, text, operands, bits, number, int(dbg[1]) if dbg else 0, volatile, joins)
        )

    # ---- control flow

    def incoming(self, phi: Instruction) -> list[tuple[str, int]]:
        """Value and number of the block that it comes from."""
        pairs = re.findall(r'\[ (.+?), %("[^"]*"|[\w.$\-]+) \]', phi.text)
        return [(value, self.numbers[label.strip('"')]) for value, label in pairs]

    def dominators(self, blocks: set[int], root: int, successors: dict[int, list[int]]) -> dict[int, int]:
        """Immediate dominators of the blocks that `root` reaches within `blocks`; the root's is itself."""
        order: list[int] = []
        seen = {root}
        stack: list[tuple[int, Iterator[int]]] = [(root, iter(successors[root]))]
        while stack:
            here, rest = stack[-1]
            target = next((one for one in rest if one in blocks and one not in seen), None)
            if target is None:
                order.append(here)
                stack.pop()
            else:
                seen.add(target)
                stack.append((target, iter(successors[target])))
        position = {block: number for number, block in enumerate(order)}
        above: dict[int, list[int]] = {block: [] for block in order}
        for block in order:
            for target in successors[block]:
                if target in above:
                    above[target].append(block)
        found = {root: root}
        changed = True
        while changed:
            changed = False
            for block in reversed(order[:-1]):
                best = -1
                for one in above[block]:
                    if one not in found:
                        continue
                    if best < 0:
                        best = one
                        continue
                    left, right = one, best
                    while left != right:
                        if position[left] < position[right]:
                            left = found[left]
                        else:
                            right = found[right]
                    best = left
                if best >= 0 and found.get(block) != best:
                    found[block] = best
                    changed = True
        return found

    def _find_loops(self) -> list[Loop]:
        if not self.blocks:
            return []
        everything = set(range(len(self.blocks)))
        edges = {number: block.successors for number, block in enumerate(self.blocks)}
        above = self.dominators(everything, 0, edges)

        def dominates(one: int, other: int) -> bool:
            while other != one and other != above[other]:
                other = above[other]
            return one == other

        headers: dict[int, list[int]] = {}
        for number, block in enumerate(self.blocks):
            for target in block.successors:
                if number in above and dominates(target, number):
                    headers.setdefault(target, []).append(number)
        loops = []
        for header, latches in headers.items():
            blocks = {header}
            stack = list(latches)
            while stack:
                here = stack.pop()
                if here not in blocks:
                    blocks.add(here)
                    stack.extend(self.blocks[here].predecessors)
            node = next((self.blocks[latch].loop for latch in latches if self.blocks[latch].loop), "")
            loops.append(Loop(header, blocks, latches, node))
        loops.sort(key=lambda loop: len(loop.blocks))
        for number, loop in enumerate(loops):
            loop.parent = next((outer for outer in loops[number + 1 :] if loop.blocks < outer.blocks), None)
        return loops

    # ---- addresses

    def address(self, value: str) -> Address:
        """Where a pointer points to; of several choices no more than the root is told."""
        found = self.addresses(value)
        roots = {one.root for one in found}
        return found[0] if len(found) == 1 else Address(roots.pop() if len(roots) == 1 else "", 0, ((value, 1),))

    def addresses(self, value: str) -> tuple[Address, ...]:
        """Where a pointer may point to: the choices of what selects it."""
        found = self._addresses.get(value)
        if found is None:
            self._addresses[value] = (Address("", 0, ((value, 1),)),)  # for a pointer that comes back to itself
            made = tuple(dict.fromkeys(self._choices(value)))
            if len(made) > CHOICES:
                roots = {one.root for one in made}
                made = (Address(roots.pop() if len(roots) == 1 else "", 0, ((value, 1),)),)
            found = self._addresses[value] = made
        return found

    def _choices(self, value: str) -> list[Address]:
        one = self.defined.get(value)
        if value[0] == "@":
            symbol, _, away = value.partition("~")
            return [Address(symbol, int(away or 0), ())]
        if one is None or one.op == "alloca":
            return [Address(value, 0, ())]
        if one.op in ("select", "phi"):
            choices = one.operands[1:] if one.op == "select" else one.operands
            found = [
                address
                for choice in choices
                if choice[0] in "%@" and not self._through(choice, value)
                for address in self.addresses(choice)
            ]
            if len(found) and any(self._through(choice, value) for choice in choices):
                return [Address(found[0].root, 0, ((value, 1),))]
            return found
        if one.op != "getelementptr":
            return [Address("", 0, ((value, 1),))]
        kind, at = self.types.parse(one.text, 0)
        parts = _split(one.text[at:])
        return [
            choice
            for base in self.addresses(_TOKEN.findall(parts[1])[0])
            for choice in self._either(self._moved(base, kind, parts[2:]))
        ]

    def _either(self, address: Address) -> list[Address]:
        """An address without its terms of one bit: what it is without and with each of them."""
        offsets, terms = {address.offset}, []
        for term, factor in address.terms:
            one = self.defined.get(term)
            if one is not None and (one.op in ("icmp", "fcmp") or one.bits == 1) and len(offsets) <= CHOICES:
                offsets |= {offset + factor for offset in offsets}
            else:
                terms.append((term, factor))
        return [Address(address.root, offset, tuple(terms)) for offset in sorted(offsets)]

    def _moved(self, base: Address, kind: Type, indices: list[str]) -> Address:
        """An address moved by the indices of a getelementptr."""
        offset, terms = base.offset, dict(base.terms)
        for level, index in enumerate(indices):
            word = index.split()[-1]
            if level == 0:
                scale = kind.size
            elif kind.kind == "array":
                kind = kind.parts[0]
                scale = kind.size
            else:
                offset += kind.offsets[int(word)]
                kind = kind.parts[int(word)]
                continue
            constant, linear = self.linear(word)
            offset += constant * scale
            for term, factor in linear.items():
                terms[term] = terms.get(term, 0) + factor * scale
        return Address(base.root, offset, tuple(sorted((term, factor) for term, factor in terms.items() if factor)))

    def _through(self, value: str, phi: str, depth: int = 0) -> bool:
        """Whether a pointer is `phi` or computed from it."""
        if value == phi:
            return True
        one = self.defined.get(value)
        if one is None or depth > 8 or one.op not in ("getelementptr", "phi", "select"):
            return False
        return any(self._through(token, phi, depth + 1) for token in one.operands if token[0] == "%")

    def linear(self, word: str, depth: int = 0) -> tuple[int, dict[str, int]]:
        """An integer as a constant and values with their factors. Arithmetic on indices is taken not to overflow."""
        if re.fullmatch(r"-?\d+", word):
            return int(word), {}
        one = self.defined.get(word)
        if one is None or depth > 24:
            return 0, {word: 1}
        parts = one.text.rsplit(", ", 1)
        last = parts[-1].split()[-1] if parts[-1] else ""
        constant = int(last) if re.fullmatch(r"-?\d+", last) else None
        if one.op in ("zext", "sext") and one.operands:
            if one.op == "sext" and one.text.startswith("i1 "):
                return 0, {one.operands[0]: -1}
            return self.linear(one.operands[0], depth + 1)
        choice = re.match(r"i1 \S+, i\d+ (-?\d+), i\d+ (-?\d+)$", one.text) if one.op == "select" else None
        if choice:
            condition = one.operands[0]
            return int(choice[2]), {condition: int(choice[1]) - int(choice[2])}
        if one.op in ("add", "or", "sub") and len(one.operands) == 2 and one.op != "or":
            first, second = (self.linear(operand, depth + 1) for operand in one.operands)
            sign = -1 if one.op == "sub" else 1
            terms = dict(first[1])
            for term, factor in second[1].items():
                terms[term] = terms.get(term, 0) + sign * factor
            return first[0] + sign * second[0], {term: factor for term, factor in terms.items() if factor}
        if constant is None or len(one.operands) != 1:
            return 0, {word: 1}
        inner, terms = self.linear(one.operands[0], depth + 1)
        if one.op == "add":
            return inner + constant, terms
        if one.op == "or" and one.operands and self._low_zeros(one.operands[0]) >= max(constant, 0).bit_length():
            return inner + constant, terms
        if one.op in ("shl", "mul"):
            factor = 1 << constant if one.op == "shl" else constant
            return inner * factor, {term: count * factor for term, count in terms.items()}
        return 0, {word: 1}

    def _low_zeros(self, word: str, depth: int = 0) -> int:
        one = self.defined.get(word)
        if one is None or depth > 8:
            return 0
        found = re.search(r", (-?\d+)$", one.text)
        if one.op == "shl" and found:
            return int(found[1]) + self._low_zeros(one.operands[0], depth + 1)
        if one.op == "and" and found and int(found[1]):
            value = int(found[1])
            return (value & -value).bit_length() - 1
        if one.op in ("zext", "sext", "trunc") and one.operands:
            return self._low_zeros(one.operands[0], depth + 1)
        return 0

    def sources(self, word: str, low: int, count: int, depth: int = 0) -> set[str]:
        """The values that bits `low` to `low + count - 1` of a word are wired to; none for zeros."""
        one = self.defined.get(word)
        if one is None:
            return {word} if word[0] in "%@" else set()
        found = re.search(r", (-?\d+)$", one.text)
        constant = int(found[1]) if found else None
        if depth > 200 or not one.operands:
            return {word}
        first = one.operands[0]
        if one.op in ("zext", "trunc"):
            source = self.defined.get(first)
            width = source.bits if source is not None else one.bits
            if one.op == "zext" and low >= width:
                return set()
            return self.sources(first, low, min(count, width - low) if one.op == "zext" else count, depth + 1)
        if one.op == "lshr" and constant is not None:
            return (
                self.sources(first, low + constant, min(count, one.bits - low - constant), depth + 1)
                if low + constant < one.bits
                else set()
            )
        if one.op == "shl" and constant is not None:
            end = low + count - constant
            start = max(low - constant, 0)
            return self.sources(first, start, end - start, depth + 1) if end > start else set()
        if one.op == "and" and constant is not None and len(one.operands) == 1:
            ones = (constant >> low) & ((1 << count) - 1)
            if not ones:
                return set()
            start = (ones & -ones).bit_length() - 1
            return self.sources(first, low + start, ones.bit_length() - start, depth + 1)
        if one.op == "or" and len(one.operands) == 2:
            left, right = (self.sources(operand, low, count, depth + 1) for operand in one.operands)
            if not left or not right:
                return left or right
            return left | right if one.joins else {word}
        return {word}

    # ---- source

    def place(self, dbg: int, files: Iterable[str]) -> Place | None:
        """The innermost line of one of `files` (full names) that an instruction comes from."""
        return self.nodes.place(dbg, set(files))


def _split(text: str) -> list[str]:
    """Text between commas that stand outside of brackets."""
    parts, depth, start = [], 0, 0
    quoted = False
    for at, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter in "([{<") - (letter in ")]}>")
            if letter == "," and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    return [*parts, text[start:]]


class Nodes:
    """Debug metadata of a module."""

    def __init__(self, text: str) -> None:
        self.text: dict[str, str] = dict(re.findall(r"^!(\d+) = (?:distinct )?(![^\n]*)$", text, re.MULTILINE))

    def value(self, node: str, key: str) -> str:
        """A field of a node: a number, a name without quotes, or the number of another node."""
        found = re.search(rf'\b{key}: (?:"([^"]*)"|!?([\w-]+))', self.text.get(node, ""))
        return (found[1] if found[1] is not None else found[2]) if found else ""

    def file(self, node: str) -> str:
        """The file of a location or scope."""
        seen = 0
        while node and seen < 64:
            name = self.value(node, "file")
            if name:
                path = self.value(name, "filename")
                return path if path.startswith("/") else f"{self.value(name, 'directory')}/{path}"
            node, seen = self.value(node, "scope"), seen + 1
        return ""

    def bits(self, node: str) -> int:
        """Bits of an element of a variable, by its type's name where it is an ap_int or a stream of them."""
        here = self.value(node, "type")
        for _ in range(16):
            number = re.search(r"ap_u?int<(\d+)", self.value(here, "name"))
            if number:
                return int(number[1])
            base = self.value(here, "baseType")
            if base in ("", "null"):
                return int(self.value(here, "size") or 0)
            here = base
        return 0

    def function(self, node: str) -> str:
        """The function that a scope, variable or location lies in, by its name without template arguments."""
        seen = 0
        while node and seen < 64 and not self.text.get(node, "").startswith("!DISubprogram"):
            node, seen = self.value(node, "scope"), seen + 1
        return self.value(node, "name").partition("<")[0]

    def place(self, dbg: int, files: set[str]) -> Place | None:
        """See `Function.place`."""
        node = str(dbg)
        for _ in range(64):
            if node not in self.text:
                return None
            file, line = self.file(node), int(self.value(node, "line") or 0)
            if file in files and line:  # a value that several lines gave has line 0
                return Place(file, line)
            node = self.value(node, "inlinedAt")
        return None

    def loop(self, node: str) -> Place | None:
        """The line of a loop's keyword."""
        for number in re.findall(r"!(\d+)", self.text.get(node, ""))[1:]:
            if self.text.get(number, "").startswith("!DILocation"):
                return Place(self.file(number), int(self.value(number, "line") or 0))
        return None
