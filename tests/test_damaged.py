"""Damaged programs: every core ends a run of them with the same code, and no simulation crashes or runs on.

`make damaged` takes ten thousand of them (run_damaged.py).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cores import SMALL, TIGHT
from helpers.damage import CORES, Board, Damage, Program, Run, can_run, code_of, hls_core, is_short, rtl_core
from helpers.programs import change
from run_damaged import campaign, main, wrong

from bnn import golden
from bnn.contract import MAX_AVERAGE, MAX_BATCH, MAX_CHANNELS, PROGRAM_VERSION, PROGRAM_VERSION_2, Error, Header, layers
from bnn.program import score_columns
from hls.ap_types import find_ap_types
from hls.designs import Design
from host.errors import HostError
from host.program import Program as HostProgram
from sim import rtl_sim
from sim.rtl_sim import RtlSimError

COUNT = 280
DAMAGE = Damage()
needs_csim = pytest.mark.skipif(find_ap_types() is None or shutil.which("g++") is None, reason="no ap_int.h or g++")
needs_rtl = pytest.mark.skipif(rtl_sim.find_verilator() is None, reason="verilator is not installed")


def test_good_programs_are_good() -> None:
    assert {Header.read(program).version for program in DAMAGE.good} == {1, 2}
    for program in DAMAGE.good:
        assert code_of(program) == Error.NONE


@pytest.mark.parametrize(
    "core", [pytest.param("hls", marks=needs_csim), pytest.param("rtl", marks=needs_rtl), "functional"]
)
def test_a_core_ends_with_the_same_code(core: str) -> None:
    """Part of a campaign, and all codes occur in it."""
    every = {number: DAMAGE.program(number) for number in range(COUNT)}
    programs = {number: one for number, one in every.items() if can_run(core, one)}
    assert [item for item in wrong(CORES[core](), programs) if item[1]] == []
    found = Counter(code_of(program) for program, _ in programs.values())
    assert {0, 1, 2, 3, 5} <= set(found) and len(programs) > COUNT / 2, found


AVERAGES = (
    (Error.RANGE, {"height": 0}),  # a counter that ends at 0 counts through all of its values
    (Error.RANGE, {"width": 0}),
    (Error.RANGE, {"height": 0, "width": 0}),
    (Error.RANGE, {"height": MAX_AVERAGE + 1}),
    (Error.RANGE, {"height": 256, "width": 256}),  # 65,536 pixels, which are none in 16 bits
    (Error.RANGE, {"tap_words": 1}),
    (Error.RANGE, {"tap_words": 1 << 16}),  # though no core reads it
    (Error.RANGE, {"group_words": 1}),
    (Error.RANGE, {"group_words": 1 << 16}),
    (Error.NONE, {"height": 1, "width": MAX_AVERAGE}),
    (Error.NONE, {"pass_words": 1 << 16, "tap_columns": 7}),  # which an average does not have
)
HEADERS = (
    (Error.RANGE, {"batch": MAX_BATCH + 1}),
    (Error.RANGE, {"batch": 1 << 16}),
    (Error.RANGE, {"sub_batch": 0}),
    (Error.RANGE, {"sub_batch": 1 << 16}),
    (Error.RANGE, {"batch": MAX_BATCH, "sub_batch": MAX_BATCH + 1}),
    (Error.RANGE, {"classes": 0}),
    (Error.NONE, {"batch": MAX_BATCH}),
)


def with_averages(fields: dict[str, int]) -> Iterator[Program]:
    """The good programs with an average, with other fields of its descriptor and the words that it then takes."""
    for program, images in zip(DAMAGE.good, DAMAGE.images, strict=True):
        head = Header.read(program)
        for number, item in enumerate(layers(program)):
            if item.average:
                words = "words_a" if number < head.layers_a else "words_b"
                more = item.groups * fields.get("group_words", 0)
                longer = program.ljust(head.size + more * head.pe * head.simd // 8, b"\0")
                room = {words: getattr(head, words) + more, "size": len(longer), "resident": 0} if more else {}
                of_layer = {f"layer{number}_{name}": value for name, value in fields.items()}
                yield change(longer, **room, **of_layer), images


def with_headers(fields: dict[str, int]) -> Iterator[Program]:
    """The good programs of a single segment, with other fields of their headers."""
    for program, images in zip(DAMAGE.good, DAMAGE.images, strict=True):
        if Header.read(program).layers_a == Header.read(program).layers:
            yield change(program, **fields), images


def broken_alone(head: Header) -> Iterator[dict[str, int]]:
    """Fields of a header that break one of its rules, and no other."""

    def image(height: int, width: int, channels: int) -> dict[str, int]:
        elements = height * width * channels
        fields = {"height": height, "width": width, "channels": channels, "pixels": height * width}
        fields |= {"elements": elements, "image_bytes": -(-elements // 8) * 8}
        if head.first_channels:
            sums = [size - (0 if head.pad else 2) for size in (height, width)]
            fields["rows"], fields["columns"] = (size & ~1 if head.pool else size for size in sums)
        elif head.pixel_map:
            fields["rows"], fields["columns"] = height, width
        else:
            fields["out_words"] = max(1, head.first_planes) * -(-elements // head.simd)
        return fields

    yield image(head.height, head.width, MAX_CHANNELS + 1)
    yield image(TIGHT.image_pixels // head.width + 2, head.width, head.channels)
    if head.first_channels:
        yield {"first_planes": 1}
    elif not head.pixel_map:
        yield {"first_planes": 9, "out_words": 9 * -(-head.elements // head.simd)}
    if not head.resident:
        yield {"resident": 1}


def with_rules_broken() -> Iterator[tuple[dict[str, int], Program]]:
    """Good programs that break one rule of the header, and have no other fault."""
    for program, images in zip(DAMAGE.good, DAMAGE.images, strict=True):
        for fields in broken_alone(Header.read(program)):
            broken = change(program, **fields)
            head = Header.read(broken)
            yield fields, (broken, np.zeros((len(images), head.height, head.width, head.channels), np.uint8))


def with_releases() -> Iterator[tuple[dict[str, int], Program]]:
    """Programs of which a layer reads or releases the first layer's buffer behind the one that releases it."""
    for program, images in zip(DAMAGE.good, DAMAGE.images, strict=True):
        released = False
        for number, item in enumerate(layers(program)):
            for name in ("from_first", "release_first") if released else ():
                fields = {f"layer{number}_{name}": 1}
                yield fields, (change(program, **fields), images)
            released = released or bool(item.release_first)


@pytest.mark.parametrize(
    "core", [pytest.param("hls", marks=needs_csim), pytest.param("rtl", marks=needs_rtl), "functional"]
)
def test_counts_of_averages_and_headers(core: str) -> None:
    """What would count on for minutes, what only one of the cores can do, and what no core reads."""
    expected = [(code, fields, one) for code, fields in AVERAGES for one in with_averages(fields)]
    expected += [(code, fields, one) for code, fields in HEADERS for one in with_headers(fields)]
    expected += [(Error.RANGE, fields, one) for fields, one in (*with_rules_broken(), *with_releases())]
    for program, images in zip(DAMAGE.good, DAMAGE.images, strict=True):
        if Header.read(program).version == PROGRAM_VERSION:
            fields = {"version": PROGRAM_VERSION_2}  # in which none of its layers frees the first layer's buffer
            expected.append((Error.RANGE, fields, (change(program, **fields), images)))
    codes = CORES[core]()([one for _, _, one in expected])
    for (code, fields, one), got in zip(expected, codes, strict=True):
        assert code_of(one[0]) == code == got, fields
        assert is_short(one)


@pytest.mark.parametrize("build", [pytest.param(hls_core, marks=needs_csim), pytest.param(rtl_core, marks=needs_rtl)])
def test_a_core_tells_the_first_layer_with_a_fault(build: Callable[[Design], Run]) -> None:
    """And of that layer first that it needs the vector unit, which is not there."""
    plain = replace(SMALL, name="plain", vector=False)
    good, images = DAMAGE.good[0], DAMAGE.images[0]
    words, short = Header.read(good).words_a, layers(good)[0].weight_words - 1
    assert short < words
    cases = (
        (Error.VECTOR, {"last_vector": 1}),
        (Error.RANGE, {"last_vector": 1, "first_out_columns": 0}),
        (Error.RANGE, {"last_vector": 1, "words_a": short}),  # which the first layer takes more than
        (Error.VECTOR, {"last_vector": 1, "words_a": words - 1}),
        (Error.VECTOR, {"last_vector": 1, "last_out_columns": 0}),
        (Error.RANGE, {"last_vector": 1, "version": 2, "first_release_first": 1, "first_early": 1}),
        (Error.VECTOR, {"last_vector": 1, "version": 2}),
        (Error.RANGE, {"last_vector": 1, "classes": 1 << 16}),  # the header comes before the layers
    )
    programs = [change(good, **fields) for _, fields in cases]
    assert [code_of(program, plain) for program in programs] == [code for code, _ in cases]
    assert build(plain)([(program, images) for program in programs]) == [code for code, _ in cases]


def test_the_functional_core_runs_good_programs() -> None:
    board = Board()
    for program, images, model in zip(DAMAGE.good, DAMAGE.images, DAMAGE.models, strict=True):
        assert board.run(program, images) == Error.NONE
        assert (board.scores(len(images), len(model.classes)) == golden.infer(model, images)).all()


def test_a_campaign_goes_on_and_tells_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[int] = []
    numbers = {DAMAGE.program(number)[0]: number for number in range(700)}

    def run(programs: list[Program]) -> list[int]:
        codes = []
        for program, _ in programs:
            number = numbers[program]
            if number == 130:
                raise RtlSimError("an assertion")
            ran.append(number)
            codes.append(code_of(program) + (number == 7))
        return codes

    monkeypatch.setitem(CORES, "rtl", lambda: run)
    assert not campaign("rtl", tmp_path, 5).failed
    record = campaign("rtl", tmp_path, 700)
    assert record.failed == [7, 130] and record.seeds[130] == ["an assertion"]
    assert len(record.seeds) == 700 and 690 < record.ran < 700 and ran.count(3) == 1
    expected = code_of(DAMAGE.program(7)[0])
    out = capsys.readouterr().out
    assert out == (
        f"rtl: program 7: ended with code {expected + 1}, by the rules {expected}\nrtl: program 130: an assertion\n"
    )


def test_a_campaign_that_cannot_be_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rtl_sim, "find_verilator", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "functional.json").write_text('{"seeds": ')
    for arguments, said in (
        (["functional", "-o", str(tmp_path)], f"{tmp_path}/functional.json: is no record of a campaign"),
        (["functional", "-o", str(tmp_path / "file")], f"{tmp_path}/file"),
        (["rtl", "-o", str(tmp_path / "new")], "verilator: not found"),
        (["hls", "-o", str(tmp_path / "new")], "not found"),
    ):
        assert main([*arguments, "--programs", "1"]) == 1
        told = capsys.readouterr().err
        assert told.startswith("error: ") and said in told and told.count("\n") == 1, told


def test_scores_take_no_memory_that_a_program_names() -> None:
    words = np.frombuffer(DAMAGE.good[0], "<u4").copy()
    for named in (0xFFFF, 0x10000, 0xFFFFFFFF):
        words[Header.classes.word] = named
        assert score_columns(words.tobytes()) == 0
        assert code_of(words.tobytes()) == Error.RANGE
    assert score_columns(DAMAGE.good[0]) == len(DAMAGE.models[0].classes)


def test_the_host_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "program.bin"
    for field, value, message in (
        (Header.classes, 0x04000000, "67108864 classes, expected at most 65535"),
        (Header.layers_a, 0x7FFFFFFF, "segment A has 2147483647 of 2 layers"),
        (Header.layers, 0x4E24B9B0, "1311029680 layers, expected 1 to"),
        (Header.geometry, 0, "0x0x0, FIRST_PE 4 is no array"),
        (Header.words_a, 3, "weight words"),
    ):
        words = np.frombuffer(DAMAGE.good[0], "<u4").copy()
        words[field.word] = value
        path.write_bytes(words.tobytes())
        with pytest.raises(HostError, match=message) as caught:
            HostProgram(path)
        assert str(caught.value).startswith(f"{path}: ")
    accepted = 0
    for seed in range(200):
        path.write_bytes(DAMAGE.program(seed)[0])
        try:
            HostProgram(path)
            accepted += 1
        except HostError as error:
            assert "\n" not in str(error)
    assert 20 < accepted < 180
