"use strict";
// What the server sends goes into the document as text only, never as markup.

const at = id => document.getElementById(id);
const TOP = 5;                  // classes that are not folded away
const FRAME_PAUSE_MS = 100;     // between two frames of the camera
const MAP_EDGE = 960;           // pixels of the picture of a layer's maps, across

let about;                      // what /about says
let given = null;               // {blob} of a picture's file, or {pixels, label} of a sample of the chosen model
let turn = 0;                   // of the newest request: answers to older ones are dropped
let stream = null;              // the camera's
let layers = null;              // maps of the picture that is shown

const model = () => about.models[at("model").selectedIndex];
const decode = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

// ---- what is shown

function percent(share) {
  if (share >= 0.9995) return "over 99.9 %";
  return share < 0.0005 ? "under 0.1 %" : (100 * share).toFixed(1) + " %";
}

function milliseconds(value) {
  if (value < 0.01) return "under 0.01 ms";
  return value >= 100 ? value.toFixed(0) + " ms" : value.toPrecision(3) + " ms";
}

function paint(canvas, pixels, {width, height, channels}) {
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let n = 0; n < width * height; ++n) {
    for (let c = 0; c < 3; ++c) image.data[4 * n + c] = pixels[n * channels + (channels < 3 ? 0 : c)];
    image.data[4 * n + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function row(cells) {  // [text or element, class], the first is the row's head
  const made = document.createElement("tr");
  cells.forEach(([content, kind], index) => {
    const cell = document.createElement(index ? "td" : "th");
    if (!index) cell.scope = "row";
    if (kind) cell.className = kind;
    cell.append(content);
    made.append(cell);
  });
  return made;
}

function bar(share) {
  const made = document.createElement("div");
  made.className = "bar";
  made.style.width = 100 * share + "%";
  return made;
}

function head(table, names) {
  const made = document.createElement("tr");
  for (const name of names) {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (name.startsWith("#")) cell.className = "value";
    cell.textContent = name.replace("#", "");
    made.append(cell);
  }
  table.tHead.replaceChildren(made);
}

function showClasses(result) {
  const {scores, probabilities} = result, low = Math.min(...scores), span = Math.max(...scores) - low || 1;
  const share = n => probabilities ? probabilities[n] : (scores[n] - low) / span;
  // by score: probabilities of distant classes round to the same number
  const order = scores.map((_, n) => n).sort((a, b) => scores[b] - scores[a] || a - b);
  const rows = order.map((n, place) => {
    const value = probabilities ? [[percent(probabilities[n]), "value"]] : [];
    const made = row([[model().classes[n]], [bar(share(n))], ...value, [String(scores[n]), "value soft"]]);
    if (!place) made.className = "top";
    return made;
  });
  for (const id of ["bars", "others"]) head(at(id), ["Class", "Bar", ...(probabilities ? ["Probability"] : []), "Score"]);
  at("bars").tBodies[0].replaceChildren(...rows.slice(0, TOP));
  at("others").tBodies[0].replaceChildren(...rows.slice(TOP));
  at("rest").hidden = rows.length <= TOP;
  at("rest").querySelector("summary").textContent =
    rows.length - TOP === 1 ? "1 more class" : `${rows.length - TOP} more classes`;
  const name = model().classes[result.best], sure = probabilities ? probabilities[result.best] : null;
  at("best").textContent = (sure !== null && sure < 0.5 ? "Perhaps " : "") + name;
  at("sure").textContent = sure === null ? "" : `${percent(sure)} sure`;
  at("honest").textContent = sure === null ?
    "This model has no calibrated probabilities (bnn calibrate gives it some): bars are scores." :
    `Probabilities were calibrated on pictures like those of ${model().dataset || "its training"}; of others they say little.`;
  say(at("best").textContent + (sure === null ? "" : ", " + at("sure").textContent));
}

function showLabel(result) {
  const label = given && given.label;
  at("label").textContent = typeof label !== "string" ? "" :
    label === model().classes[result.best] ? `Labelled ${label}: right` : `Labelled ${label}: wrong`;
}

const ENGINES = {accelerator: "Accelerator", cpu: "Processor"};

function showSides(engines) {
  const names = Object.keys(engines), table = at("sides").querySelector("table");
  at("sides").hidden = names.length < 2;
  if (names.length < 2) return;
  head(table, ["Figure", ...names.map(name => "#" + ENGINES[name])]);
  const line = (title, of) => {  // nothing where no engine knows it
    const values = names.map(name => of(engines[name]));
    return values.some(value => value) ? [row([[title], ...values.map(value => [value || "–", "value"])])] : [];
  };
  const total = engine => Object.values(engine.milliseconds).reduce((sum, value) => sum + value, 0);
  table.tBodies[0].replaceChildren(
    ...line("answer", engine => model().classes[engine.best]),
    ...line("score of it", engine => String(engine.scores[engine.best])),
    ...line("time, copies included", engine => milliseconds(total(engine))),
    ...line("cycles", engine => engine.cycles && engine.cycles.toLocaleString("en")),
    ...line("cycles at its clock", engine => engine.cycles && engine.clock_hz &&
      milliseconds(1e3 * engine.cycles / engine.clock_hz)));
  const [one, other] = names.map(name => engines[name].scores);
  const different = one.filter((score, n) => score !== other[n]).length;
  at("same").textContent = different ? `${different} of ${one.length} scores differ: this should not be.` :
    `All ${one.length} scores are equal, bit for bit.`;
  at("same").classList.toggle("problem", different > 0);
}

const STEPS = {
  decode: "reading the picture", queue: "waiting for others", copy: "copying it there", run: "computing",
  read: "fetching the scores",
};

function showTimes(result, total) {
  const steps = [];
  if (result.milliseconds.decode !== undefined) steps.push([STEPS.decode, result.milliseconds.decode]);
  steps.push([STEPS.queue, result.milliseconds.queue]);
  for (const [name, engine] of Object.entries(result.engines)) {
    for (const [step, value] of Object.entries(engine.milliseconds)) {
      steps.push([`${STEPS[step]}, ${ENGINES[name].toLowerCase()}`, value]);
    }
  }
  steps.push(["all, with browser and network", total]);
  at("times").tBodies[0].replaceChildren(...steps.map(([name, value]) =>
    row([[name], [bar(Math.min(1, value / total))], [milliseconds(value), "value"]])));
}

function say(text) {  // to those who listen to the page; not of every frame of a camera
  if (!stream) at("status").textContent = text;
}

function fail(message) {  // in place of the last answer
  at("result").hidden = at("none").hidden = true;
  at("status").textContent = "";
  at("problem").textContent = message;
  settle("failed");
}

function wait(message) {  // in place of an answer or an error
  at("result").hidden = true;
  at("problem").textContent = "";
  at("none").textContent = message;
  at("none").hidden = false;
}

function settle(state) {
  at("answer").setAttribute("aria-busy", String(state === "busy"));
  document.body.dataset.state = state;
}

// ---- asking the server

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {method: "POST", body});
  } catch (error) {
    throw new Error("The server does not answer. Does it still run?");
  }
  const result = await answer.json().catch(() => ({error: `The server says ${answer.status}.`}));
  if (result.error) throw new Error(result.error);
  return result;
}

async function classify(what) {
  const mine = ++turn, shape = model();
  given = what;
  layers = null;
  if (at("result").hidden) wait("Working …");
  settle("busy");
  try {
    if (what.blob && what.blob.size > about.largest) {
      throw new Error(`The file has ${(what.blob.size / 2 ** 20).toFixed(1)} MiB, expected at most ${about.largest / 2 ** 20} MiB.`);
    }
    let pixels = what.pixels;
    if (what.blob && !about.pictures) pixels = await scaled(what.blob, shape);
    const began = performance.now();
    const choice = `model=${at("model").selectedIndex}&engines=${at("engine").value}`;
    const result = await ask(pixels ? "classify?" + choice : "picture?" + choice, pixels || what.blob);
    if (mine !== turn) return;
    const total = performance.now() - began;
    given.seen = pixels || decode(result.pixels);
    at("problem").textContent = "";
    at("none").hidden = true;
    paint(at("seen"), given.seen, shape);
    at("seen").setAttribute("aria-label", `The picture as the network sees it, ${shape.width} by ${shape.height} pixels`);
    showClasses(result);
    showLabel(result);
    showSides(result.engines);
    showTimes(result, total);
    at("result").hidden = false;
    settle("done");
    // on a phone the answer is below the samples
    if (!stream) at("result").firstElementChild.scrollIntoView({block: "nearest"});
    if (at("inside").open) await showMaps();
  } catch (error) {
    if (mine !== turn) return;
    fail(error.message.replace(/^picture: /, "This file "));
  }
}

async function scaled(blob, {width, height, channels}) {  // where the server has no Pillow
  const picture = await createImageBitmap(blob).catch(() => {
    throw new Error("This is no picture that the browser can read.");
  });
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  canvas.width = width; canvas.height = height;
  const edge = Math.min(picture.width / width, picture.height / height), wide = width * edge, high = height * edge;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";  // what stands behind transparent pixels, as the server's reader has it
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, (picture.width - wide) / 2, (picture.height - high) / 2, wide, high, 0, 0, width, height);
  const data = context.getImageData(0, 0, width, height).data, out = new Uint8Array(width * height * channels);
  for (let n = 0, k = 0; n < data.length; n += 4) {
    if (channels === 1) out[k++] = Math.round(.299 * data[n] + .587 * data[n + 1] + .114 * data[n + 2]);
    else for (let c = 0; c < channels; ++c) out[k++] = data[n + c];
  }
  return out;
}

// ---- the maps of a layer

async function showMaps() {
  const mine = turn;
  try {
    if (!layers) layers = (await ask(`maps?model=${at("model").selectedIndex}`, given.seen)).layers;
    if (mine !== turn) return;
    const select = at("layer"), chosen = Math.max(0, select.selectedIndex);
    select.replaceChildren(...layers.map(layer => new Option(layer.name)));
    select.selectedIndex = Math.min(chosen, layers.length - 1);
    drawMaps(layers[select.selectedIndex]);
  } catch (error) {
    if (mine === turn) fail(error.message);
  }
}

function drawMaps({name, planes, rows, columns, channels, bits}) {
  const packed = decode(bits), count = planes * channels, size = rows * columns;
  const across = Math.ceil(Math.sqrt(count * (rows + 1) / (columns + 1))), down = Math.ceil(count / across);
  const canvas = at("maps"), context = canvas.getContext("2d");
  canvas.width = across * (columns + 1) + 1; canvas.height = down * (rows + 1) + 1;
  const image = context.createImageData(canvas.width, canvas.height);
  let ones = 0;
  for (let map = 0; map < count; ++map) {
    const left = 1 + (map % across) * (columns + 1), top = 1 + Math.floor(map / across) * (rows + 1);
    for (let place = 0; place < size; ++place) {
      const index = map * size + place, bit = packed[index >> 3] >> (index & 7) & 1;
      const pixel = 4 * ((top + Math.floor(place / columns)) * canvas.width + left + place % columns);
      image.data.fill(bit ? 255 : 0, pixel, pixel + 3);
      image.data[pixel + 3] = 255;
      ones += bit;
    }
  }
  context.putImageData(image, 0, 0);
  canvas.style.width = Math.max(1, Math.floor(MAP_EDGE / canvas.width)) * canvas.width + "px";
  const what = size === 1 ? `${count} bits` : `${count} maps of ${columns} by ${rows} bits`;
  const text = `${name}: ${what}${planes > 1 ? `, ${planes} planes of ${channels}` : ""}; white is +1, black is −1; ` +
    `${(100 * ones / (count * size)).toFixed(0)} % are +1.`;
  canvas.setAttribute("aria-label", text);
  at("maps-text").textContent = text;
}

// ---- the camera

function cameraWord(error) {
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) {
    return "The browser allows the camera only on pages of this computer (http://localhost) or over https. " +
      "On a phone, Choose a file can take a photo.";
  }
  return {
    NotAllowedError: "The browser forbids the camera: allow it for this page, beside the address.",
    NotFoundError: "There is no camera.",
    NotReadableError: "The camera is in use by another program.",
  }[error.name] || `The camera cannot be used: ${error.message}`;
}

function stopCamera() {
  if (!stream) return;
  stream.getTracks().forEach(track => track.stop());
  stream = null;
  at("video").srcObject = null;
  at("video").hidden = true;
  at("camera").textContent = "Start the camera";
}

function frame(video) {  // a file without loss
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise(resolve => canvas.toBlob(resolve, "image/png"));
}

async function startCamera() {
  const video = at("video");
  let mine;
  try {
    mine = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
    stopCamera();
    stream = mine;
    stream.getVideoTracks()[0].addEventListener("ended", () => mine === stream && (stopCamera(), fail("The camera is gone.")));
    video.srcObject = stream;
    video.hidden = false;
    at("camera").textContent = "Stop the camera";
    at("status").textContent = "The camera runs; every picture is classified.";
    await video.play();
  } catch (error) {
    stopCamera();
    fail(cameraWord(error));
    return;
  }
  while (mine === stream) {
    press(null);
    const blob = await frame(video);
    if (mine !== stream) return;
    await classify({blob});
    if (document.body.dataset.state === "failed") return stopCamera();
    await new Promise(resolve => setTimeout(resolve, FRAME_PAUSE_MS));
  }
}

// ---- what people do

function take(files, none) {
  stopCamera();
  press(null);
  const file = [...files].find(item => item.type.startsWith("image/")) || files[0];
  if (!file) {
    ++turn;
    return fail(none);
  }
  return classify({blob: file});
}

function press(button) {
  for (const other of at("samples").children) other.setAttribute("aria-pressed", String(other === button));
}

function showModel() {
  const shape = model(), place = about.engines[0] === "cpu" ? "on the processor" :
    "on the accelerator" + (about.boards.length ? " at " + about.boards.join(", ") : "");
  at("about").textContent = `${shape.name}: ${shape.classes.length} classes, ${shape.width}×${shape.height} pixels, ${place}.` +
    (shape.accuracy === null ? "" : ` ${(100 * shape.accuracy).toFixed(1)} % of ${shape.dataset || "its"} test pictures are right.`) +
    (about.pictures ? "" : " Pillow is not installed there: this browser scales pictures, which gives slightly other scores.");
  at("samples").replaceChildren(...shape.samples.map(({pixels, label}, index) => {
    const bytes = decode(pixels), button = document.createElement("button"), canvas = document.createElement("canvas");
    paint(canvas, bytes, shape);
    button.type = "button";
    button.setAttribute("aria-label", `Sample ${index + 1}` + (label === null ? "" : `, labelled ${label}`));
    button.setAttribute("aria-pressed", "false");
    button.append(canvas);
    button.addEventListener("click", () => { stopCamera(); press(button); classify({pixels: bytes, label}); });
    return button;
  }));
}

function again() {  // the same picture by another model or engine; a sample is of its model
  showModel();
  if (given && given.blob) return classify(given);
  given = null;
  ++turn;
  wait("No picture yet.");
  settle("idle");
}

async function start() {
  about = await ask("about");
  at("model").replaceChildren(...about.models.map(({name}) => new Option(name)));
  at("models").hidden = about.models.length < 2;
  at("engines").hidden = about.engines.length < 2;
  if (about.engines.length < 2) at("engine").value = about.engines[0];
  showModel();
  at("model").addEventListener("change", again);
  at("engine").addEventListener("change", () => given && classify(given));
  at("layer").addEventListener("change", () => layers && drawMaps(layers[at("layer").selectedIndex]));
  at("inside").addEventListener("toggle", () => at("inside").open && !layers && given && showMaps());
  at("file").addEventListener("change", event => {
    if (event.target.files.length) take(event.target.files);
    event.target.value = "";  // so that the same file can be chosen once more
  });
  at("camera").addEventListener("click", () => stream ? stopCamera() : startCamera());
  document.addEventListener("visibilitychange", () => document.hidden && stopCamera());
  let inside = 0;  // enter and leave come for every element
  addEventListener("dragenter", event => { event.preventDefault(); at("over").hidden = !++inside; });
  addEventListener("dragleave", () => { inside = Math.max(0, inside - 1); at("over").hidden = !inside; });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    inside = 0;
    at("over").hidden = true;
    take(event.dataTransfer.files, "What was dropped is no file. Save the picture first, or copy and paste it.");
  });
  addEventListener("paste", event => take(event.clipboardData.files, "The clipboard holds no picture."));
  settle("idle");
}

start().catch(error => { at("about").textContent = ""; fail(error.message); });
