"""Pragmas and dataflow regions: every rule on a snippet that breaks it, and the sources for every tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from hls.ap_types import find_ap_types
from hls.check import dataflow, llvm, pragmas, source
from hls.designs import DESIGNS
from hls.directives import DEFAULT_VERSION
from hls.render import TOP, render

GOOD = """
const int LANES = 4;
template <typename T>
T pick(const T table[8], int index) {
#pragma HLS INLINE
  return table[index & 7];
}
void top(int a[64], int* out) {
#pragma HLS INTERFACE mode=ap_memory port=a
#pragma HLS INTERFACE mode=s_axilite port=return bundle=control
  int sums[8] = {0}, rows[4][16];
#pragma HLS ARRAY_PARTITION variable=sums type=complete
#pragma HLS ARRAY_PARTITION variable=rows type=cyclic factor=LANES dim=2
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
  static int held[64];
outer:
  for (int i = 0; i < 64; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=a type=inter direction=RAW dependent=false
  inner:
    for (int k = 0; k < 8; ++k) {
#pragma HLS UNROLL
      sums[k] += a[i] * k;
    }
    held[i] = sums[i & 7] + pick(sums, i);
    rows[i & 3][i >> 2] = held[i];
  }
  *out = sums[3] + rows[1][2];
}
"""


def scan(text: str) -> source.Source:
    """Preprocessed text, read; it needs no compiler without includes."""
    return source.scan(f'# 1 "/tmp/snippet/top.cpp"\n{text}', [Path("/tmp/snippet")])


def faults(text: str, version: str = DEFAULT_VERSION) -> list[str]:
    """What is wrong with the pragmas of a snippet."""
    return pragmas.faults(scan(text), version, "top")


def test_a_good_unit_has_no_faults() -> None:
    assert faults(GOOD) == []
    found = scan(GOOD)
    assert [loop.label for loop in found.loops] == ["outer", "inner"]
    assert [function.name for function in found.functions] == ["pick", "top"]
    assert found.number("LANES", 0) == 4


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("HLS PIPELINE II=1", "HLS PIPELIN II=1", "not a pragma that is known"),
        ("HLS PIPELINE II=1", "HLS PIPELINE II=one", "expected an integer"),
        ("HLS PIPELINE II=1", "HLS PIPELINE interval=1", "no option of it"),
        ("HLS PIPELINE II=1", "HLS PIPELINE II=1 fast", "fast: no option of it"),
        ("HLS PIPELINE II=1", "HLS PIPELINE II=1 rewind style=frp", "exclude each other"),
        ("HLS UNROLL", "HLS UNROLL factor=", "expected an integer"),
        ("direction=RAW", "direction=RWA", "expected RAW, WAR, WAW"),
        ("type=complete", "type=total", "expected complete, cyclic, block"),
        ("type=complete", "type=complete factor=2", "takes no factor"),
        ("type=cyclic factor=LANES", "type=cyclic", "needs a factor"),
        ("factor=LANES", "factor=UNKNOWN", "expected an integer or the name of a constant"),
        ("type=ram_s2p impl=lutram", "impl=lutram", "type: missing"),
        ("type=ram_s2p impl=lutram", "type=ram_s2p impl=srl", "no implementation of ram_s2p"),
        ("ARRAY_PARTITION variable=sums type", "ARRAY_PARTITION type", "variable: missing"),
        ("mode=ap_memory", "mode=ap_ram", "mode=ap_ram: expected ap_none"),
        ("port=a\n", "port=b\n", "port b is no argument of top"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_options_are_those_that_are_documented(old: str, new: str, expected: str) -> None:
    assert GOOD.count(old) == 1
    found = faults(GOOD.replace(old, new))
    assert any(expected in line for line in found), found


def moved(line: str, before: str) -> str:
    """The good unit with a pragma moved before another line."""
    pragma = next(text for text in GOOD.splitlines(True) if line in text)
    return GOOD.replace(pragma, "").replace(before, pragma + before)


@pytest.mark.parametrize(
    ("line", "before", "expected"),
    [
        ("HLS INLINE", "template <", "outside of a function"),
        ("HLS INLINE", "  *out", "behind other statements"),
        ("HLS PIPELINE", "    held[i]", "behind other statements"),
        ("HLS UNROLL", "outer:", "expected that of a loop"),
        ("HLS ARRAY_PARTITION variable=sums", "  int sums", "stands before the definition of sums"),
        ("HLS ARRAY_PARTITION variable=sums", "      sums[k]", "not defined in the loop inner, expected beside"),
        ("HLS BIND_STORAGE", "  return table", "rows is not defined in pick"),
        ("HLS DEPENDENCE", "  return table", "a is neither a parameter nor a variable of pick"),
        ("HLS INTERFACE mode=ap_memory", "  return table", "expected in the top top"),
    ],
)
def test_pragmas_stand_where_they_may(line: str, before: str, expected: str) -> None:
    assert before in GOOD
    found = faults(moved(line, before))
    assert any(expected in text for text in found), found


def test_a_parameter_is_bound_where_it_is_defined() -> None:
    bound = "#pragma HLS BIND_STORAGE variable=table type=ram_1p\n"
    found = faults(GOOD.replace("  return table", f"{bound}  return table"))
    assert any("table is a parameter of pick" in line for line in found), found


def test_loops_are_named() -> None:
    assert any("a loop without a label" in line for line in faults(GOOD.replace("outer:\n", "")))
    twice = GOOD.replace("  *out", "outer:\n  for (int i = 0; i < 4; ++i) {\n    a[i] = 0;\n  }\n  *out")
    assert any("label outer: line" in line for line in faults(twice))


@pytest.mark.parametrize(("version", "known"), [("2019.2", False), ("2020.2", False), ("2021.1", True)])
def test_options_have_the_version_that_brought_them(version: str, known: bool) -> None:
    found = faults(GOOD, version)
    assert any("type=complete: no option of it" in line for line in found) != known


@pytest.mark.parametrize("version", ["2019.2", "2020.2", "2021.1", "2022.2", "2024.2"])
def test_the_sources_for_every_tool(version: str, tmp_path: Path) -> None:
    """Every pragma of the rendered core is one that its tool documents, and stands where it may."""
    ap_types = find_ap_types()
    assert ap_types is not None
    for path, text in render(DESIGNS["pynq_z1"], version).items():
        if path.startswith("hls/"):
            (tmp_path / path[4:]).write_text(text)
    found = source.scan(llvm.preprocess(tmp_path / f"{TOP}.cpp", ap_types), [tmp_path])
    assert len(found.pragmas) > 80 and len(found.loops) > 40
    assert pragmas.faults(found, version, TOP) == []


# ---- dataflow -----------------------------------------------------------------------------------

FLOW = """
#include <hls_stream.h>
typedef hls::stream<int> Stream;
void produce(const int* in, int n, Stream& a, int buffer[16]) {
  for (int i = 0; i < n; ++i) a.write(in[i]);
  for (int i = 0; i < 16; ++i) buffer[i] = i;
}
void work(Stream& a, const int buffer[16], int n, Stream& b) {
  for (int i = 0; i < n; ++i) b.write(a.read() + buffer[i & 15]);
}
void consume(Stream& b, int n, int* out) {
  for (int i = 0; i < n; ++i) out[i] = b.read();
}
int late(const int buffer[16]) { return buffer[3]; }
void back(Stream& a) { a.write(1); }
void top(const int* in, int n, int* out) {
#pragma HLS DATAFLOW
  Stream a, b;
  int buffer[16];
  produce(in, n, a, buffer);
  work(a, buffer, n, b);
  consume(b, n, out);
}
"""


def regions(folder: Path, text: str) -> list[dataflow.Region]:
    """The dataflow regions of a snippet."""
    path = folder / "top.cpp"
    path.write_text(text)
    ap_types = find_ap_types()
    assert ap_types is not None
    found = source.scan(llvm.preprocess(path, ap_types), [folder])
    return dataflow.regions(llvm.translate(path, ap_types), found)


def test_a_canonical_region(tmp_path: Path) -> None:
    (region,) = regions(tmp_path, FLOW)
    assert region.processes == ["produce", "work", "consume"] and region.faults == []
    assert {one.name: (one.writers, one.readers) for one in region.channels if one.kind != "argument"} == {
        "a": ((0,), (1,)),
        "b": ((1,), (2,)),
        "buffer": ((0,), (1,)),
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  consume(b", "  if (n > 2) consume(b", "conditions around processes"),
        ("  consume(b, n, out);", "  consume(b, n, out);\n  back(a);", "a: stream written by produce and back"),
        ("  consume(b, n, out);", "  consume(b, n, out);\n  consume(a, n, out);", "a: stream read by work and consume"),
        ("  consume(b, n, out);", "", "b: stream read by nobody"),
        (
            "  produce(in, n, a, buffer);\n  work(a, buffer, n, b);",
            "  work(a, buffer, n, b);\n  produce(in, n, a, buffer);",
            "a: stream from produce back to work",
        ),
        (
            "  work(a, buffer, n, b);",
            "  consume(a, n, out);\n  Stream c;\n  work(c, buffer, n, b);",
            "buffer: array from produce past consume to work",
        ),
        ("  consume(b, n, out);", "  consume(b, n, out);\n  out[0] = late(out);", "late returns a value"),
        (
            "  consume(b, n, out);",
            "  consume(b, n, out);\n  produce(out, n, a, out);",
            "argument written by consume and produce",
        ),
    ],
    ids=["condition", "two producers", "two consumers", "no consumer", "feedback", "bypass", "value", "two writers"],
)
def test_regions_that_are_not_canonical(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert FLOW.count(old) == 1
    found = [line for region in regions(tmp_path, FLOW.replace(old, new)) for line in region.faults]
    assert any(expected in line for line in found), found
