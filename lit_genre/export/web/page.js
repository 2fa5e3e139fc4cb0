// The page: decodes a song, runs the model on its windows in a worker, and shows the mean of their probabilities.
// Names of files and genres are not trusted, so they are set only as text (textContent), never as HTML.
"use strict";

const MAX_BARS = 8;
const byId = id => document.getElementById(id);
let current = null; // The song whose result is awaited.

async function loadModel() {
  if (location.protocol === "file:") {
    throw new Error(
      "Browsers load a model only from a web server. In the folder of this page, run: python -m http.server 8000 " +
      "--bind 127.0.0.1. Then open http://127.0.0.1:8000/.");
  }
  const model = await fetch("model.json", { cache: "no-cache" }).then(response => response.json()).catch(() => {
    throw new Error("model.json is missing or damaged. Export the model again: lit-genre export --format web.");
  });
  document.title = `lit-genre: ${model.backbone}`;
  byId("model").textContent = `${model.backbone}, ${model.labels.length} genres.${describeTask(model)}`;
  const worker = new Worker("worker.js", { type: "module" });
  const failed = new Promise((_, reject) => {
    worker.onerror = () => reject(new Error("worker.js is missing, or this browser cannot run it."));
  });
  const ask = message => Promise.race([failed, send(worker, message)]);
  await ask("load");
  return { ...model, ask };
}

const describeTask = model =>
  model.task === "multilabel" ? " A song can have several genres, so their probabilities need not add up to 100%." : "";

// Send a message to a worker. Returns a promise of its reply.
function send(worker, message) {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: { error, reply } }) => {
      port1.close();
      if (error) reject(new Error(error));
      else resolve(reply);
    };
    worker.postMessage(message, message === "load" ? [port2] : [port2, message.buffer]);
  });
}

async function classify(file) {
  // The result of an earlier song must not replace the result of this song.
  current = file;
  clear();
  showStatus(`Decoding ${file.name} …`, true);
  try {
    const model = await loaded;
    const samples = await decodeSong(file, model.sample_rate);
    if (current !== file) return;
    showStatus(`Analysing ${file.name} …`, true);
    const probabilities = await predict(samples, model, () => current === file);
    if (current !== file) return;
    showStatus(`${file.name}, ${clock(samples.length / model.sample_rate)}`);
    showGenres(model.labels, probabilities);
  } catch (error) {
    if (current === file) showError(error.message);
  }
}

// Returns the mean probability of each genre over the windows; null if the song is no longer wanted.
async function predict(samples, model, isWanted) {
  const starts = windowStarts(samples.length, model.clip_samples);
  const sums = new Array(model.labels.length).fill(0);
  for (const [number, start] of starts.entries()) {
    const probabilities = await model.ask(cutWindow(samples, start, model.clip_samples));
    if (!isWanted()) return null;
    probabilities.forEach((probability, genre) => { sums[genre] += probability; });
    byId("progress").hidden = starts.length === 1;
    byId("progress").value = (number + 1) / starts.length;
  }
  return sums.map(sum => sum / starts.length);
}

function clear() {
  showStatus("");
  byId("error").hidden = true;
  byId("genre").textContent = "Genres";
  byId("genres").replaceChildren();
}

function showStatus(text, busy = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("busy", busy);
  byId("progress").hidden = true;
}

function showError(text) {
  showStatus("");
  byId("error").textContent = text;
  byId("error").hidden = false;
}

function showGenres(labels, probabilities) {
  const rows = labels.map((label, genre) => [label, probabilities[genre]]);
  rows.sort((first, second) => second[1] - first[1]);
  byId("genre").textContent = rows[0][0];
  byId("genres").replaceChildren(...rows.slice(0, MAX_BARS).map(([label, probability]) => {
    const tags = ["li", "span", "span", "div", "div"];
    const [row, name, value, bar, filled] = tags.map(tag => document.createElement(tag));
    name.textContent = label;
    value.textContent = `${Math.round(100 * probability)}%`;
    bar.className = "bar";
    filled.style.width = `${100 * probability}%`;
    bar.append(filled);
    row.append(name, value, bar);
    return row;
  }));
}

function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

byId("file").addEventListener("change", event => {
  const [file] = event.target.files;
  if (file) classify(file);
  event.target.value = ""; // Otherwise the same file could not be chosen again.
});
// On the whole page: the browser opens a file that is dropped outside of such an area, and leaves the page.
addEventListener("dragover", event => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
addEventListener("dragleave", event => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
addEventListener("drop", event => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) classify(file);
});

showStatus("Loading the model …", true);
const loaded = loadModel();
loaded.then(
  () => { if (!current) showStatus("The most probable genres of the song appear here."); },
  error => showError(error.message),
);
