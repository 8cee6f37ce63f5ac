"""The work in five calls: `train`, `export`, `plan`, `build`, `infer`.

The first four are commands of `bnn`: a keyword is an option (`data_folder=x` is `--data-folder x`), the result is what
`--json` prints, and what a command says in one line is an exception, `bnn.errors.ExpectedError`. docs/api.md has an
example, and what each result holds.
"""

from __future__ import annotations

import argparse
from os import PathLike
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np

from bnn import command

Name = Union[str, "PathLike[str]"]


def train(network: str, output: Name, **options: Any) -> Dict[str, Any]:
    """Train a network, or go on with it, as `bnn train`.

    Args:
        network: a row of `bnn.networks`.
        output: folder for checkpoint and log.
        options: of the command, as `epochs=30` or `data="pictures"`.

    Returns:
        `checkpoint`, `epochs`, `validation_accuracy`, `best_validation_accuracy` and `seconds`.

    Raises:
        bnn.errors.ExpectedError: the data, an option or the run is not as it must be.
    """
    return _call("train", [network, "-o", str(output)], options)


def export(checkpoint: Name, model: Name, **options: Any) -> Dict[str, Any]:
    """Fold a checkpoint into an integer model, checked against PyTorch on every test image, as `bnn export`.

    Returns:
        `model`, `images`, `correct`, `mismatches` (0) and `temperature`.

    Raises:
        bnn.errors.ExpectedError: there is no such checkpoint, or it has no integer model.
    """
    return _call("export", [str(checkpoint), "-o", str(model)], options)


def plan(model: Name, design: str, output: Name, **options: Any) -> Dict[str, Any]:
    """Pack a model into a program for a design, as `bnn plan`.

    Returns:
        `program`, `bytes`, `batch` and `cycles_per_image`, an estimate.

    Raises:
        bnn.errors.ExpectedError: the model cannot be read, or does not fit; names the layer and the limit.
    """
    return _call("plan", [str(model), "--design", design, "-o", str(output)], options)


def build(design: str, output: Name, **options: Any) -> Dict[str, Any]:
    """Render a design, and build its bitstream where the vendor's tools are, as `bnn hls`.

    Returns:
        `folder`, `files`, `backend`, and `bitstream` and `timing` where it was built.

    Raises:
        bnn.errors.ExpectedError: there is no such design, or a tool fails.
    """
    return _call("hls", ["--design", design, "-o", str(output)], options)


def infer(
    model: Name, images: np.ndarray, bit: Optional[Name] = None, program: Optional[Name] = None, **options: Any
) -> np.ndarray:
    """Scores of images: on the processor, or with a bitstream on the accelerator.

    Args:
        model: model.npz.
        images: uint8 (N, H, W, C).
        bit: the bitstream, its `.hwh` beside it.
        program: program.bin of the same design; the model is packed for it if left out.
        options: of `host.Accelerator`, as `board="192.168.2.99"`.

    Returns:
        int32 (N, classes), the same on both to the bit.

    Raises:
        bnn.errors.ExpectedError: the model cannot be read, the images do not fit it, or the accelerator fails.
    """
    if bit is None:
        from bnn import cpu
        from bnn.model import load

        return cpu.infer(load(Path(model)), images)
    accelerator = command.load("host.accelerator:Accelerator")
    with accelerator(str(bit), str(program or model), **options) as device:
        scores: np.ndarray = device.infer(images)
        return scores


def _call(name: str, arguments: List[str], options: Dict[str, Any]) -> Dict[str, Any]:
    """A command's results, its options given by name: True for those without a value, None for those left out,
    a list for those that are given again."""
    found = command.find(name)
    known = {text: action for action in found.parser()._actions for text in action.option_strings}
    for key, value in options.items():
        option = f"--{key.replace('_', '-')}"
        if option not in known:
            raise command.UsageError(f"{name}: no option {key}")
        if known[option].nargs == 0:
            arguments += [option] if value else []
        elif isinstance(value, (list, tuple)) and isinstance(known[option], argparse._AppendAction):
            arguments += [text for item in value for text in (option, str(item))]
        elif value is not None:
            text = ("no", "yes")[value] if isinstance(value, bool) else str(value)
            arguments += [option, text]
    return found.results(arguments)
