"""The II calculator on loops whose II is published or follows from the documents, and on the core as it was before."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from hls.ap_types import find_ap_types
from hls.check import delays, llvm, loops
from hls.check.__main__ import main
from hls.designs import DESIGNS
from hls.render import TOP, render

ROOT = Path(__file__).resolve().parent.parent
ZYNQ = "xc7z020clg400-1"

# the loops are ours, in the form of the examples that the table below names
LOOPS = """
#include <ap_int.h>
#include <hls_stream.h>

#define PIPELINED(name) name: for (int i = 0; i < 60; ++i)

void delay_line(int line[64], const int from[64], const int to[64]) {
PIPELINED(delay_line) {
#pragma HLS PIPELINE II=1
    line[to[i]] = line[from[i]];
  }
}
void delay_line_waived(int line[64], const int from[64], const int to[64]) {
PIPELINED(delay_line_waived) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=line type=inter direction=RAW dependent=false
    line[to[i]] = line[from[i]];
  }
}
void three_reads(const int mem[64], int& sum) {
PIPELINED(three_reads) {
#pragma HLS PIPELINE II=1
    sum += mem[i + 2] + mem[i + 1] + mem[i];
  }
}
void one_read(const int mem[64], int& sum) {
  int last = mem[0], before = mem[1];
PIPELINED(one_read) {
#pragma HLS PIPELINE II=1
    const int next = mem[i + 2];
    sum += next + last + before;
    before = last;
    last = next;
  }
}
void product_sum(const int mem[64], int& sum) {
PIPELINED(product_sum) {
#pragma HLS PIPELINE II=1
    sum += mem[i] * i;
  }
}
void fifo_writes(hls::stream<int>& out, int base) {
PIPELINED(fifo_writes) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < 16; ++k) {
#pragma HLS UNROLL
      out.write(base + k);
    }
  }
}
void exit_product(int start, int limit, int& out) {
  int x = start;
exit_product:
  while (ap_int<64>(x) * x * x < limit) {
#pragma HLS PIPELINE II=1
    x += 3;
  }
  out += x;
}
void exit_sum(int start, int limit, int& out) {
  int x = start;
exit_sum:
  while (x < limit) {
#pragma HLS PIPELINE II=1
    x += 3;
  }
  out += x;
}
void previous(int a[64]) {
PIPELINED(previous) {
#pragma HLS PIPELINE II=1
    a[i + 1] = a[i] + 5;
  }
}
void stated_distance(int a[64], const int from[64], const int to[64]) {
PIPELINED(stated_distance) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=a type=inter dependent=true distance=4
    a[to[i]] = a[from[i]] + 5;
  }
}
void four_before(int a[64]) {
PIPELINED(four_before) {
#pragma HLS PIPELINE II=1
    a[i + 4] = a[i] + 5;
  }
}
void in_place(int a[64]) {
PIPELINED(in_place) {
#pragma HLS PIPELINE II=1
    a[i] += 5;
  }
}
void store_first(int a[64], int b[64], int& sum) {
PIPELINED(store_first) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=a type=inter dependent=false
    a[b[i]] = sum;
    sum += a[b[i] ^ i];
  }
}
void store_last(int a[64], int b[64], int& sum) {
PIPELINED(store_last) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=a type=inter dependent=false
    const int next = a[b[i] ^ i];
    a[b[i]] = sum;
    sum += next;
  }
}
void store_first_waived(int a[64], int b[64], int& sum) {
PIPELINED(store_first_waived) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=a type=inter dependent=false
#pragma HLS DEPENDENCE variable=a type=intra dependent=false
    a[b[i]] = sum;
    sum += a[b[i] ^ i];
  }
}
void eight_reads(int from, int& sum) {
  static int plain[8][64], parted[8][64], cyclic[512], blocks[512];
#pragma HLS ARRAY_PARTITION variable=parted type=complete dim=1
#pragma HLS ARRAY_PARTITION variable=cyclic type=cyclic factor=8
#pragma HLS ARRAY_PARTITION variable=blocks type=block factor=8
PIPELINED(plain_reads) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < 8; ++k) sum += plain[k][(i + from) & 63];
  }
PIPELINED(parted_reads) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < 8; ++k) sum += parted[k][(i + from) & 63];
  }
PIPELINED(cyclic_reads) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < 8; ++k) sum += cyclic[8 * i + k];
  }
PIPELINED(block_reads) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < 8; ++k) sum += blocks[8 * i + k];
  }
}
void storages(const int in[64], int& sum) {
  static int single[64], simple[64], open[64];
#pragma HLS BIND_STORAGE variable=single type=ram_1p impl=bram
#pragma HLS BIND_STORAGE variable=simple type=ram_s2p impl=bram
PIPELINED(single_port) {
#pragma HLS PIPELINE II=1
    single[i] = in[i];
    sum += single[i + 4];
  }
PIPELINED(simple_dual_port) {
#pragma HLS PIPELINE II=1
    sum += simple[i + 4];
    simple[i] = in[i];
  }
PIPELINED(two_writes) {
#pragma HLS PIPELINE II=1
    simple[i] = in[i];
    simple[i + 64] = sum;
  }
PIPELINED(either_write) {
#pragma HLS PIPELINE II=1
    if (in[i] > 0) open[i] = in[i];
    else open[i + 1] = sum;
    sum += open[i + 2];
  }
}
void registers(int& sum) {
  int held[16];
#pragma HLS ARRAY_PARTITION variable=held type=complete
  for (int k = 0; k < 16; ++k) {
#pragma HLS UNROLL
    held[k] = sum + k;
  }
PIPELINED(registers) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < 15; ++k) held[k] = held[k + 1];
    held[15] = sum;
    sum = held[i & 15];
  }
}
void unrolled_not(const int in[64], int n, int& sum) {
PIPELINED(inner_loop) {
#pragma HLS PIPELINE II=1
    for (int k = 0; k < n; ++k) sum += in[k];
  }
}
void bursts(const int* one, const int* other, int& sum) {
PIPELINED(one_bundle) {
#pragma HLS PIPELINE II=1
    sum += one[i] + other[i];
  }
}
void chains(int rows, int columns, int words, unsigned& sum) {
  int c = 0, x = 0, y = 0;
PIPELINED(nested_counters) {
#pragma HLS PIPELINE II=1
    sum += unsigned(y);
    if (++c == words) {
      c = 0;
      if (++x == columns) {
        x = 0;
        y += y < rows ? 1 : -rows;
      }
    }
  }
  bool last = words == 1;
PIPELINED(flag_ahead) {
#pragma HLS PIPELINE II=1
    sum += unsigned(x);
    x += last ? 1 : 0;
    const int next = last ? 0 : c + 1;
    last = last ? words == 1 : c == words - 2;
    c = next;
  }
}

void top(int seed, const int* one, const int* other, int* out) {
#pragma HLS INTERFACE mode=m_axi port=one bundle=memory
#pragma HLS INTERFACE mode=m_axi port=other bundle=memory
#pragma HLS INTERFACE mode=m_axi port=out bundle=results
  static int a[64], b[64], c[64], d[64], e[64], f[64], g[64], h[64], from[64], to[64];
  hls::stream<int> fifo;
  int sum = seed;
  unsigned count = 0;
  delay_line(a, from, to);
  delay_line_waived(b, from, to);
  three_reads(c, sum);
  one_read(c, sum);
  product_sum(c, sum);
  fifo_writes(fifo, sum);
  exit_product(sum, seed, sum);
  exit_sum(sum, seed, sum);
  previous(d);
  stated_distance(d, from, to);
  four_before(e);
  in_place(f);
  store_first(g, from, sum);
  store_last(g, from, sum);
  store_first_waived(h, from, sum);
  eight_reads(seed, sum);
  storages(from, sum);
  registers(sum);
  unrolled_not(from, seed, sum);
  bursts(one, other, sum);
  chains(seed, sum, sum ^ seed, count);
  *out = sum + int(count);
}
"""


def check(folder: Path, text: str, period_ns: float) -> dict[str, loops.LoopReport]:
    """The loops of a translation unit with the function `top`, by label."""
    path = folder / "top.cpp"
    path.write_text(text)
    ap_types = find_ap_types()
    assert ap_types is not None
    return {one.label: one for one in loops.check(path, "top", ap_types, period_ns, ZYNQ).loops}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, loops.LoopReport]:
    """The loops above at 10 ns."""
    return check(tmp_path_factory.mktemp("known"), LOOPS, 10.0)


@pytest.mark.parametrize(
    ("label", "interval", "binds", "_source"),
    [
        ("delay_line", 2, "recurrence store a -> load a", "AMD answer record 51269: final II 2"),
        ("delay_line_waived", 1, "", "the same, after the pragma"),
        ("three_reads", 2, "3 reads", "UG1399, Array Accesses and Performance: final II 2, limited memory ports"),
        ("one_read", 1, "", "the same, mem_bottleneck_resolved: II 1"),
        ("product_sum", 1, "", "Vitis-HLS-Introductory-Examples, Pipelining/Loops: II 1"),
        ("fifo_writes", 16, "16 writes", "UG1448, HLS 200-880: accesses to a stream follow each other"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_published_loops(
    known: dict[str, loops.LoopReport], label: str, interval: int, binds: str, _source: str
) -> None:
    one = known[label]
    assert one.error == "" and one.interval == interval, one
    assert all(part in one.reason for part in binds.split(" -> ")), one.reason


@pytest.mark.parametrize(
    ("label", "interval", "binds"),
    [
        ("exit_product", 9, "exit test"),  # products of three and of five edges, and a comparison
        ("exit_sum", 1, ""),
        ("previous", 3, "recurrence"),  # a read, its sum to be written, the next read
        ("stated_distance", 1, ""),
        ("four_before", 1, ""),
        ("in_place", 1, ""),
        ("store_first", 3, "recurrence"),  # a write, a read after it, the sum before the next write
        ("store_last", 1, ""),
        ("store_first_waived", 1, ""),
        ("plain_reads", 4, "8 reads"),
        ("parted_reads", 1, ""),
        ("cyclic_reads", 1, ""),
        ("block_reads", 4, "8 reads"),
        ("single_port", 2, "1 reads and 1 writes"),
        ("simple_dual_port", 1, ""),
        ("two_writes", 2, "2 writes"),
        ("either_write", 1, ""),
        ("registers", 1, ""),
        ("one_bundle", 2, "2 reads"),
        ("flag_ahead", 1, ""),
    ],
)
def test_loops_by_the_documents(known: dict[str, loops.LoopReport], label: str, interval: int, binds: str) -> None:
    one = known[label]
    assert one.error == "" and one.interval == interval, one
    assert binds in one.reason
    assert bool(one.faults) == (interval > 1)


def test_an_inner_loop_that_stays(known: dict[str, loops.LoopReport]) -> None:
    assert "is not unrolled" in known["inner_loop"].error
    assert any("inner_loop" in line and "not unrolled" in line for line in known["inner_loop"].faults)


def test_the_binding_line_is_that_of_the_source(known: dict[str, loops.LoopReport]) -> None:
    line = next(number for number, text in enumerate(LOOPS.split("\n"), 1) if "a[i + 1] = a[i] + 5" in text)
    assert {place.line for place in known["previous"].places} == {line}
    assert f"top.cpp:{line}" in known["previous"].faults[0]


def test_a_faster_clock_holds_less(tmp_path: Path, known: dict[str, loops.LoopReport]) -> None:
    """Counters that wait for each other fit 10 ns and not 7; a flag one step ahead fits both."""
    assert known["nested_counters"].interval == 1
    fast = check(tmp_path, LOOPS, 7.0)
    assert fast["nested_counters"].interval == 2 and "recurrence" in fast["nested_counters"].reason
    assert fast["flag_ahead"].interval == 1
    assert known["flag_ahead"].longest < known["nested_counters"].longest <= loops.budget(10.0)


def test_instructions_are_limited(known: dict[str, loops.LoopReport]) -> None:
    large = dataclasses.replace(known["one_read"], instructions=delays.INSTRUCTIONS + 1)
    assert known["one_read"].faults == []
    assert any("instructions, expected at most" in line for line in large.faults)


def test_results_are_kept_by_content(tmp_path: Path) -> None:
    path = tmp_path / "top.cpp"
    ap_types = find_ap_types()
    assert ap_types is not None
    text = """void top(int* out) {
  int a = 0;
steps:
  for (int i = 0; i < 9; ++i) {
#pragma HLS PIPELINE II=1
    a += i * out[0];
  }
  *out = a;
}
"""
    found = []
    for source in (text, text, text.replace("i < 9", "i < 8")):
        path.write_text(source)
        found.append(loops.check(path, "top", ap_types, 7.0, ZYNQ, tmp_path / "ir"))
    assert found[0] == found[1]
    assert len(list((tmp_path / "ir").glob("folded-*"))) == 2


def test_a_source_that_does_not_compile(tmp_path: Path) -> None:
    with pytest.raises(llvm.CompileError, match="undeclared"):
        check(tmp_path, "void top(int* out) { *out = missing; }", 7.0)
    with pytest.raises(llvm.CompileError, match="function top: not found"):
        check(tmp_path, "void other(int* out) { *out = 1; }", 7.0)


# ---- the project's core -------------------------------------------------------------------------

BEFORE = "67b67a1"
"""The last commit whose core stored before it loaded."""
DESIGN_BEFORE = """#ifndef BNN_DESIGN_H
#define BNN_DESIGN_H
namespace bnn {
constexpr int PE = 8, SIMD = 32, LANES = 4, WEIGHT_DEPTH = 512, ACT_DEPTH = 4096, IMAGE_PIXELS = 1024;
constexpr int FIRST_PE = 4;
constexpr int MAX_LAYERS = 16, MAX_CHANNELS = 4, FIRST_CHANNELS = 512, ACC_BITS = 16, MAX_BATCH = 1024;
}
#endif
"""
_HISTORY = subprocess.run(["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, capture_output=True)


@pytest.mark.skipif(_HISTORY.returncode != 0, reason="the repository's history is not there")
def test_the_core_before(tmp_path: Path) -> None:
    """`step` stored to the activation memory before it loaded from it: II 6 to 9 by hand, and long counter chains."""
    names = subprocess.run(
        ["git", "ls-tree", "--name-only", f"{BEFORE}:hw_templates/hls"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    for name in names:
        text = subprocess.run(
            ["git", "show", f"{BEFORE}:hw_templates/hls/{name}"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        (tmp_path / name).write_text(text)
    (tmp_path / "bnn_design.h").write_text(DESIGN_BEFORE)
    ap_types = find_ap_types()
    assert ap_types is not None
    found = {one.label: one for one in loops.check(tmp_path / "bnn_top.cpp", "bnn_top", ap_types, 7.0, ZYNQ).loops}
    assert 6 <= found["step"].interval <= 9
    assert "store act" in found["step"].reason and "load act" in found["step"].reason
    assert found["slots"].interval > 1 and found["group_weights"].interval > 1
    assert found["copy"].interval == found["values"].interval == 1


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The C++ of the small design by name of the file."""
    return {path[4:]: text for path, text in render(DESIGNS["sim_small"]).items() if path.startswith("hls/")}


def check_core(folder: Path, files: dict[str, str]) -> loops.Report:
    """The small design's core at the clock of the PYNQ-Z1's."""
    for name, text in files.items():
        (folder / name).write_text(text)
    ap_types = find_ap_types()
    assert ap_types is not None
    return loops.check(folder / f"{TOP}.cpp", TOP, ap_types, 7.0, ZYNQ)


def test_the_core_is_accepted(tmp_path: Path, core: dict[str, str]) -> None:
    report = check_core(tmp_path, core)
    assert report.faults == []
    assert {"step", "command", "group_weights", "slots", "unpack", "copy"} <= {one.label for one in report.loops}
    assert all(one.interval == 1 and one.depth > 0 for one in report.loops)


@pytest.mark.slow
def test_the_design_of_the_board_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """`bnn check`: a line per pipelined loop, and no fault."""
    assert main(["--design", "pynq_z1", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    (step,) = [line.split() for line in printed.out.splitlines() if " step " in line]
    assert int(step[2]) <= delays.INSTRUCTIONS and step[3:6] == ["1", "1", "1"]


FETCH = """    if (compute || reads) {
      fetch(f, at, reads, shortcut_address(f, at, shortcut) + added_word, weight, act, weights, read, columns, vectors);
    }
"""
STORED = "    receive_weights(weights_in, ring, weights);\n\n    // One word of the sums"
MUTANTS = {
    "store before load": (
        "bnn_array.h",
        [(FETCH, ""), (STORED, STORED.replace("\n\n", f"\n{FETCH}\n", 1))],
        "step",
        ("recurrence", "store act", "load act"),
    ),
    "multiply in the exit": (
        "bnn_array.h",
        [
            (
                "while (more || leaving.on) {",
                "while ((more || leaving.on) && at.image.value * at.row.value * cycles != 77) {",
            )
        ],
        "step",
        ("exit test", "mul"),
    ),
    "weights in one memory": (
        "bnn_array.h",
        [("#pragma HLS ARRAY_PARTITION variable=weights type=complete dim=1", "//")],
        "step",
        ("weights", "reads"),
    ),
    "accumulators in a memory": (
        "bnn_array.h",
        [("#pragma HLS ARRAY_PARTITION variable=acc ", "// ")],
        "step",
        ("acc",),
    ),
    "counters that wait": (
        "bnn_loop.h",
        [("counter.last = next_last;", "counter.last = counter.value + (counter.value >> 1) >= limit.before;")],
        "step",
        ("recurrence", "add"),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_the_core_are_caught(name: str, tmp_path: Path, core: dict[str, str]) -> None:
    file, changes, label, binds = MUTANTS[name]
    text = core[file]
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (one,) = [one for one in check_core(tmp_path, {**core, file: text}).loops if one.label == label]
    assert one.interval > 1 and one.faults, one
    assert all(part in one.reason for part in binds), one.reason
