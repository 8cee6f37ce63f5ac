"""`bnn explore MODEL... --board NAME [--target CYCLES]`: which design suits some models on a board.

A model is a file, or a network's row in `bnn.networks`, which need not be trained. IMAGE_PIXELS and MAX_LAYERS follow
from them, DSP_LANES from the board. Every PE, SIMD, LANES, WEIGHT_DEPTH, ACT_DEPTH and FIRST_PE that the board takes
by `hls.area` is planned for every model. Printed is the Pareto set: designs such that no other has fewer cycles
without more LUT or block RAM. One of them is written as a file that takes the place of a design's name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bnn import model as models
from bnn import networks
from bnn.cluster import add_options, spread
from bnn.command import Command, positive
from bnn.files import read_file, write_atomically
from bnn.geometry import total_macs, walk
from bnn.layers import features
from bnn.model import Model
from bnn.output import note, progress, result
from bnn.random_models import random_model
from hls import boards, schedule, shell
from hls.area import Area, estimate_area, sliced
from hls.boards import BOARDS
from hls.designs import DESIGNS, Design, DesignError, check_name, write_toml
from hls.designs import load as load_design

FILL = 0.9
"""Share of a board's LUT and FF that core and what is around it may take, so that they can be routed."""
RANGES = {
    "pe": (8, 16, 32, 64),
    "simd": (32, 64, 128),
    "lanes": (2, 4, 8, 16),
    "first_pe": (4, 8, 16, 32),
    "weight_depth": (512, 1024, 2048, 4096, 8192),
    "act_depth": (512, 1024, 2048, 4096, 8192, 16384, 32768),
}
WRITTEN = "written by bnn explore"
"""In the first line of a design's file: a file without it is somebody's own, and stays."""


@dataclass(frozen=True)
class Point:
    """A design, its cells, and cycles per image of every model in a run of one batch."""

    design: Design
    cells: Area
    cycles: tuple[float, ...]

    @property
    def cost(self) -> float:
        """What is to be small: the cycles of an image of every model together."""
        return sum(self.cycles)

    def record(self) -> dict[str, object]:
        """JSON types only."""
        item = self.design
        return {
            **{name: getattr(item, name) for name in (*RANGES, "image_pixels", "max_layers", "dsp_lanes")},
            "clock_mhz": item.clock_mhz,
            **asdict(self.cells),
            "cycles_per_image": list(self.cycles),
        }


def room(found: Sequence[Model]) -> tuple[int, int]:
    """IMAGE_PIXELS and MAX_LAYERS for some models: the shipped designs', or the next power of two that holds."""
    base = DESIGNS["pynq_z1"]
    pixels = max((model.height * model.width for model in found), default=1)
    layers = max((len(model.layers) for model in found), default=1)
    return max(base.image_pixels, _power(pixels)), max(base.max_layers, _power(layers))


def _power(least: int) -> int:
    """The smallest power of two that is at least `least`."""
    return 1 << (least - 1).bit_length()


def candidates(
    board: str, clock_mhz: float, fill: float = FILL, found: Sequence[Model] = ()
) -> Iterator[tuple[Design, Area]]:
    """Designs that `board` takes, those with the largest array first, small ones before large ones among equals.

    Args:
        board: its name.
        clock_mhz: of the designs.
        fill: share of the board's LUT and FF, of the core and what is around it.
        found: models that IMAGE_PIXELS, MAX_LAYERS and the vector unit are for.

    Raises:
        DesignError: there is no such board.
    """
    part = boards.find(board)
    image_pixels, max_layers = room(found)
    vector = any(True for model in found for _ in features(model))
    designs = []
    for pe in RANGES["pe"]:
        for simd in RANGES["simd"]:
            for lanes in RANGES["lanes"]:
                for first_pe in RANGES["first_pe"]:
                    for weights in RANGES["weight_depth"]:
                        for acts in RANGES["act_depth"]:
                            try:
                                item = sliced(
                                    Design(
                                        "explore",
                                        part,
                                        pe,
                                        simd,
                                        lanes,
                                        weights,
                                        acts,
                                        first_pe,
                                        image_pixels,
                                        max_layers,
                                        clock_mhz,
                                        vector,
                                    )
                                )
                            except DesignError:
                                continue
                            cells = estimate_area(item)
                            if shell.whole(item, cells).fits(part, fill):
                                designs.append((item, cells))
    designs.sort(key=lambda pair: (-pair[0].pe * pair[0].simd * pair[0].lanes, pair[1].lut, pair[1].bram36))
    yield from designs


def least(model: Model, design: Design) -> float:
    """Cycles per image below which no plan comes: the array never waits and has no word that is not full."""
    on_array = [item for index, item in enumerate(walk(model)) if index or item.kind == "dense"]
    return total_macs(on_array) / (design.pe * design.simd * design.lanes)


class Plans:
    """A job: a design planned for some models, as a point, or why it does not run them."""

    def __init__(self, found: Sequence[Model], batch: int, keep: bool) -> None:
        self._found, self._batch, self._keep = found, batch, keep

    def __call__(self, given: tuple[Design, Area]) -> Point | str:
        design, cells = given
        try:
            plans = [schedule.plan(model, design, self._batch, keep=self._keep) for model in self._found]
        except DesignError as error:
            return str(error)
        return Point(design, cells, tuple(plan.run_cycles(self._batch, self._keep) / self._batch for plan in plans))


def explore(
    found: Sequence[Model],
    board: str,
    clock_mhz: float,
    batch: int = 16,
    keep: bool = True,
    fill: float = FILL,
    where: str | None = None,
) -> list[Point]:
    """The Pareto set of cycles, LUT and BRAM36, fewest cycles first.

    Args:
        found: the models, at least one; a design must run all.
        board: name of the board.
        clock_mhz: clock of the designs, which the memory's speed is held against.
        batch: images of a run.
        keep: a program that stays in the core is there already.
        fill: share of the board's LUT and FF that a design may take, with what is around the core.
        where: of the option `--cluster`; every design is planned here without it.

    Raises:
        ClusterError: there is no such cluster.
        DesignError: there is no such board, or no design on it runs all models.
    """
    front: list[Point] = []
    reason = f"no design takes at most {fill:.0%} of {board}"

    def beaten(cells: Area, cost: float) -> bool:
        return any(
            other.cells.lut <= cells.lut and other.cells.bram36 <= cells.bram36 and other.cost <= cost
            for other in front
        )

    designs = progress(list(candidates(board, clock_mhz, fill, found)), "explore")
    # what is beaten by then need not be planned; the set is the same however many are planned at a time
    worth = ((item, cells) for item, cells in designs if not beaten(cells, sum(least(model, item) for model in found)))
    with spread(where) as each:
        for point in each(Plans(found, batch, keep), worth):
            if isinstance(point, str):
                reason = point
                continue
            cells = point.cells
            if beaten(cells, point.cost):
                continue
            front = [
                other
                for other in front
                if not (
                    cells.lut <= other.cells.lut and cells.bram36 <= other.cells.bram36 and point.cost <= other.cost
                )
            ]
            front.append(point)
    if not front:
        raise DesignError(f"{board}: no design runs {', '.join(model.name for model in found)}: {reason}")
    return sorted(front, key=lambda point: (point.cost, point.cells.lut))


def pick(front: Sequence[Point], targets: Sequence[float] = ()) -> Point:
    """The design with the fewest LUT whose cycles per image are within the targets; the fastest without targets.

    `targets` has one value for all models or one for each.

    Raises:
        DesignError: none is fast enough, or the number of targets is another.
    """
    if not targets:
        return front[0]
    count = len(front[0].cycles)
    if len(targets) not in (1, count):
        raise DesignError(f"{len(targets)} targets for {count} models, expected 1 or {count}")
    limits = list(targets) * (count if len(targets) == 1 else 1)
    good = [point for point in front if all(c <= limit for c, limit in zip(point.cycles, limits, strict=True))]
    if not good:
        raise DesignError(
            f"no design has at most {', '.join(f'{limit:g}' for limit in limits)} cycles per image; "
            f"the fastest has {', '.join(f'{c:.0f}' for c in front[0].cycles)}"
        )
    return min(good, key=lambda point: (point.cells.lut, point.cells.bram36, point.cost))


def table(front: Sequence[Point], names: Sequence[str], board: str) -> str:
    """The points as text, one a line."""
    part = boards.find(board)
    lines = [
        "PE x SIMD x LANES  FIRST_PE  WEIGHT_DEPTH  ACT_DEPTH     LUT      FF  BRAM36   LUT%  "
        + "  ".join(f"{name} cycles/image" for name in names)
    ]
    for point in front:
        item, cells = point.design, point.cells
        size = f"{item.pe}x{item.simd}x{item.lanes}"
        numbers = "  ".join(f"{value:>{len(name) + 13}.0f}" for name, value in zip(names, point.cycles, strict=True))
        lines.append(
            f"{size:>17}  {item.first_pe:>8}  {item.weight_depth:>12}  {item.act_depth:>9}  {cells.lut:>6}  "
            f"{cells.ff:>6}  {cells.bram36:>6g}  {shell.whole(item, cells).lut / part.lut:>5.0%}  {numbers}"
        )
    return "\n".join(lines)


def find(name: str, size: int | None = None, classes: int | None = None) -> Model:
    """A model file, or a network of `bnn.networks` by its name, with random weights: only its shape counts.

    Args:
        name: of either.
        size: height and width of the images, where these are not those of the network's row.
        classes: how many, likewise.

    Raises:
        bnn.model.ModelError: the file cannot be read, or the images are too small.
        NetworkError: it is neither.
        DesignError: size or classes are given of a file, which has its own.
    """
    if Path(name).is_file() or Path(name).suffix == ".npz":
        if size or classes:
            raise DesignError(
                f"{name}: is a model's file, which has its images and classes; leave out --size, --classes"
            )
        return models.load(Path(name))
    network = networks.network(name)
    height, width = (size, size) if size else (network.height, network.width)
    return random_model(replace(network, height=height, width=width, classes=classes or network.classes))


def check_writable(path: Path) -> None:
    """Hold a file against those that a picked design may go to.

    Raises:
        DesignError: the name is none of a design, or the file is somebody's own.
    """
    check_name(path)
    if path.exists() and WRITTEN not in read_file(path, 1 << 20).decode(errors="replace").partition("\n")[0]:
        raise DesignError(f"{path}: is not {WRITTEN} and stays as it is; name another file with --write")


def write(path: Path, chosen: Point, names: Sequence[str]) -> Design:
    """Write a point as a design's file; gives the design as it is read again.

    Raises:
        DesignError: the name is none of a design, the clock none of the board, or the file is somebody's own.
    """
    check_writable(path)
    chosen.design.check_clock()
    cells = chosen.cells
    remarks = [
        f"{WRITTEN}, for the RTL core: bnn hls --design {path} --backend rtl",
        f"estimated: {cells.lut} LUT, {cells.ff} FF, {cells.bram36:g} BRAM36; cycles per image: "
        + ", ".join(f"{name} {cycles:.0f}" for name, cycles in zip(names, chosen.cycles, strict=True)),
    ]
    content = write_toml(chosen.design, remarks)
    write_atomically(path, content.encode())
    return load_design(path)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="+", help=f"model file (.npz), or a network: {', '.join(networks.NETWORKS)}")
    parser.add_argument("--size", type=positive, help="height and width of a network's images, where they are your own")
    parser.add_argument("--classes", type=positive, help="classes of a network, where they are your own")
    parser.add_argument("--board", default="pynq_z1", help=f"one of {', '.join(BOARDS)}")
    parser.add_argument(
        "--target",
        type=float,
        action="append",
        default=[],
        metavar="CYCLES",
        help="cycles per image to reach; one for all models, or one for each in their order",
    )
    parser.add_argument("--batch", type=int, default=16, help="images of a run")
    parser.add_argument("--clock", type=float, help="MHz; that of the board's design if left out")
    parser.add_argument(
        "--fill", type=float, default=FILL, help="share of LUT and FF that the core and what is around it may take"
    )
    parser.add_argument("--lines", type=int, default=24, help="length of the printed list, the fastest first")
    parser.add_argument("--load", action="store_true", help="count loading a program that could stay in the core")
    add_options(parser)
    parser.add_argument("-o", "--output", type=Path, help="also write the set as JSON")
    parser.add_argument(
        "--write",
        type=Path,
        default=Path("design.toml"),
        metavar="FILE",
        help="file for the design that is picked, which --design takes (default design.toml)",
    )


def _run(options: argparse.Namespace) -> None:
    found = [find(name, options.size, options.classes) for name in options.model]
    clocks = [design.clock_mhz for design in DESIGNS.values() if design.board.name == options.board]
    clock = options.clock if options.clock is not None else clocks[0] if clocks else 100.0
    if not 0 < options.fill <= 1:
        raise DesignError(f"--fill {options.fill:g}: is not in 0 to 1")
    check_writable(options.write)
    board = boards.find(options.board)
    replace(DESIGNS["sim_small"], name=options.write.stem, board=board, clock_mhz=clock).check_clock()
    front = explore(found, options.board, clock, options.batch, not options.load, options.fill, options.cluster)
    if options.output:
        record = {
            "board": options.board,
            "models": [model.name for model in found],
            "batch": options.batch,
            "designs": [point.record() for point in front],
        }
        write_atomically(options.output, (json.dumps(record, indent=2) + "\n").encode())
    names = [model.name for model in found]
    result(table(front[: max(options.lines, 1)], names, options.board), designs=[point.record() for point in front])
    if len(front) > max(options.lines, 1):
        note(f"and {len(front) - max(options.lines, 1)} more, see --lines")
    note(
        "estimated: LUT and FF of the core as yosys counts, LUT% with what is around it, cycles by the schedule, "
        f"batch {options.batch}, {clock:g} MHz"
    )
    chosen = pick(front, options.target)
    item, cells = chosen.design, chosen.cells
    result(
        f"picked: PE={item.pe} SIMD={item.simd} LANES={item.lanes} WEIGHT_DEPTH={item.weight_depth} "
        f"ACT_DEPTH={item.act_depth} FIRST_PE={item.first_pe} IMAGE_PIXELS={item.image_pixels}: {cells.lut} LUT, "
        f"{cells.bram36:g} BRAM36",
        picked=chosen.record(),
    )
    write(options.write, chosen, names)
    text = f"written: {options.write}, for --design {options.write}"
    result(text, written=str(options.write))


main = Command("explore", _options, _run, "cnv lfc --board pynq_z1 --target 10000")
