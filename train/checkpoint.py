"""Checkpoints: what a run goes on from, and the network that it gives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bnn.files import FileError, open_file, write_atomically
from bnn.geometry import walk
from bnn.model import MAX_WEIGHTS
from bnn.text import first_line
from train.config import from_dict, topology
from train.errors import TrainError
from train.module import BinaryNetwork
from train.parameters import ParameterError, check_network

CHECKPOINT_FORMAT = "bnn-checkpoint-2"
FIELDS = {"config": dict, "epoch": int, "model": dict, "optimizer": dict, "average": dict, "history": list}
"""What a checkpoint holds beside `format`, `deploy`, the network to deploy or None, and `command`, the call of bnn
that made it where one did; and what kinds these are."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name, then rename it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def is_model_file(path: Path) -> bool:
    """Whether a file is an exported model, not a checkpoint: by its parts, or by its name if it has none."""
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            return "header.npy" in archive.namelist()
    except (FileError, OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return path.suffix == ".npz"


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        TrainError: missing, damaged or of another format.
    """
    if not path.exists():
        raise TrainError(f"checkpoint {path} does not exist: bnn train makes one")
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            packed = [item.filename for item in archive.infolist() if item.compress_type != zipfile.ZIP_STORED]
        if packed:  # it could say any size
            raise TrainError(f"{packed[0][:40]} is compressed, expected parts as they are")
        content = torch.load(path, map_location=device or "cpu", weights_only=True)
    except Exception as error:  # zipfile and torch.load raise many kinds
        raise TrainError(f"checkpoint {path} cannot be read: {first_line(error)}") from None
    if not isinstance(content, dict) or content.get("format") != CHECKPOINT_FORMAT:
        raise TrainError(f"checkpoint {path} is not of format {CHECKPOINT_FORMAT}")
    for key, kind in FIELDS.items():
        if not isinstance(content.get(key), kind):
            raise TrainError(f"checkpoint {path}: {key} is {_kind(content.get(key))}, expected {kind.__name__}")
    if not isinstance(content.get("deploy"), (dict, type(None))):
        raise TrainError(f"checkpoint {path}: deploy is {_kind(content['deploy'])}, expected the tensors of a network")
    return content


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__


def check_tensor(where: str, found: object, wanted: Tensor) -> None:
    """Hold a tensor of a checkpoint against one that need not have memory.

    Raises:
        TrainError: it is missing, of another type or shape, or does not have all of its numbers.
    """
    shape = tuple(wanted.shape)
    if not isinstance(found, Tensor) or found.layout is not torch.strided:
        raise TrainError(f"{where} is {_kind(found)}, expected {shape}")
    if found.dtype is not wanted.dtype:
        raise TrainError(f"{where} is {found.dtype}, expected {wanted.dtype}")
    if found.shape != wanted.shape:
        raise TrainError(f"{where} is {tuple(found.shape)}, expected {shape}")
    if found.is_meta:
        raise TrainError(f"{where} has no numbers, expected {found.numel()}")
    if found.untyped_storage().nbytes() < found.numel() * found.element_size():
        raise TrainError(f"{where} repeats its numbers, expected all {found.numel()}")


def check_state(model: BinaryNetwork, state: dict[str, Any], path: Path) -> None:
    """Hold the tensors of a checkpoint against those of a network, which need not have memory.

    Raises:
        TrainError: names the tensor that is missing, unknown or of another shape, or the parameter that cannot be.
    """
    wanted = model.state_dict()
    if any(name.startswith("module.") for name in state):
        raise TrainError(
            f"checkpoint {path}: tensors are named module. ..., as DistributedDataParallel names them: "
            "save those of its module"
        )
    for name, tensor in wanted.items():
        check_tensor(f"checkpoint {path}: tensor {name}", state.get(name), tensor)
    unknown = [name for name in state if name not in wanted]
    if unknown:
        raise TrainError(f"checkpoint {path}: tensor {unknown[0]} is unknown to {model.network.name}")


def load_state(model: BinaryNetwork, state: dict[str, Any], path: Path) -> None:
    """Put the tensors of a checkpoint into a network.

    Raises:
        TrainError: as `check_state`.
    """
    check_state(model, state, path)
    model.load_state_dict(state)


def load_network(path: Path) -> BinaryNetwork:
    """The network to deploy of a checkpoint, on the CPU, in evaluation.

    Raises:
        TrainError: missing, damaged, or its training has not ended.
    """
    saved = load_checkpoint(path)
    config = from_dict(saved["config"])
    if "deploy" not in saved:
        raise TrainError(f"checkpoint {path}: deploy is missing, expected the tensors of a network")
    if saved["deploy"] is None:
        done = f"{saved['epoch']} of {config.recipe.epochs} epochs are done"
        raise TrainError(f"checkpoint {path}: the training has not ended, {done}")
    network = topology(config)
    for item in walk(network):  # before anything of that size is allocated
        methods = config.recipe.methods
        count = item.weight_bits * max(methods.weight_bases, *methods.weight_bits, 1)
        if min(item.output) < 1 or count > MAX_WEIGHTS:
            size = f"images of {network.height}x{network.width}x{network.channels}"
            raise TrainError(
                f"checkpoint {path}: {size} give {item.name} {max(count, 0)} weights, expected 1 to {MAX_WEIGHTS}"
            )
    with torch.device("meta"):  # without memory
        check_state(BinaryNetwork(network, config.recipe.methods), saved["deploy"], path)
    model = BinaryNetwork(network, config.recipe.methods)
    load_state(model, saved["deploy"], path)
    model.set_progress(1.0)
    model.eval()
    try:
        check_network(model)
    except ParameterError as error:
        raise TrainError(f"checkpoint {path}: {error}") from None
    return model
