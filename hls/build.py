"""`python -m hls.build --design NAME -o DIR`: write a design's build folder and, with the tools, its bitstream."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from hls import designs, render
from sim.files import write_atomically

DIGEST = "DIGEST"
"""File with the digest of the others."""
STEPS = (
    ("vitis_hls", ["-f", "hls.tcl"], "vitis"),
    ("vivado", ["-mode", "batch", "-source", "build.tcl"], "vivado"),
)
"""Tool, arguments and folder in which it runs."""


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files and their digest, each atomically and the digest last."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, text.encode())
    write_atomically(folder / DIGEST, (render.digest(files) + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status is 0, or 1 after one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m hls.build", description="Build a design.")
    parser.add_argument("--design", default="pynq_z1", help=f"one of {', '.join(designs.DESIGNS)}")
    parser.add_argument("-o", "--output", type=Path, required=True, help="build folder")
    options = parser.parse_args(arguments)
    try:
        files = render.render(designs.find(options.design))
        write(files, options.output)
        wrote = f"hls: wrote {len(files) + 1} files to {options.output}"
        missing = [tool for tool, _, _ in STEPS if shutil.which(tool) is None]
        if missing:
            print(f"{wrote}; {' and '.join(missing)} not found, synthesis skipped")
            return 0
        print(wrote, flush=True)
        for tool, extra, folder in STEPS:
            status = subprocess.run([tool, *extra], cwd=options.output / folder).returncode
            if status:
                print(f"error: {tool}: exit status {status}", file=sys.stderr)
                return 1
    except (designs.DesignError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
