"""Stand-ins for the tools of the vendor, and the reports that those write."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hls import build
from hls.check.figures import Figures

CSYNTH_XML = """<?xml version="1.0" encoding="UTF-8"?>
<profile>
  <section name="Vitis HLS Report for 'bnn_top'" level="0"/>
  <ReportVersion><Version>2022.2</Version></ReportVersion>
  <UserAssignments>
    <unit>ns</unit><ProductFamily>zynq</ProductFamily><Part>xc7z020-clg400-1</Part>
    <TopModelName>bnn_top</TopModelName><TargetClockPeriod>10.00</TargetClockPeriod>
    <ClockUncertainty>2.70</ClockUncertainty><FlowTarget>vivado</FlowTarget>
  </UserAssignments>
  <PerformanceEstimates>
    <PipelineType>no</PipelineType>
    <SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>7.300</EstimatedClockPeriod></SummaryOfTimingAnalysis>
    <SummaryOfOverallLatency>
      <unit>clock cycles</unit><Best-caseLatency>17</Best-caseLatency><Average-caseLatency>undef</Average-caseLatency>
      <Worst-caseLatency>undef</Worst-caseLatency><Interval-min>18</Interval-min><Interval-max>undef</Interval-max>
    </SummaryOfOverallLatency>
    <SummaryOfLoopLatency>
      <layers><TripCount>undef</TripCount><Latency>undef</Latency><IterationLatency>undef</IterationLatency>
        <step><TripCount>undef</TripCount><Latency>undef</Latency><PipelineII>1</PipelineII>
          <PipelineDepth>14</PipelineDepth></step>
      </layers>
      <words><TripCount>16</TripCount><Latency>17</Latency><PipelineII>1</PipelineII><PipelineDepth>3</PipelineDepth></words>
    </SummaryOfLoopLatency>
  </PerformanceEstimates>
  <AreaEstimates>
    <Resources><BRAM_18K>201</BRAM_18K><DSP>23</DSP><FF>21034</FF><LUT>38912</LUT><URAM>0</URAM></Resources>
    <AvailableResources><BRAM_18K>280</BRAM_18K><DSP>220</DSP><FF>106400</FF><LUT>53200</LUT><URAM>0</URAM></AvailableResources>
  </AreaEstimates>
</profile>
"""


UTILIZATION = """Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
| Tool Version : Vivado v.2022.2 (lin64) Build 3671981
| Command      : report_utilization -file utilization.txt
| Device       : xc7z020clg400-1

1. Slice Logic
--------------

+----------------------------+-------+-------+------------+-----------+-------+
|          Site Type         |  Used | Fixed | Prohibited | Available | Util% |
+----------------------------+-------+-------+------------+-----------+-------+
| Slice LUTs                 | 35210 |     0 |          0 |     53200 | 66.18 |
|   LUT as Logic             | 33001 |     0 |          0 |     53200 | 62.03 |
| Slice Registers            | 24876 |     0 |          0 |    106400 | 23.38 |
|   Register as Flip Flop    | 24876 |     0 |          0 |    106400 | 23.38 |
+----------------------------+-------+-------+------------+-----------+-------+

2. Memory
---------

+-------------------+-------+-------+------------+-----------+-------+
|     Site Type     |  Used | Fixed | Prohibited | Available | Util% |
+-------------------+-------+-------+------------+-----------+-------+
| Block RAM Tile    | 101.5 |     0 |          0 |       140 | 72.50 |
|   RAMB36/FIFO*    |    64 |     0 |          0 |       140 | 45.71 |
+-------------------+-------+-------+------------+-----------+-------+

3. DSP
------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |   23 |     0 |          0 |       220 | 10.45 |
+----------------+------+-------+------------+-----------+-------+
"""


TIMING = """------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------
      0.214        0.000                      0                61234        0.021        0.000                      0

All user specified timing constraints are met.
"""


# A stand-in leaves what the tool leaves for the stage, and what it was called with in a log. `FAIL` names a
# stage that fails, `OMIT` one that leaves nothing. The timing of an attempt is DATA/timing-ATTEMPT, else
# DATA/timing.txt; it is not routed where the former is empty.
TOOL = r"""#!/bin/sh
stage="${BNN_STAGES:-$4}"
case "$4" in
  package_rtl.tcl) stage=package ;;
  build.tcl) stage=project ;;
  implement.tcl) stage="implement-$BNN_ATTEMPT"; more=" $BNN_STRATEGY" ;;
  clock.tcl) stage="$BNN_ATTEMPT"; more=" $BNN_FROM $BNN_PERIOD ns" ;;
  bitstream.tcl) stage=bitstream; more=" $BNN_MHZ MHz" ;;
esac
echo "$(basename "$0") $* [$stage] $(basename "$PWD") ${BNN_COUNT:-0}$more" >> "$LOG"
echo "working on $stage"
if [ "$stage" = "$FAIL" ]; then echo "ERROR: [X 1-1] it broke"; exit 3; fi
if [ "$stage" = "$OMIT" ]; then exit 0; fi
attempt() {
  mkdir -p "../attempts/$BNN_ATTEMPT"; echo "status" > "../attempts/$BNN_ATTEMPT/status.txt"
  given="$DATA/timing-$BNN_ATTEMPT"; [ -f "$given" ] || given="$DATA/timing.txt"
  if [ -s "$given" ]; then
    cp "$given" "../attempts/$BNN_ATTEMPT/timing.txt"; cp "$DATA/utilization.txt" "../attempts/$BNN_ATTEMPT"
  fi
}
case "$stage" in
  csim) mkdir -p bnn_hls/solution/csim/build
    [ -f csim/golden.bin ] && cat csim/golden.bin csim/golden.bin > bnn_hls/solution/csim/build/scores.bin
    [ -n "$SCORES" ] && printf "$SCORES" > bnn_hls/solution/csim/build/scores.bin ;;
  csynth) mkdir -p bnn_hls/solution/syn/report; cp "$DATA/csynth.xml" bnn_hls/solution/syn/report ;;
  cosim) mkdir -p bnn_hls/solution/sim/report ;;
  export) mkdir -p bnn_hls/solution/impl/ip; echo x > bnn_hls/solution/impl/ip/component.xml ;;
  package) mkdir -p ip; echo x > ip/component.xml ;;
  project) mkdir -p project; echo x > project/bnn.xpr ;;
  implement-*|clock-*) attempt ;;
  bitstream) mkdir -p ../bitstream; cp "../attempts/$BNN_ATTEMPT/timing.txt" "$DATA/utilization.txt" ../bitstream
    echo x > "../bitstream/$DESIGN.bit"
    echo "<S><PARAMETER NAME='$ACTUAL' VALUE='${HWH_MHZ:-$BNN_MHZ}'/></S>" > "../bitstream/$DESIGN.hwh" ;;
esac
exit 0
"""


class Tools:
    """Stand-ins on PATH and the log of their calls."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.out, self.log, self.monkeypatch = folder, folder / "a build", folder / "log", monkeypatch
        (folder / "bin").mkdir()
        (folder / "data").mkdir()
        for name, text in (("csynth.xml", CSYNTH_XML), ("timing.txt", TIMING), ("utilization.txt", UTILIZATION)):
            (folder / "data" / name).write_text(text)
        for name in ("FAIL", "OMIT", "SCORES", "HWH_MHZ", *(name for name in os.environ if name.startswith("BNN_"))):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DESIGN", "pynq_z1_hls")
        monkeypatch.setenv("ACTUAL", "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ")
        monkeypatch.setenv("LOG", str(self.log))
        monkeypatch.setenv("DATA", str(folder / "data"))
        programs = {os.path.dirname(shutil.which(name) or name) for name in ("sh", "mkdir", "cp", "cat", "basename")}
        monkeypatch.setenv("PATH", os.pathsep.join([str(folder / "bin"), *sorted(programs)]))

    def add(self, *names: str) -> None:
        for name in names:
            path = self.folder / "bin" / name
            path.write_text(TOOL)
            path.chmod(0o755)

    def slack(self, attempt: str, wns: float, whs: float = 0.021) -> None:
        """What Vivado will report of an attempt."""
        text = TIMING.replace("      0.214 ", f"{wns:11.3f} ").replace("        0.021 ", f"{whs:13.3f} ")
        (self.folder / "data" / f"timing-{attempt}").write_text(text)

    def run(self, *options: str) -> int:
        design = [] if "--design" in options else ["--design", "pynq_z1_hls"]  # of either back end
        return build.main(["-o", str(self.out), *design, *options])

    def stages(self) -> list[str]:
        """The stages that ran since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.split("[")[1].split("]")[0] for line in lines]


FIGURES = Figures(
    loops={
        "step": (1, 18),
        "command": (1, 3),
        "group_weights": (1, 3),
        "unpack": (1, 7),
        "slots": (1, 13),
        "packed": (1, 4),
        "copy": (1, 9),
        "values": (1, 2),
    },
    memories=[
        ("act", 32, 4096, 16, "bram"),
        ("kernels", 16, 32, 64, "lutram"),
        ("buffer", 1, 1024, 32, ""),
        ("buffer", 1, 1024, 32, ""),
    ],
    fifos=[("orders", 8, 32), ("beats", 512, 64)],
    buffers=[("gmem read", 128)],
    dot_lut=100,
)
"""Of a core that there is not."""
