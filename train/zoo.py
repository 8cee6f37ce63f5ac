"""`bnn zoo`: the shipped models and their cards.

`check` runs every model with the golden integer network over its whole test set and
compares; `add` ships an exported model and writes its card; `table` lists the cards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

from bnn.cards import END, FIELDS, ZooError, cards, read_card
from bnn.command import Command, spelled
from bnn.files import write_atomically
from bnn.model import SHIPPED, load
from bnn.output import each, progress, result
from bnn.tables import marked
from train import cost, data
from train.accuracy import count_right, test_set


def check(path: Path, data_folder: Path | None, cache: Path) -> tuple[str, bool]:
    """Evaluate the model of a card.

    Returns:
        the line about it, and whether model and accuracy are those of the card.

    Raises:
        ZooError, ModelError, DataError: card, model or data cannot be read.
    """
    card = read_card(path)
    file = path.with_name(path.name[: -len(END)] + ".npz")
    model = load(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != card["sha256"]:
        return f"zoo: {card['name']} sha256 {digest[:12]} card {card['sha256'][:12]} DIFFERS", False
    images, labels = test_set(model, path.parent, card["dataset"], data_folder, cache)
    right = count_right(model, images, labels)
    good = (right, len(labels)) == (card["test_correct"], card["test_images"])
    verdict = "ok" if good else "DIFFERS"
    return f"zoo: {card['name']} {right}/{len(labels)} card {card['test_correct']} {verdict}", good


def add(model_file: Path, name: str, folder: Path, command: str) -> Path:
    """Ship an exported model under `name` with the log beside it, and write its card from what the export recorded.

    Raises:
        ZooError: the model lacks what the card needs.
        ModelError: the model cannot be read.
    """
    meta = load(model_file).meta
    content = model_file.read_bytes()
    config = meta.get("config")
    if not isinstance(config, dict):
        raise ZooError(f"{model_file}: header.meta.config is missing, expected a model of train.export")
    card = {
        "name": name,
        "dataset": meta.get("dataset"),
        "command": command or meta.get("command"),
        "seed": config.get("seed"),
        "epochs": meta.get("epochs_trained"),
        "recipe": config.get("recipe"),
        "validation_accuracy": meta.get("validation_accuracy"),
        "validation_images": meta.get("validation_images", data.VALIDATION),
        "test_correct": meta.get("test_correct"),
        "test_images": meta.get("test_images"),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    for key, kind in FIELDS.items():
        if type(card[key]) is not kind:
            raise ZooError(f"{model_file}: {key} of the card is {card[key]!r}, expected {kind.__name__}")
    write_atomically(folder / f"{name}.npz", content)
    log = model_file.with_name("log.csv")
    if log.exists():
        write_atomically(folder / f"{name}.log.csv", log.read_bytes())
    target = folder / f"{name}{END}"
    write_atomically(target, (json.dumps(card, indent=2) + "\n").encode())
    return target


def table(folder: Path) -> str:
    """The cards as a Markdown table, and below it the commands of each, a line each."""
    lines = ["| model | data | MACs | weight bits | validation | test |", "|---|---|--:|--:|--:|--:|"]
    made: list[str] = []
    for path in cards(folder, []):
        card = read_card(path)
        figures = cost.layers(load(folder / f"{card['name']}.npz"))
        macs, bits = sum(figure.macs for figure in figures), sum(figure.weight_bits for figure in figures)
        right, total = card["test_correct"], card["test_images"]
        lines.append(
            f"| `{card['name']}` | {card['dataset']} | {macs:,} | {bits:,} | {100 * card['validation_accuracy']:.2f} % "
            f"of {card['validation_images']:,} | {right}/{total} ({100 * right / total:.2f} %) |"
        )
        *before, last = spelled(card["command"]).split("; ")
        if " -o " not in last:  # the stages before may have written to the network's own folder
            last += f" -o build/{card['name']}"
        made += [f"    # {card['name']}", *(f"    {line}" for line in (*before, last)), ""]
    return "\n".join([*lines, "", "Made by:", "", *made[:-1]])


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--zoo", type=Path, default=SHIPPED, help="folder of models and cards")
    commands = parser.add_subparsers(dest="action", required=True)
    checker = commands.add_parser("check", help="evaluate models and compare with their cards")
    checker.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    data.add_options(checker)
    adder = commands.add_parser("add", help="ship an exported model")
    adder.add_argument("model", type=Path)
    adder.add_argument("name")
    adder.add_argument("--command", default="", help="default: what the export recorded")
    tabler = commands.add_parser("table", help="print the cards")
    tabler.add_argument("--write", type=Path, metavar="FILE", help="Markdown file whose table is replaced")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.action == "add":
        card = add(arguments.model, arguments.name, arguments.zoo, arguments.command)
        result(f"zoo: {card} written", card=str(card))
        return 0
    if arguments.action == "table":
        text = table(arguments.zoo)
        result(text, cards=[read_card(path) for path in cards(arguments.zoo, [])])
        if arguments.write:
            write_atomically(arguments.write, marked(arguments.write.read_text(), "zoo", text).encode())
        return 0
    paths = cards(arguments.zoo, arguments.names)
    if not paths:
        raise ZooError(f"{arguments.zoo}: holds no cards")
    failures = 0
    for path in progress(paths, "zoo"):
        line, good = check(path, arguments.data_folder, arguments.cache)
        each("models", line, {"card": str(path), "as_the_card": good})
        failures += not good
    return 1 if failures else 0


main = Command("zoo", _options, _run, "check cnv lfc")


if __name__ == "__main__":
    sys.exit(main())
