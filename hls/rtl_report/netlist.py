"""Resources, longest paths and fan-out of a hierarchical netlist of 7-series cells.

The netlist is what yosys writes as JSON. Every module is read once; its paths are placed at each of its
instances, so that a path may run through several modules. A path starts at a register, a memory, a DSP slice or
an input of the top, and ends likewise. Levels are LUTs; other logic on the way (carry chains, wide multiplexers,
DSP slices) counts by its delay in units of `cells.LEVEL_NS`.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from bnn.errors import ExpectedError
from hls.resources import Resources
from hls.rtl_report import cells, wires

MAX_ARCS = 2000
"""Cells on a path before it must be a loop."""
_NONE = -1e9


class NetlistError(ExpectedError):
    """A netlist is not what is expected or has a combinational loop; one line."""


class Cell(NamedTuple):
    """A leaf cell of a module."""

    name: str
    kind: int
    type: str
    bit: int
    """First bit it drives, -1 without one."""


@dataclass
class Module:
    """One module of the netlist; its bits count from 0, of which 0 and 1 are constants."""

    name: str
    bits: int
    ports: dict[str, list[int]]
    inputs: set[str]
    children: list[tuple[str, str, dict[str, list[int]]]]
    """Name of the instance, of the module, bits of its ports."""
    cells: list[Cell]
    names: dict[int, str]
    """Names of bits."""
    own: Resources
    tables: dict[str, np.ndarray] = field(default_factory=dict)


class Point(NamedTuple):
    """A pin or a cell of the placed netlist."""

    name: str
    module: str


class Path(NamedTuple):
    """A path: levels, ns in cells and in wires, where it starts and ends, the cells between by instance.

    `loads` has the number of loads of every net on the way that leaves its slice.
    """

    levels: float
    ns: float
    logic_ns: float
    wire_ns: float
    loads: tuple[int, ...]
    start: str
    end: str
    cells: str


class Fanout(NamedTuple):
    """Loads of one output; `control` of them are enables, resets and writes."""

    loads: int
    control: int
    name: str
    module: str
    kind: str


def read(text: Mapping[str, Any]) -> dict[str, Module]:
    """Modules of a netlist, those without cells of their own (the cell library) left out.

    Raises:
        NetlistError: not a netlist of yosys.
        cells.CellError: unknown cell.
    """
    modules = text.get("modules")
    if not isinstance(modules, dict):
        raise NetlistError("netlist: no object named modules")
    chosen = {name: data for name, data in modules.items() if not _flag(data.get("attributes", {}), "blackbox")}
    return {name: _read_module(name, data, chosen) for name, data in chosen.items()}


def opened(module: Mapping[str, Any]) -> dict[str, Any]:
    """A module of a netlist whose instances of other modules are left out, their pins made ports of it."""
    ports, leaves = dict(module["ports"]), {}
    for name, cell in module["cells"].items():
        if "port_directions" not in cell or cells.known(cell["type"]):
            leaves[name] = cell
            continue
        for pin, bits in cell["connections"].items():
            way = "output" if cell["port_directions"][pin] == "input" else "input"
            ports[f"{name}.{pin}"] = {"direction": way, "bits": bits}
    return {**module, "ports": ports, "cells": leaves}


def _flag(attributes: Mapping[str, Any], name: str) -> bool:
    return "1" in str(attributes.get(name, "0"))


def _bits(bits: Sequence[Any]) -> list[int]:
    return [bit if isinstance(bit, int) else 1 if bit == "1" else 0 for bit in bits]


def _read_module(name: str, data: Mapping[str, Any], modules: Mapping[str, Any]) -> Module:
    ports = {port: _bits(entry["bits"]) for port, entry in data["ports"].items()}
    inputs = {port for port, entry in data["ports"].items() if entry["direction"] != "output"}
    used = [bit for bits in ports.values() for bit in bits]
    names: dict[int, str] = {}
    # a register that is an output has two names: its own comes first
    for net, entry in sorted(data.get("netnames", {}).items(), key=lambda item: (item[0] in ports, len(item[0]))):
        if entry.get("hide_name") in (1, "1"):
            continue
        bits = _bits(entry["bits"])
        for index, bit in enumerate(bits):
            names.setdefault(bit, net if len(bits) == 1 else f"{net}[{index}]")
    children: list[tuple[str, str, dict[str, list[int]]]] = []
    leaves: list[Cell] = []
    own = Resources()
    tables: dict[str, list[tuple]] = {"arcs": [], "starts": [], "ends": [], "loads": [], "drivers": []}
    counted: Counter[str] = Counter()
    for cell, entry in data["cells"].items():
        kind = entry["type"]
        connections = {port: _bits(bits) for port, bits in entry["connections"].items()}
        used.extend(bit for bits in connections.values() for bit in bits)
        if kind in modules:
            children.append((cell, kind, connections))
            continue
        if kind.startswith("$") and kind in ("$scopeinfo", "$print", "$check"):
            continue
        counted[kind] += 1
        made = cells.timing(kind, connections, {key: str(value) for key, value in entry["parameters"].items()})
        index = len(leaves)
        outputs = [bit for bit in made.outputs if bit > 1]
        named = [bit for bit in outputs if bit in names]
        leaves.append(Cell(cell, made.kind, kind, (named or outputs or [-1])[0]))
        tables["arcs"].extend((*arc, index) for arc in made.arcs if arc[0] > 1 and arc[1] > 1)
        tables["starts"].extend((bit, ns, index) for bit, ns in made.starts if bit > 1)
        tables["ends"].extend((bit, ns, pin, index) for bit, ns, pin in made.ends if bit > 1)
        tables["loads"].extend((bit, data_pin, index) for bit, data_pin in made.loads if bit > 1)
        tables["drivers"].extend((bit, made.kind, index) for bit in outputs)
    for kind, count in counted.items():
        own += cells.resources(kind) * count
    widths = {"arcs": 6, "starts": 3, "ends": 4, "loads": 3, "drivers": 3}
    arrays = {key: np.array(rows, dtype=np.float64).reshape(-1, widths[key]) for key, rows in tables.items()}
    return Module(name, max(used, default=1) + 1, ports, inputs, children, leaves, names, own, arrays)


class Design:
    """A netlist placed under one top, with its timing on a chip of whose LUTs the share `full` is taken.

    Raises:
        NetlistError: the top is missing, an instance has unknown ports, or there is a combinational loop.
    """

    def __init__(self, modules: Mapping[str, Module], top: str, full: float = 0.0) -> None:
        if top not in modules:
            raise NetlistError(f"netlist: no module {top}")
        self.modules = modules
        self.top = top
        self.full = full
        self.instances: list[tuple[str, str, int]] = []
        """Path, module and first bit of every instance, the top first."""
        self._merges: list[tuple[int, int]] = []
        self.nets = 2
        self._place(top, top, {})
        self._flatten()
        self.levels_at, self.levels_to = self._arrivals(
            self._level, np.zeros(len(self._start_net)), np.zeros(len(self._end_net))
        )
        self.ns_at, self.ns_to = self._arrivals(self._ns, self._start_ns, self._end_cost)

    def _place(self, name: str, path: str, outside: Mapping[str, Sequence[int]]) -> None:
        module = self.modules[name]
        base = self.nets - 2
        self.nets += module.bits - 2
        self.instances.append((path, name, base))
        for port, bits in outside.items():
            if port not in module.ports or len(bits) != len(module.ports[port]):
                raise NetlistError(f"{path}: port {port} of {name} does not have {len(bits)} bits")
            self._merges.extend(
                (far, near + base if near > 1 else near) for far, near in zip(bits, module.ports[port], strict=True)
            )
        for instance, child, connections in module.children:
            self._place(
                child,
                f"{path}.{instance}",
                {port: [bit + base if bit > 1 else bit for bit in bits] for port, bits in connections.items()},
            )

    def _flatten(self) -> None:
        merges = np.array(self._merges, dtype=np.int64).reshape(-1, 2)
        # a net that is constant stays without a driver
        live = (merges > 1).all(axis=1)
        graph = sparse.coo_matrix(
            (np.ones(int(live.sum()), np.int8), (merges[live, 0], merges[live, 1])), shape=(self.nets, self.nets)
        )
        count, self._root = csgraph.connected_components(graph, directed=False)
        parts: dict[str, list[np.ndarray]] = {key: [] for key in ("arcs", "starts", "ends", "loads", "drivers")}
        self._first_cell = np.cumsum([0] + [len(self.modules[name].cells) for _, name, _ in self.instances])
        for index, (_, name, base) in enumerate(self.instances):
            for key, table in self.modules[name].tables.items():
                placed = table.copy()
                placed[:, 0] = self._root[(table[:, 0] + base).astype(np.int64)]
                if key == "arcs":
                    placed[:, 1] = self._root[(table[:, 1] + base).astype(np.int64)]
                placed[:, -1] += self._first_cell[index]
                parts[key].append(placed)
        tables = {key: np.concatenate(rows) for key, rows in parts.items()}
        top = self.modules[self.top]
        root = self._root
        inputs = [int(root[bit]) for port in sorted(top.inputs) for bit in top.ports[port] if bit > 1]
        outputs = [int(root[bit]) for port in top.ports if port not in top.inputs for bit in top.ports[port] if bit > 1]
        self._kind = np.full(count, -1)
        self._driver = np.full(count, -1)
        drivers = tables["drivers"].astype(np.int64)
        self._kind[drivers[:, 0]] = drivers[:, 1]
        self._driver[drivers[:, 0]] = drivers[:, 2]
        self._kind[inputs] = cells.PORT

        loads = tables["loads"].astype(np.int64)
        self._pins = np.concatenate([loads[:, [0, 2]], drivers[:, [0, 2]]])
        # a cell that takes a net at several pins of one kind is counted at each
        self.loads = np.bincount(loads[:, 0], minlength=count)
        self.control_loads = np.bincount(loads[loads[:, 1] == 0, 0], minlength=count)
        np.add.at(self.loads, outputs, 1)
        counts = range(int(self.loads.max(initial=0)) + 1)
        self._table = np.array([wires.net_ns(count, self.full) for count in counts])

        arcs = tables["arcs"]
        arcs = arcs[np.argsort(arcs[:, 1], kind="stable")]
        self._source, self._target = arcs[:, 0].astype(np.int64), arcs[:, 1].astype(np.int64)
        self._arc_cell = arcs[:, 5].astype(np.int64)
        self._level = arcs[:, 3]
        self._routed, self._wire = self._wires(self._source, arcs[:, 4])
        self._ns = arcs[:, 2] + self._wire

        starts = tables["starts"]
        self._start_net = np.concatenate([starts[:, 0].astype(np.int64), np.array(inputs, np.int64)])
        self._start_ns = np.concatenate([starts[:, 1], np.full(len(inputs), cells.CLOCK_TO_Q_NS)])
        self._start_cell = np.concatenate([starts[:, 2].astype(np.int64), np.full(len(inputs), -1)])
        ends = tables["ends"]
        self._end_net = np.concatenate([ends[:, 0].astype(np.int64), np.array(outputs, np.int64)])
        pins = np.concatenate([ends[:, 2], np.full(len(outputs), cells.ROUTED)])
        setup = np.concatenate([ends[:, 1], np.full(len(outputs), cells.SETUP_NS)])
        self._end_routed, self._end_wire = self._wires(self._end_net, pins)
        self._end_cost = setup + self._end_wire
        self._end_cell = np.concatenate([ends[:, 3].astype(np.int64), np.full(len(outputs), -1)])
        self._ports = {
            int(root[bit]): (port if len(bits) == 1 else f"{port}[{index}]")
            for port, bits in top.ports.items()
            for index, bit in enumerate(bits)
            if bit > 1
        }

    def _wires(self, nets: np.ndarray, pins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether the net before each pin leaves its slice, and the delay to the pin."""
        kind = self._kind[nets]
        single = self.loads[nets] <= 1
        logic = (kind == cells.LUT) | (kind == cells.MUX)
        inside = ((pins == cells.TO_MUX) & logic) | ((pins == cells.TO_CHAIN) & (kind == cells.CARRY))
        inside |= (pins == cells.TO_CARRY) & (kind == cells.LUT) & single
        inside |= (pins == cells.TO_FF) & (logic | (kind == cells.CARRY)) & single
        chain = np.where(pins == cells.TO_CARRY, wires.FIT.chain_ns, 0.0)
        return ~inside, np.where(inside, 0.0, self._table[self.loads[nets]]) + chain

    def _arrivals(self, weight: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longest way from a start to every net, and from every net to an end."""
        count = len(self._kind)
        at = np.full(count, _NONE)
        np.maximum.at(at, self._start_net, start)
        at = self._relax(at, self._source, self._target, weight)
        to = np.full(count, _NONE)
        np.maximum.at(to, self._end_net, end)
        order = np.argsort(self._source, kind="stable")
        return at, self._relax(to, self._target[order], self._source[order], weight[order])

    def _relax(self, value: np.ndarray, source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Longest paths; `target` is sorted."""
        if not len(target):
            return value
        first = np.flatnonzero(np.r_[True, target[1:] != target[:-1]])
        nets = target[first]
        for _ in range(MAX_ARCS):
            best = np.maximum.reduceat(value[source] + weight, first)
            better = best > value[nets] + 1e-9
            if not better.any():
                return value
            value[nets[better]] = best[better]
        name = self.net_name(int(nets[better][0]))
        raise NetlistError(f"netlist: combinational loop through {name}")

    # ---- Names ---------------------------------------------------------------------------------

    def _instance_of(self, cell: int) -> int:
        return int(np.searchsorted(self._first_cell, cell, side="right")) - 1

    def cell(self, number: int) -> tuple[Cell, str, Module]:
        """A placed cell, the path of its instance and its module."""
        index = self._instance_of(number)
        path, name, _ = self.instances[index]
        return self.modules[name].cells[number - self._first_cell[index]], path, self.modules[name]

    def cell_name(self, number: int) -> str:
        """Hierarchical name: of memories the cell's, of registers and logic that of the net they drive."""
        cell, path, module = self.cell(number)
        if cell.kind in (cells.LUTRAM, cells.BRAM, cells.DSP) or cell.bit not in module.names:
            return f"{path}.{cell.name}"
        return f"{path}.{module.names[cell.bit]}"

    def net_name(self, net: int) -> str:
        """Hierarchical name of a net, after what drives it."""
        driver = int(self._driver[net])
        if driver < 0:
            return f"{self.top}.{self._ports.get(net, 'undriven')}"
        cell, path, module = self.cell(driver)
        base = self.instances[self._instance_of(driver)][2]
        if cell.kind in (cells.LUTRAM, cells.BRAM, cells.DSP):
            return self.cell_name(driver)
        for bit, name in module.names.items():
            if 1 < bit < module.bits and self._root[bit + base] == net:
                return f"{path}.{name}"
        return self.cell_name(driver)

    # ---- Results -------------------------------------------------------------------------------

    def through(self, levels: bool = True) -> np.ndarray:
        """Longest path through every placed cell, in levels or ns; below 0 without one."""
        at, to = (self.levels_at, self.levels_to) if levels else (self.ns_at, self.ns_to)
        weight = self._level if levels else self._ns
        best = np.full(int(self._first_cell[-1]) + 1, _NONE)
        np.maximum.at(best, self._arc_cell, at[self._source] + weight + to[self._target])
        start = np.zeros(len(self._start_net)) if levels else self._start_ns
        np.maximum.at(best, self._start_cell, start + to[self._start_net])
        end = np.zeros(len(self._end_net)) if levels else self._end_cost
        np.maximum.at(best, self._end_cell, at[self._end_net] + end)
        return best[:-1]

    def module_cells(self) -> dict[str, np.ndarray]:
        """Numbers of the placed cells that are a module's own, by module."""
        found: dict[str, list[np.ndarray]] = {}
        for index, (_, name, _) in enumerate(self.instances):
            found.setdefault(name, []).append(np.arange(self._first_cell[index], self._first_cell[index + 1]))
        return {name: np.concatenate(ranges) for name, ranges in found.items()}

    def paths(self, count: int, levels: bool = True) -> list[Path]:
        """The longest paths, one for each ending register or memory (a vector counts once)."""
        at = self.levels_at if levels else self.ns_at
        length = at[self._end_net] + (0.0 if levels else self._end_cost)
        found: dict[str, Path] = {}
        for index in np.argsort(-length, kind="stable"):
            if length[index] < 0 or len(found) == count:
                break
            end = self._end_name(int(index))
            group = re.sub(r"\[\d+\]$|\.\d+\.\d+$", "", re.sub(r"\[\d+\]\.", ".", end))
            if group not in found:
                found[group] = self._trace(int(index), levels)
        return list(found.values())

    def longest_through(self, numbers: np.ndarray, levels: bool = True) -> Path | None:
        """The longest path through one of these placed cells, None without one."""
        through = self.through(levels)[numbers]
        if not len(through) or through.max() < 0:
            return None
        cell = int(numbers[int(through.argmax())])
        at, to = (self.levels_at, self.levels_to) if levels else (self.ns_at, self.ns_to)
        weight = self._level if levels else self._ns
        end = np.zeros(len(self._end_net)) if levels else self._end_cost
        target = through.max() - 1e-6
        for index in np.flatnonzero(self._end_cell == cell):
            if at[self._end_net[index]] + end[index] >= target:
                return self._trace(int(index), levels)
        arcs = np.flatnonzero(self._arc_cell == cell)
        arcs = arcs[at[self._source[arcs]] + weight[arcs] + to[self._target[arcs]] >= target]
        via = int(arcs[0]) if len(arcs) else None
        starts = np.flatnonzero(self._start_cell == cell)
        net = (
            int(self._target[via])
            if via is not None
            else int(self._start_net[starts[int(np.argmax(to[self._start_net[starts]]))]])
        )
        forward: list[int] = [] if via is None else [via]
        index = self._walk_forward(net, forward, levels)
        return self._trace(index, levels, forward, None if via is not None else net)

    def _walk_forward(self, net: int, taken: list[int], levels: bool) -> int:
        to = self.levels_to if levels else self.ns_to
        weight = self._level if levels else self._ns
        end = np.zeros(len(self._end_net)) if levels else self._end_cost
        while True:
            here = np.flatnonzero(self._end_net == net)
            here = here[end[here] >= to[net] - 1e-6]
            if len(here):
                return int(here[0])
            arcs = np.flatnonzero(self._source == net)
            arc = int(arcs[int(np.argmax(weight[arcs] + to[self._target[arcs]]))])
            taken.append(arc)
            net = int(self._target[arc])

    def _trace(self, end: int, levels: bool, forward: Sequence[int] = (), start_net: int | None = None) -> Path:
        """The longest path to an end; the arcs `forward` are its last ones."""
        at = self.levels_at if levels else self.ns_at
        weight = self._level if levels else self._ns
        arcs = list(forward)
        if start_net is not None:
            net = start_net
        else:
            net = int(self._source[arcs[0]]) if arcs else int(self._end_net[end])
            head: list[int] = []
            while True:
                low, high = np.searchsorted(self._target, [net, net + 1])
                into = np.arange(low, high)
                into = into[at[self._source[into]] + weight[into] >= at[net] - 1e-6]
                if not len(into):
                    break
                head.append(int(into[0]))
                net = int(self._source[head[-1]])
            arcs = head[::-1] + arcs
        starts = np.flatnonzero(self._start_net == net)
        start_ns = float(self._start_ns[starts].max()) if len(starts) else 0.0
        passed = [self.cell(int(self._arc_cell[arc])) for arc in arcs]
        ns = start_ns + float(self._ns[arcs].sum()) + float(self._end_cost[end])
        wire_ns = float(self._wire[arcs].sum()) + float(self._end_wire[end])
        hops = [(self._source[arc], self._routed[arc]) for arc in arcs] + [(self._end_net[end], self._end_routed[end])]
        return Path(
            levels=round(float(self._level[arcs].sum()), 2),
            ns=round(ns, 2),
            logic_ns=round(ns - wire_ns, 2),
            wire_ns=round(wire_ns, 2),
            loads=tuple(int(self.loads[net]) for net, routed in hops if routed),
            start=self.net_name(net),
            end=self._end_name(end),
            cells=_runs([(path, cell.type) for cell, path, _ in passed], self.top),
        )

    def _end_name(self, index: int) -> str:
        cell = int(self._end_cell[index])
        return f"{self.top}.{self._ports[int(self._end_net[index])]}" if cell < 0 else self.cell_name(cell)

    def crossing(self, source: str) -> int:
        """How many nets, clocks aside, leave or enter an instance of a source module (variants of it too)."""
        part = np.zeros(int(self._first_cell[-1]), np.int64)  # 0 outside, else the instance's number
        for index, (path, name, _) in enumerate(self.instances):
            if name.split(".")[0] == source:
                # those in an instance follow it
                end = index + 1
                while end < len(self.instances) and self.instances[end][0].startswith(path + "."):
                    end += 1
                part[self._first_cell[index] : self._first_cell[end]] = index + 1
        least, most = np.full(len(self._kind), len(self.instances) + 1), np.zeros(len(self._kind), np.int64)
        np.minimum.at(least, self._pins[:, 0], part[self._pins[:, 1]])
        np.maximum.at(most, self._pins[:, 0], part[self._pins[:, 1]])
        return int(np.count_nonzero(least < most))

    def slower(self, ns: float) -> int:
        """How many ends of paths (pins of registers, memories and outputs) have one longer than `ns`."""
        return int(np.count_nonzero(self.ns_at[self._end_net] + self._end_cost > ns))

    def fanout(self, count: int, kinds: Sequence[int] = cells.DRIVERS, control: bool = False) -> list[Fanout]:
        """The outputs of cells of these kinds with the most loads, but clocks; or with the most enables and resets."""
        loads = self.control_loads if control else self.loads
        nets = np.flatnonzero(np.isin(self._kind, kinds))
        chosen = nets[np.argsort(-loads[nets], kind="stable")[:count]]
        found = []
        for net in chosen:
            driver = int(self._driver[net])
            kind = cells.KINDS[int(self._kind[net])]
            module = self.top if driver < 0 else self.cell(driver)[2].name
            name = self.net_name(int(net))
            found.append(Fanout(int(self.loads[net]), int(self.control_loads[net]), name, module, kind))
        return found


def total(modules: Mapping[str, Module], name: str) -> Resources:
    """Resources of one instance of a module with all that it contains."""
    module = modules[name]
    result = module.own
    for child, times in Counter(child for _, child, _ in module.children).items():
        result += total(modules, child) * times
    return result


def _runs(passed: Sequence[tuple[str, str]], top: str) -> str:
    """Cells of a path in words, after the instance they are in: u_run: LUT6 CARRY4x3, u_engine: LUT2."""
    parts = []
    for path, cells_in in itertools.groupby(passed, key=lambda item: item[0]):
        runs = [(kind, len(list(run))) for kind, run in itertools.groupby(kind for _, kind in cells_in)]
        text = " ".join(kind if times == 1 else f"{kind}x{times}" for kind, times in runs)
        parts.append(text if path == top else f"{path.removeprefix(top + '.')}: {text}")
    return ", ".join(parts)
