"""`bnn wired MODEL`: a network with its weights wired in, on real test images, bit for bit.

Renders the engines, runs their SystemVerilog under Verilator (with `--hls` their C++ under g++ too), and compares
every score with the golden model's.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bnn import golden
from bnn.command import Command, positive
from bnn.files import locked
from bnn.model import load
from bnn.output import each, note, result
from bnn.samples import read_images
from hls.designs import DesignError
from hls.options import add_beat, beat_of
from hls.resources import Resources
from hls.wired import beats, measure, network
from sim.wired_sim import WiredRun, run_hls, run_rtl


def _compare(name: str, run: WiredRun, want: np.ndarray) -> bool:
    wrong = np.argwhere(run.scores != want)
    text = f"{name}: {len(want)} images, {want.size} scores, mismatches = {len(wrong)}"
    each("cores", text, {"core": name, "images": len(want), "mismatches": len(wrong)})
    if len(wrong):
        image, label = wrong[0]
        result(f"  first: image {image}, class {label}: expected {want[image, label]}, got {run.scores[image, label]}")
    return not len(wrong)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="model file (.npz)")
    parser.add_argument("--images", type=Path, help=".npz with x and, if known, labels y; .npy; default shipped ones")
    parser.add_argument("--limit", type=positive, default=64, help="images (default 64)")
    parser.add_argument("--fold", type=int, default=0, help="most passes per input; 0: as time allows, 1: none")
    add_beat(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/wired"), help="build folder")
    parser.add_argument("--hls", action="store_true", help="the HLS C++ too: minutes to compile, seconds per image")
    parser.add_argument("--synthesise", action="store_true", help="measure the whole design with yosys (minutes)")


def _run(options: argparse.Namespace) -> int:
    with locked(options.output):  # it is built there
        return _demo(options)


def _demo(options: argparse.Namespace) -> int:
    model = load(options.model)
    beat = beat_of(options, model)
    if beat.bits and options.hls:
        raise DesignError(
            f"--hls: a design with beats of {beat.bits} bits is SystemVerilog only, expected --beat 0 with it"
        )
    images, labels = read_images(model, options.images, options.limit)
    want = golden.infer(model, images)
    built = network.write(model, options.output, fold=options.fold, beat=beat)
    figures = network.report(model, built, network.CLOCK_MHZ, beat)
    for row in figures["layers"]:
        note(
            f"  {row['layer']:6} {row['level']:7} {row['inputs']:5} x {row['outputs']:<4} "
            f"{row['input_bits']} bit, passes {row['passes']:3}, engines {row['engines']:2}, "
            f"{row['estimated_lut']} LUT, {row['estimated_ff']} FF by the cost model"
        )
    run = run_rtl(options.output, model, images, beat)
    good = _compare("RTL under Verilator", run, want)
    if options.hls:
        good &= _compare("HLS C++ under g++", run_hls(options.output, model, images), want)
    clock = network.CLOCK_MHZ
    period = run.period or figures["cycles_per_image"]
    begin = "first pixel" if beat == beats.PIXEL else f"first of {beats.beats(model, beat)} beats of {beat.text()}"
    result(
        f"simulated: {run.latency} cycles from {begin} to last score ({run.latency / clock:.2f} us at "
        f"{clock:g} MHz), {period:g} cycles per image ({clock * 1e6 / period:,.0f} images/s)",
        latency_cycles=run.latency,
        cycles_per_image=period,
        clock_mhz=clock,
    )
    if labels is not None:
        right = int((run.scores.argmax(axis=1) == labels).sum())
        result(f"accuracy on these images: {right}/{len(labels)}", correct=right)
    if options.synthesise:
        parts = measure.design(model, built, options.output / "cache", beat)
        for name, part in parts.items():
            note(f"  yosys, {name:6} {part.lut:6} LUT {part.ff:6} FF {part.dsp} DSP {part.bram36:g} BRAM36")
        whole = sum(parts.values(), Resources())
        text = f"yosys, whole design: {whole.lut} LUT (LUT memory included), {whole.ff} FF, {whole.dsp} DSP, "
        result(f"{text}{whole.bram36:g} BRAM36", **asdict(whole))
    return 0 if good else 1


main = Command("wired", _options, _run, "models/mnist_wired.npz --images models/mnist_sample.npz")


if __name__ == "__main__":
    sys.exit(main())
