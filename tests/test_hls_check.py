"""The II calculator on loops whose II is published or follows from the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from hls.ap_types import find_ap_types
from hls.check import loops

PERIOD_NS = 20.0


def check(folder: Path, text: str, period_ns: float = PERIOD_NS) -> dict[str, loops.LoopReport]:
    """The loops of a translation unit with the function `top`, by label."""
    path = folder / "top.cpp"
    path.write_text("#include <ap_int.h>\n#include <hls_stream.h>\n" + text)
    ap_types = find_ap_types()
    assert ap_types is not None
    return {one.label: one for one in loops.check(path, "top", ap_types, period_ns, "xc7z020clg400-1").loops}


LOOPS = """
void previous(int a[64]) {
previous:
  for (int i = 1; i < 64; ++i) {
#pragma HLS PIPELINE II=1
    a[i] = a[i - 1] * 2;
  }
}
void sum_of_three(const int a[64], int& sum) {
sum_of_three:
  for (int i = 2; i < 64; ++i) {
#pragma HLS PIPELINE II=1
    sum += a[i] + a[i - 1] + a[i - 2];
  }
}
void histogram(const int values[64], int counts[64]) {
histogram:
  for (int i = 0; i < 64; ++i) {
#pragma HLS PIPELINE II=1
    ++counts[values[i] & 63];
  }
}
void histogram_waived(const int values[64], int counts[64]) {
histogram_waived:
  for (int i = 0; i < 64; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=counts type=inter dependent=false
    ++counts[values[i] & 63];
  }
}
void gcd(int& a, int& b) {
  int x = a, y = b;
gcd:
  while (x != y) {
#pragma HLS PIPELINE II=1
    if (x > y) x -= y; else y -= x;
  }
  a = x;
}
void top(int seed, int& out) {
  static int a[64], b[64], c[64], d[64], e[64];
  int sum = seed, x = seed, y = out;
  previous(a);
  sum_of_three(b, sum);
  histogram(c, d);
  histogram_waived(c, e);
  gcd(x, y);
  out = sum + x + a[seed & 63] + d[seed & 63] + e[seed & 63];
}
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, loops.LoopReport]:
    return check(tmp_path_factory.mktemp("known"), LOOPS)


@pytest.mark.parametrize(("label", "interval"), [
    ("sum_of_three", 2), ("histogram", 2), ("histogram_waived", 1)])
def test_known_loops(known: dict[str, loops.LoopReport], label: str, interval: int) -> None:
    assert known[label].interval == interval, known[label]
