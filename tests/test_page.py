"""The page in a headless Chromium: how it looks at a phone's and a desktop's width, light and dark, and is used.

Screenshots are left in `build/screenshots`.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pynq")

from helpers.board import Station  # noqa: E402
from helpers.browser import NARROW, SCHEMES, WIDE, Browser, browse, load_axe  # noqa: E402
from helpers.host import CLASSES, images  # noqa: E402
from helpers.page import CLASSES as OTHER_CLASSES  # noqa: E402
from helpers.page import MODEL, OTHER, OTHER_SAMPLES, page  # noqa: E402

from bnn import golden  # noqa: E402
from bnn.confidence import probabilities  # noqa: E402
from bnn.images import read_picture  # noqa: E402
from bnn.model import Model  # noqa: E402

READY = "document.body && document.body.dataset.state === 'idle'"
TAB, ENTER, SPACE = ("Tab", 9), ("Enter", 13, "\r"), (" ", 32, " ")


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    made = Station(tmp_path_factory.mktemp("page"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(station: Station, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with page(station, tmp_path_factory.mktemp("other")) as number:
        yield number


@pytest.fixture(scope="module")
def opened(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("browser"), f"http://127.0.0.1:{port}/", READY) as made:
        yield made


@pytest.fixture
def browser(opened: Browser, port: int) -> Browser:
    """The page as it is when it is opened."""
    opened.open(f"http://127.0.0.1:{port}/?{id(object())}", READY)
    return opened


def classified(browser: Browser, action: str, state: str = "done") -> None:
    """Do something and wait for the answer."""
    browser.run("document.body.dataset.state = 'before'")
    browser.run(f"{action}; 0")
    browser.until("!['before', 'busy'].includes(document.body.dataset.state)")
    assert browser.run("document.body.dataset.state") == state, browser.run("at('problem').textContent")


def text(browser: Browser, name: str) -> str:
    found: str = browser.run(f"at('{name}').innerText")
    return found


def rows(browser: Browser, table: str) -> list[list[str]]:
    """The text of a table's body, without the bars."""
    found: list[list[str]] = browser.run(
        f"[...at('{table}').tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return [[cell for cell in row if cell] for row in found]


def sorted_rows(model: Model, image: np.ndarray) -> list[list[str]]:
    """Class and score of the table, the highest first."""
    scores = golden.infer(model, image[None])[0]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return [[model.classes[index], str(scores[index])] for index in order]


def picture(image: Image.Image) -> str:
    """A PNG in base64."""
    content = io.BytesIO()
    image.save(content, "png")
    return base64.b64encode(content.getvalue()).decode()


def give(kind: str, content: str, where: str = "document.body") -> str:
    """A script that drops or pastes a file, content in base64; "" gives text in place of a file."""
    event = {"drop": "DragEvent('drop', {dataTransfer", "paste": "ClipboardEvent('paste', {clipboardData"}[kind]
    added = f"new File([Uint8Array.from(atob('{content}'), c => c.charCodeAt(0))], 'a.png', {{type: 'image/png'}})"
    item = f"items.add({added})" if content else "setData('text/plain', 'words')"
    return (
        f"{{const data = new DataTransfer(); data.{item};"
        f"{where}.dispatchEvent(new {event}: data, bubbles: true, cancelable: true}}))}}"
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["390", "1280"])
def test_looks(browser: Browser, size: tuple[int, int], scheme: str) -> None:
    """Nothing is wider than the window and axe-core has no complaint, before, with an answer, and with an error."""
    axe = load_axe()
    with browser.shown(size, scheme):
        dark = browser.run("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (scheme == "dark")

        def check(name: str) -> None:
            browser.screenshot(f"page-{name}-{size[0]}-{scheme}")
            assert browser.overflow() == []
            assert browser.accessibility(axe) == []

        check("empty")
        browser.run("at('engine').value = 'accelerator,cpu'")
        classified(browser, "at('samples').children[1].click()")
        browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
        browser.until("layers !== null")
        check("answer")
        browser.run("at('model').selectedIndex = 1; at('model').dispatchEvent(new Event('change'))")
        classified(browser, "at('samples').children[0].click()")
        check("long-names")
        classified(browser, give("drop", "bm90IGEgcGljdHVyZQ=="), "failed")
        check("error")


@pytest.mark.parametrize("sample", [0, 2])
def test_click_on_a_sample(browser: Browser, sample: int) -> None:
    classified(browser, f"at('samples').children[{sample}].click()")
    image = images(3, 5)[sample]
    scores = golden.infer(MODEL, image[None])
    best, share = int(scores[0].argmax()), float(probabilities(scores, 40.0).max())
    assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(MODEL, image)
    assert rows(browser, "bars")[0][1] == text(browser, "sure").removesuffix(" sure")
    assert text(browser, "best") == ("" if share >= 0.5 else "Perhaps ") + CLASSES[best]
    assert text(browser, "label") == f"Labelled {CLASSES[sample]}: {'right' if best == sample else 'wrong'}"
    assert text(browser, "status") == f"{text(browser, 'best')}, {text(browser, 'sure')}"
    assert browser.run("at('rest').hidden"), "three classes leave none to fold"
    assert browser.run("[...at('samples').children].map(item => item.ariaPressed)") == [
        str(index == sample).lower() for index in range(3)
    ]
    steps = [row[0] for row in rows(browser, "times")]
    assert steps[1:] == [
        "copying it there, accelerator",
        "computing, accelerator",
        "fetching the scores, accelerator",
        "all, with browser and network",
    ]


def test_percentages(browser: Browser) -> None:
    shares = [0, 0.004, 0.005, 0.314, 0.9894, 0.991, 0.9994, 0.9996, 1]
    assert browser.run(f"{shares}.map(percent)") == [
        "under 0.1 %",
        "0.4 %",
        "0.5 %",
        "31.4 %",
        "98.9 %",
        "99.1 %",
        "99.9 %",
        "over 99.9 %",
        "over 99.9 %",
    ]


def test_five_classes_and_the_rest_folded(browser: Browser) -> None:
    """Also: a class's name is text, whatever it holds; a model without a temperature claims no probability."""
    browser.run("at('model').selectedIndex = 1; at('model').dispatchEvent(new Event('change'))")
    classified(browser, "at('samples').children[1].click()")
    wanted = sorted_rows(OTHER, OTHER_SAMPLES[1])
    assert rows(browser, "bars") == wanted[:5] and rows(browser, "others") == wanted[5:]
    assert browser.run("at('rest').querySelector('summary').textContent") == "7 more classes"
    assert not browser.run("at('rest').open") and not browser.run("at('others').checkVisibility()")
    assert text(browser, "sure") == "" and "no calibrated probabilities" in text(browser, "honest")
    assert OTHER_CLASSES[0] in sum(wanted, []) and browser.run("document.title") == "Binarized network"
    assert browser.run("document.images.length") == 0 and "<b>other</b>" in text(browser, "about")


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_drop_and_paste_anywhere(browser: Browser, kind: str) -> None:
    grey = images(1, 8)[0]
    for where in ("document.body", "at('camera')", "document.querySelector('h1')"):
        classified(browser, give(kind, picture(Image.fromarray(grey[..., 0])), where))
        assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(MODEL, grey)
    photo = Image.fromarray(np.random.default_rng(2).integers(0, 256, (30, 41), np.uint8))
    classified(browser, give(kind, picture(photo)))
    content = io.BytesIO(base64.b64decode(picture(photo)))
    assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(
        MODEL, read_picture(content, (9, 7, 1))[0]
    )


def test_an_error_replaces_the_answer_and_an_answer_the_error(browser: Browser, station: Station) -> None:
    click = "at('samples').children[0].click()"
    nothing = {"drop": "What was dropped is no file.", "paste": "The clipboard holds no picture."}
    failures = [
        (give("drop", "bm90IGEgcGljdHVyZQ=="), "This file is no picture (of a known format)"),
        (give("drop", ""), nothing["drop"]),
        (give("paste", ""), nothing["paste"]),
    ]
    for action, problem in failures:
        classified(browser, click)
        assert text(browser, "problem") == "" and browser.run("at('result').checkVisibility()")
        classified(browser, action, "failed")
        assert text(browser, "problem").startswith(problem) and not browser.run("at('result').checkVisibility()")
        assert text(browser, "status") == "" and not browser.run("at('none').checkVisibility()")
    station.core.code = 4
    try:
        classified(browser, click, "failed")
    finally:
        station.core.code = 0
    assert text(browser, "problem") == "the core reports error 4: AXI error response"
    browser.run("about.largest = 10")
    classified(browser, give("drop", picture(Image.new("L", (7, 9)))), "failed")
    assert text(browser, "problem").startswith("The file has 0.0 MiB, expected at most")
    browser.run("window.fetch = () => Promise.reject(new TypeError('network'))")
    classified(browser, click, "failed")
    assert text(browser, "problem") == "The server does not answer. Does it still run?"


def test_the_newest_picture_wins(browser: Browser) -> None:
    """An answer that comes late does not replace that of a later picture."""
    browser.run(
        "{const real = window.fetch; let first = true; window.late = new Promise(go => { window.release = go; });"
        "window.fetch = async (...all) => { const answer = await real(...all);"
        "if (first) { first = false; await late; } return answer; }}"
    )
    browser.run("at('samples').children[0].click()")
    assert text(browser, "none") == "Working …" and browser.run("at('answer').ariaBusy") == "true"
    classified(browser, "at('samples').children[2].click()")
    assert not browser.run("at('none').checkVisibility()") and browser.run("at('answer').ariaBusy") == "false"
    browser.run("release(); new Promise(go => setTimeout(go, 50))")
    assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(MODEL, images(3, 5)[2])


def test_without_pillow_on_the_server_the_browser_scales(browser: Browser) -> None:
    grey = images(1, 8)[0]
    browser.run("about.pictures = false; showModel()")
    assert "this browser scales pictures" in text(browser, "about")
    classified(browser, give("drop", picture(Image.fromarray(grey[..., 0]))))
    assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(MODEL, grey)
    classified(browser, give("drop", picture(Image.new("L", (140, 90), 77))))
    assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(MODEL, np.full((9, 7, 1), 77, np.uint8))
    classified(browser, give("drop", "bm90IGEgcGljdHVyZQ=="), "failed")
    assert text(browser, "problem") == "This is no picture that the browser can read."


def test_camera_starts_and_stops(browser: Browser) -> None:
    classified(browser, "at('camera').click()")
    assert len(rows(browser, "bars")) == 3 and browser.run("at('video').checkVisibility()")
    assert text(browser, "camera") == "Stop the camera"
    assert text(browser, "status").startswith("The camera runs"), "the answers of frames are not read out"
    browser.run("window.track = stream.getTracks()[0]; at('camera').click()")
    assert browser.run("track.readyState") == "ended" and text(browser, "camera") == "Start the camera"
    assert not browser.run("at('video').checkVisibility()") and text(browser, "problem") == ""
    classified(browser, "at('camera').click()")
    browser.run("document.body.dataset.state = 'before'")
    browser.run("at('samples').children[0].click()")
    browser.until("!stream && document.body.dataset.state === 'done'")
    assert text(browser, "label").startswith("Labelled ")


@pytest.mark.parametrize(
    ("devices", "word"),
    [
        ("undefined", "only on pages of this computer (http://localhost) or over https"),
        ("{getUserMedia: () => Promise.reject(new DOMException('no', 'NotAllowedError'))}", "The browser forbids"),
        ("{getUserMedia: () => Promise.reject(new DOMException('no', 'NotFoundError'))}", "There is no camera."),
        ("{getUserMedia: () => Promise.reject(new DOMException('no', 'NotReadableError'))}", "in use by another"),
        ("{getUserMedia: () => Promise.reject(new DOMException('why', 'AbortError'))}", "cannot be used: why"),
    ],
)
def test_a_camera_that_is_not_to_be_had(browser: Browser, devices: str, word: str) -> None:
    browser.run(f"Object.defineProperty(navigator, 'mediaDevices', {{value: {devices}, configurable: true}}); 0")
    classified(browser, "at('camera').click()", "failed")
    assert word in text(browser, "problem") and text(browser, "camera") == "Start the camera"


def test_keyboard(browser: Browser) -> None:
    """Tab reaches everything in the order in which it is read, the focus is seen, Enter and Space work."""
    reached = []
    for _ in range(9):
        browser.press(*TAB)
        reached.append(
            browser.run(
                "document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.tagName"
            )
        )
    assert reached[:2] == ["file", "camera"] and reached[2:5] == [
        f"Sample {n + 1}, labelled {CLASSES[n]}" for n in range(3)
    ]
    assert reached[5:7] == ["model", "engine"]
    for item, seen in (("at('file')", "document.querySelector('label[for=file]')"), ("at('camera')",) * 2):
        browser.run(f"{item}.focus()")
        assert browser.run(f"getComputedStyle({seen}).outlineStyle") == "solid", item
    browser.run("at('samples').children[0].focus()")
    browser.press(*TAB)
    browser.run("document.body.dataset.state = 'before'")
    browser.press(*ENTER)
    browser.until("document.body.dataset.state === 'done'")
    assert [[row[0], row[-1]] for row in rows(browser, "bars")] == sorted_rows(MODEL, images(3, 5)[1])
    browser.run("at('where').querySelector('summary').focus()")
    browser.press(*SPACE)
    assert browser.run("at('where').open")


def test_side_by_side(browser: Browser) -> None:
    assert not browser.run("at('sides').checkVisibility()")
    browser.run("at('engine').value = 'accelerator,cpu'")
    classified(browser, "at('samples').children[0].click()")
    lines = browser.run("[...at('sides').querySelectorAll('tr')].map(row => [...row.cells].map(c => c.textContent))")
    best, score = sorted_rows(MODEL, images(3, 5)[0])[0]
    assert lines[0] == ["Figure", "Accelerator", "Processor"]
    assert lines[1] == ["answer", best, best] and lines[2] == ["score of it", score, score]
    assert text(browser, "same") == "All 3 scores are equal, bit for bit."
    browser.run(
        "showSides({accelerator: {scores: [1, 2, 3], best: 2, milliseconds: {run: 1}, cycles: 5000, clock_hz: 1e8},"
        "cpu: {scores: [1, 9, 3], best: 1, milliseconds: {run: 1}, cycles: null}})"
    )
    assert text(browser, "same") == "1 of 3 scores differ: this should not be."
    assert "5,000" in text(browser, "sides") and "0.0500 ms" in text(browser, "sides")
    classified(browser, "at('engine').value = 'cpu'; at('engine').dispatchEvent(new Event('change'))")
    assert not browser.run("at('sides').checkVisibility()") and "processor" in rows(browser, "times")[1][0]


def test_maps_are_the_golden_models_bits(browser: Browser) -> None:
    classified(browser, "at('samples').children[1].click()")
    browser.run("at('inside').open = true")
    browser.until("layers !== null && at('maps-text').textContent !== ''")
    trace = golden.trace(MODEL, images(3, 5)[1:2])
    assert browser.run("[...at('layer').options].map(option => option.text)") == ["conv1", "conv2"]
    for index, name in enumerate(("conv1", "conv2")):
        browser.run(f"at('layer').selectedIndex = {index}; at('layer').dispatchEvent(new Event('change'))")
        height, width, channels = trace[name].shape[1:]
        pixels = json.loads(
            browser.run(
                "{const maps = at('maps'), context = maps.getContext('2d');"
                "const data = context.getImageData(0, 0, maps.width, maps.height).data;"
                "JSON.stringify([maps.width, maps.height, [...data]])}"
            )
        )
        sheet = np.array(pixels[2], np.uint8).reshape(pixels[1], pixels[0], 4)
        across = (pixels[0] - 1) // (width + 1)
        for channel in range(channels):
            top, left = 1 + channel // across * (height + 1), 1 + channel % across * (width + 1)
            part = sheet[top : top + height, left : left + width]
            assert np.array_equal(part[..., 0] // 255, trace[name][0, ..., channel]) and (part[..., 3] == 255).all()
        share = f"{100 * trace[name].mean():.0f} % are +1"
        assert f"{channels} maps of {width} by {height} bits" in text(browser, "maps-text") and share in text(
            browser, "maps-text"
        )


def test_the_same_picture_by_another_model(browser: Browser) -> None:
    photo = Image.fromarray(np.random.default_rng(2).integers(0, 256, (30, 41, 3), np.uint8))
    classified(browser, give("drop", picture(photo)))
    classified(browser, "at('model').selectedIndex = 1; at('model').dispatchEvent(new Event('change'))")
    content = io.BytesIO(base64.b64decode(picture(photo)))
    assert rows(browser, "bars") == sorted_rows(OTHER, read_picture(content, (8, 6, 3))[0])[:5]
    assert browser.run("at('samples').children.length") == 2
    classified(browser, "at('samples').children[0].click()")
    classified(browser, "at('model').selectedIndex = 0; at('model').dispatchEvent(new Event('change'))", "idle")
    assert text(browser, "none") == "No picture yet."
    assert not browser.run("at('result').checkVisibility()"), "a sample is of its model"
