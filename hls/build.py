"""`bnn hls`: write a design's build folder and, with the tools, its bitstream."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bnn import golden, samples
from bnn import model as models
from bnn.command import Command
from bnn.files import locked, write_atomically
from bnn.output import note, result
from bnn.program import image_bytes
from hls import designs, directives, hls_report, implementation, program, render, schedule, shell, tools
from hls.area import estimate_area
from hls.check import figures
from hls.designs import Design
from hls.options import add_first_layer, add_folder, first_layer, folder_of
from hls.stages import BuildError, Runner, Stage

DIGEST = "DIGEST"
"""File with the digest of the others."""
IP = {"hls": "vitis/bnn_hls/solution/impl/ip", "rtl": "vivado/ip"}
"""Where the core lies as an IP, by back end."""
CSYNTH = "vitis/bnn_hls/solution/syn/report/csynth.xml"
COUNT = 2
"""Images of a C simulation in the tool."""


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files and their digest, each atomically and the digest last; remove those of an earlier core."""
    for path, text in files.items():
        target = folder / path
        if not target.is_file() or target.read_bytes() != text.encode():
            write_atomically(target, text.encode())
    for part in ("hls", "rtl"):
        for old in sorted((folder / part).rglob("*")):
            if old.is_file() and old.relative_to(folder).as_posix() not in files:
                old.unlink()
    write_atomically(folder / DIGEST, (render.digest(files) + "\n").encode())


def stages(backend: str, count: int, cosim: bool) -> list[Stage]:
    """What leads to the project, in order; `hls.implementation` goes on. `count` images are simulated, 0 for none."""
    result = []
    if backend == "hls":
        variables = {"BNN_COUNT": str(count)} if count else {}
        inputs = ("hls", "vitis/hls.tcl")

        def hls(name: str, output: str, check: Callable[[Path], str] = lambda folder: "") -> Stage:
            more = ("vitis/csim",) if count and name in ("csim", "cosim") else ()
            return Stage(
                name, tools.HLS, "vitis", "hls.tcl", inputs + more, (output,), {**variables, "BNN_STAGES": name}, check
            )

        result.append(hls("csim", "vitis/bnn_hls", check_scores if count else lambda folder: ""))
        result.append(hls("csynth", CSYNTH, lambda folder: hls_report.add_csynth(folder, folder / CSYNTH)))
        if cosim:
            result.append(hls("cosim", "vitis/bnn_hls/solution/sim/report"))
        result.append(hls("export", f"{IP[backend]}/component.xml"))
    else:
        result.append(
            Stage(
                "package",
                tools.VIVADO,
                "vivado",
                "package_rtl.tcl",
                ("rtl", "vivado/package_rtl.tcl"),
                (f"{IP[backend]}/component.xml",),
            )
        )
    result.append(
        Stage("project", tools.VIVADO, "vivado", "build.tcl", ("vivado/build.tcl",), ("vivado/project/bnn.xpr",))
    )
    return result


def simulation_data(design: Design, model: Path, images: Path, folder: Path) -> int:
    """Write vitis/csim: a program, images and the golden scores. Returns the number of images.

    Raises:
        designs.DesignError, models.ModelError, ImageError, OSError: the model does not fit, a file is bad.
    """
    loaded = models.load(model)
    pixels = samples.read_images(loaded, images, COUNT)[0]
    content = program.pack(schedule.plan(loaded, design, COUNT))
    where = folder / "vitis" / "csim"
    write_atomically(where / "program.bin", content)
    write_atomically(where / "images.bin", image_bytes(content, pixels))
    write_atomically(where / "golden.bin", golden.infer(loaded, pixels).astype("<i4").tobytes())
    return len(pixels)


def check_scores(folder: Path) -> str:
    """Compare the scores of the tool's C simulation, which runs twice, with the golden ones; no remark.

    Raises:
        BuildError: they differ, or are missing.
    """
    expected = (folder / "vitis" / "csim" / "golden.bin").read_bytes()
    found = sorted((folder / "vitis" / "bnn_hls").rglob("scores.bin"))
    if not found:
        raise BuildError(f"{folder / 'vitis' / 'bnn_hls'}: C simulation left no scores.bin")
    if found[0].read_bytes() != expected * 2:
        raise BuildError(f"{found[0]}: differs from the golden model's scores")
    return ""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--design",
        help=f"one of {', '.join(designs.DESIGNS)}, or a file NAME.toml (default: "
        f"{designs.DEFAULT['hls']}, with --backend rtl {designs.DEFAULT['rtl']})",
    )
    add_folder(parser, "sources, scripts and bitstream")
    parser.add_argument(
        "--backend",
        choices=designs.BACKENDS,
        help="which core becomes the IP (default: the one that the design is for, else hls)",
    )
    add_first_layer(parser)
    parser.add_argument(
        "--hls-version",
        default=directives.DEFAULT_VERSION,
        metavar="VERSION",
        help=f"of the HLS tool, {directives.OLDEST} to {directives.NEWEST} (default {directives.DEFAULT_VERSION})",
    )
    parser.add_argument("--model", type=Path, help="model to simulate in the HLS tool and to estimate")
    parser.add_argument(
        "--images",
        type=Path,
        help=".npz with x, the images of that simulation (default: shipped ones that fit the model)",
    )
    parser.add_argument("--batch", type=int, default=16, help="images of a batch in the estimate")
    parser.add_argument("--cosim", action="store_true", help="co-simulate the HLS core too (hours)")
    parser.add_argument(
        "--date-patched",
        action="store_true",
        help=f"an HLS tool up to {tools.LAST_WITH_DATE_BUG} is patched (answer record 76960)",
    )
    parser.add_argument(
        "--strategies",
        type=int,
        default=len(implementation.STRATEGIES),
        metavar="COUNT",
        choices=range(1, len(implementation.STRATEGIES) + 1),
        help="implementation strategies to try, an hour each, before the clock is lowered "
        f"(default: all, {len(implementation.STRATEGIES)})",
    )


def too_much(design: Design) -> str:
    """What an RTL core and the blocks around it take beyond the board's part, estimated; "" for nothing."""
    over = shell.whole(design, estimate_area(design)).beyond(design.board)
    return ", ".join(f"{taken:,.10g} of {there:,} {name.upper()}" for name, (taken, there) in over.items())


def _run(options: argparse.Namespace) -> None:
    design, backend = designs.choose(options.design, options.backend)
    if options.design is None or options.backend is None:
        note(f"hls: takes the {backend.upper()} core, design {design.name}")
    missing = too_much(design) if backend == "rtl" else ""
    if missing:
        note(f"hls: {design.name} and what is around it take an estimated {missing}: it may not fit")
    where = folder_of(options.output, design)
    with locked(where, wait=False):
        _build(options, design, backend, where)


def _build(options: argparse.Namespace, design: Design, backend: str, folder: Path) -> None:
    images = options.images
    if options.model and images is None:
        images = samples.find_images(models.load(options.model))
    if options.cosim and images is None:
        raise BuildError("--cosim: needs --model, and --images where none that fit it are shipped")
    wired = first_layer(options.first_layer, options.model, design)
    files = render.render(design, options.hls_version, backend, wired)
    write(files, folder)
    count = 0
    if options.model and images:
        count = simulation_data(design, options.model, images, folder)
    cycles: float | None = None
    if options.model:
        placed = schedule.plan(models.load(options.model), design, options.batch)
        cycles = placed.batch_cycles() / placed.batch
        if backend == "hls":
            known = figures.figures(design, folder / "check", options.hls_version)
            cycles = hls_report.add_estimate(folder, placed, known)["cycles_per_image"]
    hls_report.update(folder, shell.summary(design), "around")
    runner = Runner(folder, options.hls_version, options.date_patched)
    plan = stages(backend, count, options.cosim)
    # a stage needs those before it
    at = next((index for index, stage in enumerate(plan) if runner.missing(stage)), len(plan))
    wrote = f"hls: wrote {len(files) + 1} files to {folder}"
    if at < len(plan):
        missing = dict.fromkeys(runner.missing(stage) for stage in plan[at:] if runner.missing(stage))
        skipped = [*(stage.name for stage in plan[at:]), implementation.BITSTREAM]
        wrote += f"; {' and '.join(missing)} not found, skipped {', '.join(skipped)}"
    result(wrote, design=design.name, backend=backend, folder=str(folder), files=len(files) + 1)
    digest = ""
    for stage in plan[:at]:
        digest = runner.run(stage, digest)
    if at == len(plan):
        made = implementation.run(runner, design, digest, options.strategies, cycles)
        bit = folder / implementation.bitfile(design.name)
        result(f"hls: {bit} and .hwh: {made}, see {folder / hls_report.FILE}", bitstream=str(bit), timing=made)


main = Command("hls", _options, _run, "--backend rtl --model models/cnv.npz")


if __name__ == "__main__":
    sys.exit(main())
