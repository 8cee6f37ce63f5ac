"""Pictures from descriptions, and the README's."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bnn import picture

ROOT = Path(__file__).resolve().parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_of_the_readme_is_what_its_description_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described, drawn = ROOT / "docs/dataflow.txt", ROOT / "docs/dataflow.svg"
    assert picture.main([str(described), "-o", str(tmp_path / "new.svg")]) == 0
    assert (tmp_path / "new.svg").read_bytes() == drawn.read_bytes(), "run make generated"
    assert picture.main([str(described), "--check"]) == 0
    (tmp_path / "new.svg").write_text("<svg/>")
    assert picture.main([str(described), "-o", str(tmp_path / "new.svg"), "--check"]) == 1
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path / 'new.svg'}: is not what it is made from; run bnn picture {described}\n"
    )
    assert "(docs/dataflow.svg)" in (ROOT / "README.md").read_text()


def test_folders_of_the_picture_and_of_the_table_exist() -> None:
    titles = [box.lines[0] for box in picture.read((ROOT / "docs/dataflow.txt").read_text(), "x")[0].values()]
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = page[page.index("| folder | what |") :].partition("\n\n")[0]
    table = re.findall(r"^\| \[?`([\w/]+)`", rows, re.MULTILINE)
    for name in [*(title for title in titles if title.endswith("/")), *table]:
        assert (ROOT / name).is_dir(), name
    here = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "build"))
        and not path.name.endswith(".egg-info")
        and path.name != "__pycache__"
    }
    assert here <= {name.split("/")[0] for name in table}, "a folder that CONTRIBUTING.md does not tell of"


def test_boxes_and_arrows() -> None:
    text = """
    part a 0 0 "a < b" two   # a comment
    file b 1 0 B
    file c 0 1 C
    part d 1 1 D
    arrow a b
    arrow a c "d & e"
    arrow d a
    """
    tree = ElementTree.fromstring(picture.draw(*picture.read(text, "x")))
    boxes = tree.findall(f"{SVG}rect")
    assert [box.get("class") for box in boxes] == ["part", "file", "file", "part"]
    assert [item.text for item in tree.findall(f"{SVG}text")] == ["d & e", "a < b", "two", "B", "C", "D"]
    width, height = int(tree.get("width", "")), int(tree.get("height", ""))
    for box in boxes:
        x, y, w, h = (int(box.get(key, "")) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
    lines = [
        [tuple(map(int, point.split(","))) for point in item.get("points", "").split()]
        for item in tree.findall(f"{SVG}polyline")
    ]
    assert [len(points) for points in lines] == [2, 2, 4]
    for points in lines:
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in zip(points, points[1:], strict=False)), "along the axes"
    edge = int(boxes[1].get("x", ""))
    assert lines[0][0][0] < lines[0][1][0] < edge and lines[2][0][0] > lines[2][-1][0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("box a 0 0 A", "x:2: expected part or file NAME COLUMN ROW TITLE ..., or arrow FROM TO [TEXT]"),
        ("part a 0 0", "x:2: expected part"),
        ("part a 0 -1 A", "x:2: expected part"),
        ("part z 0 0 Z", "x:2: box z is there already"),
        ("arrow z y", "x:2: there is no box y before it"),
        ("arrow z", "x:2: expected part"),
        ('part a 0 0 "A', "x:2: No closing quotation"),
    ],
)
def test_what_cannot_be_drawn_is_named(line: str, said: str) -> None:
    with pytest.raises(picture.PictureError, match=f"^{re.escape(said)}"):
        picture.read(f"part z 0 0 Z\n{line}\n", "x")
    with pytest.raises(picture.PictureError, match="^x: has no boxes$"):
        picture.read("# nothing\n", "x")
