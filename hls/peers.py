"""`bnn peers`: the shipped models beside published ones, accuracy against images/s, as a table and a picture.

The images/s of a shipped model are estimated: the planner's cycles of a run whose program is kept in the core, at the
design's clock, with the batch of `BATCHES` that is the fastest; of a network named `..._wired` those of engines with
its weights wired in, at the same clock. What others published stands in `models/peers.csv`, each row with where it was
measured and who says so.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bnn.cards import cards, read_card
from bnn.command import Command
from bnn.errors import ExpectedError
from bnn.files import write_atomically
from bnn.model import SHIPPED, Model, load
from bnn.output import result
from bnn.samples import DATA_SETS
from hls import designs
from hls.designs import Design
from hls.schedule import plan
from hls.wired.beats import period_cycles
from hls.wired.rows import usual_beat

BATCHES = (16, 64, 256)
HOW = ("measured", "estimated")
"""On a board, or by a model of cycles times the clock."""
COLUMNS = ("network", "data", "accuracy", "images_per_s", "how", "where", "source")
WIRED = "_wired"


class PeersError(ExpectedError):
    """A row of the table of published networks says nothing that can be drawn; one line says which and why."""


class Point(NamedTuple):
    """A network on a chip; `accuracy` in percent of the test set, `how` one of HOW."""

    network: str
    data: str
    accuracy: float
    images_per_s: float
    how: str
    where: str
    source: str


def published(path: Path) -> list[Point]:
    """The rows of a table of `COLUMNS`.

    Raises:
        PeersError: a column is missing or too many, or a number or a word is none that can be.
    """
    points = []
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise PeersError(f"{path}: columns are {', '.join(rows.fieldnames or ())}, expected {', '.join(COLUMNS)}")
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        if None in row or None in row.values():
            raise PeersError(f"{where}: has more or fewer columns than the {len(COLUMNS)} of the first line")
        for key, allowed in (("how", HOW), ("data", tuple(DATA_SETS))):
            if row[key] not in allowed:
                raise PeersError(f"{where}: {key} is '{row[key]}', expected one of {', '.join(allowed)}")
        numbers: dict[str, Any] = {}
        for key in ("accuracy", "images_per_s"):
            try:
                numbers[key] = float(row[key])
            except ValueError:
                raise PeersError(f"{where}: {key} is '{row[key]}', expected a number") from None
            if not 0 < numbers[key] < float("inf"):
                raise PeersError(f"{where}: {key} is {row[key]}, expected a number above 0")
        points.append(Point(**{**row, **numbers}))
    return points


def images_per_second(model: Model, design: Design) -> tuple[float, str]:
    """Of the batch that is the fastest, and how it runs.

    Raises:
        hls.designs.DesignError: the design does not take the model.
    """
    clock = design.clock_mhz * 1e6
    if model.name.endswith(WIRED):
        return clock / period_cycles(model, usual_beat(model)), f"wired in, {design.clock_mhz:g} MHz assumed"
    found = []
    for batch in BATCHES:
        placed = plan(model, design, batch)
        cycles = placed.run_cycles(batch, keep=placed.resident)
        found.append((clock * batch / cycles, f"{design.name}, batch {batch}, {cycles / batch:,.0f} cycles"))
    return max(found)


def shipped(folder: Path, design: Design) -> list[Point]:
    """The models of a folder by their cards.

    Raises:
        ZooError, ModelError, DesignError: a card or model cannot be read, or does not fit.
    """
    points = []
    for path in cards(folder, []):
        card = read_card(path)
        rate, where = images_per_second(load(folder / f"{card['name']}.npz"), design)
        accuracy = 100 * card["test_correct"] / card["test_images"]
        points.append(Point(card["name"], card["dataset"], accuracy, rate, "estimated", where, path.name))
    return points


def table(points: list[Point]) -> str:
    """The points in Markdown, by data set, the fastest first."""
    lines = ["| network | data | accuracy | images/s | | on | by |", "|---|---|--:|--:|---|---|---|"]
    for point in sorted(points, key=lambda item: (item.data, -item.images_per_s)):
        lines.append(
            f"| {point.network} | {DATA_SETS[point.data]} | {point.accuracy:.2f} % | {point.images_per_s:,.0f} | "
            f"{point.how} | {point.where} | {point.source} |"
        )
    return "\n".join(lines)


def draw(ours: list[Point], others: list[Point], path: Path) -> None:
    """A panel for every data set: filled where measured on a board, hollow where estimated."""
    from matplotlib.figure import Figure  # without pyplot, whose backend is the caller's

    names = list(dict.fromkeys(point.data for point in sorted(ours + others, key=lambda item: item.data)))
    figure = Figure(figsize=(5.2 * len(names), 4.5))
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, data in zip(panels, names, strict=True):
        rates = [point.images_per_s for point in ours + others if point.data == data]
        # names stand on the side where there is room: ours left of the point from the middle on, theirs from a third on
        sides = [min(rates) ** (1 - share) * max(rates) ** share for share in (1 / 2, 1 / 3)]
        groups = ((ours, "#0969da", "o", "here", sides[0]), (others, "#59636e", "s", "others", sides[1]))
        for points, colour, marker, whose, side in groups:
            for how in HOW:
                chosen = [point for point in points if (point.data, point.how) == (data, how)]
                if not chosen:
                    continue
                x, y = [point.images_per_s for point in chosen], [point.accuracy for point in chosen]
                where = "measured on a board" if how == "measured" else "estimated, no board"
                face = colour if how == "measured" else "none"
                axes.scatter(x, y, 55, facecolors=face, edgecolors=colour, marker=marker, label=f"{whose}: {where}")
                for point in chosen:
                    right = point.images_per_s > side
                    axes.annotate(
                        point.network,
                        (point.images_per_s, point.accuracy),
                        xytext=(-6 if right else 6, 5 if points is ours else -12),  # theirs below
                        textcoords="offset points",
                        ha="right" if right else "left",
                        fontsize=8,
                        color=colour,
                    )
        axes.set(xscale="log", title=DATA_SETS[data], xlabel="images/s", ylabel="test accuracy [%]")
        axes.margins(0.22, 0.15)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)  # below, on no point
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png", metadata={"Software": None})
    write_atomically(path, picture.getvalue())


def _options(parser: argparse.ArgumentParser) -> None:
    designs.add_option(parser)
    parser.add_argument("--zoo", type=Path, default=SHIPPED, help="folder of models, cards and peers.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="picture to write (.png)")


def _run(options: argparse.Namespace) -> None:
    ours = shipped(options.zoo, designs.find(options.design))
    others = published(options.zoo / "peers.csv")
    draw(ours, others, options.output)
    points = [point._asdict() for point in ours + others]
    result(table(ours + others), points=points, picture=str(options.output))


main = Command("peers", _options, _run, "-o build/accuracy.png")


if __name__ == "__main__":
    sys.exit(main())
