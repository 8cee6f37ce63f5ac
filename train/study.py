"""`bnn study`: what each ingredient of `modern` is worth, and what binarization costs.

Every row is trained with every seed, `--jobs` runs at a time or as many as a cluster has workers. Results are kept, one
small file a run, so that an interrupted study goes on. The table is printed, and put between the markers of a Markdown
file with `--write`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bnn.cluster import LOCAL, add_options, cores, spread
from bnn.command import Command
from bnn.files import write_atomically
from bnn.networks import NETWORKS
from bnn.output import each, note, progress, result
from bnn.tables import marked
from train import data
from train.config import Config, to_dict
from train.errors import TrainError
from train.recipes import RECIPES, Recipe, recipe
from train.teacher import load_teacher
from train.trainer import accuracy, check_teacher, train

Change = Callable[[Recipe], Recipe]
Sets = tuple[data.Arrays, data.Arrays, data.Arrays]  # training, validation, test

LOGGED = 1000
"""Validation images; they only show how a run goes."""


@dataclass(frozen=True)
class Row:
    """A variant of a recipe."""

    label: str
    change: Change
    taught: bool = False  # by a given network, or by the same in float32, which the study trains first


def _methods(**changes: Any) -> Change:
    def change(base: Recipe) -> Recipe:
        return replace(base, methods=replace(base.methods, **changes))

    return change


def _fields(**changes: Any) -> Change:
    return lambda base: replace(base, **changes)


RECU = _methods(standardise=True, quantile=True, weight_window="identity")
"""How ReCU treats latent weights."""

ABLATION = (
    Row("modern", lambda base: base),
    Row("activation gradient: clip in place of triangle", _methods(activation_window="clip")),
    Row("activation gradient: identity in place of triangle", _methods(activation_window="identity")),
    Row("activation gradient: annealed in place of triangle", _methods(activation_window="annealed")),
    Row(
        "weight gradient: identity in place of clip, latent weights not clipped",
        lambda base: _methods(weight_window="identity")(replace(base, clip="none")),
    ),
    Row("loss: squared hinge in place of cross-entropy", _fields(loss="squared_hinge")),
    Row("schedule: exponential in place of cosine", _fields(schedule="exponential")),
    Row("start: U(-1, 1) in place of U(-1, 1) / sqrt(fan-in)", _fields(initial="unit")),
    Row("no augmentation", _fields(crop=0, flip=False)),
    Row("optimizer: SGD 0.1 with momentum in place of Adam", _fields(optimizer="sgd", learning_rate=0.1)),
    Row("with scale alpha", _methods(alpha=True)),
    Row("with standardised weights and quantile clamp", RECU),
    Row("with shift-based batch norm", _methods(norm="shift")),
)

FLOAT = (
    Row("binary weights and activations", lambda base: base),
    Row("the same, standardised weights and quantile clamp", RECU),
    Row("float32 weights, ReLU", _methods(real=True)),
)

INGREDIENTS = (
    Row("modern", lambda base: base),
    Row("activation gradient: clip in place of triangle", _methods(activation_window="clip")),
    Row("taught", _fields(distil=0.7), taught=True),
    Row("twice the epochs", lambda base: replace(base, epochs=2 * base.epochs)),
    Row("no augmentation", _fields(crop=0, flip=False)),
)
"""What brought the shipped CNV from one stage to the next, each alone; worth whole runs."""

STUDIES = {"ablation": ABLATION, "float": FLOAT, "ingredients": INGREDIENTS}


def _digest(config: Config, sets: Sets) -> str:
    """The name of a run in the folder of results."""
    digest = hashlib.sha256(json.dumps(to_dict(config), sort_keys=True).encode())
    digest.update(str([len(part["x"]) for part in sets]).encode())
    return digest.hexdigest()[:16]


def kept(config: Config, sets: Sets, folder: Path) -> float | None:
    """The result of a run that was made, or None."""
    path = folder / f"{_digest(config, sets)}.json"
    return float(json.loads(path.read_text())["test"]) if path.exists() else None


def keep_result(config: Config, sets: Sets, folder: Path, value: float) -> None:
    """Keep a run's result where there is none."""
    path = folder / f"{_digest(config, sets)}.json"
    if not path.exists():
        write_atomically(path, json.dumps({"config": to_dict(config), "test": value}).encode())


def run_one(config: Config, sets: Sets, folder: Path, compiled: bool, keep: bool, teacher: Path | None = None) -> float:
    """Train one run, go on with it, or read its result; test accuracy in percent.

    Args:
        config, sets: the run.
        folder: of results, and of the checkpoints until they are read.
        compiled: whether the step is.
        keep: whether the checkpoint stays.
        teacher: of the network that teaches, a checkpoint or a model.npz.
    """
    known = kept(config, sets, folder)
    if known is not None:
        return known
    work = folder / f"{_digest(config, sets)}.work"
    training, validation, test = sets
    taught = None if teacher is None else load_teacher(teacher)
    model = train(config, training, validation, work, compile_step=compiled, teacher=taught)
    device = next(model.parameters()).device
    images, labels = torch.from_numpy(test["x"]).to(device), torch.from_numpy(test["y"]).long().to(device)
    value = 100 * accuracy(model, images, labels)
    keep_result(config, sets, folder, value)
    if keep:
        note(f"study: kept {work / 'checkpoint.pt'}")
    else:
        shutil.rmtree(work)
    return value


class Job:
    """What trains one run in a worker; the data sets, and the teacher's file, go to it once."""

    def __init__(
        self, sets: Sets, folder: Path, compiled: bool, keep: bool, teacher: Path | None, threads: int | None
    ) -> None:
        self._sets, self._folder, self._compiled, self._keep, self._threads = sets, folder, compiled, keep, threads
        self._teacher = None if teacher is None else (teacher.suffix, teacher.read_bytes())

    def __call__(self, config: Config) -> float:
        if self._threads:
            torch.set_num_threads(self._threads)
        given = self._sets, self._folder, self._compiled, self._keep
        if not config.recipe.distil or self._teacher is None:
            return run_one(config, *given)
        suffix, content = self._teacher
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(content)
            file.flush()
            return run_one(config, *given, Path(file.name))


def run_all(
    configs: dict[tuple[str, int], Config],
    sets: Sets,
    folder: Path,
    compiled: bool,
    jobs: int,
    keep: bool,
    where: str | None = None,
    teacher: Path | None = None,
) -> dict[tuple[str, int], float]:
    """Test accuracy in percent of each run, named by row and seed.

    Args:
        configs: the runs.
        sets: data.
        folder: of results and checkpoints. A worker on another machine has its checkpoints there, in a folder of the
            same name; the results come here as well.
        compiled, keep: as `run_one`'s.
        jobs: processes that share the cores; one is this process.
        where: of the option `--cluster`.
        teacher: of the network that teaches those whose recipe distils, a checkpoint or a model.npz.
    """
    values: dict[tuple[str, int], float] = {}
    if where is None and jobs > 1:
        where = LOCAL
    job = Job(sets, folder, compiled, keep, teacher, max(1, cores() // jobs) if where == LOCAL else None)
    known = {key: value for key, config in configs.items() if (value := kept(config, sets, folder)) is not None}
    missing = {key: config for key, config in configs.items() if key not in known}
    with spread(where, jobs) if missing else nullcontext(map) as each_of:
        found = each_of(job, missing.values())
        for key, config in progress(configs.items(), "study", len(configs)):
            values[key] = known[key] if key in known else next(found)
            keep_result(config, sets, folder, values[key])
            label, seed = key
            text = f"study: {label}, seed {seed}: {values[key]:.2f} %"
            each("runs", text, {"recipe": label, "seed": seed, "accuracy": values[key] / 100})
    return values


def summary(label: str, values: list[float], base: list[float]) -> str:
    """One row: mean and, of several seeds, standard deviation, and the difference to the first row's mean."""
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    difference = statistics.mean(values) - statistics.mean(base)
    return f"| {label} | {statistics.mean(values):.2f}{spread} | {difference:+.2f} |"


def study(name: str, arguments: argparse.Namespace, sets: Sets, base: Recipe) -> str:
    """Run every row with every seed; the Markdown table."""
    network = NETWORKS[arguments.network]
    rows, seeds = STUDIES[name], range(1, arguments.seeds + 1)
    same = Config(network.name, base, dataset=network.dataset, bf16=arguments.bf16)
    taught, teacher, taught_by = any(row.taught for row in rows), arguments.teacher, ""
    if teacher is not None and not taught:
        raise TrainError(f"--teacher is {teacher}, expected none: no row of the study {name} is taught")
    if taught and teacher is None:
        real = replace(same, recipe=replace(base, methods=replace(base.methods, real=True)))
        run_all({("the teacher", 1): real}, sets, arguments.output, arguments.compile, 1, True)
        teacher = arguments.output / f"{_digest(real, sets)}.work" / "checkpoint.pt"
    if taught:
        check_teacher(network, load_teacher(teacher))  # before what it does not teach is trained
        taught_by = hashlib.sha256(teacher.read_bytes()).hexdigest()
    configs = {  # all rows with one seed first
        (row.label, seed): replace(same, recipe=row.change(base), seed=seed, teacher=taught_by if row.taught else "")
        for seed in seeds
        for row in rows
    }
    values = run_all(
        configs, sets, arguments.output, arguments.compile, arguments.jobs, arguments.keep, arguments.cluster, teacher
    )
    lines = ["| recipe | test accuracy [%] | difference |", "|---|---|---|"]
    reference = [values[rows[0].label, seed] for seed in seeds]
    lines += [summary(row.label, [values[row.label, seed] for seed in seeds], reference) for row in rows]
    images = len(sets[0]["x"])
    shown = "mean ± standard deviation of" if arguments.seeds > 1 else "with"
    lines.append("")
    lines.append(
        f"`{network.name}`, {network.dataset}, {images:,} training images, {base.epochs} epochs, batch {base.batch}, "
        f"{len(sets[2]['x']):,} test images: {shown} {arguments.seeds} seed{'s' * (arguments.seeds > 1)}."
    )
    if taught:
        lines[-1] += f" The teacher is {arguments.teacher or 'the float32 network, with as many epochs'}."
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("network", choices=list(NETWORKS), nargs="?", default="cnv")
    parser.add_argument("--recipe", choices=list(RECIPES), default="modern")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, which share the cores")
    add_options(parser)
    parser.add_argument("--limit", type=int, help="use only the first so many training images")
    parser.add_argument("--compile", action="store_true", help="torch.compile the step (faster, needs g++)")
    parser.add_argument("--bf16", action="store_true", help="layers in bfloat16 while training")
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="checkpoint or model.npz; default: trained first")
    parser.add_argument("--keep", action="store_true", help="keep the checkpoints, a teacher's for example")
    data.add_options(parser)
    parser.add_argument("-o", "--output", type=Path, default=data.DEFAULT_FOLDER.parent / "study", help="results")
    parser.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose table is replaced")


def _run(arguments: argparse.Namespace) -> None:
    for key in ("epochs", "seeds", "jobs", "limit"):
        value = getattr(arguments, key)
        if value is not None and value < 1:
            raise TrainError(f"--{key} is {value}, expected at least 1")
    network = NETWORKS[arguments.network]
    dataset = data.load(network.dataset, arguments.data_folder, arguments.cache)
    training, validation = data.split_validation(dataset)
    training = {key: value[: arguments.limit] for key, value in training.items()}
    validation = {key: value[:LOGGED] for key, value in validation.items()}
    sets = (training, validation, {"x": dataset.x_test, "y": dataset.y_test})
    base = replace(recipe(arguments.recipe, network.dataset), epochs=arguments.epochs)
    text = study(arguments.study, arguments, sets, base)
    result(text)
    if arguments.write:
        content = marked(arguments.write.read_text(), arguments.study, text)
        write_atomically(arguments.write, content.encode())


main = Command("study", _options, _run, "ablation cnv --epochs 8 --seeds 3")


if __name__ == "__main__":
    sys.exit(main())
