"""Where the vendor's tools lie, of which version they are, and what is known to fail in one.

Every installation is a folder named by its version, as Vitis_HLS/2022.2/bin/vitis_hls.
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import datetime
from pathlib import Path

from bnn.errors import ExpectedError
from hls.directives import DirectiveError, dialect

HLS, VIVADO = "hls", "vivado"
"""The tools that a stage of the build may need."""
LAST_WITH_DATE_BUG = "2021.2"
DATE_PATCH = "common/scripts/automg_patch_20220104.tcl"
"""What the patch of AMD's answer record 76960 adds to every installation from 2014.1 to 2021.2 (its patch.py)."""
REVISION_LIMIT = 2**31 - 1
"""export_design numbers the IP by the date, YYMMDDHHMM; up to `LAST_WITH_DATE_BUG` as a signed integer of 32 bits."""


class ToolError(ExpectedError):
    """An installed tool cannot do what is asked of it; one line."""


def command(tool: str, script: str, version: str) -> list[str] | None:
    """The command line that runs a Tcl script, None if the tool is not there.

    Vitis 2024.2 has vitis-run in place of vitis_hls. Where only v++ is on PATH, they are looked for beside it: in its
    folder, or in Vitis_HLS/VERSION/bin beside Vitis/VERSION/bin.
    """
    if tool == VIVADO:
        return ["vivado", "-mode", "batch", "-source", script] if shutil.which("vivado") else None
    if dialect(version) == "vivado_hls":
        return ["vivado_hls", "-f", script] if shutil.which("vivado_hls") else None
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
                return [found if folder else name, *arguments, script]
    return None


def name(tool: str, version: str) -> str:
    """What is missing if `command` gives none."""
    if tool == VIVADO:
        return "vivado"
    return "vivado_hls" if dialect(version) == "vivado_hls" else "vitis_hls"


def place(line: list[str]) -> Path:
    """The file that a command line runs."""
    return Path(os.path.realpath(shutil.which(line[0]) or line[0]))


def check_hls(line: list[str], version: str, now: datetime, patched: bool = False) -> None:
    """Hold the HLS tool of a command line against what is asked of it, before it works for an hour.

    Args:
        line: a command line of `command`.
        version: the version that the sources are rendered for, as "2022.2".
        now: the date that the tool will see.
        patched: the patch is there although its file is not found.

    Raises:
        ToolError: the installed version writes directives otherwise, or cannot export an IP on that date.
    """
    tool = place(line)
    installed = next((part for part in reversed(tool.parts[:-1]) if re.fullmatch(r"20\d\d\.\d", part)), version)
    try:
        same = dialect(installed) == dialect(version)
    except DirectiveError:  # newer than any that is known here
        return
    if not same:
        raise ToolError(f"{tool}: is of {installed}, whose directives are not those of --hls-version {version}")
    too_late = int(now.strftime("%y%m%d%H%M")) > REVISION_LIMIT
    if installed <= LAST_WITH_DATE_BUG and too_late and not patched and not (tool.parents[1] / DATE_PATCH).is_file():
        raise ToolError(
            f"{tool.name} {installed} cannot export an IP since 2022 (AMD answer record 76960) and lacks "
            f"{DATE_PATCH}: install its y2k22_patch, or run make under faketime with a date of 2021, or "
            f"say DATE_PATCHED=1 (--date-patched) if it is patched otherwise"
        )
