"""Cards of the shipped models.

A card `models/NAME.card.json` says what a model was trained on and how, what it reaches, and the checksum of
`models/NAME.npz`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from bnn.errors import ExpectedError

END = ".card.json"
FIELDS: Dict[str, type] = {
    "name": str,
    "dataset": str,
    "command": str,
    "seed": int,
    "epochs": int,
    "recipe": dict,
    "validation_accuracy": float,
    "validation_images": int,
    "test_correct": int,
    "test_images": int,
    "sha256": str,
}


class ZooError(ExpectedError):
    """A card is missing, damaged or does not fit its model; one line says why."""


def read_card(path: Path) -> Dict[str, Any]:
    """A model's card.

    Raises:
        ZooError: unreadable, or a field is missing or of another type.
    """
    try:
        card = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ZooError(f"{path}: cannot be read ({str(error)[:80]})") from None
    if not isinstance(card, dict):
        raise ZooError(f"{path}: is not a card")
    for key, kind in FIELDS.items():
        if type(card.get(key)) is not kind:
            raise ZooError(f"{path}: {key} is {json.dumps(card.get(key))[:40]}, expected {kind.__name__}")
    return card


def cards(folder: Path, names: List[str]) -> List[Path]:
    """The cards of `names`, or all of a folder, in order of their names.

    Raises:
        ZooError: a name has no card.
    """
    found = {path.name[: -len(END)]: path for path in sorted(folder.glob(f"*{END}"))}
    for name in names:
        if name not in found:
            raise ZooError(f"{folder / (name + END)}: does not exist, there are cards of {', '.join(found) or 'none'}")
    return [path for name, path in found.items() if not names or name in names]
