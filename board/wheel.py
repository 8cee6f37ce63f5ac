"""`python board/wheel.py -o build/wheels [--bit FILE]...`: the wheel for boards, `bnn` with the host as `bnn.host`.

On the board's Python there may be packages of any name, so nothing but `bnn` is installed. A bitstream and the `.hwh`
beside it go into `bnn.host.overlays`, where pynq looks for overlays.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"bnn": "bnn", "host": "bnn/host", "hw_templates/cpu": "bnn/cpu_sources"}
"""Where the folders of the checkout lie in the wheel."""
LEFT_OUT = ("__pycache__", "deploy.py", "doctor.py", "clean.py", "environment.py", "bench_cluster.py")
"""What is for the machine that has the checkout."""
OVERLAYS = "bnn/host/overlays"


def lay_out(folder: Path, bitstreams: list[Path]) -> None:
    """Write the wheel's sources into an empty folder.

    Raises:
        FileNotFoundError: a bitstream or its `.hwh` is not there.
    """
    for source, target in FOLDERS.items():
        shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for path in (folder / "bnn/host/notebooks").glob("*.ipynb"):
        path.write_text(path.read_text(encoding="utf-8").replace("from host", "from bnn.host"), encoding="utf-8")
    overlays = folder / OVERLAYS
    overlays.mkdir()
    (overlays / "README.md").write_text("Bitstreams and their .hwh, where `pynq.Overlay` finds them by name.\n")
    for bit in bitstreams:
        for path in (bit, bit.with_suffix(".hwh")):
            shutil.copyfile(path, overlays / path.name)
    for path in (ROOT / "board/pyproject.toml", ROOT / "board/README.md", ROOT / "LICENSE"):
        shutil.copyfile(path, folder / path.name)


def main() -> int:
    """Build the wheel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "wheels", help="folder for the wheel")
    parser.add_argument(
        "--bit", type=Path, action="append", default=[], help="bitstream to take along, its .hwh beside"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            lay_out(Path(name), options.bit)
        except FileNotFoundError as error:
            print(f"error: {error.filename}: no such file; bnn hls builds bitstreams where Vivado is", file=sys.stderr)
            return 1
        call = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(options.output), name]
        return subprocess.run([sys.executable, "-m", "pip", *call]).returncode


if __name__ == "__main__":
    sys.exit(main())
