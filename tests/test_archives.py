"""Archives of arrays as strangers send them: what can be read is numpy's, all else is one line and little memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn.archives import FREE_BYTES, Archive, ArchiveError, read_npy
from bnn.text import printable

ARRAYS = {
    "x": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "big": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array(7, np.int64),
    "none": np.zeros((0, 4), np.float32),
    "text": np.array(["é", "猫", "plain"]),
    "bytes": np.array([b"a", b"bc"]),
    "flags": np.array([True, False]),
}


def archive(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    with Archive(tmp_path / "a.npz") as found:
        assert found.names == tuple(ARRAYS)
        for name, array in ARRAYS.items():
            got = found.read(name)
            assert got.dtype == array.dtype and np.array_equal(got, array), name
            layout = found.layout(name)
            assert layout.shape == array.shape and layout.size == array.nbytes
    for name, array in ARRAYS.items():
        np.save(tmp_path / "a.npy", array)
        assert np.array_equal(read_npy(tmp_path / "a.npy"), array), name


def patched(content: bytes, local: int, central: int, value: int) -> bytes:
    """A field of every entry of an archive, two bytes at `local` of its header and at `central` of the directory's."""
    out = bytearray(content)
    for mark, at in ((b"PK\3\4", local), (b"PK\1\2", central)):
        start = 0
        while (start := bytes(out).find(mark, start)) >= 0:
            out[start + at : start + at + 2] = value.to_bytes(2, "little")
            start += 4
    return bytes(out)


def member(name: str, head: bytes, size: int = 0) -> bytes:
    """An archive with one array: any bytes, then zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target, target.open(name, "w", force_zip64=True) as stream:
        stream.write(head)
        for _ in range(0, size, 1 << 20):
            stream.write(bytes(1 << 20))
    return out.getvalue()


def npy(text: str, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text.encode()


def fields(descr: str, shape: str) -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"


GOOD = archive(x=np.zeros((50, 40), np.uint8))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is no .npz file"),
    "text": (b"hello", "is no .npz file"),
    "cut": (GOOD[: len(GOOD) // 2], "is no .npz file"),
    "password": (patched(GOOD, 6, 8, 1), "has a password"),
    "deflate64": (patched(GOOD, 8, 10, 9), "compression method 9, expected none or deflate"),
    "bomb": (member("x.npy", npy(fields("'|u1'", "(134217728,)")), 128 << 20), "bytes from .* compressed ones"),
    "short": (member("x.npy", npy(fields("'|u1'", "(99999999,)")) + bytes(99)), r"uint8 \(99999999,\) in 1"),
    "overflow": (member("x.npy", npy(fields("'<u8'", f"({1 << 62}, 4)"))), "in 8"),
    "negative": (member("x.npy", npy(fields("'|u1'", "(-1,)"))), "description is damaged"),
    "empty items": (member("x.npy", npy(fields("'<U0'", f"({1 << 60},)"))), "expected numbers or text"),
    "pickle": (member("x.npy", npy(fields("'|O'", "(1,)")) + b"cos\nsystem\n"), r"holds \|O, expected numbers"),
    "structure": (member("x.npy", npy(fields("[('a', '<i4')]", "(1,)")) + bytes(4)), "expected numbers or text"),
    "deep": (member("x.npy", npy("(" * 9000)), "description is damaged"),
    "unary": (member("x.npy", npy("-" * 9000 + "1")), "description is damaged"),
    "open": (member("x.npy", npy("{'descr': '|u1', 'shape': (12, \n")), "description is damaged"),
    "spaces": (member("x.npy", npy(" " * 20000)), "a description of 20000 bytes, expected at most 10000"),
    "version": (member("x.npy", npy("", 9)), "is no array, expected .npy of version 1 to 3"),
    "letters": (member("x.npy", npy(fields("'<U1'", "(1,)")) + b"\xff" * 4), "holds letter 4294967295"),
    "other": (member("y.npy", b""), "is missing, the file holds y"),
    "escape": (member("\x1b[2J\n.npy", b""), r"is missing, the file holds \\x1b\[2J\\n"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_one_line_and_little_memory(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "a\nb.npz"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=message) as caught, Archive(path) as found:
            found.read("x")
        assert tracemalloc.get_traced_memory()[1] < FREE_BYTES // 4
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(printable(path)) and str(caught.value) == printable(caught.value)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 2**16), value=st.integers(0, 255), cut=st.booleans())
def test_damage_is_an_archive_error_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: bool
) -> None:
    draw = np.random.default_rng(1)
    whole = archive(x=draw.integers(0, 9, (12, 8, 8, 3), np.uint8), y=np.arange(12) % 2)
    place %= len(whole)
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([value]) + whole[place + 1 :])
    try:
        with Archive(path) as found:
            for name in found.names:
                found.read(name)
    except ArchiveError as error:
        assert str(error) == printable(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .npy file"),
        (np.lib.format.MAGIC_PREFIX, "is no .npy file"),
        (npy(fields("'|u1'", "(12,)")) + bytes(11), r"is no .npy file \(uint8 \(12,\) in "),
        (npy(fields("'|u1'", "(12,)")) + bytes(13), r"is no .npy file \(uint8 \(12,\) in "),
    ],
)
def test_hostile_arrays(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ArchiveError, match=message):
        read_npy(tmp_path / "a.npy")


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.npz", "No such file"),
        (Path("/dev/zero"), "is no file"),
    ):
        for call in (Archive, read_npy):
            with pytest.raises(ArchiveError, match=message):
                call(path)


def test_printable_text() -> None:
    assert printable("prüfung 猫 \u3000x") == "prüfung 猫 \u3000x"
    assert printable("caf\udce9") == "caf\\xe9"
    assert printable("\x1b[2J\r\n\t\u202e\ud800\x9b") == "\\x1b[2J\\r\\n\\t\\u202e\\ud800\\x9b"
