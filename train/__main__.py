"""`bnn train`: train a network, or go on with an interrupted run."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from bnn.command import FAILED, Command, advice
from bnn.errors import ExpectedError
from bnn.files import locked
from bnn.networks import NETWORKS
from bnn.output import note, result
from bnn.text import printable
from train import contact, data, own
from train.config import Config, topology
from train.errors import TrainError
from train.methods import ABC_BASES, LOSSES, PLANES, WINDOWS, Methods
from train.module import BinaryNetwork
from train.processes import world
from train.recipes import OPTIMIZERS, RECIPES, SCHEDULES, recipe
from train.start import load_start
from train.teacher import Teacher, load_teacher, together
from train.trainer import train


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TrainError(f"{path}: cannot be read ({error.strerror})") from None


def _flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")
    return text == "yes"


def _numbers(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number, nor several with commas")
    return tuple(map(int, text.split(",")))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", choices=list(NETWORKS), nargs="?", default="cnv", help="default: cnv")
    parser.add_argument("-o", "--output", type=Path, help="folder for checkpoint and log, default build/NETWORK")
    parser.add_argument("--data", type=Path, help="own data: a folder of class folders, or an .npz file")
    parser.add_argument("--size", type=int, help="own images are scaled to this height and width")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out own files that cannot be used")
    parser.add_argument("--dry-run", action="store_true", help="read the data, draw a contact sheet, train nothing")
    parser.add_argument("--dataset", choices=list(data.SOURCES), help="default: the network's")
    data.add_options(parser)
    parser.add_argument("--limit", type=int, help="use so many training and validation images, of all classes")
    parser.add_argument(
        "--validation",
        type=int,
        metavar="N",
        help=f"last training images that validate and are not trained on (default {data.VALIDATION}); fewer for a last "
        "run, after every choice",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        metavar="FILE",
        help="checkpoint or model.npz that teaches, for distillation; given again: the mean of their scores",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="model.npz whose weights the training starts from, or the checkpoint of another run of this network",
    )
    parser.add_argument("--pad-value", type=int, choices=(-1, 1), help="what stands around padded maps")
    parser.add_argument("--real", action="store_true", help="float32 weights and ReLU: the reference")
    parser.add_argument("--compile", action="store_true", help="torch.compile the step (faster, needs g++)")
    parser.add_argument("--bf16", action="store_true", help="layers in bfloat16 while training, for GPUs")
    parser.add_argument("--recipe", choices=list(RECIPES), default="modern")
    changes = parser.add_argument_group("changes to the recipe")
    changes.add_argument("--epochs", type=int)
    changes.add_argument("--batch", type=int)
    changes.add_argument("--lr", type=float, dest="learning_rate")
    changes.add_argument("--final-lr", type=float, dest="final_learning_rate")
    changes.add_argument("--warmup", type=float, help="epochs")
    changes.add_argument("--schedule", choices=SCHEDULES)
    changes.add_argument("--optimizer", choices=OPTIMIZERS)
    changes.add_argument("--loss", choices=list(LOSSES))
    changes.add_argument("--weight-decay", type=float)
    changes.add_argument("--crop", type=int, help="pixels of padding before a random crop")
    changes.add_argument("--flip", type=_flag, metavar="yes|no", help="random horizontal flip")
    changes.add_argument("--fixed-norms", type=int, help="last epochs in which the batch norms' statistics stay")
    changes.add_argument("--average", type=float, help="decay of the average of the parameters")
    changes.add_argument("--distil", type=float, help="weight of the teacher in the loss")
    changes.add_argument("--temperature", type=float)
    changes.add_argument(
        "--consistent", type=_flag, metavar="yes|no", help="the teacher sees every crop, in place of each image once"
    )
    changes.add_argument("--weight-window", choices=list(WINDOWS))
    changes.add_argument("--activation-window", choices=list(WINDOWS))
    changes.add_argument("--activation-planes", type=int, choices=PLANES, help="one-bit planes of activations")
    changes.add_argument(
        "--weight-bases", type=int, choices=ABC_BASES, help="one-bit bases of weights; above 2 with abc"
    )
    for name in ("weight", "activation"):
        changes.add_argument(
            f"--{name}-bits", type=_numbers, metavar="K", help="of all layers, or first,inner,last, or one each"
        )
    changes.add_argument("--norm", choices=("batch", "shift"))
    changes.add_argument("--dropout", type=float, help="of hidden layers")
    changes.add_argument("--input-dropout", type=float)
    for name in (
        "standardise",
        "quantile",
        "magnitude_aware",
        "alpha",
        "threshold_shift",
        "abc",
        "stochastic_weights",
        "stochastic_activations",
    ):
        changes.add_argument(f"--{name.replace('_', '-')}", type=_flag, metavar="yes|no")


def _positive(arguments: argparse.Namespace) -> None:
    for name in ("epochs", "batch", "limit", "size", "validation"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise TrainError(f"--{name} is {value}, expected at least 1")
    if arguments.validation and arguments.data is not None:
        raise TrainError("--validation is for a data set that has no images for it, own data say which validate")


def make_config(arguments: argparse.Namespace, dataset: str, own_data: own.OwnData | None) -> Config:
    """The run that the command line describes."""
    chosen = recipe(arguments.recipe, dataset)

    def given(kind: Any) -> dict[str, Any]:
        values = {field.name: getattr(arguments, field.name, None) for field in fields(kind)}
        return {key: value for key, value in values.items() if value is not None}

    methods = replace(chosen.methods, **given(Methods))
    chosen = replace(chosen, **given(type(chosen)) | {"methods": methods})
    if own_data is None and arguments.flip is None and NETWORKS[arguments.network].channels != 3:
        chosen = replace(chosen, flip=False)
    config = Config(network=arguments.network, recipe=chosen, dataset=dataset, seed=arguments.seed, bf16=arguments.bf16)
    if own_data is not None:
        count, channels, height, width = own_data.dataset.x_train.shape
        config = replace(config, shape=(height, width, channels), classes=len(own_data.classes))
        if arguments.batch is None and chosen.batch > count // 4:
            config = replace(config, recipe=replace(chosen, batch=max(2, count // 4)))
    if arguments.pad_value:
        config = replace(config, pad_value=arguments.pad_value)
    for name in ("validation", "limit"):
        if getattr(arguments, name):
            config = replace(config, **{name: getattr(arguments, name)})
    if arguments.teacher:
        config = replace(config, teacher="+".join(map(_sha256, arguments.teacher)))
    if arguments.start:
        config = replace(config, start=_sha256(arguments.start))
    return config


def _show(
    out: Path, training: data.Arrays, validation: data.Arrays, dataset: data.Dataset, classes: tuple[str, ...]
) -> None:
    """What a training would use: counts, and a contact sheet."""
    labels = {"training": training["y"], "validation": validation["y"], "test": dataset.y_test}
    images = sum(map(len, labels.values()))
    result(f"{images} images, {len(classes)} classes", images=images, classes=list(classes))
    width = max(map(len, classes))
    for label, name in enumerate(classes[: contact.ROWS]):
        counts = ", ".join(f"{int((y == label).sum())} {part}" for part, y in labels.items())
        result(f"  {name:{width}}  {counts}")
    if len(classes) > contact.ROWS:
        result(f"  ... {len(classes) - contact.ROWS} more")
    path = out / "contact.png"
    contact.write(path, training["x"], training["y"], classes)
    result(f"contact sheet of {'x'.join(map(str, training['x'].shape[2:]))} pixels: {path}", contact_sheet=str(path))


def _what(arguments: argparse.Namespace) -> str:
    """The arguments that name the network and its data."""
    given = {"--data": arguments.data, "--size": arguments.size, "--dataset": arguments.dataset}
    words = [arguments.network, *(word for key, value in given.items() if value for word in (key, value))]
    return " ".join(shlex.quote(printable(word)) for word in words)


def _output(arguments: argparse.Namespace) -> Path:
    return arguments.output or data.DEFAULT_FOLDER.parent / NETWORKS[arguments.network].name


def _train(arguments: argparse.Namespace) -> None:
    _positive(arguments)
    network = NETWORKS[arguments.network]
    out = _output(arguments)
    own_data = None
    if arguments.data is not None:
        own_data = own.prepare(
            arguments.data,
            arguments.size or network.height,
            None if arguments.dry_run else out,
            arguments.size is not None,
            arguments.skip_unreadable,
        )
        dataset, name, classes = own_data.dataset, own_data.name, own_data.classes
        training, validation = own_data.training, own_data.validation
        if own_data.unusable and world()[0] == 0:
            shown = "; ".join(own_data.unusable[: own.LISTED]) + ("; ..." if own_data.unusable[own.LISTED :] else "")
            print(f"data: left out {len(own_data.unusable)} files: {shown}", file=sys.stderr)
    else:
        name = arguments.dataset or network.dataset
        dataset = data.load(name, arguments.data_folder, arguments.cache)
        classes = data.SOURCES[name].classes
        training, validation = data.split_validation(dataset, arguments.validation or data.VALIDATION)
    if arguments.limit:
        by_class = own_data is not None
        training, validation = (data.limited(part, arguments.limit, by_class) for part in (training, validation))
    config = make_config(arguments, name, own_data)
    own.check_size(topology(config))
    methods = config.recipe.methods
    if not methods.real and world()[0] == 0:
        warning = advice(topology(config), methods.activation_planes, methods.weight_bases)
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
    if arguments.dry_run:
        _show(out, training, validation, dataset, classes)
        return
    teacher: Teacher | None = None
    start: Callable[[BinaryNetwork, Tensor], None] | None = None
    if arguments.teacher:
        teacher = together([load_teacher(path) for path in arguments.teacher])
    if arguments.start:
        start = load_start(arguments.start)
    compiled = arguments.compile
    if compiled and shlex.split(torch.__path__[0]) != torch.__path__[:1]:
        compiled = False
        print(f"--compile is left out: torch's compiler does not take {torch.__path__[0]}", file=sys.stderr)
    train(
        config,
        training,
        validation,
        out,
        compiled,
        teacher=teacher,
        start=start,
        command=arguments.command_line,
    )
    if world()[0] == 0:
        model = shlex.quote(printable(out / "model.npz"))
        note(f"next: bnn export {shlex.quote(printable(out / 'checkpoint.pt'))} -o {model}")
        note(f"to train on from that model: bnn train {_what(arguments)} --start {model} -o OTHER_FOLDER")


def _run(arguments: argparse.Namespace) -> int:
    if "WORLD_SIZE" in os.environ:  # started by torchrun
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        with ExitStack() as held:
            if world()[0] == 0 and not arguments.dry_run:  # the process that writes
                held.enter_context(locked(_output(arguments), wait=False))
            _train(arguments)
    except (ExpectedError, OSError):
        if world()[0] == 0:  # one process speaks for all
            raise
        return FAILED
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


main = Command("train", _options, _run, "cnv --recipe modern --epochs 32 -o build/cnv")


if __name__ == "__main__":
    sys.exit(main())
