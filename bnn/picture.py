"""Pictures of boxes and arrows, as SVG, from a description of a few lines.

A description has a line for each box and arrow; `#` starts a comment.

    part NAME COLUMN ROW TITLE [LINE ...]     a part of the project, or a tool
    file NAME COLUMN ROW TITLE [LINE ...]     what goes from one to another
    arrow FROM TO [TEXT]                      between boxes of one row or column, else around one corner

Columns and rows are counted from 0. Texts with spaces are quoted. The same description gives the same bytes.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from html import escape
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from bnn import generated
from bnn.command import Command
from bnn.errors import ExpectedError

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 64, 44, 40, 12
"""Of a box, between boxes, around all; pixels."""
LINE = 15
TITLE_SIZE, TEXT_SIZE = 14, 11
STYLE = """\
text { font-family: system-ui, sans-serif; fill: #1f2328; text-anchor: middle }
.title { font-weight: 600 }
.part { fill: #ddf4ff; stroke: #0969da }
.file { fill: #ffffff; stroke: #59636e }
.arrow { fill: none; stroke: #59636e; stroke-width: 1.5 }
.head { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .part { fill: #121d2f; stroke: #4493f8 }
  .file { fill: #0d1117; stroke: #9198a1 }
  .arrow { stroke: #9198a1 }
  .head { fill: #9198a1 }
}
"""
"""Colours for a light and a dark page."""


class PictureError(ExpectedError):
    """A line of a description says nothing that can be drawn; one line says which and why."""


class Box(NamedTuple):
    """A box; its lines of text, the first the title."""

    kind: str
    column: int
    row: int
    lines: Tuple[str, ...]

    @property
    def x(self) -> int:
        """Of the centre."""
        return MARGIN + self.column * (WIDTH + GAP_X) + WIDTH // 2

    @property
    def y(self) -> int:
        """Of the centre."""
        return MARGIN + self.row * (HEIGHT + GAP_Y) + HEIGHT // 2


class Arrow(NamedTuple):
    """An arrow between two boxes."""

    start: Box
    end: Box
    text: str


def read(text: str, name: str) -> Tuple[Dict[str, Box], List[Arrow]]:
    """The boxes and arrows of a description.

    Args:
        text: the description.
        name: of it, for messages.

    Raises:
        PictureError: a line cannot be understood.
    """
    boxes: Dict[str, Box] = {}
    arrows: List[Arrow] = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise PictureError(f"{where}: {error}") from None
        if not words:
            continue
        kind, *rest = words
        if kind in ("part", "file") and len(rest) >= 4 and rest[1].isdigit() and rest[2].isdigit():
            if rest[0] in boxes:
                raise PictureError(f"{where}: box {rest[0]} is there already")
            boxes[rest[0]] = Box(kind, int(rest[1]), int(rest[2]), tuple(rest[3:]))
        elif kind == "arrow" and len(rest) in (2, 3):
            unknown = [end for end in rest[:2] if end not in boxes]
            if unknown:
                raise PictureError(f"{where}: there is no box {unknown[0]} before it")
            arrows.append(Arrow(boxes[rest[0]], boxes[rest[1]], rest[2] if rest[2:] else ""))
        else:
            raise PictureError(f"{where}: expected part or file NAME COLUMN ROW TITLE ..., or arrow FROM TO [TEXT]")
    if not boxes:
        raise PictureError(f"{name}: has no boxes")
    return boxes, arrows


def draw(boxes: Dict[str, Box], arrows: List[Arrow]) -> str:
    """The SVG."""
    width = max(box.x for box in boxes.values()) + WIDTH // 2 + MARGIN
    height = max(box.y for box in boxes.values()) + HEIGHT // 2 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>\n{STYLE}</style>",
    ]
    for arrow in arrows:
        parts += _arrow(arrow)
    for box in boxes.values():
        parts += _box(box)
    return "\n".join([*parts, "</svg>", ""])


def _box(box: Box) -> List[str]:
    round_ = 6 if box.kind == "part" else 0
    parts = [
        f'<rect class="{box.kind}" x="{box.x - WIDTH // 2}" y="{box.y - HEIGHT // 2}" width="{WIDTH}" '
        f'height="{HEIGHT}" rx="{round_}"/>'
    ]
    top = box.y - (len(box.lines) - 1) * LINE // 2 + 5
    for index, line in enumerate(box.lines):
        kind, size = (' class="title"', TITLE_SIZE) if index == 0 else ("", TEXT_SIZE)
        parts.append(f'<text{kind} x="{box.x}" y="{top + index * LINE}" font-size="{size}">{escape(line)}</text>')
    return parts


def _arrow(arrow: Arrow) -> List[str]:
    start, end = arrow.start, arrow.end
    right, down = _sign(end.column - start.column), _sign(end.row - start.row)
    if right and down:  # out to the side, along the gap between columns, into the side
        corner = start.x + right * (WIDTH + GAP_X) // 2
        y = end.y + down * -(HEIGHT // 4)
        points = [
            (start.x + right * WIDTH // 2, start.y),
            (corner, start.y),
            (corner, y),
            (end.x - right * WIDTH // 2, y),
        ]
        text_at = (corner, (start.y + y) // 2)
    elif right:
        points = [(start.x + right * WIDTH // 2, start.y), (end.x - right * WIDTH // 2, end.y)]
        text_at = ((points[0][0] + points[1][0]) // 2, start.y - 6)
    else:
        points = [(start.x, start.y + down * HEIGHT // 2), (end.x, end.y - down * HEIGHT // 2)]
        text_at = (start.x, (points[0][1] + points[1][1]) // 2 + 4)
    tip, step = points[-1], (right, 0) if right else (0, down)
    base = (tip[0] - 8 * step[0], tip[1] - 8 * step[1])
    side = (4 * step[1], 4 * step[0])
    head = [tip, (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1])]
    parts = [
        f'<polyline class="arrow" points="{_points([*points[:-1], base])}"/>',
        f'<polygon class="head" points="{_points(head)}"/>',
    ]
    if arrow.text:
        if not right:  # beside the line
            parts.append(
                f'<text x="{text_at[0] + 8}" y="{text_at[1]}" font-size="{TEXT_SIZE}" '
                f'style="text-anchor: start">{escape(arrow.text)}</text>'
            )
        else:
            parts.append(f'<text x="{text_at[0]}" y="{text_at[1]}" font-size="{TEXT_SIZE}">{escape(arrow.text)}</text>')
    return parts


def _points(points: List[Tuple[int, int]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("description", type=Path, help="text file; its format is in bnn/picture.py")
    parser.add_argument("-o", "--output", type=Path, help="the picture (default: beside it, with .svg)")
    generated.add_option(parser)


def _run(options: argparse.Namespace) -> int:
    path = options.output or options.description.with_suffix(".svg")
    made = draw(*read(options.description.read_text(encoding="utf-8"), str(options.description)))
    return generated.put({path: made}, options.check, f"bnn picture {options.description}")


main = Command("picture", _options, _run, "docs/dataflow.txt")


if __name__ == "__main__":
    sys.exit(main())
