"""`python -m hls.build --design NAME -o DIR`: write a design's build folder and, with the tools, its bitstream.

Every stage leaves a stamp with the digest of what went into it; a stage whose stamp still holds is not run
again, so a build that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bnn import golden
from bnn import model as models
from bnn.files import write_atomically
from bnn.program import image_bytes
from hls import designs, directives, program, render, reports, schedule
from hls.designs import Design
from hls.wired import first

DIGEST = "DIGEST"
"""File with the digest of the others."""
STAMPS, LOGS = "stages", "logs"
"""Folders of the stages' stamps and of what the tools said."""
IP = {"hls": "vitis/bnn_hls/solution/impl/ip", "rtl": "vivado/ip"}
"""Where the core lies as an IP, by back end."""
CSYNTH = "vitis/bnn_hls/solution/syn/report/csynth.xml"
COUNT = 2
"""Images of a C simulation in the tool."""
TAIL = 5
"""Last lines of a failed tool's output that are shown."""


class BuildError(Exception):
    """A stage failed, or a file is missing; one line."""


@dataclass(frozen=True)
class Stage:
    """A run of a tool.

    `tool` is "hls" or "vivado", `script` what it runs in `folder`, `variables` its environment, `inputs`
    the folders and files (relative to the build folder) that it depends on beside the stages before it,
    `outputs` what must be there afterwards, `check` what must hold then.
    """

    name: str
    tool: str
    folder: str
    script: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    check: Callable[[Path], None] = lambda folder: None


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files and their digest, each atomically and the digest last; remove those of an earlier core."""
    for path, text in files.items():
        target = folder / path
        if not target.is_file() or target.read_bytes() != text.encode():
            write_atomically(target, text.encode())
    for part in ("hls", "rtl"):
        for old in sorted((folder / part).glob("*")) if (folder / part).is_dir() else []:
            if f"{part}/{old.name}" not in files and old.is_file():
                old.unlink()
    write_atomically(folder / DIGEST, (render.digest(files) + "\n").encode())


def stages(design: Design, backend: str, count: int, cosim: bool) -> list[Stage]:
    """What leads to the bitstream, in order. `count` images are simulated, 0 for none."""
    result = []
    if backend == "hls":
        variables = {"BNN_COUNT": str(count)} if count else {}
        inputs = ("hls", "vitis/hls.tcl")

        def hls(name: str, output: str, check: Callable[[Path], None] = lambda folder: None) -> Stage:
            more = ("vitis/csim",) if count and name in ("csim", "cosim") else ()
            return Stage(name, "hls", "vitis", "hls.tcl", inputs + more, (output,),
                         {**variables, "BNN_STAGES": name}, check)

        result.append(hls("csim", "vitis/bnn_hls", check_scores if count else lambda folder: None))
        result.append(hls("csynth", CSYNTH, lambda folder: reports.add_csynth(folder, folder / CSYNTH)))
        if cosim:
            result.append(hls("cosim", "vitis/bnn_hls/solution/sim/report"))
        result.append(hls("export", f"{IP[backend]}/component.xml"))
    else:
        result.append(Stage("package", "vivado", "vivado", "package_rtl.tcl", ("rtl", "vivado/package_rtl.tcl"),
                            (f"{IP[backend]}/component.xml",)))
    result.append(Stage("project", "vivado", "vivado", "build.tcl", ("vivado/build.tcl",),
                        ("vivado/project/bnn.xpr",)))
    names = tuple(f"bitstream/{name}" for name in (f"{design.name}.bit", f"{design.name}.hwh", "timing.txt",
                                                   "utilization.txt"))
    result.append(Stage("bitstream", "vivado", "vivado", "bitstream.tcl", ("vivado/bitstream.tcl",), names,
                        check=lambda folder: reports.add_implementation(folder, folder / "bitstream")))
    return result


def command(stage: Stage, version: str) -> list[str] | None:
    """The command of a stage, None if its tool is not there.

    Vitis 2024.2 has vitis-run in place of vitis_hls. Where only v++ is on PATH, they are looked for beside it: in its
    folder, or in Vitis_HLS/VERSION/bin beside Vitis/VERSION/bin.
    """
    if stage.tool == "vivado":
        return ["vivado", "-mode", "batch", "-source", stage.script] if shutil.which("vivado") else None
    if directives.dialect(version) == "vivado_hls":
        return ["vivado_hls", "-f", stage.script] if shutil.which("vivado_hls") else None
    folders = [""]
    compiler = shutil.which("v++")
    if compiler:
        home = Path(compiler).resolve().parent
        folders.append(str(home))
        if len(home.parents) > 2:
            folders.append(str(home.parents[2] / "Vitis_HLS" / home.parent.name / "bin"))
    for folder in folders:
        for name, arguments in (("vitis_hls", ["-f"]), ("vitis-run", ["--mode", "hls", "--tcl"])):
            found = shutil.which(os.path.join(folder, name))
            if found:
                return [found if folder else name, *arguments, stage.script]
    return None


def tool_name(stage: Stage, version: str) -> str:
    """What is missing if `command` gives none."""
    if stage.tool == "vivado":
        return "vivado"
    return "vivado_hls" if directives.dialect(version) == "vivado_hls" else "vitis_hls"


def simulation_data(design: Design, model: Path, images: Path, folder: Path) -> int:
    """Write vitis/csim: a program, images and the golden scores. Returns the number of images.

    Raises:
        designs.DesignError, models.ModelError, OSError, KeyError, ValueError: the model does not fit, a file is bad.
    """
    loaded = models.load(model)
    with np.load(images, allow_pickle=False) as sample:
        pixels = sample["x"][:COUNT]
    content = program.pack(schedule.plan(loaded, design, COUNT))
    where = folder / "vitis" / "csim"
    write_atomically(where / "program.bin", content)
    write_atomically(where / "images.bin", image_bytes(content, pixels))
    write_atomically(where / "golden.bin", golden.infer(loaded, pixels).astype("<i4").tobytes())
    return len(pixels)


def check_scores(folder: Path) -> None:
    """Compare the scores of the tool's C simulation, which runs twice, with the golden ones.

    Raises:
        BuildError: they differ, or are missing.
    """
    expected = (folder / "vitis" / "csim" / "golden.bin").read_bytes()
    found = sorted((folder / "vitis" / "bnn_hls").rglob("scores.bin"))
    if not found:
        raise BuildError(f"{folder / 'vitis' / 'bnn_hls'}: C simulation left no scores.bin")
    if found[0].read_bytes() != expected * 2:
        raise BuildError(f"{found[0]}: differs from the golden model's scores")


def _digest(folder: Path, stage: Stage, before: str, line: list[str]) -> str:
    """What a stage's result depends on: its inputs, its command, the stages before."""
    state = hashlib.sha256("\0".join([before, stage.name, *line, *map(str, stage.variables.items())]).encode())
    for name in stage.inputs:
        path = folder / name
        for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if part.is_file():
                state.update(str(part.relative_to(folder)).encode() + b"\0")
                state.update(hashlib.sha256(part.read_bytes()).digest())
    return state.hexdigest()


def _version(line: list[str]) -> str:
    """Where a tool lies: a newer installation runs the stages again."""
    return os.path.realpath(shutil.which(line[0]) or line[0])


def run(folder: Path, plan: list[Stage], version: str) -> None:
    """Run the stages whose stamp does not hold, and say one line for each.

    Raises:
        BuildError: a tool fails, leaves out a file, or what it made is not right.
        reports.ReportError: a report is not understood, or timing is not met.
    """
    before = ""
    for stage in plan:
        line = command(stage, version)
        if line is None:
            return
        before = _digest(folder, stage, before, [*line, _version(line)])
        stamp = folder / STAMPS / stage.name
        there = all((folder / path).exists() for path in stage.outputs)
        if there and stamp.is_file() and stamp.read_text().strip() == before:
            print(f"hls: {stage.name}: done before", flush=True)
            continue
        stamp.unlink(missing_ok=True)
        log = folder / LOGS / f"{stage.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"hls: {stage.name}: {Path(line[0]).name}, output in {log}", flush=True)
        with log.open("wb") as out:
            status = subprocess.run(line, cwd=folder / stage.folder, env={**os.environ, **stage.variables},
                                    stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
        if status:
            last = [text.strip() for text in log.read_text(errors="replace").splitlines() if text.strip()][-TAIL:]
            raise BuildError(f"{stage.name}: {Path(line[0]).name}: exit status {status}, see {log}: {' | '.join(last)}")
        for path in stage.outputs:
            if not (folder / path).exists():
                raise BuildError(f"{stage.name}: {Path(line[0]).name} left no {folder / path}, see {log}")
        stage.check(folder)
        write_atomically(stamp, (before + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 1 after one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m hls.build", description="Build a design.")
    parser.add_argument("--design", default="pynq_z1", help=f"one of {', '.join(designs.DESIGNS)}")
    parser.add_argument("-o", "--output", type=Path, required=True, help="build folder")
    parser.add_argument("--backend", default="hls", choices=render.BACKENDS, help="which core becomes the IP")
    parser.add_argument("--first-layer", default="array", choices=first.FIRST_LAYERS,
                        help="for any program, or with the weights of MODEL's wired in")
    parser.add_argument("--hls-version", default=directives.DEFAULT_VERSION, metavar="VERSION",
                        help=f"of the HLS tool, {directives.OLDEST} to {directives.NEWEST} "
                             f"(default {directives.DEFAULT_VERSION})")
    parser.add_argument("--model", type=Path, help="model to simulate in the HLS tool and to estimate")
    parser.add_argument("--images", type=Path, help=".npz with x, the images of that simulation")
    parser.add_argument("--batch", type=int, default=16, help="images of a batch in the estimate")
    parser.add_argument("--cosim", action="store_true", help="co-simulate the HLS core too (hours)")
    options = parser.parse_args(arguments)
    folder = options.output
    try:
        if options.cosim and not (options.model and options.images):
            raise BuildError("--cosim: needs --model and --images")
        design = designs.find(options.design)
        wired = None
        if options.first_layer == "wired":
            if not options.model:
                raise BuildError("--first-layer wired: needs --model")
            wired = first.sources(models.load(options.model), design)
        files = render.render(design, options.hls_version, options.backend, wired)
        write(files, folder)
        count = 0
        if options.model and options.images:
            count = simulation_data(design, options.model, options.images, folder)
        if options.model:
            reports.add_estimate(folder, schedule.plan(models.load(options.model), design, options.batch))
        wrote = f"hls: wrote {len(files) + 1} files to {folder}"
        plan = stages(design, options.backend, count, options.cosim)
        # a stage needs those before it
        at = next((index for index, stage in enumerate(plan) if command(stage, options.hls_version) is None), len(plan))
        missing = dict.fromkeys(tool_name(stage, options.hls_version) for stage in plan[at:]
                                if command(stage, options.hls_version) is None)
        if missing:
            wrote += f"; {' and '.join(missing)} not found, skipped {', '.join(stage.name for stage in plan[at:])}"
        print(wrote, flush=True)
        run(folder, plan[:at], options.hls_version)
        if at == len(plan):
            print(f"hls: {folder / 'bitstream' / design.name}.bit, .hwh and {folder / reports.FILE}")
    except (designs.DesignError, directives.DirectiveError, models.ModelError, reports.ReportError, BuildError,
            KeyError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
