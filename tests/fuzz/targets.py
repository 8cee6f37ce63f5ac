"""What is fed to every reader of files: a function of bytes for each format, and files to begin with.

A reader may refuse with an `ExpectedError` of one printable line; whatever else it raises is a defect. Readers of paths
get a file in a folder of this process.
"""

from __future__ import annotations

import atexit
import io
import json
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np

from bnn import archives, images
from bnn import model as models
from bnn.check import check
from bnn.errors import ExpectedError, line
from bnn.geometry import Shape, Spec
from bnn.networks import Network
from bnn.random_models import Sizes, edge_model, random_graph
from bnn.text import printable
from hls import designs, program, schedule

HERE = Path(__file__).resolve().parent
SHAPE = (8, 8, 3)
SMALL = Sizes(edge=5, channels=4, convolutions=2, dense=1, classes=5)
"""Of networks whose reading takes torch: a large one takes long and shows no more."""
DESIGN = replace(designs.DESIGNS["sim_small"], act_depth=128, weight_depth=128)


@dataclass(frozen=True)
class Format:
    """A kind of file: what reads one, files to begin with, and whether it is a zip archive of parts."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Iterator[bytes]]
    archive: bool = False


def folder() -> Path:
    """A folder of this process in memory, where there is such a thing."""
    if not hasattr(folder, "place"):
        memory = Path("/dev/shm")
        place = tempfile.mkdtemp(prefix="bnn-fuzz-", dir=memory if memory.is_dir() else None)
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        folder.place = Path(place)  # type: ignore[attr-defined]
    return folder.place  # type: ignore[attr-defined,no-any-return]


def file(content: bytes, name: str) -> Path:
    path = folder() / name
    path.write_bytes(content)
    return path


def read(name: str, content: bytes) -> str:
    """Feed a reader; gives what it said where it refused, else "".

    Raises:
        Exception: anything but a refusal in one line.
    """
    try:
        FORMATS[name].read(content)
    except ExpectedError as error:
        said = line(error)
        assert said and said == printable(said), f"not one printable line: {said!r}"
        return said
    return ""


def small() -> models.Model:
    return edge_model(
        1, SHAPE, [Spec("a", "conv", 9, 1, 0, False), Spec("b", "conv", 8, 1, 1, True), Spec("c", "dense", 5)]
    )


# Models, arrays, images


def seeds_model() -> Iterator[bytes]:
    yield models.to_bytes(small())
    for seed in range(6):
        yield models.to_bytes(random_graph(seed))


def read_arrays(content: bytes) -> None:
    images.read_array(file(content, "x.npz"))


def read_every_array(content: bytes) -> None:
    with archives.Archive(file(content, "x.npz")) as archive:
        for name in archive.names:
            archive.read(name)


def seeds_archive() -> Iterator[bytes]:
    x = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, x=x, y=np.arange(2), names=np.array(["a", "é"]), turned=np.asfortranarray(np.eye(3)))
        yield out.getvalue()


def seeds_array() -> Iterator[bytes]:
    for array in (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), np.array(["x"]), np.array(1.5)):
        out = io.BytesIO()
        np.save(out, array)
        yield out.getvalue()
    yield from seeds_archive()


def read_picture(content: bytes) -> None:
    images.read_picture(content, (8, 8, 3))


def seeds_picture() -> Iterator[bytes]:
    from PIL import Image

    rng = np.random.default_rng(1)
    for mode, kinds in (
        ("RGB", ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF", "TGA", "PCX", "SGI", "JPEG2000", "ICO", "QOI")),
        ("L", ("PNG", "JPEG", "BMP", "PPM", "TIFF")),
        ("RGBA", ("PNG", "WEBP", "TIFF", "TGA")),
        ("P", ("PNG", "GIF", "BMP")),
        ("1", ("PNG", "TIFF", "PPM")),
        ("I;16", ("PNG", "TIFF")),
        ("F", ("TIFF",)),
        ("CMYK", ("JPEG", "TIFF")),
    ):
        depth = {"I;16": (np.uint16, 65536), "F": (np.float32, 1)}.get(mode, (np.uint8, 256))
        pixels = rng.random((9, 7, 4)) * depth[1]
        picture = Image.fromarray(pixels[:, :, :3].astype(np.uint8))
        if mode in ("I;16", "F"):
            picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0].astype(depth[0])))
        for kind in kinds:
            out = io.BytesIO()
            try:
                (picture if mode in ("I;16", "F") else picture.convert(mode)).save(out, kind)
            except (KeyError, OSError):  # Pillow was built without it, or reads it only
                continue
            yield out.getvalue()


# Programs and designs


def read_program(content: bytes) -> None:
    from host.program import Program

    found = Program("program.bin", content)
    _ = found.weight_depth, found.act_depth, found.vector


def read_program_for_a_core(content: bytes) -> None:
    check(content, DESIGN.registers())


def seeds_program() -> Iterator[bytes]:
    yield program.pack(schedule.plan(small(), DESIGN, 8))
    for seed in range(5):
        try:
            yield program.pack(schedule.plan(random_graph(seed), replace(DESIGN, act_depth=2048, weight_depth=512), 4))
        except ExpectedError:  # too large for the design
            continue


def read_design(content: bytes) -> None:
    designs.load(file(content, "my_design.toml"))


def seeds_design() -> Iterator[bytes]:
    for name in ("sim_small", "pynq_z1", "pynq_z1_hls"):
        yield designs.write_toml(designs.DESIGNS[name]).encode()
    table = '{ name = "mine", part = "xc7z020clg400-1", ps = "zynq7", preset = { a = "b" } }'
    text = designs.write_toml(designs.DESIGNS["sim_small"])
    yield "\n".join(f"board = {table}" if row.startswith("board") else row for row in text.splitlines()).encode()


# Networks of others


def read_classes(content: bytes) -> None:
    from train.classes import read_names

    read_names(file(content, "classes.txt"))


def seeds_classes() -> Iterator[bytes]:
    yield "ant\nbee\ncafé\n".encode()
    yield b"caf\xe9\r\n\xff\n\x1b[2J\n"


def read_checkpoint(content: bytes) -> None:
    from train.checkpoint import load_network

    load_network(file(content, "checkpoint.pt"))


def seeds_checkpoint() -> Iterator[bytes]:
    import torch

    from train.checkpoint import CHECKPOINT_FORMAT, FIELDS
    from train.config import Config, to_dict, topology
    from train.module import BinaryNetwork
    from train.recipes import RECIPES

    for name in ("modern", "xnor"):
        config = Config("tiny", RECIPES[name], shape=(8, 8, 1), classes=2)
        network = BinaryNetwork(topology(config), config.recipe.methods)
        content: dict[str, object] = {key: kind() for key, kind in FIELDS.items()}
        content.update(format=CHECKPOINT_FORMAT, config=to_dict(config), deploy=network.state_dict())
        out = io.BytesIO()
        torch.save(content, out)
        yield out.getvalue()


CLASSES = 5


def lowered(graph: object) -> None:
    from train.graphs.lowering import image_size, lower

    size = image_size(graph, None)  # type: ignore[arg-type]
    lower(graph, tuple(map(str, range(CLASSES))), size, None, {})  # type: ignore[arg-type]


def read_onnx(content: bytes) -> None:
    from train.graphs import onnx_file

    lowered(onnx_file.read_graph(file(content, "x.onnx")))


def seeds_onnx() -> Iterator[bytes]:
    from train.export_onnx import to_onnx

    yield to_onnx(small()).SerializeToString()
    for model in (random_graph(seed, sizes=SMALL) for seed in range(20)):
        for dialect in ("qonnx", "plain") if len(model.classes) == CLASSES else ():
            try:
                yield to_onnx(model, dialect).SerializeToString()
            except ExpectedError:
                continue


def read_bmxnet(content: bytes) -> None:
    """Both files in one: the symbol's length in four bytes, the symbol, the arrays."""
    from train.graphs import bmxnet

    size = int.from_bytes(content[:4], "little")
    symbol, params = content[4 : 4 + size], content[4 + size :]
    lowered(bmxnet.read_graph(file(symbol, "x-symbol.json"), file(params, "x-0000.params"), SHAPE))


def bmxnet_files(shape: Shape) -> bytes:
    """A real 3x3 convolution, a binary one and a dense layer for images of `shape`, as `read_bmxnet` takes them."""
    height, width, channels = shape
    rng = np.random.default_rng(1)

    def arrays(**given: np.ndarray) -> bytes:
        parts = [struct.pack("<QQQ", 0x112, 0, len(given))]
        for array in given.values():
            kind = 1 if array.dtype == np.uint64 else 0
            parts += [struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape), struct.pack("<iii", 1, 0, kind)]
            parts.append(array.tobytes())
        names = [f"arg:{name}".encode() for name in given]
        return b"".join(parts + [struct.pack("<Q", len(names))] + [struct.pack("<Q", len(n)) + n for n in names])

    nodes: list[dict[str, object]] = [{"op": "null", "name": "data", "inputs": []}]

    def add(operator: str, name: str, *constants: str, **attributes: str) -> None:
        before = len(nodes) - 1
        places = []
        for constant in constants:
            places.append([len(nodes), 0, 0])
            nodes.append({"op": "null", "name": constant, "inputs": []})
        nodes.append({"op": operator, "name": name, "attrs": attributes, "inputs": [[before, 0, 0], *places]})

    add("Convolution", "conv", "conv_w", kernel="(3, 3)", num_filter="64", pad="(1, 1)", no_bias="True")
    add("BatchNorm", "bn", "gamma", "beta", "mean", "var", fix_gamma="True", eps="0.001")
    add("QActivation", "sign", act_bit="1")
    add("QConvolution", "qconv", "qconv_w", kernel="(1, 1)", num_filter="64")
    add("Pooling", "pool", kernel="(2, 2)", stride="(2, 2)", pool_type="max")
    add("BatchNorm", "bn2", "gamma", "beta", "mean", "var")
    add("Flatten", "flat")
    add("FullyConnected", "fc", "fc_w", "fc_b", num_hidden="5")
    add("SoftmaxOutput", "softmax", "label")
    symbol = json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}).encode()
    params = arrays(
        conv_w=rng.normal(size=(64, channels, 3, 3)).astype("<f4"),
        gamma=np.ones(64, "<f4"),
        beta=np.zeros(64, "<f4"),
        mean=rng.normal(size=64).astype("<f4"),
        var=np.ones(64, "<f4"),
        qconv_w=rng.integers(0, 1 << 63, 64, dtype=np.uint64),
        fc_w=rng.normal(size=(5, 64 * (height // 2) * (width // 2))).astype("<f4"),
        fc_b=np.zeros(5, "<f4"),
    )
    return struct.pack("<I", len(symbol)) + symbol + params


def seeds_bmxnet() -> Iterator[bytes]:
    yield bmxnet_files(SHAPE)


NETWORKS_OF_FOLDERS = {
    "cnv": Network("cnv", 8, 8, 3, ((8, False), (8, True)), (), 3, 0, "cifar10"),
    "lfc": Network("lfc", 8, 8, 1, (), (16, 16, 16), 3, 0, "mnist"),
}
"""In place of CNV and LFC, whose parameters are hundreds of thousands."""


def read_folder(content: bytes) -> None:
    """A folder of BNN-PYNQ's parameters, of the networks above, as an archive."""
    from train import import_bnn_pynq

    where = folder() / "parameters"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for item in archive.infolist()[:64]:
                name = item.filename.replace("/", "").replace("\0", "")
                if item.file_size < 1 << 17 and 0 < len(name.encode()) < 200 and name not in (".", ".."):
                    (where / name).write_bytes(archive.read(item))
    except Exception:  # the archive is the fuzzer's own: what came out of it before is read
        pass
    with mock.patch.object(import_bnn_pynq, "NETWORKS", NETWORKS_OF_FOLDERS):
        import_bnn_pynq.read_model(where, classes="a,b,c")


def seeds_folder() -> Iterator[bytes]:
    from train.import_bnn_pynq import _parts

    rng = np.random.default_rng(1)
    for network in NETWORKS_OF_FOLDERS.values():
        for bases, planes in ((1, 1), (1, 2), (2, 2)):
            if network.name == "lfc" and planes > 1:
                continue
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                for number, part in enumerate(_parts(network, 3)):
                    simd, files = (part.synapses if part.synapses < 64 else 8), 2
                    count = part.rows // files * part.synapses // simd
                    for pe in range(files):
                        words = rng.integers(0, 1 << simd * bases, count, np.uint64)
                        if bases == 2:  # no weight is -2: a high bit has its low bit
                            words |= words >> np.uint64(1) & np.uint64(0x5555555555555555)
                        archive.writestr(f"{number}-{pe}-weights.bin", words.tobytes())
                        limits = rng.integers(-5, 20, part.rows // files * planes)
                        archive.writestr(f"{number}-{pe}-thres.bin", limits.astype("<i8").tobytes())
            yield out.getvalue()


FORMATS = {
    "model": Format(lambda content: models.load(file(content, "x.npz")), seeds_model, archive=True),
    "program": Format(read_program, seeds_program),
    "program_for_a_core": Format(read_program_for_a_core, seeds_program),
    "archive": Format(read_every_array, seeds_archive, archive=True),
    "images": Format(read_arrays, seeds_array, archive=True),
    "picture": Format(read_picture, seeds_picture),
    "checkpoint": Format(read_checkpoint, seeds_checkpoint, archive=True),
    "onnx": Format(read_onnx, seeds_onnx),
    "bmxnet": Format(read_bmxnet, seeds_bmxnet),
    "bnn_pynq": Format(read_folder, seeds_folder, archive=True),
    "design": Format(read_design, seeds_design),
    "classes": Format(read_classes, seeds_classes),
}


def kept(name: str) -> list[Path]:
    """Inputs that were findings once."""
    return sorted(path for path in (HERE / name).glob("*") if path.is_file())
