"""`bnn web`: a page that classifies a dropped image or the camera's on the accelerator.

    PYNQ_REMOTE_DEVICES=127.0.0.1 bnn web --bit pynq_z1.bit --program program.bin --model cnv.npz
    bnn web --cpu --model cnv.npz

The page is three files without a build step. A picture's file is sent as it is and read here, as the command reads it:
the page gives the command's scores. Where Pillow is not installed the browser scales the picture instead, and the page
says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

if not __package__:  # a script by its path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __package__ = "host"

import numpy as np

from bnn import output
from bnn.command import Command, UsageError
from bnn.model import load
from bnn.samples import find_images

from . import images as sources
from .classifier import Choice, Classifier
from .errors import HostError
from .pynq_infer import Engine
from .server import Server

PORT = 8080
SAMPLES = 16


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, nargs="+", required=True, help="model.npz: shape, class names, network; several to choose"
    )
    parser.add_argument("--bit", type=Path, help="bitstream, its .hwh beside it")
    parser.add_argument(
        "--program", type=Path, nargs="+", help="a program.bin for each model, or a model.npz to be packed (default)"
    )
    parser.add_argument("--cpu", action="store_true", help="run the integer model on the processor instead")
    parser.add_argument("--boards", metavar="A,B", help="addresses of boards (default $PYNQ_REMOTE_DEVICES)")
    parser.add_argument(
        "--images", nargs="+", default=[], help="pictures to offer, as bnn infer takes them (default: shipped ones)"
    )
    parser.add_argument("--timeout", type=float, help="seconds one run may take")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}")
    parser.add_argument("--name", nargs="+", default=[], help="further names by which browsers may ask for the page")


def _choice(path: Path, images: list[str]) -> Choice:
    """A model of the page and its samples."""
    model = load(path)
    shape = (model.height, model.width, model.channels)
    found = None if images else find_images(model)
    if not images and found is None:
        return Choice(model, np.zeros((0, *shape), np.uint8))
    given = sources.read(images or [str(found)], shape, list(model.classes))
    if given.images.shape[1:] != shape:
        raise HostError(f"images are {given.images.shape[1:]}, {path} takes {shape}")
    labels = None if given.labels is None else given.labels[:SAMPLES]
    return Choice(model, np.asarray(given.images[:SAMPLES]), labels)


def makers(options: argparse.Namespace, choices: list[Choice]) -> dict[str, Callable[[int], Engine]]:
    """What makes the engines: with a bitstream both, so that they can be compared."""

    def maker(cpu: bool) -> Callable[[int], Engine]:
        def make(index: int) -> Engine:
            program = (options.program or options.model)[index]
            own = argparse.Namespace(**{**vars(options), "cpu": cpu, "program": program, "batch": 1})
            return Engine(own, choices[index].model)

        return make

    return {"cpu": maker(True)} if options.cpu else {"accelerator": maker(False), "cpu": maker(True)}


def _run(options: argparse.Namespace) -> None:
    if not options.cpu and options.bit is None:
        raise UsageError("give --bit, or --cpu")
    if options.program and len(options.program) != len(options.model):
        raise UsageError(f"--program names {len(options.program)} files, --model {len(options.model)}")
    choices = [_choice(path, options.images) for path in options.model]
    classifier = Classifier(choices, makers(options, choices))
    try:
        with Server(classifier, options.host, options.port, tuple(options.name)) as server:
            output.event(server.url, url=server.url)
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        classifier.close()


main = Command("web", _options, _run, "--cpu --model models/cnv.npz models/mnist_wired.npz")


if __name__ == "__main__":
    sys.exit(main())
