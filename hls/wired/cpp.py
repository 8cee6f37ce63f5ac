"""Adder graphs as HLS C++: one pipelined function per engine, the same sums in the same order as the RTL."""

from __future__ import annotations

from hls.wired.cost import outputs
from hls.wired.graph import Add, Bit, Chain, Graph, Input, Select, Term, signed, width
from hls.wired.verilog import output_bits


def _type(bits: int, negative: bool) -> str:
    return f"ap_{'int' if negative else 'uint'}<{bits}>"


def _bit(graph: Graph, bit: Bit) -> str:
    if bit.node < 0:
        return "0" if bit.inverted else "1"
    text = f"n{bit.node}" if width(graph.nodes[bit.node]) == 1 else f"n{bit.node}[{bit.place}]"
    return f"!{text}" if bit.inverted else f"{text}"


def _term(graph: Graph, term: Term, size: int) -> str:
    text = f"ap_uint<{size}>({_bit(graph, term.bit)})"
    return f"({text} << {term.column})" if term.column else text


def _table(flips: int, passes: int) -> str:
    """Bit `pass` of a constant, in words of 64."""
    words = [f"0x{flips >> at & (1 << 64) - 1:x}ULL" for at in range(0, passes, 64)]
    text = words[-1]
    for index, word in reversed(list(enumerate(words[:-1]))):
        text = f"pass / 64 == {index} ? {word} : {text}"
    return f"((({text}) >> (pass % 64)) & 1)"


def engine(graph: Graph, name: str, low: int, high: int) -> str:
    """The function of a graph.

    `void name(const ap_uint<...> &x, ap_uint<...> &y)`: input vector and outputs, element 0 least significant; a
    folded engine's has `int pass` between them, and gives the pass' outputs.

    Args:
        graph: the engine.
        name: of the function.
        low: least value of an output, if the outputs are values.
        high: greatest value of an output.
    """
    each = output_bits(graph, low, high)
    numbers = outputs(graph)
    size_in, size_out = graph.inputs * graph.input_bits, len(numbers) * each
    lines = [
        f"// {len(numbers)} outputs of {each} bits from {graph.inputs} inputs of {graph.input_bits} bits.",
        f"inline void {name}(const ap_uint<{size_in}> &x, {'int pass, ' if graph.passes > 1 else ''}"
        f"ap_uint<{size_out}> &y) {{",
        "#pragma HLS pipeline II = 1",
    ]
    for number, node in enumerate(graph.nodes):
        size = width(node)
        if isinstance(node, Input):
            bits, at = graph.input_bits, node.position * graph.input_bits
            text = f"x[{at}]" if bits == 1 else f"x.range({at + bits - 1}, {at})"
            kind = "bool" if bits == 1 else _type(bits, True)
        elif isinstance(node, Chain):
            # a group is summed in brackets: its bits meet before the carry chain
            parts = [" + ".join(_term(graph, term, size) for term in group) for group in node.groups]
            parts = [f"({part})" for part in parts] + [_term(graph, term, size) for term in node.row]
            if node.carry is not None:
                parts.append(f"ap_uint<{size}>({_bit(graph, node.carry)})")
            text, kind = " + ".join(parts), "bool" if size == 1 else _type(size, False)
        elif isinstance(node, Add):
            wide = _type(size, signed(node))
            first, second = (
                f"({wide}(n{part}) << {shift})" if shift else f"{wide}(n{part})"
                for part, shift in ((node.a, node.shift_a), (node.b, node.shift_b))
            )
            text = f"{second} - {first}" if node.sign_a < 0 else f"{first} {'-' if node.sign_b < 0 else '+'} {second}"
            kind = wide
        elif isinstance(node, Select):
            text, kind = f"n{node.a} != bool{_table(node.flips, graph.passes)}", "bool"
        else:
            limit = str(node.thresholds[0])
            if len(node.thresholds) > 1:
                limit = f"t{number}[pass]"
                values = ", ".join(map(str, node.thresholds))
                lines.append(f"  static const int t{number}[{len(node.thresholds)}] = {{{values}}};")
            text, kind = f"{'!' if node.inverted else ''}(n{node.a} >= {limit})", "bool"
        lines.append(f"  const {kind} n{number} = {text};")
    for index, number in enumerate(numbers):
        if graph.results:
            lines.append(f"  y[{index}] = n{number};")
            continue
        text = f"ap_int<{each + 2}>({graph.offsets[index]})"
        if number >= 0:
            text += f" {'-' if graph.signs[index] < 0 else '+'} n{number}"
        lines.append(f"  y.range({index * each + each - 1}, {index * each}) = ap_uint<{each}>({text});")
    return "\n".join([*lines, "}", ""])
