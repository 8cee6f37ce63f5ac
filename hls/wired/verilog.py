"""Adder graphs as SystemVerilog: one module per engine, free-running, II = 1."""

from __future__ import annotations

from hls.wired.cost import LEVELS_PER_STAGE, delays, is_plain, outputs, sources, stage
from hls.wired.graph import Add, Bit, Chain, Compare, Graph, GraphError, Input, Select, signed, split, width


def full_adder(a: str, b: str, c: str) -> tuple[str, str]:
    """Sum and carry of three bits, as expressions."""
    return f"({a} ^ {b} ^ {c})", f"(({a} & {b}) | ({c} & ({a} | {b})))"


def count_bits(columns: dict[int, list[str]], size: int) -> list[str]:
    """The sum of weighted bits as one expression per bit, from `size` bits on never reached.

    Written with XOR and majority and not with `+`, so that no synthesiser takes a carry chain for it.
    """
    columns = {column: list(items) for column, items in columns.items()}
    result = []
    for column in range(size):
        items = columns.get(column, [])
        while len(items) > 1:
            if len(items) > 2:
                total, carry = full_adder(items.pop(0), items.pop(0), items.pop(0))
            else:
                a, b = items.pop(0), items.pop(0)
                total, carry = f"({a} ^ {b})", f"({a} & {b})"
            items.append(total)
            columns.setdefault(column + 1, []).append(carry)
        result.append(items[0] if items else "1'b0")
    return result


class _Writer:
    """The text of one engine without parts."""

    def __init__(self, graph: Graph, levels_per_stage: int) -> None:
        self.graph = graph
        self.levels_per_stage = levels_per_stage
        self.need, self.latency = delays(graph, levels_per_stage)
        self.stages = [stage(node.level, levels_per_stage) for node in graph.nodes]
        self.lines: list[str] = []
        self.pass_bits = (graph.passes - 1).bit_length()
        self.wires: dict[str, str] = {}
        """Names of functions of bits by their text: equal ones are one wire."""

    def name(self, number: int, at: int) -> str:
        """The node's value in stage `at`."""
        late = at - self.stages[number]
        return f"n{number}" + (f"_d{late}" if late else "")

    def bit(self, bit: Bit, at: int) -> str:
        """A bit in stage `at`."""
        if bit.node < 0:
            return "1'b0" if bit.inverted else "1'b1"
        single = width(self.graph.nodes[bit.node]) == 1
        text = self.name(bit.node, at) + ("" if single else f"[{bit.place}]")
        return f"~{text}" if bit.inverted else text

    def chain(self, number: int, node: Chain) -> None:
        """One chain: the row as one operand, the groups' sums as the other."""
        at, size = self.stages[number], width(node)
        other = ["1'b0"] * size
        for index, group in enumerate(node.groups):
            first = min(term.column for term in group)
            columns: dict[int, list[str]] = {}
            for term in group:
                columns.setdefault(term.column - first, []).append(self.bit(term.bit, at))
            total = sum(1 << (term.column - first) for term in group).bit_length()
            for column, text in enumerate(count_bits(columns, min(total, size - first))):
                wire = self.wires.get(text, "")
                if not wire:
                    wire = self.wires[text] = f"n{number}_g{index}_{column}"
                    self.lines.append(f"  wire {wire} = {text};")
                other[first + column] = wire
        joined = "{" + ", ".join(reversed(other)) + "}"
        if is_plain(node):
            self.lines.append(f"  assign n{number} = {joined};")
            return
        row = ["1'b0"] * size
        for term in node.row:
            row[term.column] = self.bit(term.bit, at)
        plain = "{" + ", ".join(reversed(row)) + "}"
        if node.carry is None:
            self.lines.append(f"  assign n{number} = {plain} + {joined};")
            return
        carry = self.bit(node.carry, at)
        self.lines.append(f"  wire [{size}:0] n{number}_c = {{{plain}, {carry}}} + {{{joined}, {carry}}};")
        self.lines.append(f"  assign n{number} = n{number}_c[{size}:1];")

    def add(self, number: int, node: Add) -> None:
        """One sum of two words."""
        at, size = self.stages[number], width(node)
        first, second = (
            f"({size}'({self.name(part, at)}) <<< {shift})" if shift else f"{size}'({self.name(part, at)})"
            for part, shift in ((node.a, node.shift_a), (node.b, node.shift_b))
        )
        if node.sign_a < 0:
            text = f"{second} - {first}"
        else:
            text = f"{first} {'-' if node.sign_b < 0 else '+'} {second}"
        self.lines.append(f"  assign n{number} = {text};")

    def select(self, number: int, node: Select) -> None:
        """An input that is complemented in some passes."""
        size = 1 << self.pass_bits
        self.lines.append(f"  localparam logic [{size - 1}:0] N{number}Flips = {size}'h{node.flips:x};")
        self.lines.append(f"  assign n{number} = {self.name(node.a, self.stages[number])} ^ N{number}Flips[pass_i];")

    def compare_passes(self, number: int, node: Compare) -> None:
        """A comparison with a constant of the pass, which is looked up a cycle before."""
        source = self.graph.nodes[node.a]
        at, size = self.stages[number], width(source)
        if source.low < 0 or at == 0:
            raise GraphError(f"node {number}: only a count can be compared with a threshold per pass")
        table = 0
        for index, threshold in enumerate(node.thresholds):  # of size + 1 bits: 2**size is never reached
            table |= min(max(threshold, 0), 1 << size) << (index * (size + 1))
        bits, limit = (size + 1) << self.pass_bits, f"n{number}_limit_q"
        self.lines.append(f"  localparam logic [{bits - 1}:0] N{number}Limits = {bits}'h{table:x};")
        self.lines.append(f"  logic [{size}:0] {limit};")
        place = f"int'({self.pass_at(at - 1)})*{size + 1}+:{size + 1}"
        self.lines.append(f"  always_ff @(posedge clk_i) {limit} <= N{number}Limits[{place}];")
        value = f"{{1'b0, {self.name(node.a, at)}}}"
        self.lines.append(f"  assign n{number} = {'~' if node.inverted else ''}({value} >= {limit});")

    def pass_at(self, at: int) -> str:
        """The pass in stage `at`."""
        return f"pass_d{at}" if at else "pass_i"

    def compare(self, number: int, node: Compare) -> None:
        """A comparison with a constant, as AND and OR from the least significant bit up."""
        if len(node.thresholds) > 1:
            self.compare_passes(number, node)
            return
        source = self.graph.nodes[node.a]
        threshold = node.thresholds[0]
        name, size = self.name(node.a, self.stages[number]), width(source)
        if threshold <= source.low or threshold > source.high:
            text = "1'b1" if threshold <= source.low else "1'b0"
        else:
            offset = (1 << (size - 1)) if signed(source) else 0
            wanted = threshold + offset  # as unsigned, with the sign bit complemented
            text = "1'b1"
            for index in range(size):
                bit = f"{name}[{index}]" if size > 1 else name
                if offset and index == size - 1:
                    bit = f"~{bit}"
                if wanted >> index & 1:
                    text = bit if text == "1'b1" else f"({bit} & {text})"
                elif text != "1'b1":
                    text = f"({bit} | {text})"
        self.lines.append(f"  assign n{number} = {'~' if node.inverted else ''}{text};")

    def declare(self, number: int) -> str:
        """Declaration of a node's wire and registers."""
        node = self.graph.nodes[number]
        size = width(node)
        names = [f"n{number}"] + [f"n{number}_d{late}" for late in range(1, self.need[number] + 1)]
        kind = "logic signed" if signed(node) else "logic"
        return f"  {kind} {f'[{size - 1}:0] ' if size > 1 else ''}{', '.join(names)};"

    def body(self) -> None:
        """Declarations, nodes, registers."""
        graph = self.graph
        used = {source for number in range(len(graph.nodes)) for source in sources(graph, number)}
        used |= set(outputs(graph))
        alive = [number in used for number in range(len(graph.nodes))]
        for number, node in enumerate(graph.nodes):
            if not alive[number]:
                continue
            self.lines.append(self.declare(number))
            if isinstance(node, Input):
                bits = graph.input_bits
                place = f"{node.position}" if bits == 1 else f"{node.position * bits} +: {bits}"
                self.lines.append(f"  assign n{number} = x_i[{place}];")
            elif isinstance(node, Select):
                self.select(number, node)
            elif isinstance(node, Chain):
                self.chain(number, node)
            elif isinstance(node, Add):
                self.add(number, node)
            else:
                self.compare(number, node)
        if self.pass_bits:
            names = ", ".join(f"pass_d{late}" for late in range(1, self.latency + 1))
            self.lines.append(f"  logic [{self.pass_bits - 1}:0] {names};")
        self.lines.append("  always_ff @(posedge clk_i) begin")
        for late in range(1, self.latency + 1 if self.pass_bits else 0):
            self.lines.append(f"    pass_d{late} <= {self.pass_at(late - 1)};")
        for number in range(len(graph.nodes)):
            for late in range(1, self.need[number] + 1 if alive[number] else 0):
                before = f"n{number}" + (f"_d{late - 1}" if late > 1 else "")
                self.lines.append(f"    n{number}_d{late} <= {before};")
        self.lines.append("  end")


def output_bits(graph: Graph, low: int, high: int) -> int:
    """Bits of each output: 1 with results, else those of the values `low` to `high`."""
    if graph.results:
        return 1
    if low < 0:
        return max((-low - 1).bit_length(), high.bit_length()) + 1
    return max(1, high.bit_length())


def latency(graph: Graph, levels_per_stage: int = LEVELS_PER_STAGE) -> int:
    """Cycles from an input vector to its results."""
    return delays(graph, levels_per_stage)[1]


def engine(graph: Graph, name: str, low: int, high: int, levels_per_stage: int = LEVELS_PER_STAGE) -> str:
    """The module of a graph.

    Ports: `clk_i`; `x_i`, the input vector, element 0 least significant; in a folded engine `pass_i`, the pass;
    `y_o`, the outputs in the same order, `latency(graph)` cycles later.

    Args:
        graph: the engine.
        name: of the module.
        low: least value of an output, if the outputs are values.
        high: greatest value of an output.
        levels_per_stage: carry chains between two registers.
    """
    if graph.parts:
        return _separate(graph, name, low, high, levels_per_stage)
    writer = _Writer(graph, levels_per_stage)
    writer.body()
    each = output_bits(graph, low, high)
    numbers = outputs(graph)
    parts = []
    for index, number in enumerate(numbers):
        last = writer.name(number, writer.latency) if number >= 0 else "1'b0"
        if not graph.results:
            value = f"{each}'({last})"
            offset = graph.offsets[index]
            last = f"{each}'({offset})" if offset >= 0 else f"-{each}'({-offset})"
            if number >= 0:
                last = f"{each}'({last} {'-' if graph.signs[index] < 0 else '+'} {value})"
        parts.append(last)
    head = [
        f"// {len(numbers)} outputs of {each} bits from {graph.inputs} inputs of {graph.input_bits} bits, "
        f"latency {writer.latency} cycles.",
        "/* verilator lint_off UNUSEDSIGNAL */",
        '(* shreg_extract = "no" *)',
        f"module {name} (",
        "    input  logic clk_i,",
        f"    input  logic [{graph.inputs * graph.input_bits - 1}:0] x_i,",
        *([f"    input  logic [{writer.pass_bits - 1}:0] pass_i,"] if writer.pass_bits else []),
        f"    output logic [{len(numbers) * each - 1}:0] y_o",
        ");",
    ]
    tail = [
        "  assign y_o = {",
        ",\n".join(f"    {part}" for part in reversed(parts)),
        "  };",
        "endmodule",
        "/* verilator lint_on UNUSEDSIGNAL */",
        "",
    ]
    return "\n".join(head + writer.lines + tail)


def _separate(graph: Graph, name: str, low: int, high: int, levels_per_stage: int) -> str:
    """A module per output, which synthesis must not merge, and one around them."""
    each = output_bits(graph, low, high)
    total = latency(graph, levels_per_stage)
    texts = []
    for index, single in enumerate(split(graph)):
        text = engine(single, f"{name}_{index}", low, high, levels_per_stage)
        if latency(single, levels_per_stage) != total:
            raise GraphError(f"{name}: output {index} has another latency than the engine")
        texts.append(text.replace("(* shreg", '(* keep_hierarchy = "yes" *)\n(* shreg', 1))
    size_in = graph.inputs * graph.input_bits
    count = len(graph.sums)
    lines = [
        f"// {count} outputs of {each} bits from {graph.inputs} inputs of {graph.input_bits} bits, "
        f"latency {total} cycles, nothing shared.",
        f"module {name} (",
        "    input  logic clk_i,",
        f"    input  logic [{size_in - 1}:0] x_i,",
        f"    output logic [{count * each - 1}:0] y_o",
        ");",
    ]
    for index in range(count):
        place = f"{index}" if each == 1 else f"{index * each} +: {each}"
        lines.append(f"  {name}_{index} i_{index} (.clk_i, .x_i, .y_o(y_o[{place}]));")
    lint = "/* verilator lint_{} DECLFILENAME */"
    return "\n".join([lint.format("off"), *texts, *lines, "endmodule", lint.format("on"), ""])
