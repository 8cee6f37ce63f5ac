"""The page's server in front of a simulated board, with two models."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from helpers.board import Station
from helpers.host import DESIGN, images, make_model
from helpers.models import random_model
from hls import program, schedule
from host import web
from host.classifier import Choice, Classifier
from host.server import Server

MODEL = replace(make_model(), temperature=40.0)
CLASSES = ("<img src=x onerror=document.title='hacked'>", *(f"class {letter}" for letter in "bcdefghijk"), "W" * 60)
OTHER = replace(
    random_model(4, 8, 6, convs=((8, False), (8, True)), dense=(16,), classes=12), name="<b>other</b>", classes=CLASSES
)
"""A model of another shape and more classes, without a temperature, with names that a page may stumble over."""
OTHER_SAMPLES = np.random.default_rng(9).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)


@contextmanager
def serving(made: Server) -> Iterator[int]:
    """The port of a server that runs."""
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made.server_address[1]
    finally:
        made.shutdown()
        made.server_close()


@contextmanager
def page(station: Station, folder: Path) -> Iterator[int]:
    """Port of a page in front of the board; `MODEL` has the samples `images(3, 5)` with labels 0, 1, 2."""
    other = folder / "other.bin"
    other.write_bytes(program.pack(schedule.plan(OTHER, DESIGN, 8)))
    choices = [Choice(MODEL, images(3, 5), np.array([0, 1, 2])), Choice(OTHER, OTHER_SAMPLES)]
    options = Namespace(
        cpu=False, boards=station.host, timeout=20.0, bit=station.bit, program=[station.code, other], model=[]
    )
    classifier = Classifier(choices, web.makers(options, choices))
    with serving(Server(classifier)) as port:
        yield port
    classifier.close()
    assert station.memory.used == (0, 0)
