"""Every assertion of the RTL is seen to fire: by a stimulus that its unit does not allow, or in a unit with a fault.

All units, and a copy with a fault where an assertion is about what a unit itself does, stand side by side in one module
that Verilator builds once; a script sets the inputs of one of them.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple, Union

import pytest
from helpers.cores import BUILD

from bnn.contract import Descriptor, Header, array_latency
from hls import sources
from sim import rtl_sim
from sim.builds import build_folder

DRIVE = Path(__file__).resolve().parent / "drive.cpp"
IDLE = 8  # cycles of reset, and after a script

pytestmark = pytest.mark.skipif(
    rtl_sim.find_verilator() is None or shutil.which("g++") is None, reason="verilator or g++ is not installed"
)


class Wait(NamedTuple):
    """Cycles until an output has a value."""

    port: str
    value: int


Step = Union[int, Wait, "dict[str, int]"]  # cycles without a change, or inputs that change


class Rule(NamedTuple):
    """An assertion and what breaks it.

    `inputs` are there from the reset on, `steps` follow it. `faults` are (old, new) texts in the unit's source, which
    are replaced in a copy of it. `allowed`, for a rule with a number in it, are steps that just keep it.
    """

    unit: str
    label: str
    steps: tuple[Step, ...]
    inputs: dict[str, int] = {}
    faults: tuple[tuple[str, str], ...] = ()
    allowed: tuple[Step, ...] = ()

    @property
    def module(self) -> str:
        return f"{self.unit}_without_{self.label}" if self.faults else self.unit


PARAMETERS = {
    "bnn_fifo": {"Depth": 4},
    "bnn_fifo_block": {"Depth": 4},
    "bnn_axi_read": {"MaxBurst": 16, "MaxOutstanding": 2, "CreditBits": 10, "Credit": 20},
    "bnn_axi_write": {"MaxOutstanding": 4},
    "bnn_read_arbiter": {"MaxOutstanding": 4},
    "bnn_run": {"Simd": 32, "WeightDepth": 64, "ActDepth": 64},
    "bnn_first_layer": {"Simd": 32, "ActDepth": 64, "ImagePixels": 16},
    "bnn_first_read": {"Depth": 4},
    "bnn_first_image": {"ImagePixels": 16},
    "bnn_first_bits": {"Results": 4},
    "bnn_first_values": {"Results": 4},
    "bnn_engine": {"Simd": 32, "Lanes": 2, "WeightDepth": 64, "ActDepth": 64},
    "bnn_sequencer": {"Lanes": 2, "ActDepth": 64},
    "bnn_writeback": {"Simd": 32, "ActDepth": 64},
    "bnn_score": {"Simd": 32},
    "bnn_align": {"Simd": 32},
    "bnn_array": {"Simd": 32, "Lanes": 2},
    "bnn_act_write": {"Simd": 32},
    "bnn_vector": {"Simd": 32, "ActDepth": 64},
    "bnn_vector_header": {"Simd": 32},
    "bnn_vector_place": {"Simd": 32},
    "bnn_weight_ring": {"WordBits": 128, "Depth": 4},
}


def record(value: Header | Descriptor) -> int:
    """A record as a port has it."""
    return int.from_bytes(bytes(value), "little")


def pulse(port: str) -> tuple[Step, Step]:
    return {port: 1}, {port: 0}


def high(port: str, cycles: int) -> tuple[Step, ...]:
    return {port: 1}, cycles - 1, {port: 0}


def apart(first: str, second: str, cycles: int) -> tuple[Step, ...]:
    """Two pulses, the second `cycles` cycles after the first, at least two."""
    return (*pulse(first), cycles - 2, *pulse(second))


# A layer of one step: a dense one with one word, scores or not
LAYER = Descriptor(
    dense=True,
    groups=1,
    tap_words=1,
    rows=1,
    columns=2,
    blocks=1,
    height=1,
    width=2,
    group_words=1,
    last_bits=32,
    outputs=4,
    out_columns=2,
)
LAYER_BITS = Descriptor.USED * 32 + 1
COMMAND = record(LAYER) & ((1 << Descriptor.USED * 32) - 1) | 2 << LAYER_BITS  # for two images
SEQUENCE = dict.fromkeys(
    ("groups_i", "images_i", "rows_i", "blocks_i", "cw_i", "tap_rows_i", "tap_columns_i", "inner_i", "outer_i"), 1
)
# An average of one pixel whose value is written: eight words a block
AVERAGE = record(
    Descriptor(
        vector=True, dense=True, average=True, value=True, groups=1, rows=1, blocks=1, height=1, width=1, outputs=8
    )
) & ((1 << Descriptor.USED * 32) - 1)
VECTOR = {"layer_i": COMMAND, "units_i": 2, "rows_i": 1}
HEADERS = {"hand_overs_i": 1, "planes_i": 1}
BLOCK = {"images_i": 1, "rows_i": 1, "blocks_i": 4}
CLASSES = {"images_i": 4, "classes_i": 4}
# Three images of a beat in pack mode, each a sub-batch
PACK = record(Header(sub_batch=1, image_bytes=8, pixels=8, channels=1, height=1, width=8, elements=8, out_words=1))
READ = ({"addr_i": 0, "beats_i": 100, "command_valid_i": 1, "arready_i": 1}, 40)
WRITES = ({"command_valid_i": 1}, 30)
SCORES = (2, *pulse("start_i"), 4, *pulse("valid_i"), 20)

CONTROL = {"wdata_i": 1, "wstrb_i": 15, "bready_i": 1}
START = ({"awvalid_i": 1, "wvalid_i": 1}, {"awvalid_i": 0, "wvalid_i": 0}, 4)

RULES = (
    Rule("bnn_fifo", "pop_with_word", pulse("pop_i")),
    Rule("bnn_fifo_block", "push_with_room", high("push_i", 5), allowed=high("push_i", 4)),
    Rule("bnn_loop", "limit_not_zero", (*pulse("restart_i"), *pulse("go_i"))),
    Rule("bnn_loop", "limit_constant", (*pulse("restart_i"), {"limit_i": 4, "go_i": 1}), {"limit_i": 3}),
    Rule("bnn_axi_read", "command_fits", ({"addr_i": 4, "beats_i": 1, "command_valid_i": 1},)),
    Rule("bnn_axi_read", "burst_fits", READ, faults=(("{1'b0, to_page} : most", "{1'b0, to_page} : 5'd17"),)),
    Rule(
        "bnn_axi_read",
        "burst_has_credit",
        READ,
        faults=(("afford_q <= credit_q >= CreditBits'(burst_q)", "afford_q <= 1'b1"),),
    ),
    Rule("bnn_axi_read", "yields", READ, {"yield_i": 1}, (("& room_q & ~yield_i &", "& room_q &"),)),
    Rule(
        "bnn_axi_read",
        "flight_limited",
        ({"arready_i": 1, "beats_i": 48}, *pulse("command_valid_i"), 40),
        faults=(
            ("flight_q != FlightBits'(MaxOutstanding)", "1'b1"),
            ("afford_q <= credit_q >= CreditBits'(burst_q)", "afford_q <= 1'b1"),
        ),
        allowed=({"arready_i": 1, "beats_i": 32}, *pulse("command_valid_i"), 40),
    ),
    Rule(
        "bnn_axi_read",
        "abort_drops",
        (*READ, {"abort_i": 1}, 2, {"rvalid_i": 1}, 2),
        faults=(("rvalid_i & ~drop_q", "rvalid_i"),),
    ),
    Rule(
        "bnn_axi_write",
        "command_in_time",
        ({"hold_i": 1}, 2, *high("command_valid_i", 6)),
        allowed=({"hold_i": 1}, 2, *high("command_valid_i", 5)),
    ),
    Rule(
        "bnn_axi_write",
        "command_has_room",
        WRITES,
        faults=(
            ("(level_q[0] <= LevelBits'(Most))", "1'b1"),
            ("(level_q[1] <= LevelBits'(Most))", "1'b1"),
            ("(flight_q < FlightBits'(MaxOutstanding - 1))", "1'b1"),
        ),
    ),
    Rule("bnn_axi_write", "command_fits", ({"addr_i": 4, "command_valid_i": 1},)),
    Rule("bnn_axi_write", "held", ({"hold_i": 1}, 4), faults=((" & ~hold_i", ""),)),
    Rule(
        "bnn_axi_write",
        "flight_limited",
        ({"awready_i": 1, "wready_i": 1}, *high("command_valid_i", 12), 2),
        faults=(("(flight_q < FlightBits'(MaxOutstanding - 1))", "1'b1"),),
        allowed=({"awready_i": 1, "wready_i": 1}, *high("command_valid_i", 11), 2),
    ),
    Rule(
        "bnn_axi_write",
        "busy_with_writes",
        (*pulse("command_valid_i"), 4),
        faults=(("command | command_q | (flight_q != '0)", "command"),),
    ),
    Rule("bnn_read_arbiter", "beat_has_owner", pulse("rvalid_i")),
    Rule(
        "bnn_read_arbiter",
        "flight_limited",
        ({"ar_valid_i": 1, "arready_i": 1}, 20),
        faults=(("choose = room & ", "choose = "),),
    ),
    Rule(
        "bnn_control",
        "start_is_pulse",
        START,
        CONTROL,
        (("if (start) run_q <= 1'b1;", "if (1'b0) run_q <= 1'b1;"), ("else if (start) start_q <= 1'b0;", "")),
    ),
    Rule("bnn_control", "done_ends_run", pulse("done_i")),
    Rule("bnn_control", "figures_hold", (*START, *pulse("done_i"), {"cycles_i": 1}), CONTROL),
    Rule(
        "bnn_sub_batch",
        "step_settled",
        apart("restart_i", "step_i", 3),
        {"count_i": 4, "size_i": 2},
        allowed=apart("restart_i", "step_i", 4),
    ),
    Rule(
        "bnn_run", "one_state", (*pulse("start_i"), 4), faults=(("(state_q[Idle] & start_q) | stay[Open];", "1'b0;"),)
    ),
    Rule("bnn_run", "start_when_idle", (*pulse("start_i"), 2, *pulse("start_i")), {"count_i": 1}),
    Rule(
        "bnn_run",
        "flush_when_quiet",
        (*pulse("start_i"), 8, *pulse("bus_error_i"), Wait("flush_o", 1), {"bus_busy_i": 1}, 2),
        {"count_i": 1},
    ),
    Rule("bnn_run_section", "one_section", pulse("next_i")),
    Rule("bnn_run_read", "beats_enough", ({"ask_i": 1, "settled_i": 1, "ready_i": 1, "beats_i": 1}, 4)),
    Rule("bnn_run_descriptors", "start_settled", (*pulse("fetch_i"), *pulse("start_i"))),
    Rule("bnn_run_descriptors", "start_good", (*pulse("fetch_i"), 40, *pulse("start_i"))),
    Rule("bnn_run_layers", "begin_in_turn", (*pulse("sub_begin_i"), *pulse("sub_begin_i"))),
    Rule(
        "bnn_run_layers",
        "ready_limited",
        (*pulse("begin_i"), {"layer_i": 1}, *high("first_done_i", 3)),
        allowed=(*pulse("begin_i"), {"layer_i": 1}, *high("first_done_i", 2)),
    ),
    Rule(
        "bnn_run_layers",
        "settled",
        (*pulse("begin_i"), {"layer_i": 1}, 20, {"header_i": record(Header(layers=1, layers_a=1))}, 4),
    ),
    Rule(
        "bnn_run_weights",
        "abort_stops",
        ({"begin_i": 3}, {"begin_i": 0}, Wait("valid_o", 1), {"abort_i": 1}, 2),
        faults=(("& ~(valid_q & ready_i) & ~abort_i;", "& ~(valid_q & ready_i);"),),
    ),
    Rule("bnn_first_layer", "load_before_run", (*pulse("start_i"), 2, *pulse("load_valid_i"))),
    Rule("bnn_first_layer", "program_constant", (*pulse("start_i"), 2, {"images_i": 8})),
    Rule("bnn_first_layer", "consumed_is_done", (*pulse("start_i"), 2, *pulse("consumed_i"))),
    Rule(
        "bnn_first_layer",
        "ahead_limited",
        (*pulse("start_i"), *(3 * pulse("beat_valid_i")), 60),
        {"header_i": PACK, "count_i": 3},
        (("      .consumed_i,\n      .some_o", "      .consumed_i(done_o),\n      .some_o"),),
        (*pulse("start_i"), *(2 * pulse("beat_valid_i")), 60),
    ),
    Rule("bnn_first_layer", "wait_announced", pulse("write_wait_i")),
    Rule("bnn_first_read", "beat_has_room", high("beat_valid_i", 5), allowed=high("beat_valid_i", 4)),
    Rule("bnn_first_turn", "begin_with_some", pulse("begin_i")),
    Rule(
        "bnn_first_turn",
        "begin_apart",
        (*pulse("clear_i"), Wait("some_o", 1), *high("begin_i", 2), 4),
        {"run_i": 1, "count_i": 9, "sub_batch_i": 9},
        allowed=(*pulse("clear_i"), Wait("some_o", 1), *apart("begin_i", "begin_i", 2)),
    ),
    Rule("bnn_first_turn", "consumed_is_begun", pulse("consumed_i")),
    Rule(
        "bnn_first_turn",
        "ahead_limited",
        (*pulse("clear_i"), *(2 * (Wait("some_o", 1), *pulse("begin_i"), 1)), 8),  # the third begins by itself
        {"run_i": 1, "count_i": 9, "sub_batch_i": 1},
        ((".ahead_i    (ahead_q[1]),", ".ahead_i    (1'b0),"),),
        (*pulse("clear_i"), Wait("some_o", 1), *pulse("begin_i"), 9),
    ),
    Rule("bnn_first_image", "read_full", pulse("read_last_i")),
    Rule(
        "bnn_first_columns",
        "column_has_room",
        (*pulse("clear_i"), 60),
        {"rows_i": 4, "column_limit_i": 12, "full_i": 3, "some_i": 1},
        (("credit_q != '0;", "1'b1;"),),
    ),
    Rule("bnn_first_bits", "bits_have_room", ({"valid_i": 1, "first_i": 1, "last_i": 1}, 20)),
    Rule(
        "bnn_first_values",
        "groups_apart",
        (*pulse("clear_i"), *apart("soon_i", "soon_i", 3)),
        {"group_end_i": 1},
        allowed=(*pulse("clear_i"), *apart("soon_i", "soon_i", 4)),
    ),
    Rule(
        "bnn_first_values",
        "words_have_room",
        (*pulse("clear_i"), *(10 * (*pulse("soon_i"), 2)), 12),
        {"group_end_i": 1, "words_i": 1, "value_words_i": 1},
    ),
    Rule("bnn_first_array", "sums_whole", pulse("valid_i")),
    Rule("bnn_first_write", "one_source", ({"bits_valid_i": 7, "value_valid_i": 1},)),
    Rule("bnn_unpack", "channels_fit", pulse("beat_valid_i")),
    Rule("bnn_engine", "start_when_idle", (*pulse("start_i"), *pulse("start_i")), {"layer_i": COMMAND}),
    Rule(
        "bnn_engine",
        "start_after_writes",
        (*pulse("start_i"), Wait("done_o", 1), 4, *pulse("start_i")),
        {"layer_i": COMMAND, "ring_available_i": 8},
        allowed=(*pulse("start_i"), Wait("done_o", 1), 5, *pulse("start_i")),
    ),
    Rule("bnn_engine", "start_constant", ({"layer_i": COMMAND, "start_i": 1},)),
    Rule(
        "bnn_engine",
        "layer_constant",
        (*pulse("start_i"), Wait("done_o", 1), 2, {"scores_i": 8}),
        {"layer_i": COMMAND, "ring_available_i": 8},
        allowed=(*pulse("start_i"), Wait("done_o", 1), 3, {"scores_i": 8}),
    ),
    Rule("bnn_sequencer", "start_when_idle", (*pulse("start_i"), *pulse("start_i")), SEQUENCE),
    Rule("bnn_sequencer", "start_constant", ({"source_base_i": 1, "start_i": 1},), SEQUENCE),
    Rule("bnn_sequencer", "layer_constant", (*pulse("start_i"), 2, {"source_base_i": 1}), SEQUENCE),
    Rule("bnn_sequencer", "limits_not_zero", pulse("start_i"), {**SEQUENCE, "cw_i": 0}),
    Rule(
        "bnn_sequencer",
        "dense_inside",
        (*pulse("start_i"), {"ready_i": 3}, 10),
        {**SEQUENCE, "dense_i": 1},
        (("        .images_i      (images),\n", "        .images_i      (1'b0),\n"),),
    ),
    Rule(
        "bnn_writeback",
        "soon_late",
        apart("start_i", "soon_i", 5),
        BLOCK,
        allowed=apart("start_i", "soon_i", 6),
    ),
    Rule("bnn_writeback", "start_constant", ({"base_i": 1}, *pulse("start_i")), BLOCK),
    Rule("bnn_writeback", "writes_constant", (*pulse("start_i"), 6, *pulse("soon_i"), {"base_i": 1}), BLOCK),
    Rule("bnn_writeback", "serial_in_turn", (*pulse("start_i"), 6, *(2 * pulse("soon_i"))), {**BLOCK, "serial_i": 1}),
    Rule(
        "bnn_writeback",
        "serial_bits_hold",
        (*pulse("start_i"), 6, *pulse("soon_i"), 2, {"bit_i": 1}, 2),
        {**BLOCK, "serial_i": 1},
    ),
    Rule("bnn_score", "start_constant", ({"base_i": 8, "start_i": 1},), CLASSES),
    Rule("bnn_score", "layer_constant", (*pulse("start_i"), *pulse("header0_soon_i"), {"base_i": 8}), CLASSES),
    Rule("bnn_score", "headers_hold", (*pulse("start_i"), *pulse("valid_i"), *pulse("header0_soon_i")), CLASSES),
    Rule("bnn_score", "block_in_turn", (*pulse("start_i"), *(2 * pulse("valid_i"))), CLASSES),
    Rule(
        "bnn_score",
        "beats_in_time",
        ({"images_i": 3, "classes_i": 4}, *SCORES),  # six beats
        faults=((".score_ready_i(score_ready_i),", ".score_ready_i(1'b1),"),),
        allowed=({"images_i": 2, "classes_i": 3}, *SCORES),  # five
    ),
    Rule("bnn_align", "shift_one_hot", ({"shift_i": 3},)),
    Rule("bnn_array", "header_alone", ({"header_soon_i": 1}, {"header_soon_i": 0, "valid_i": 1})),
    Rule(
        "bnn_array",
        "headers_apart",
        apart("header_soon_i", "header_soon_i", array_latency(32) - 1),
        allowed=apart("header_soon_i", "header_soon_i", array_latency(32)),
    ),
    Rule("bnn_array", "shift_without_words", (*pulse("valid_i"), 2, *pulse("shift_i"))),
    Rule(
        "bnn_array",
        "hand_in_turn",
        apart("valid_i", "valid_i", 3),
        {"hand_i": 1, "last_i": 1},
        allowed=apart("valid_i", "valid_i", 4),
    ),
    Rule("bnn_array", "pool_constant", (*pulse("valid_i"), 2, {"pool_i": 1})),
    Rule("bnn_act_write", "write_announced", ({"array_lane_i": 1},)),
    Rule("bnn_vector", "layer_constant", (*pulse("load_i"), {"units_i": 1}), VECTOR),
    Rule("bnn_vector", "load_with_room", (*pulse("load_i"), 40, *pulse("load_i"), 40, *pulse("load_i")), VECTOR),
    Rule("bnn_vector", "take_with_room", ({"take_i": 1}, 17), VECTOR),
    Rule(
        "bnn_vector",
        "sums_in_turn",
        apart("sum_soon_i", "sum_soon_i", 3),
        VECTOR,
        allowed=apart("sum_soon_i", "sum_soon_i", 4),
    ),
    Rule(
        "bnn_vector",
        "port_in_turn",
        (2, {"load_i": 1}, {"load_i": 0}, 600),
        {"layer_i": AVERAGE, "units_i": 4, "rows_i": 1},
        faults=(("average_q ? result_run_d_q[3]", "average_q ? 1'b0"),),
    ),
    Rule("bnn_vector_header", "load_in_turn", (*pulse("load_i"), *pulse("load_i")), HEADERS),
    Rule("bnn_vector_header", "counts_fit", pulse("load_i")),
    Rule(
        "bnn_vector_place",
        "go_apart",
        (*pulse("start_i"), 5, *apart("go_i", "go_i", 3)),
        {"units_i": 1, "rows_i": 1, "blocks_i": 9},
        allowed=(*pulse("start_i"), 5, *apart("go_i", "go_i", 4)),
    ),
    Rule("bnn_vector_pool", "values_apart", apart("valid_i", "valid_i", 3), allowed=apart("valid_i", "valid_i", 4)),
    Rule("bnn_vector_score", "begin_in_turn", (*pulse("begin_i"), *pulse("begin_i")), CLASSES),
    Rule("bnn_vector_score", "block_in_turn", (*pulse("begin_i"), *pulse("block_i")), CLASSES),
    Rule("bnn_vector_score", "group_with_block", pulse("group_i"), CLASSES),
    Rule("bnn_weight_ring", "read_there", ({"beat_valid_i": 1}, 1, {"beat_valid_i": 0, "read_i": 1})),
    Rule("bnn_weight_ring", "pop_there", ({"pop_count_i": 1}, 4, *pulse("pop_i"))),
    Rule(
        "bnn_weight_ring",
        "pop_settled",
        ({"beat_valid_i": 1}, 5, {"beat_valid_i": 0, "pop_i": 1}, 1),
        {"pop_count_i": 1},
    ),
    Rule("bnn_weight_ring", "word_has_room", high("beat_valid_i", 10), allowed=high("beat_valid_i", 8)),
    Rule("bnn_weight_ring", "rewind_held", pulse("rewind_i")),
    Rule("bnn_weight_ring", "use_constant", (*pulse("clear_i"), {"hold_i": 1}, *pulse("beat_valid_i"))),
    Rule("bnn_weight_ring", "words_fit", pulse("clear_i"), {"hold_i": 1}),
    Rule("bnn_weight_ring", "ring_fits", pulse("clear_i"), {"ring_i": 2, "kept_i": 3}),
    Rule(
        "bnn_weight_ring",
        "ring_has_room",
        (*pulse("clear_i"), {"beat_valid_i": 1}, 12),
        {"ring_i": 2, "kept_i": 1},
    ),
)


def faulty(rule: Rule) -> str:
    """The source of the rule's unit with its faults, as a module of another name."""
    text = sources.find(rule.unit).read_text()
    for old, new in rule.faults:
        assert old in text, f"{rule.unit}: no {old!r}"
        text = text.replace(old, new)
    return re.sub(rf"\bmodule {rule.unit}\b", f"module {rule.module}", text)


def together() -> str:
    """A module with all units; inputs are left open, and set from outside."""
    lines = ["module rules (input logic clk, input logic rst);"]
    for module, unit in {rule.module: rule.unit for rule in RULES}.items():
        values = ", ".join(f".{name}({value})" for name, value in PARAMETERS.get(unit, {}).items())
        reset = ", .rst_i(rst)" if re.search(r"\binput +logic +rst_i\b", sources.find(unit).read_text()) else ""
        lines.append(f"  {module} #({values}) u_{module} (.clk_i(clk){reset});")
    return "\n".join([*lines, "endmodule", ""])


@pytest.fixture(scope="module")
def binary() -> Path:
    """The simulation of `together`."""
    made = {f"{rule.module}.sv": faulty(rule) for rule in RULES if rule.faults} | {"rules.sv": together()}
    digest = hashlib.sha256(DRIVE.read_bytes())
    for text in [*made.values(), *(path.read_text() for path in sources.files())]:
        digest.update(text.encode())
    with build_folder(BUILD / "rules", digest.hexdigest()) as folder:
        if not (folder / "rules").is_file():
            for name, text in made.items():
                (folder / name).write_text(text)
            build(folder, [*sources.files(), *(folder / name for name in made), DRIVE])
        return folder / "rules"


def build(folder: Path, files: list[Path]) -> None:
    """Verilate the module `rules` so that every signal of it can be set by its name, and compile it into `folder`."""
    verilator = rtl_sim.find_verilator()
    assert verilator is not None
    objects = str(folder / "objects")
    commands = (
        [
            str(verilator),
            "--cc",
            "--exe",
            "--vpi",
            "--public-flat-rw",
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "--output-split",
            "0",
            "--top-module",
            "rules",
            "--Mdir",
            objects,
            "-o",
            str(folder / "made"),
            *map(str, files),
        ],
        [
            "make",
            "-C",
            objects,
            "-f",
            "Vrules.mk",
            "-j2",
            "CXX=g++",
            "OPT_FAST=-O0",
            "OPT_SLOW=-O0",
            "OPT_GLOBAL=-O0",
            "CFG_CXXFLAGS_PCH_I=-include",
        ],
    )
    for command in commands:
        done = subprocess.run(command, env=rtl_sim.verilator_environment(verilator), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (folder / "made").rename(folder / "rules")
    shutil.rmtree(objects)


def script(rule: Rule) -> str:
    """The lines for drive.cpp."""

    def settings(values: dict[str, int]) -> str:
        return " ".join(f"u_{rule.module}.{name}={value:x}" for name, value in values.items())

    lines = [settings(rule.inputs)] + [""] * IDLE + ["release"] + [""] * IDLE
    for step in rule.steps:
        if isinstance(step, Wait):
            lines.append("wait " + settings({step.port: step.value}))
        elif isinstance(step, dict):
            lines.append(settings(step))
        else:
            lines += [""] * step
    return "\n".join(lines + [""] * IDLE) + "\n"


def run(binary: Path, text: str) -> list[tuple[str, str]]:
    """Instance and label of every assertion that fired, in order, each once."""
    done = subprocess.run([str(binary)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(dict.fromkeys(re.findall(r"Assertion failed in TOP\.rules\.(\w+)(?:\.\w+)*?\.(\w+): ", done.stdout)))


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.unit}.{rule.label}")
def test_an_assertion_fires(binary: Path, rule: Rule) -> None:
    fired = run(binary, script(rule))
    assert (f"u_{rule.module}", rule.label) in fired, fired
    assert {instance for instance, _ in fired} == {f"u_{rule.module}"}


@pytest.mark.slow
@pytest.mark.parametrize("rule", [r for r in RULES if r.allowed], ids=lambda rule: f"{rule.unit}.{rule.label}")
def test_what_is_just_allowed_breaks_no_rule(binary: Path, rule: Rule) -> None:
    fired = run(binary, script(rule._replace(steps=rule.allowed)))
    if rule.faults:  # what is about the fault may fire
        fired = [item for item in fired if item[1] == rule.label]
    assert fired == []


@pytest.mark.slow
def test_units_at_rest_break_no_rule(binary: Path) -> None:
    assert run(binary, script(Rule("bnn_fifo", "none", (50,)))) == []


def test_every_assertion_is_seen_to_fire() -> None:
    found = {
        (path.stem, label)
        for path in sources.files()
        for label in re.findall(r"^ *(\w+): assert property", path.read_text(), re.MULTILINE)
    }
    assert found == {(rule.unit, rule.label) for rule in RULES} and len(RULES) == len(found)


def test_assertions_are_for_simulation_only() -> None:
    for path in sources.files():
        outside = re.sub(r"`ifndef SYNTHESIS\n.*?`endif\n", "", path.read_text(), flags=re.DOTALL)
        assert "assert" not in outside.replace("// ", "") or path.stem.endswith("_pkg"), path.name
