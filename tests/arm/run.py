"""Tests on an ARMv7 that QEMU emulates: Debian's Python and numpy of 32 bits, as on a board, and the engine for NEON.

    python tests/arm/run.py [-o build/arm] [pytest's arguments; default: those of tests.txt]

The packages of packages.txt are downloaded and unpacked into a folder; nothing is installed and nobody need be root.
It takes Debian (apt-get, dpkg-deb) with its packages qemu-user-static and g++-arm-linux-gnueabihf.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from bnn.files import locked  # noqa: E402

COMPILER = "arm-linux-gnueabihf-g++"
EMULATORS = ("qemu-arm-static", "qemu-arm")
LIBRARIES = "usr/lib/arm-linux-gnueabihf"
SETTINGS = """\
APT::Architecture "armhf"; APT::Architectures {{ "armhf"; }};
APT::Install-Recommends "false"; APT::Sandbox::User "root"; Acquire::Languages "none";
Dir::State "{folder}/state"; Dir::State::status "{folder}/status"; Dir::Cache "{folder}/cache";
"""
# as argv[0] it names itself: what the tests start by sys.executable is emulated, too
PYTHON = """\
#!/bin/sh
exec {emulator} -L '{root}' -0 '{root}/usr/bin/python3' \\
  -E LD_LIBRARY_PATH='{libraries}:{libraries}/blas:{libraries}/lapack' '{program}' "$@"
"""


def lines(name: str) -> list[str]:
    """What a list beside this file holds, without remarks."""
    rows = (row.partition("#")[0].strip() for row in (HERE / name).read_text().splitlines())
    return [row for row in rows if row]


def unpacked(folder: Path, emulator: str) -> Path:
    """The emulated Python, unpacked if it is not yet there."""
    packages, root = lines("packages.txt"), folder / "root"
    python, made = root / "usr/bin/python3", folder / "made"
    digest = hashlib.sha256(f"{packages} {root} {emulator} {SETTINGS} {PYTHON}".encode()).hexdigest()
    if made.is_file() and made.read_text() == digest:
        return python
    made.unlink(missing_ok=True)  # unpacking may fail
    for part in ("state", "cache", "root"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for part in ("state/lists/partial", "cache/archives/partial", "root"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "apt.conf").write_text(SETTINGS.format(folder=folder))
    environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
    # sources that have nothing for ARM, or fail, do not matter while the packages are found
    subprocess.run(["apt-get", "-qq", "update"], env=environment, capture_output=True)
    command = ["apt-get", "-qq", "-y", "--download-only", "install", *packages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: apt-get cannot download the packages for armhf: {done.stderr.strip() or done.stdout.strip()}")
    for package in sorted((folder / "cache/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(root)], check=True)
    shutil.rmtree(folder / "cache")
    program = python.resolve()  # with the version in its name
    python.unlink()
    python.write_text(PYTHON.format(emulator=emulator, root=root, libraries=root / LIBRARIES, program=program))
    python.chmod(0o755)
    made.write_text(digest)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description="run tests on an emulated ARMv7")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build" / "arm", help="folder of what is unpacked")
    options, rest = parser.parse_known_args()
    emulator = next((found for found in map(shutil.which, EMULATORS) if found), None)
    missing = [name for name in ("apt-get", "dpkg-deb", COMPILER) if shutil.which(name) is None]
    missing += [] if emulator else [EMULATORS[0]]
    if missing or emulator is None:
        sys.exit(
            f"error: {', '.join(missing)}: not found, expected Debian with qemu-user-static and g++-{COMPILER[:-4]}"
        )
    folder = Path(os.path.abspath(options.output))
    with locked(folder):  # another run may unpack there
        python = unpacked(folder, emulator)
    environment = {
        **os.environ,
        "BNN_CXX": COMPILER,
        "PYTHONPATH": str(ROOT),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(folder / "home"),
    }
    environment.pop("VIRTUAL_ENV", None)
    chosen = rest or lines("tests.txt")
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "--durations=8", *chosen]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
