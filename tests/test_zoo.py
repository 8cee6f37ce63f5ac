"""The shipped models against their cards, and a training run from the data to a checked model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bnn import command
from bnn.model import load
from bnn.tables import marked
from train import __main__ as training
from train import data, export, zoo

MODELS = Path(__file__).resolve().parent.parent / "models"

pytestmark = pytest.mark.slow


def has(dataset: str) -> None:
    """Skip where a data set cannot be had."""
    try:
        data.load(dataset)
    except data.DataError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", sorted(path.name.split(".")[0] for path in MODELS.glob("*.card.json")))
def test_a_shipped_model_is_what_its_card_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    # the golden model over 10,000 images: up to two minutes
    has(zoo.read_card(MODELS / f"{name}.card.json")["dataset"])
    assert zoo.main(["--zoo", str(MODELS), "check", name]) == 0
    assert f"zoo: {name} " in capsys.readouterr().out


def test_an_epoch_from_the_data_to_a_checked_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # of a tenth of the images
    has("cifar10")
    assert training.main(["tiny", "--epochs", "1", "--limit", "4500", "-o", str(tmp_path)]) == 0
    assert export.main([str(tmp_path / "checkpoint.pt"), "-o", str(tmp_path / "model.npz")]) == 0
    assert "score mismatches = 0" in capsys.readouterr().out
    assert load(tmp_path / "model.npz").name == "tiny"


def test_the_page_of_the_models_is_that_of_their_cards() -> None:
    page = (MODELS / "README.md").read_text()
    assert marked(page, "zoo", zoo.table(MODELS)) == page


def test_commands_that_made_a_model_can_be_given_one_after_the_other() -> None:
    """Each stage writes a folder of its own, reads what a stage before it wrote, and the last one the model's."""
    for text in zoo.table(MODELS).split("    # ")[1:]:
        name, *lines = text.split("\n")
        there: set[str] = set()
        for words in (shlex.split(line) for line in lines if line.strip()):
            for path in (word for word, before in zip(words[1:], words, strict=False) if before != "-o"):
                assert not path.startswith("build/") or path in there, f"{name}: {path}"
            out = words[words.index("-o") + 1]
            made = f"{out}/checkpoint.pt" if words[1] == "train" else out
            assert made not in there, f"{name}: {made}"
            there.add(made)
        assert made == f"build/{name}/checkpoint.pt"


def test_commands_that_made_the_models_can_be_given_today() -> None:
    calls = re.findall(r"^    (bnn .*)", zoo.table(MODELS), re.MULTILINE)
    assert len(calls) > len(list(MODELS.glob("*.card.json")))
    for call in calls:
        _, name, *arguments = shlex.split(call)
        command.find(name).parser().parse_args(arguments)
