"""The pages in docs/: code that they quote is in the sources, files and commands that they name exist."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from bnn import command
from bnn.model import load
from hls.sources import files, find, folders, packages
from hls.wired.reuse import count_model

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/*.md",
        "train/*.md",
        "models/*.md",
        "board/*.md",
        "notebooks/*.ipynb",
        "host/notebooks/*.ipynb",
    )
    for path in ROOT.glob(pattern)
)
ONLY_MAKE = {
    "env",
    "doctor",
    "test",
    "test-arm",
    "fuzz",
    "damaged",
    "lint",
    "sim",
    "docs",
    "wheels",
    "notebook",
    "generated",
    "clean",
    "distclean",
    "help",
}
"""Targets that pages may name: no command does the same, or does before there is an environment."""
PAGES = [
    "docs/hls_walkthrough.md",
    "docs/rtl_walkthrough.md",
    "docs/adding_a_layer.md",
    "docs/adding_a_board.md",
    "docs/model.md",
    "docs/vendor_rules.md",
    "docs/page.md",
    "docs/onnx.md",
    "docs/brevitas.md",
    "docs/bmxnet.md",
    "docs/bnn_pynq.md",
    "docs/gpu.md",
    "docs/own_module.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_quoted_code_is_in_the_sources(page: str) -> None:
    paths = [*(ROOT / "hw_templates/hls").glob("bnn_*"), *files()]
    lines = {line.strip() for path in paths for line in path.read_text().splitlines()}
    quoted = re.findall(r"```(?:cpp|systemverilog)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert quoted or "walkthrough" not in page
    for block in quoted:
        for line in block.splitlines():
            assert line.strip() in lines, line


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for name in re.findall(r"`([\w/]+\.(?:py|h|cpp|sv|md))`", text):
        places = [ROOT, ROOT / "hw_templates/hls", *folders(), ROOT / "docs", ROOT / "sim/cocotb"]
        generated = name == "bnn_design.h"
        assert generated or any((place / name).is_file() for place in places), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^ +)make (\w[\w-]*)", text, re.MULTILINE):
        assert re.search(rf"^[\w \-]*\b{target}\b[\w \-]*:", makefile, re.MULTILINE), target


def printed(page: str) -> str:
    """A page's text: of a notebook that of its cells, of Markdown without the tables that commands write."""
    text = (ROOT / page).read_text()
    if page.endswith(".ipynb"):
        return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return re.sub(r"<!-- ([\w-]+): made by.*?<!-- end of \1 -->", "", text, flags=re.DOTALL)


def commands(text: str) -> Iterator[str]:
    """The commands `bnn ...` that a page prints: lines of blocks, and in the text those with arguments."""
    for line in re.findall(r"^ {4,}(bnn [a-z].*?)(?:  .*)?$", re.sub(r"\\\n +", "", text), re.MULTILINE):
        yield from line.partition(" #")[0].split("; ")
    for code in re.findall(r"`(bnn [a-z][^`]*)`", text):
        for part in " ".join(code.split()).split("; "):
            if len(part.split()) > 2:
                yield part


@pytest.mark.parametrize("page", COMMANDS)
def test_commands_can_be_given_as_printed(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one that its parser takes."""
    for given in commands(printed(page)):
        program, name, *arguments = shlex.split(given.replace(" NET ", " cnv "))  # any network
        if program != "bnn" or "--help" in arguments:
            continue
        try:
            command.find(name).parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{page}: {given}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", COMMANDS)
def test_trainings_of_a_block_have_folders_of_their_own(page: str) -> None:
    """Else the second would find the checkpoint of another run."""
    for block in re.findall(r"(?:^ {4,}.*\n)+", printed(page), re.MULTILINE):
        runs = [shlex.split(given)[2:] for given in commands(block) if given.startswith("bnn train ")]
        parsed = [command.find("train").parser().parse_args(arguments) for arguments in runs]
        folders = [str(run.output or run.network) for run in parsed if not run.dry_run]
        assert len(set(folders)) == len(folders), f"{page}: {folders}"


@pytest.mark.parametrize("page", COMMANDS)
def test_commands_have_one_spelling(page: str) -> None:
    """`bnn ...`; of make what only make does, and where a reader has no environment yet the demo, which makes it."""
    text = printed(page)
    makefile = (ROOT / "Makefile").read_text()
    allowed = ONLY_MAKE | ({"demo"} if page in ("README.md", "docs/index.md") else set())
    for target in re.findall(r"(?:`|^ +)make ([a-z][\w-]*)", text, re.MULTILINE):
        assert re.search(rf"^[\w \-]*\b{target}\b[\w \-]*:", makefile, re.MULTILINE), target
        assert target in allowed, f"{page}: make {target} is a command of bnn"
    assert not re.search(r"python3? -m (?:train|hls|sim|host|bnn)\b", re.sub(r"torchrun .*", "", text)), page


def test_errors_and_remarks_have_that_spelling_too() -> None:
    for folder in ("bnn", "train", "hls", "sim", "host", "gpu", "board", "hw_templates"):
        for path in sorted(
            path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".tcl", ".j2", ".js", ".html")
        ):
            for target in re.findall(r"(?<![\w-])make ([a-z][\w-]*)", path.read_text(encoding="utf-8")):
                known = re.search(rf"^[\w \-]*\b{target}\b[\w \-]*:", (ROOT / "Makefile").read_text(), re.MULTILINE)
                assert not known or target in ONLY_MAKE, f"{path}: make {target}"


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path / "site")]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    first = (tmp_path / "site/index.html").read_text()
    for path in ("I want to see one run", "I have pictures of my own", "I build hardware"):
        assert path in first
    said = (tmp_path / "site/commands/index.html").read_text()
    assert all(f"bnn {name}</h3>" in said for name in command.COMMANDS)


def test_rules_name_checks_that_exist() -> None:
    """Every rule of the vendor has a source and a test, by the name that it has."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/vendor_rules.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    rules = [row for row in rows if row[0] != "rule"]
    assert len(rules) > 12
    for rule, source, checks in rules:
        assert source, rule
        named = re.findall(r"`(tests/\w+\.py)::(\w+)`", checks)
        assert named, rule
        for file, test in named:
            assert f"\ndef {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_numbers_of_the_walkthrough() -> None:
    """The layer that the page follows is the one of the shipped model on the shipped design."""
    from bnn.model import load
    from hls.designs import DESIGNS
    from hls.schedule import plan

    design = DESIGNS["pynq_z1_hls"]
    placed = plan(load(ROOT / "models/cnv.npz"), design, 16)
    item, name = placed.descriptors[0], placed.stages[0].name
    assert (design.pe, design.simd, design.lanes) == (16, 64, 8)
    assert (name, item.groups, item.tap_words, item.rows, item.columns, item.blocks, item.group_words) == (
        "conv2",
        4,
        1,
        28,
        28,
        4,
        9,
    )


def test_numbers_of_the_rtl_walkthrough() -> None:
    """Hierarchy and cells are the sources', the layer is that of the shipped model, the latency the contract's."""
    from bnn.contract import array_latency
    from bnn.model import load
    from hls import cycles, hierarchy
    from hls.designs import DESIGNS
    from hls.schedule import plan

    text = (ROOT / hierarchy.PAGE).read_text()
    assert hierarchy.page(text) == text
    named = set(re.findall(r"bnn_\w+", "\n".join(hierarchy.tree()))) | set(re.findall(r"bnn_\w+", hierarchy.cells()))
    assert {path.stem for path in files()} - {path.stem for path in packages()} <= named, (
        "a module that nothing instantiates"
    )
    design = DESIGNS["pynq_z1"]
    placed = plan(load(ROOT / "models/cnv.npz"), design, 16)
    item = placed.descriptors[0]
    assert (design.pe, design.simd, design.lanes, item.groups, item.group_words) == (32, 64, 8, 2, 9)
    assert item.rows // 2 * item.blocks * 2 * item.group_words == 1008 and "1,008 steps" in text
    # one step of it: group 0, image 1, row 3 of the pooled map, block 2, lower row, ky = 2, kx = 1
    row, first = 2 * 3 + 1 + 2, 2 * design.lanes + 1
    base = item.source_even + item.source_image_stride
    read = [base + row * item.source_row_stride + (first + lane) // design.lanes for lane in (0, design.lanes - 1)]
    assert (base, item.source_row_stride, row, first, first + design.lanes - 1) == (120, 4, 9, 17, 24)
    assert f"1 to 7 are read at {read[0]}, memory 0 at {read[1]}" in " ".join(text.split())
    written = item.dest_base + item.dest_image_stride + 3 * item.dest_row_stride + 2 // 2 * item.dest_words
    assert f"lanes 0 to 3 at {written}." in text
    assert f"comes {cycles.FOLLOW + 1} cycles later, else {cycles.GROUP_GAP + 1}." in " ".join(text.split())
    file, line, label = re.findall(r"(bnn_\w+)\.sv:(\d+): Assertion failed in [\w.]*\.(\w+): ", text)[0]
    assert f" {label}: assert property" in find(file).read_text().splitlines()[int(line) - 1]
    budget = [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert budget[3] == array_latency(design.simd) and f"That is {sum(budget)} cycles" in text


def test_docstrings_have_one_dialect() -> None:
    """Names in single backticks, sections as Google has them, what an attribute is behind its assignment."""
    wrong = re.compile(r"``|:(?:class|func|meth|mod|data|param|returns?|raises)\b[^`\n]*:|^ *#: ", re.MULTILINE)
    for path in sorted(
        path for folder in ("bnn", "train", "hls", "sim", "host", "tests") for path in (ROOT / folder).rglob("*.py")
    ):
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            text = token.string if token.type == tokenize.COMMENT or token.string.startswith('"""') else ""
            found = wrong.search(text)
            assert found is None, f"{path.relative_to(ROOT)}:{token.start[0]}: {found and found.group()!r}"


def test_the_share_of_unique_kernels_is_that_of_the_shipped_model() -> None:
    counts = {count.layer: count for count in count_model(load(ROOT / "models" / "cnv.npz"))}
    unique, kernels, operations, reused = (
        sum(getattr(count, field) for count in counts.values())
        for field in ("unique_inverse", "kernels", "operations", "operations_reused")
    )
    conv2, conv6 = counts["conv2"], counts["conv6"]
    said = (
        f"| shipped CNV, all convolutions | {unique / kernels:.0%} "
        f"({conv6.ratio:.0%} in conv6, {conv2.ratio:.0%} in conv2; "
        f"random weights {conv6.random_ratio:.0%} and {conv2.random_ratio:.0%}), {operations / reused:.2f}× fewer"
    )
    assert said.replace("%", " %") in (ROOT / "docs/figures.md").read_text()
