"""The shipped models beside published ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bnn.model import SHIPPED, load
from hls import peers
from hls.designs import DESIGNS
from hls.schedule import plan

HEAD = ",".join(peers.COLUMNS) + "\n"


def test_the_table_has_the_cards_and_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for end in (".npz", ".card.json"):
        for name in ("sfc", "mnist_wired"):
            shutil.copy(SHIPPED / f"{name}{end}", tmp_path)
    (tmp_path / "peers.csv").write_text(HEAD + 'LFC,mnist,98.4,118883,measured,"board, 100 MHz",paper\n')
    picture = tmp_path / "out" / "picture.png"
    picture.parent.mkdir()
    assert peers.main(["--zoo", str(tmp_path), "-o", str(picture)]) == 0
    text = capsys.readouterr().out
    design = DESIGNS["pynq_z1"]
    placed = plan(load(SHIPPED / "sfc.npz"), design, 256)
    rate = 256 * design.clock_mhz * 1e6 / placed.run_cycles(256, keep=placed.resident)
    assert f"| sfc | MNIST | 97.87 % | {rate:,.0f} | estimated | pynq_z1, batch 256, " in text
    assert f"| mnist_wired | MNIST | 98.65 % | {design.clock_mhz * 1e6 / 784:,.0f} | estimated | wired in, " in text
    assert "| LFC | MNIST | 98.40 % | 118,883 | measured | board, 100 MHz | paper |" in text
    assert text.index("| sfc |") < text.index("| mnist_wired |") < text.index("| LFC |")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_shipped_table_is_complete() -> None:
    assert {point.data for point in peers.published(SHIPPED / "peers.csv")} == {"cifar10", "mnist"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network,data\n", "columns are network, data, expected network, data, accuracy"),
        (HEAD + "A, B,mnist,98,10,measured,x,y\n", "line 2: has more or fewer columns than the 7 of the first line"),
        (HEAD + "A,mnist,98,10,measured,x\n", "line 2: has more or fewer columns than the 7 of the first line"),
        (HEAD + "A,mnist,98,ten,measured,x,y\n", "line 2: images_per_s is 'ten', expected a number"),
        (HEAD + "A,mnist,-1,10,measured,x,y\n", "line 2: accuracy is -1, expected a number above 0"),
        (HEAD + "A,mnist,98,10,guessed,x,y\n", "line 2: how is 'guessed', expected one of measured, estimated"),
        (HEAD + "A,imagenet,98,10,measured,x,y\n", "line 2: data is 'imagenet', expected one of cifar10, mnist"),
    ],
)
def test_rows_that_cannot_be_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "peers.csv").write_text(text)
    with pytest.raises(peers.PeersError, match=message):
        peers.published(tmp_path / "peers.csv")
