"""Recipes: how a network is trained, as tables.

Each row is a complete recipe, or what one changes of another; `DATASET_RECIPES` holds what a recipe changes for a data
set. What the sources leave open, and where paper, README and code of a source differ, is in `train/README.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from train.errors import TrainError
from train.methods import Methods

OPTIMIZERS = ("adam", "adamax_shift", "sgd")
SCHEDULES = ("cosine", "exponential", "halving")
INITIAL = ("fan_in", "unit")
GLOROT = ("none", "exact", "power_of_two")


@dataclass(frozen=True)
class Recipe:
    """Everything of a run but the network, its data and the seed."""

    epochs: int
    batch: int
    optimizer: str
    learning_rate: float
    final_learning_rate: float
    schedule: str  # cosine, exponential by the epoch, or halved ten times
    loss: str  # methods.LOSSES
    methods: Methods
    warmup: float = 0.0  # epochs of linear increase of the learning rate
    glorot: str = "none"  # learning-rate scale of each layer
    initial: str = "fan_in"  # latent weights from U(-1, 1) / sqrt(fan_in), or unit: U(-1, 1)
    clip: str = "weights"  # what is clipped to [-1, 1] after each step
    weight_decay: float = 0.0  # of the latent weights
    crop: int = 0  # pixels of padding before a random crop
    flip: bool = False  # random horizontal flip
    fixed_norms: int = 0  # last epochs in which the batch norms' statistics stay, as in the exported thresholds
    average: float = 0.0  # decay of the average of the parameters; 0: none
    distil: float = 0.0  # weight of the teacher in the loss
    temperature: float = 4.0  # of the distillation
    consistent: bool = False  # the teacher sees the images cropped as the network does (Beyer et al., CVPR 2022)

    def check(self) -> None:
        """Hold every number against the range in which it means something.

        Raises:
            TrainError: names the number and the range.
        """
        for name, (low, high, above) in RANGES.items():
            value = getattr(self if hasattr(self, name) else self.methods, name)
            if not (low < value if above else low <= value) or not value <= high:
                raise TrainError(f"{name} is {value:g}, expected {'above' if above else 'from'} {low:g} to {high:g}")
        for name in ("fixed_norms", "warmup"):
            value = getattr(self, name)
            if not 0 <= value <= self.epochs:
                raise TrainError(f"{name} is {value:g}, expected 0 to the {self.epochs} epochs")

    @property
    def fixed_from(self) -> int:
        """The first epoch, from 0, in which the batch norms' statistics stay."""
        return self.epochs - self.fixed_norms


RANGES: dict[str, tuple[float, float, bool]] = {
    "epochs": (1, 1_000_000, False),
    "batch": (1, 1_000_000, False),
    "learning_rate": (0, 100, True),
    "final_learning_rate": (0, 100, False),
    "weight_decay": (0, 1, False),
    "crop": (0, 1024, False),
    "average": (0, 1, False),
    "distil": (0, 1, False),
    "temperature": (0, 1000, True),
    "dropout": (0, 1, False),
    "input_dropout": (0, 1, False),
}
"""What a number of a recipe, or of its methods, may be: from (True: above) the first to the second."""

_BNN = Methods(weight_window="identity", activation_window="clip")

# Rastegari et al., ECCV 2016: scaled binary weights; its block order is the one of train/layers.py
_XNOR = Recipe(
    epochs=200,
    batch=128,
    optimizer="adam",
    learning_rate=1e-3,
    final_learning_rate=1e-6,
    schedule="cosine",
    loss="cross_entropy",
    methods=Methods(weight_window="clip", activation_window="clip", alpha=True),
    weight_decay=1e-5,
    crop=4,
    flip=True,
)
_MODERN = Recipe(
    epochs=40,
    batch=64,
    optimizer="adam",
    learning_rate=4e-3,
    final_learning_rate=1e-6,
    schedule="cosine",
    loss="cross_entropy",
    methods=Methods(weight_window="clip", activation_window="triangular"),
    crop=2,
    flip=True,
)

RECIPES: dict[str, Recipe] = {
    # Courbariaux et al., arXiv 1602.02830, as Train-time/cifar10.py has it
    "theano": Recipe(
        epochs=500,
        batch=50,
        optimizer="adam",
        learning_rate=1e-3,
        final_learning_rate=3e-7,
        schedule="exponential",
        loss="squared_hinge",
        methods=_BNN,
        glorot="exact",
        initial="unit",
    ),
    # the same paper, as the Torch7 code has it
    "torch7": Recipe(
        epochs=500,
        batch=200,
        optimizer="adamax_shift",
        learning_rate=2.0**-6,
        final_learning_rate=2.0**-16,
        schedule="halving",
        loss="squared_hinge",
        methods=replace(_BNN, stochastic_activations=True, norm="shift"),
        glorot="power_of_two",
        initial="unit",
        clip="all",
    ),
    "xnor": _XNOR,
    "modern": _MODERN,
    # Liu et al., ECCV 2018, for networks with shortcuts: ApproxSign and the magnitude-aware gradient; else as modern
    "bireal": replace(
        _MODERN,
        epochs=80,
        methods=Methods(weight_window="clip", activation_window="approx_sign", magnitude_aware=True),
    ),
    # Lin, Zhao, Pan, NIPS 2017: three bases, three planes; else as modern
    "abc": replace(
        _MODERN,
        methods=Methods(
            weight_window="identity", activation_window="half", abc=True, weight_bases=3, activation_planes=3
        ),
    ),
    # Rastegari et al. again, binary weights alone: activations of 8 bits
    "bwn": replace(_XNOR, methods=Methods(weight_window="clip", alpha=True, activation_bits=(8,))),
    # Zhou et al., arXiv 1606.06160: weights of 2 bits and activations of 4; the bits of BMXNet's layers, too
    "dorefa": replace(_MODERN, learning_rate=1e-3, methods=Methods(weight_bits=(2,), activation_bits=(4,))),
}

DATASET_RECIPES: dict[tuple[str, str], dict[str, object]] = {
    # Train-time/mnist.py: dropout .2 and .5, batch 100, 1000 epochs from 3e-3
    ("theano", "mnist"): {
        "epochs": 1000,
        "batch": 100,
        "learning_rate": 3e-3,
        "methods": replace(_BNN, input_dropout=0.2, dropout=0.5),
    },
    ("theano", "svhn"): {"epochs": 200},
    ("xnor", "mnist"): {"crop": 0, "flip": False},
    ("xnor", "svhn"): {"flip": False},
    ("bwn", "mnist"): {"crop": 0, "flip": False},
    ("bwn", "svhn"): {"flip": False},
    ("dorefa", "mnist"): {"flip": False},
    ("dorefa", "svhn"): {"flip": False},
    ("modern", "mnist"): {"flip": False},
    ("modern", "svhn"): {"flip": False},
    ("bireal", "mnist"): {"flip": False},
    ("bireal", "svhn"): {"flip": False},
    ("abc", "mnist"): {"flip": False},
    ("abc", "svhn"): {"flip": False},
}
"""(recipe, data set) -> changed fields."""


def recipe(name: str, dataset: str) -> Recipe:
    """Look up a recipe for a data set.

    Raises:
        TrainError: unknown name; the message lists the known ones.
    """
    if name not in RECIPES:
        raise TrainError(f"recipe '{name}' is unknown: choose one of {', '.join(RECIPES)}")
    return replace(RECIPES[name], **DATASET_RECIPES.get((name, dataset), {}))  # type: ignore[arg-type]
