"""Network topologies as tables.

Every network is a list of stride-1 convolutions of one kernel, 3x3 unless the table says otherwise, each optionally
followed by a 2x2 max-pool, and a list of fully connected layers. The blocks are
conv -> [pool] -> BN -> sign; the last fully connected layer has no sign.

Residual networks are those of Bi-Real Net: a stem of convolutions gives a value, each further one adds its own to it,
and the mean of the last value over its map is what the fully connected layers read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Dict, List, Tuple

from bnn.errors import ExpectedError
from bnn.geometry import Spec
from bnn.layers import MEAN_BITS

Convs = Tuple[Tuple[int, bool], ...]

INPUT_INT8 = "int8"  # p - 128, an 8-bit first layer
"""Input tables: pixel p (0..255) -> integer seen by the first layer."""
INPUT_BINARY = "binary"  # +1 if p >= 128 else -1, a binary first layer


MEAN = "mean"
"""Name of the layer between the convolutions and the dense layers of a residual network."""


class NetworkError(ExpectedError):
    """No topology has that name; one line lists those there are."""


@dataclass(frozen=True)
class Network:
    """A topology.

    `convs` holds (output channels, pool after it), as in the tables of
    Brevitas; `dense` the widths of the hidden fully connected layers.
    `pad` is 0 or 1 pixel on each side; `pad_value` the recorded +-1 that
    stands there (the 8-bit first layer is padded with 0).
    `residual`: a shortcut over every convolution but those of the stem, `stem` in number, whose last gives the first
    value; where the width changes the convolution has stride 2, and the shortcut is averaged.
    """

    name: str
    height: int
    width: int
    channels: int
    convs: Convs
    dense: Tuple[int, ...]
    classes: int
    pad: int
    dataset: str
    pad_value: int = -1
    input_table: str = INPUT_INT8
    source: str = ""
    title: str = ""  # as the literature writes the name
    residual: bool = False
    stem: int = 1  # convolutions of a residual network before the first shortcut
    kernel: int = 3  # edge of every convolution's

    @property
    def layers(self) -> Tuple[Spec, ...]:
        """The layers in order, as the model will name them; the last gives the scores."""
        rows: List[Spec] = []
        for outputs, pool in self.convs:
            # the 8-bit first layer is padded with 0
            value = self.pad_value if self.pad and rows else 0
            row = Spec(f"conv{len(rows) + 1}", "conv", outputs, self.pad, value, pool, self.kernel)
            if self.residual and len(rows) >= self.stem:
                before = rows[-1]
                row = replace(row, inputs=(before.name,) * 2, stride=1 if before.outputs == outputs else 2)
            rows.append(replace(row, value=self.residual and len(rows) >= self.stem - 1))
        if self.residual:
            rows[-1] = replace(rows[-1], planes=0)  # only its value is read
            rows.append(Spec(MEAN, "average", rows[-1].outputs, planes=MEAN_BITS))
        for number, outputs in enumerate((*self.dense, self.classes), 1):
            rows.append(Spec(f"fc{number}", "dense", outputs))
        return tuple(rows)


def _bnn_convs(width: int) -> Convs:
    return (
        (width, False),
        (width, True),
        (2 * width, False),
        (2 * width, True),
        (4 * width, False),
        (4 * width, True),
    )


_colour = partial(Network, height=32, width=32, channels=3, classes=10)
_mnist = partial(
    Network,
    height=28,
    width=28,
    channels=1,
    classes=10,
    convs=(),
    pad=0,
    dataset="mnist",
    input_table=INPUT_BINARY,
)

_TABLE = (
    _colour(
        name="cnv",
        title="CNV",
        convs=((64, False), (64, True), (128, False), (128, True), (256, False), (256, False)),
        dense=(512, 512),
        pad=0,
        dataset="cifar10",
        source="FINN, Umuroglu et al., FPGA'17",
    ),
    _colour(
        name="binarynet",
        title="BinaryNet",
        convs=_bnn_convs(128),
        dense=(1024, 1024),
        pad=1,
        dataset="cifar10",
        source="Courbariaux et al., arXiv 1602.02830",
    ),
    _colour(
        name="binarynet_svhn",
        title="BinaryNet on SVHN",
        convs=_bnn_convs(64),
        dense=(1024, 1024),
        pad=1,
        dataset="svhn",
        source="Courbariaux et al., arXiv 1602.02830",
    ),
    _colour(
        name="vgg_small",
        title="VGG-small",
        convs=_bnn_convs(128),
        dense=(),
        pad=1,
        dataset="cifar10",
        source="Zhang et al., LQ-Nets, ECCV'18",
    ),
    _mnist(
        name="mlp_bnn",
        dense=(4096, 4096, 4096),
        source="Courbariaux et al., arXiv 1602.02830",
    ),
    _mnist(name="lfc", title="LFC", dense=(1024, 1024, 1024), source="FINN, Umuroglu et al., FPGA'17"),
    _mnist(name="sfc", title="SFC", dense=(256, 256, 256), source="FINN, Umuroglu et al., FPGA'17"),
    _mnist(
        name="mnist_wired",
        convs=((16, True), (32, True), (64, False)),
        dense=(),
        input_table=INPUT_INT8,
        source="small enough for engines with the weights wired in",
    ),
    _mnist(
        name="mnist_beat_wired",
        convs=((16, True), (32, True)),
        dense=(64,),
        source="of one-bit pixels, whole rows per cycle in engines with the weights wired in",
    ),
    _mnist(
        name="lenet",
        title="LeNet",
        convs=((64, True), (64, True)),
        dense=(512,),
        kernel=5,
        input_table=INPUT_INT8,
        source="after LeNet-5, LeCun et al., Proc. IEEE 1998, with pools in place of subsampling and wider",
    ),
    _colour(
        name="cifar_wired",
        convs=tuple((width, pool) for width in (48, 48, 64, 128) for pool in (False, True)),
        dense=(),
        pad=1,
        dataset="cifar10",
        source="the most accurate of those tried that the XC7Z020 holds with the weights wired in",
    ),
    _colour(
        name="cifar_wired_6",
        convs=((48, False), (48, True), (48, False), (48, True), (96, False), (96, True)),
        dense=(),
        pad=1,
        dataset="cifar10",
        source="the first stage of cifar_wired's training, which takes its first four convolutions",
    ),
    _colour(
        name="bireal",
        convs=((64, True), *((64, False),) * 4, *((128, False),) * 4, *((256, False),) * 4),
        dense=(),
        pad=1,
        dataset="cifar10",
        source="after Liu et al., Bi-Real Net, ECCV'18",
        residual=True,
    ),
    _colour(
        name="bireal_cnv",
        convs=((64, False), (64, True), *((64, False),) * 2, *((128, False),) * 2, *((256, False),) * 2, (512, False)),
        dense=(),
        pad=1,
        dataset="cifar10",
        source="CNV's first two convolutions, then after Liu et al., Bi-Real Net, ECCV'18",
        residual=True,
        stem=2,
    ),
    _colour(
        name="tiny_bireal",
        convs=((16, True), (16, False), (32, False)),
        dense=(),
        pad=1,
        dataset="cifar10",
        source="for tests",
        residual=True,
    ),
    _colour(
        name="tiny",
        convs=((16, True), (32, True)),
        dense=(64,),
        pad=1,
        dataset="cifar10",
        source="for tests",
    ),
)

NETWORKS: Dict[str, Network] = {network.name: network for network in _TABLE}


def network(name: str) -> Network:
    """Look up a topology by its name, or by its title in any case.

    Raises:
        NetworkError: unknown name; the message lists the known ones.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    titled = [item for item in _TABLE if item.title and item.title.lower() == name.lower()]
    if titled:
        return titled[0]
    raise NetworkError(f"network '{name}' is unknown: choose one of {', '.join(NETWORKS)}")
