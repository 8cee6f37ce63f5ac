"""From C++ to LLVM IR in which a pipelined loop's body is what the scheduler of an HLS tool sees.

clang (of the package ziglang) translates, the passes of llvmlite do the rest:

1. every function is inlined into the top, so that each array, stream and port is known by name in every loop;
2. arrays that the pragmas leave in a memory, and streams, become external globals, so that no pass may turn them into
   registers; all others are dissolved into values;
3. loops inside of a pipelined loop, and those with an UNROLL pragma, are unrolled;
4. what can be known at compile time is folded. No pass carries a value through memory from one iteration to the next.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import llvmlite.binding as llvm

from bnn.errors import ExpectedError
from bnn.files import write_atomically

INCLUDE = Path(__file__).resolve().parent / "include"
FLAGS = ["-std=gnu++14", "-D__SYNTHESIS__", "-w", "-fno-sanitize=all", "-fno-exceptions", "-fno-rtti"]
IR_FLAGS = ["-O1", "-g", "-S", "-emit-llvm", "-Xclang", "-disable-llvm-passes", "-fno-discard-value-names"]
TIMEOUT_S = 300
UNROLL_LIMIT = 10_000_000
"""Instructions that a loop may have after unrolling; far above what is accepted, so that it is counted and reported."""


class CompileError(ExpectedError):
    """clang is missing or refuses the sources; one line."""


def versions() -> str:
    """Versions of what the IR depends on.

    Raises:
        CompileError: a package is not installed.
    """
    try:
        return " ".join(f"{name} {importlib.metadata.version(name)}" for name in ("ziglang", "llvmlite", "hls4ml"))
    except importlib.metadata.PackageNotFoundError as error:
        raise CompileError(f"{error.name}: not found, expected the package of that name") from None


def digest(*parts: str) -> str:
    """A short hash of texts."""
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{len(part)}:{part}".encode())
    return state.hexdigest()[:16]


def clang(arguments: Sequence[str]) -> str:
    """What clang++ prints.

    Raises:
        CompileError: it is missing, fails or takes too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", "c++", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise CompileError(f"clang: more than {TIMEOUT_S} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise CompileError(f"clang: {lines[0].strip() if lines else 'no message'}")
    return done.stdout


def includes(ap_types: Path, *folders: Path | None) -> list[str]:
    """Options that name the include folders: the analysis' own headers first, then the vendor's."""
    return ["-I", str(INCLUDE), "-isystem", str(ap_types), *(f"-I{folder}" for folder in folders if folder)]


def preprocess(source: Path, ap_types: Path, core: Path | None = None) -> str:
    """The translation unit without directives other than pragmas, with line markers.

    Raises:
        CompileError: clang fails.
    """
    return clang([*FLAGS, *includes(ap_types, source.parent, core), "-E", str(source)])


def translate(source: Path, ap_types: Path, core: Path | None = None) -> str:
    """The LLVM IR of a translation unit, with no pass run.

    Raises:
        CompileError: clang fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.ll"
        clang([*FLAGS, *IR_FLAGS, *includes(ap_types, source.parent, core), str(source), "-o", str(target)])
        return target.read_text(encoding="utf-8")


# ---- Changes of the text ------------------------------------------------------------------------

_DEFINE = re.compile(r"^define .*?@(?:\"[^\"]*\"|[\w.$]+)\(.*\{$", re.MULTILINE)
_NAME = re.compile(r"@(\"[^\"]*\"|[\w.$]+)\(")
MEMORY = "hls.memory."
"""Prefix of the globals that stand for arrays and streams of functions: then the function and the variable."""


def plain(text: str) -> str:
    """The IR without attributes and marks of lifetimes, which no step here needs."""
    text = re.sub(r"^attributes #\d+ = .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r" #\d+(?=[,\s)]|$)", "", text, flags=re.MULTILINE)
    return re.sub(r"^.*@llvm\.lifetime\..*\n", "", text, flags=re.MULTILINE)


def inline_all(text: str, top: str) -> str:
    """Let every function with a body be inlined into `top`, a mangled name."""

    def one(found: re.Match[str]) -> str:
        head = re.sub(r" (?:comdat(?:\(\$[^)]*\))?|(?:local_)?unnamed_addr|#\d+)(?= )", "", found[0])
        name = _NAME.search(head)
        if name and name[1].strip('"') == top:
            return head
        head = re.sub(
            r"^define ((linkonce_odr|internal|dso_local|weak_odr|hidden|available_externally) )*",
            "define internal ",
            head,
        )
        return re.sub(r"\)((?: +align \d+)?(?: +!dbg !\d+)? *\{)$", r") alwaysinline\1", head)

    return _DEFINE.sub(one, plain(text))


def keep_memories(text: str, keep: Callable[[str, str, str], bool]) -> str:
    """Turn local arrays and streams into external globals.

    Args:
        text: IR with its functions not yet inlined.
        keep: told function (mangled), variable and type of a local variable; whether it stays a memory.
    """
    globals_: list[str] = []
    parts: list[str] = []
    end = 0
    for found in _DEFINE.finditer(text):
        name = _NAME.search(found[0])
        close = text.index("\n}\n", found.end())
        body = text[found.end() : close]
        for local in re.findall(
            r"^  %([\w.]+) = alloca ((?:\[.*\]|%[\w.:\"]+))(?:, align \d+)?(?:, !.*)?$", body, re.MULTILINE
        ):
            if name and keep(name[1].strip('"'), local[0], local[1]):
                symbol = f'@"{MEMORY}{name[1].strip(chr(34))}.{local[0]}"'
                body = re.sub(rf"^  %{re.escape(local[0])} = alloca .*\n", "", body, flags=re.MULTILINE)
                body = re.sub(rf"%{re.escape(local[0])}(?![\w.])", symbol, body)
                globals_.append(f"{symbol} = external global {local[1]}, align 16\n")
        parts += [text[end : found.end()], body]
        end = close
    whole = "".join([*parts, text[end:]])
    first = _DEFINE.search(whole)
    place = first.start() if first else len(whole)
    return whole[:place] + "".join(globals_) + "\n" + whole[place:]


def externalise(text: str) -> str:
    """Take the initial value from every variable global, so that no pass draws conclusions from it."""

    def one(found: re.Match[str]) -> str:
        return f"{found[1]} = external global {found[2]}" + re.sub(r", comdat(\([^)]*\))?", "", found[3])

    return re.sub(
        r"^(@[\w.$]+) = (?:internal|private|linkonce_odr|weak_odr|dso_local|hidden)(?: hidden| dso_local)*"
        r"(?: local_unnamed_addr| unnamed_addr)* global ([^\n]*?) (?:zeroinitializer|undef)([^\n]*)$",
        one,
        text,
        flags=re.MULTILINE,
    )


def unroll(text: str, chosen: Iterable[str]) -> str:
    """Ask for full unrolling of the loops with the metadata nodes `chosen`, and for none of the others."""
    wanted = set(chosen)
    full = max((int(number) for number in re.findall(r"^!(\d+) = ", text, re.MULTILINE)), default=0) + 1

    loops = set(re.findall(r"!llvm\.loop !(\d+)", text))

    def one(found: re.Match[str]) -> str:
        return f"{found[1]}, !{full if found[2] in wanted else full + 1}}}" if found[2] in loops else found[0]

    text = re.sub(r"^(!(\d+) = distinct !\{!\2[^\n]*)\}$", one, text, flags=re.MULTILINE)
    return f'{text}\n!{full} = !{{!"llvm.loop.unroll.full"}}\n!{full + 1} = !{{!"llvm.loop.unroll.disable"}}\n'


# ---- Passes -------------------------------------------------------------------------------------

INLINE = ("always_inliner", "global_dead_code_eliminate", "sroa")
_CLEAN = ("sroa", "instruction_combine", "simplify_cfg")
FOLD = (
    "simplify_cfg",
    "instruction_combine",
    "loop_deletion",
    "loop_simplify",
    "lcssa",
    "loop_unroll",
    *_CLEAN,
    "sccp",
    *_CLEAN,
    "new_gvn",
    *_CLEAN,
    "aggressive_dce",
    "instruction_combine",
    "simplify_cfg",
)


def run(text: str, passes: Sequence[str]) -> str:
    """The IR after some passes.

    Raises:
        CompileError: LLVM does not read the IR.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.set_option("hls.check", f"-pragma-unroll-threshold={UNROLL_LIMIT}")
    llvm.set_option("hls.check", f"-unroll-full-max-count={UNROLL_LIMIT}")
    try:
        module = llvm.parse_assembly(text)
    except RuntimeError as error:
        raise CompileError(f"LLVM: {str(error).strip().splitlines()[0]}") from None
    machine = llvm.Target.from_default_triple().create_target_machine()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    manager = llvm.create_new_module_pass_manager()
    for name in passes:
        getattr(manager, f"add_{name}_pass")()
    manager.run(module, builder)
    return str(module)


def cached(cache: Path | None, name: str, key: str, make: Callable[[], str]) -> str:
    """The text that `make` gives, kept in the folder `cache` under its key."""
    if cache is None:
        return make()
    path = cache / f"{name}-{key}.ll"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    text = make()
    write_atomically(path, text.encode())
    return text
