"""`bnn deploy ADDRESS`: copy to a board exactly what it needs, and say what to run there.

The folder on the board holds the driver, the integer model, the sources of the CPU engine, the bitstream, the program
and the model. On the board numpy and pynq are enough; with g++ the engine runs too.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bnn import cpu
from bnn.command import Command
from bnn.errors import ExpectedError
from bnn.files import is_simulated
from bnn.model import load
from bnn.output import result
from bnn.samples import find_images

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "host/__init__.py",
    "host/accelerator.py",
    "host/backend.py",
    "host/classifier.py",
    "host/cluster.py",
    "host/errors.py",
    "host/images.py",
    "host/program.py",
    "host/pynq_infer.py",
    "host/report.py",
    "host/server.py",
    "host/web.py",
    "host/page/index.html",
    "host/page/page.css",
    "host/page/page.js",
    "host/notebooks/cifar10.ipynb",
    *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("bnn/*.py")),
    *(path.relative_to(ROOT).as_posix() for path in cpu.sources()),
)
"""What runs on the board."""


class DeployError(ExpectedError):
    """Something to be copied is missing, or copying failed; one line says what."""


def collect(folder: Path, bit: Path, program: Path, model: Path, images: Path | None) -> list[str]:
    """Lay out in `folder` what goes to the board; gives the paths in it.

    Raises:
        DeployError: a file is missing.
    """
    hwh = bit.with_suffix(".hwh")
    files = {ROOT / name: name for name in CODE}
    files.update({bit: f"{bit.stem}.bit", hwh: f"{bit.stem}.hwh", program: "program.bin", model: "model.npz"})
    if images is not None:
        files[images] = images.name
    for source, name in files.items():
        if not source.is_file():
            hint = "; build the bitstream with bnn hls where Vivado is" if source in (bit, hwh) else ""
            hint = "; bnn plan packs it" if source == program else hint
            raise DeployError(f"{source}: no such file{hint}")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if is_simulated(bit):
        raise DeployError(f"{bit}: is the overlay of the simulated board, a real one needs a bitstream from Vivado")
    return sorted(files.values())


def copy(folder: Path, address: str, target: str) -> None:
    """Copy a folder's content to `target` on the board, with rsync, else with scp.

    Raises:
        DeployError: neither is there, or the copy fails.
    """
    destination = f"{address}:{target}"
    if shutil.which("rsync"):
        commands = [["rsync", "-rt", f"{folder}/", f"{destination}/"]]
    elif shutil.which("scp") and shutil.which("ssh"):
        commands = [
            ["ssh", address, f"mkdir -p {shlex.quote(target)}"],
            ["scp", "-rq", *[str(path) for path in sorted(folder.iterdir())], f"{destination}/"],
        ]
    else:
        raise DeployError("neither rsync nor ssh and scp are installed")
    for command in commands:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise DeployError(f"{command[0]}: {lines[0]}")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", help="the board, as for ssh: xilinx@192.168.2.99")
    parser.add_argument("--bit", type=Path, required=True, help="bitstream, its .hwh beside it")
    parser.add_argument("--program", type=Path, required=True, help="program.bin")
    parser.add_argument("--model", type=Path, required=True, help="model.npz")
    parser.add_argument("--images", type=Path, help="images to try, .npz (default: shipped ones that fit the model)")
    parser.add_argument("--target", default="bnn", help="folder on the board (default bnn)")


def _run(options: argparse.Namespace) -> None:
    if options.address.startswith("-") or options.target.startswith("-"):
        raise DeployError(f"{options.address} {options.target}: an address or folder starts with -")
    images = options.images or find_images(load(options.model))
    with tempfile.TemporaryDirectory() as name:
        files = collect(Path(name), options.bit, options.program, options.model, images)
        copy(Path(name), options.address, options.target)
    text = f"copied {len(files)} files to {options.address}:{options.target}; there:"
    result(text, files=files, address=options.address, folder=options.target)
    run = (
        f"cd {shlex.quote(options.target)} && sudo -E python3 host/pynq_infer.py --bit {options.bit.stem}.bit "
        f"--program program.bin --model model.npz --images {images.name if images else 'IMAGES'}"
    )
    result(run, run=run)


main = Command(
    "deploy", _options, _run, "xilinx@192.168.2.99 --bit bnn.bit --program program.bin --model models/cnv.npz"
)


if __name__ == "__main__":
    sys.exit(main())
