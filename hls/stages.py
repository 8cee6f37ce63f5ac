"""Runs of the vendor's tools that are not done twice.

Every stage leaves a stamp with the digest of what went into it; a stage whose stamp still holds is not run
again, so a build that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.output import note
from hls import tools

STAMPS, LOGS = "stages", "logs"
"""Folders of the stages' stamps and of what the tools said."""
TAIL = 5
"""Last lines of a failed tool's output that are shown."""


class BuildError(ExpectedError):
    """A stage failed, or a file is missing; one line."""


def _nothing(folder: Path) -> str:
    return ""


@dataclass(frozen=True)
class Stage:
    """A run of a tool.

    `tool` is one of `hls.tools`, `script` what it runs in `folder`, `variables` its environment, `inputs`
    the folders and files (relative to the build folder) that it depends on beside the stages before it,
    `outputs` what must be there afterwards. `check` raises unless what must hold then does, and gives a remark
    for the user, "" for none.
    """

    name: str
    tool: str
    folder: str
    script: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    check: Callable[[Path], str] = _nothing


@dataclass(frozen=True)
class Runner:
    """Runs the stages of a build folder.

    `version` is the HLS tool's; `patched` says that it can export an IP today although its patch is not found.
    """

    folder: Path
    version: str
    patched: bool = False

    def missing(self, stage: Stage) -> str:
        """The name of the tool of a stage, "" if it is there."""
        if tools.command(stage.tool, stage.script, self.version) is None:
            return tools.name(stage.tool, self.version)
        return ""

    def run(self, stage: Stage, before: str) -> str:
        """Run a stage unless its stamp holds, and say one line for it.

        Args:
            stage: its tool must not be `missing`.
            before: the digest of the stage before it, "" for the first.

        Returns:
            The digest of the stage, for those after it.

        Raises:
            BuildError: the tool fails, leaves out a file, or what it made is not right.
            hls.tools.ToolError: the HLS tool would fail.
            hls.hls_report.ReportError: a report is not understood.
        """
        line = tools.command(stage.tool, stage.script, self.version)
        if line is None:
            raise BuildError(f"{stage.name}: {self.missing(stage)} not found")
        digest = self._digest(stage, before, line)
        stamp = self.folder / STAMPS / stage.name
        there = all((self.folder / path).exists() for path in stage.outputs)
        if there and stamp.is_file() and stamp.read_text().strip() == digest:
            note(f"hls: {stage.name}: done before")
            return digest
        if stage.tool == tools.HLS:
            tools.check_hls(line, self.version, datetime.now(), self.patched)
        stamp.unlink(missing_ok=True)
        tool = Path(line[0]).name
        log = self.folder / LOGS / f"{stage.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        note(f"hls: {stage.name}: {tool}, output in {log}")
        with log.open("wb") as out:
            status = subprocess.run(
                line,
                cwd=self.folder / stage.folder,
                env={**os.environ, **stage.variables},
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            ).returncode
        if status:
            last = [text.strip() for text in log.read_text(errors="replace").splitlines() if text.strip()][-TAIL:]
            raise BuildError(f"{stage.name}: {tool}: exit status {status}, see {log}: {' | '.join(last)}")
        for path in stage.outputs:
            if not (self.folder / path).exists():
                raise BuildError(f"{stage.name}: {tool} left no {self.folder / path}, see {log}")
        remark = stage.check(self.folder)
        if remark:
            note(f"hls: {stage.name}: {remark}")
        write_atomically(stamp, (digest + "\n").encode())
        return digest

    def _digest(self, stage: Stage, before: str, line: list[str]) -> str:
        """What a stage's result depends on: its inputs, its command, the stages before.

        Where the tool lies is part of the command, so a newer installation runs the stages again.
        """
        words = [before, stage.name, *line, str(tools.place(line)), *map(str, stage.variables.items())]
        state = hashlib.sha256("\0".join(words).encode())
        for name in stage.inputs:
            path = self.folder / name
            for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if part.is_file():
                    state.update(str(part.relative_to(self.folder)).encode() + b"\0")
                    state.update(hashlib.sha256(part.read_bytes()).digest())
        return state.hexdigest()
