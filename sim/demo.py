"""`bnn sim`: a trained model on real images, golden model against the HLS and the RTL core."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from bnn import golden
from bnn.command import Command, positive
from bnn.model import load
from bnn.output import each, note, result
from bnn.paths import BUILD
from bnn.samples import read_images
from bnn.text import label_text
from hls import designs, program, schedule
from hls.options import add_first_layer, first_layer
from sim import hls_csim, rtl_sim
from sim.compare import by_name, differences, written
from sim.core_io import same_runs

ROOT = Path(__file__).resolve().parent.parent


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, nargs="?", default=ROOT / "models" / "cnv.npz")
    parser.add_argument("--images", type=Path, help=".npz with x and, if known, labels y; .npy; default shipped ones")
    parser.add_argument("--limit", type=positive, default=16, help="images (default 16)")
    designs.add_option(parser)
    add_first_layer(parser)
    parser.add_argument("-o", "--output", type=Path, default=BUILD / "demo")


def _run(arguments: argparse.Namespace) -> int:
    def step(text: str) -> None:
        note(f"demo: {text} [{time.time() - started:.1f} s]")

    started = time.time()
    model = load(arguments.model)
    design = designs.find(arguments.design)
    images, labels = read_images(model, arguments.images, arguments.limit)
    placed = schedule.plan(model, design, len(images))
    content = program.pack(placed)
    step(f"planned {model.name} for {design.name}: {len(content)} bytes of program")
    wired = first_layer(arguments.first_layer, arguments.model, design)
    hls = hls_csim.build(design, arguments.output / "hls", first=wired)
    step("built the HLS C simulation")
    results = {"HLS": hls.run(content, images)}
    step("ran the HLS C simulation twice, back to back")
    step("building the RTL simulation; a first build takes a minute or two")
    rtl = rtl_sim.build(design, arguments.output / "rtl", first=wired)
    step("built the RTL simulation")
    runs = rtl.sequence([rtl_sim.Job(content, images), rtl_sim.Job(content, images, keep=True)])
    for run in runs:
        if run.stats.error:
            raise rtl_sim.RtlSimError(f"RTL core: error code {run.stats.error}")
    different = same_runs([run.scores for run in runs], [run.traces for run in runs])
    if different:
        raise rtl_sim.RtlSimError(f"RTL core: {different}")
    results["RTL"] = runs[0].scores, runs[0].traces
    step("ran the RTL simulation twice, back to back, the second time with the program kept in the core")
    found = golden.trace(model, images)
    golden_scores, expected = found[model.layers[-1].name], written(placed, found)
    named = {core: by_name(placed, traces) for core, (_, traces) in results.items()}
    exact = 0
    known = [] if labels is None else ["label"]
    width = max(len(name) for name in (*model.classes, "golden"))
    result("  ".join(f"{title:{width}}" for title in ("image", *known, "golden", *results)) + "  bit-exact")
    for index in range(len(images)):
        one = slice(index, index + 1)
        label = [] if labels is None else [label_text(int(labels[index]), model.classes)]
        cells = [str(index), *label, model.classes[golden_scores[index].argmax()]]
        wrong = []
        for core, (scores, _) in results.items():
            cells.append(model.classes[scores[index].argmax()])
            wrong += [
                f"{core}: {line}"
                for line in differences(
                    {name: bits[one] for name, bits in expected.items()},
                    {name: bits[one] for name, bits in named[core].items()},
                )
            ]
            if not np.array_equal(golden_scores[index], scores[index]):
                wrong.append(f"{core}: scores {scores[index].tolist()}, expected {golden_scores[index].tolist()}")
        exact += not wrong
        text = "  ".join(f"{cell:{width}}" for cell in cells) + f"  {'NO' if wrong else 'yes'}"
        each("images", text, {"image": index, "predicted": cells[-1], "bit_exact": not wrong})
        for line in wrong:
            each("differences", f"       {line}", line)
    count = len(images)
    correct = ""
    if labels is not None:
        right = int((golden_scores.argmax(axis=1) == labels).sum())
        correct = f", {right}/{count} correct"
        result(f"demo: accuracy on these images {right / count:.1%}", correct=right)
    what = f"{design.name} ({design.pe}x{design.simd}x{design.lanes}) at {design.clock_mhz:g} MHz, batch {count}"

    def rate(cycles: int) -> str:
        return f"{cycles / count:.0f} cycles/image, {design.clock_mhz * 1e6 * count / cycles:.0f} images/s"

    for kind, keep in (("program loaded", False), ("program kept", True)):
        cycles = placed.run_cycles(count, keep)
        each("estimated", f"demo: cycle model of {what}, {kind}: {rate(cycles)} (estimated)", [kind, cycles / count])
    for kind, run in zip(("program loaded", "program kept"), runs):  # noqa: B905
        cycles, busy = run.stats.cycles or 1, run.stats.busy
        text = f"demo: RTL of {what}, {kind}: {rate(cycles)}, array busy {busy / cycles:.0%} (simulated)"
        each("simulated", text, [kind, cycles / count])
    result(
        f"demo: {exact}/{count} images bit-exact (golden = HLS = RTL){correct}, "
        f"{(runs[0].stats.cycles or 0) / count:.0f} cycles/image",
        bit_exact=exact,
        design=design.name,
    )
    return 0 if exact == count else 1


main = Command("sim", _options, _run, "models/cnv.npz --limit 4")


if __name__ == "__main__":
    sys.exit(main())
