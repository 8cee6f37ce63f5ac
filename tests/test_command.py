"""The one command line: its table, every command's help and example, and the one way in which commands end."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomllib

from bnn import command
from bnn.__main__ import main
from bnn.command import COMMANDS, Command, Entry, UsageError
from bnn.errors import ExpectedError
from bnn.output import each, event, note, progress, result, table

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "docs/WIRED.md", "docs/adding_a_layer.md", "docs/hls_walkthrough.md", "train/README.md"]
MODULES = """train train.data train.export train.import_model train.accuracy train.report train.study train.zoo
    hls hls.build hls.overlay hls.report hls.check sim.demo sim.wired_demo sim.bench sim.board sim.board.demo
    host.deploy host.pynq_infer host.web""".split()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_parses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = command.find(name)
    assert found.name == name
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert text.startswith(f"usage: bnn {name} ") and f"example:\n  bnn {name} {found.example}\n" in text
    found.parser().parse_args(shlex.split(found.example))


def test_the_same_option_is_the_same_everywhere() -> None:
    """-o is --output, and what several commands share has one type, and one help where it means one thing."""
    seen: dict[str, tuple] = {}
    for name in COMMANDS:
        for action in command.find(name).parser()._actions:
            if "-o" in action.option_strings:
                assert action.option_strings == ["-o", "--output"] and action.type is Path, name
            for option in action.option_strings:
                assert option not in ("--out", "--count", "--folder"), f"{name} {option}"
                several = isinstance(action, argparse._AppendAction)
                chosen = option == "--design" and action.default is None  # by the back end
                if option in ("--design", "--data-folder", "--first-layer") and not several and not chosen:
                    alike = (action.type, action.default, action.help)
                    assert seen.setdefault(option, alike) == alike, f"{name} {option}"


def test_the_overview_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys; from bnn.__main__ import main; code = main(['--help'])\n"
        "print(code, sorted({'numpy', 'torch', 'train', 'hls', 'sim', 'host'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    assert last == "0 []"
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_the_pages_name_are_there(page: str) -> None:
    named = re.findall(r"(?:^ {4}|`|; )bnn ([a-z][\w-]*)", (ROOT / page).read_text(), re.MULTILINE)
    assert named and not set(named) - set(COMMANDS)


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_commands_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Calls as `python -m train.export`, which shipped models record and scripts use, go on working."""
    module = importlib.import_module(name)
    called = importlib.import_module(f"{name}.__main__") if hasattr(module, "__path__") else module
    with pytest.raises(SystemExit) as ended:
        called.main(["--help"])
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("usage: bnn ")


@pytest.mark.parametrize("word", ["contract", "explore", "reuse", "topologies"])
def test_words_of_the_planner(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    from hls.__main__ import main as planner

    with pytest.raises(SystemExit):
        planner([word, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: bnn {word} ")


def test_recorded_calls_have_today_s_spelling() -> None:
    said = "python -m train cnv -o a; python3 -m train.export a/checkpoint.pt; python -m hls.report; python -m pytest"
    wanted = "bnn train cnv -o a; bnn export a/checkpoint.pt; python -m hls.report; python -m pytest"
    assert command.spelled(said) == wanted
    assert command.spelled("python -m hls m.npz; bnn page m.npz") == "bnn plan m.npz; bnn page m.npz"


def test_the_console_script_is_the_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, attribute = scripts["bnn"].partition(":")
    assert getattr(importlib.import_module(module), attribute) is main


def made(monkeypatch: pytest.MonkeyPatch, body: object) -> Command:
    """A command of the table that takes --number and then does `body`."""
    monkeypatch.setitem(COMMANDS, "try", Entry("tests:none", "try it"))
    return Command("try", lambda parser: parser.add_argument("--number", type=command.positive), body, "--number 1")


def told(options: argparse.Namespace) -> int:
    """A body that says one thing of every kind."""
    note("on the way")
    print("of a library")
    result("two right", right=np.int64(2), path=Path("x"))
    for number in progress(range(2), "counting"):
        each("numbers", f"number {number}", number)
    return 3


def test_results_alone_or_as_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(monkeypatch, told)
    results = "two right\nnumber 0\nnumber 1\n"
    assert run([]) == 3 and capsys.readouterr().out == f"on the way\nof a library\n{results}"
    assert run(["-q"]) == 3 and capsys.readouterr().out == f"of a library\n{results}"
    for _ in range(2):  # the second time without the results of the first
        assert run(["--json"]) == 3
        printed = capsys.readouterr()
        assert json.loads(printed.out) == {"right": 2, "path": "x", "numbers": [0, 1]}
        assert printed.err == "of a library\n"  # nothing of it on the standard output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_both_options(name: str) -> None:
    """Commands of a command have them each."""
    parsers = [command.find(name).parser()]
    for action in parsers[0]._actions:
        if isinstance(action, argparse._SubParsersAction):
            parsers = list(action.choices.values())
    for parser in parsers:
        assert {"-q", "--quiet", "--json"} <= set(parser._option_string_actions), parser.prog


@pytest.mark.parametrize("folder", ["bnn", "train", "hls", "sim", "host", "gpu"])
def test_nothing_but_results_and_errors_is_printed_past_the_options(folder: str) -> None:
    """A print to the standard output would be there with --quiet, too."""
    own = {"bnn/output.py", "bnn/__main__.py", "bnn/clean.py", "train/bench_larq.py"}
    """What decides it; the overview of commands; a script of make; a process whose lines another one reads."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.relative_to(ROOT).as_posix() in own or "cocotb" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                to = [word.value for word in node.keywords if word.arg == "file"]
                assert to and ast.unparse(to[0]) == "sys.stderr", f"{path}:{node.lineno}"


def test_what_goes_on_prints_an_object_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(options: argparse.Namespace) -> None:
        for number in range(2):
            event(f"number {number}", number=number)
            assert not options.json or len(printed()) == number + 1  # at once

    def printed() -> list[str]:
        seen.extend(capsys.readouterr().out.splitlines())
        return seen

    seen: list[str] = []
    run = made(monkeypatch, body)
    assert run([]) == 0 and capsys.readouterr().out == "number 0\nnumber 1\n"
    assert run(["--json"]) == 0 and [json.loads(line) for line in printed()] == [{"number": 0}, {"number": 1}]
    assert run.results([]) == {"number": 1}


def test_a_command_of_a_command_has_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "table", "--json"]) == 0
    assert {card["name"] for card in json.loads(capsys.readouterr().out)["cards"]} >= {"cnv", "lfc"}


def test_numbers_stand_below_each_other() -> None:
    assert table(["name", "LUT", "share"], [["a", 1234, 0.5], ["long", 7, 10.25]]) == (
        "name    LUT  share\na     1,234   0.50\nlong      7  10.25"
    )


def test_status_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(monkeypatch, lambda options: None)([]) == 0
    assert made(monkeypatch, lambda options: options.number)(["--number", "3"]) == 3


@pytest.mark.parametrize(
    "error, said",
    [
        (ExpectedError("a\nb.npz: no such file"), "a\\nb.npz: no such file"),
        (FileNotFoundError(2, "No such file or directory", "x.npz"), "x.npz: No such file or directory"),
        (BrokenPipeError("peer left"), "peer left"),
        (ExpectedError(), "ExpectedError"),
    ],
)
def test_expected_errors_are_one_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(options: argparse.Namespace) -> int:
        raise error

    assert made(monkeypatch, body)([]) == 1
    assert capsys.readouterr().err == f"error: {said}\n"


def test_defects_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        made(monkeypatch, lambda options: 1 // 0)([])


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def body(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    assert made(monkeypatch, body)([]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--number", "0"], "argument --number: 0 is not positive"),
        (["--other"], "unrecognized arguments: --other"),
        (["\x1b[2J\n\udce9.npz"], "unrecognized arguments: \\x1b[2J\\n\\xe9.npz"),
        ([], "give a number"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(options: argparse.Namespace) -> int:
        raise UsageError("give a number")

    with pytest.raises(SystemExit) as ended:
        made(monkeypatch, body)(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {said}; bnn try --help lists the options\n"


def test_any_name_can_be_printed() -> None:
    """A folder's name that is not UTF-8, on a terminal that is strict or has few letters."""
    code = "from bnn.command import finish; finish(lambda: print('caf\\udce9 \u732b'))"
    for encoding, said in (("utf-8:strict", "caf\\udce9 \u732b\n"), ("ascii", "caf\\udce9 \\u732b\n")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert (done.returncode, done.stdout.decode()) == (0, said), done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-m", "bnn", "--help"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_unknown_commands_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 1
    assert capsys.readouterr().err.startswith("error: command 'trian' is not one of data, train,")
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: bnn COMMAND")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COMMANDS, "try", Entry("a_package_that_is_not_there.tool:main", "try it"))
    assert main(["try"]) == 1
    assert capsys.readouterr().err == "error: bnn try needs a_package_that_is_not_there, which is not installed\n"
