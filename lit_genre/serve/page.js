// The page: takes a song from a file, the microphone or an example, sends it to the server and shows the answer.
// Names of files and genres come from anyone, so that they are only ever set as text.
import { Recorder } from "./recorder.js";
import { hideSong, percent, showSong, clock } from "./timeline.js";

const BARS = 8;
const settings = JSON.parse(document.body.dataset.settings);
const byId = id => document.getElementById(id);
let request = new AbortController();

async function classify(song, name) {
  // The answer to an earlier song must not replace that to this one.
  request.abort();
  request = new AbortController();
  const { signal } = request;
  clear();
  if (song.size > settings.maxBytes) return showError(`This file cannot be classified: ${settings.tooLarge}.`);
  showStatus(`Analysing ${name} …`, true);
  try {
    const answer = await ask(song, signal);
    showStatus(incomplete(answer));
    showGenres(answer);
    showSong(answer, settings.classes, song, name);
  } catch (error) {
    if (signal.aborted) return;
    showError(error.message);
  }
}

async function ask(song, signal) {
  const address = `/classify?top_k=${settings.classes.length}&segments=true&spectrogram=true`;
  let response, answer;
  try {
    response = await fetch(address, { method: "POST", body: song, signal });
    answer = await response.json();
  } catch {
    throw new Error("The server did not answer. Is it still running? Is this a file, and no folder?");
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function clear() {
  showStatus("");
  byId("error").hidden = true;
  byId("genre").textContent = "Genres";
  byId("genres").replaceChildren();
  hideSong();
}

function showStatus(text, busy = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("busy", busy);
}

function showError(text) {
  showStatus("");
  byId("error").textContent = text;
  byId("error").hidden = false;
}

function incomplete({ status, seconds, seconds_lost: lost }) {
  if (status === "complete") return "";
  const where = status === "truncated" ? "Its end is missing" : "The file is damaged";
  return `${where}: ${lost.toFixed(1)} of ${(seconds + lost).toFixed(1)} s could not be decoded.`;
}

function showGenres(answer) {
  byId("genre").textContent = answer.genre;
  const rows = Object.entries(answer.genres).sort((one, other) => other[1] - one[1]).slice(0, BARS);
  byId("genres").replaceChildren(...rows.map(([genre, probability]) => {
    const [row, name, value, bar, filled] = ["li", "span", "span", "div", "div"].map(tag => document.createElement(tag));
    name.textContent = genre;
    value.textContent = percent(probability);
    bar.className = "bar";
    filled.style.width = `${100 * probability}%`;
    bar.append(filled);
    row.append(name, value, bar);
    return row;
  }));
}

function addExamples() {
  byId("examples").hidden = !settings.examples.length;
  for (const name of settings.examples) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", async () => {
      try {
        const response = await fetch(`/examples/${encodeURIComponent(name)}`);
        if (!response.ok) throw new Error();
        classify(await response.blob(), name);
      } catch {
        showError("The server did not answer. Is it still running?");
      }
    });
    byId("examples").querySelector(".buttons").append(button);
  }
}

function addFiles() {
  const drop = byId("drop");
  byId("file").addEventListener("change", event => {
    const [file] = event.target.files;
    if (file) classify(file, file.name);
    event.target.value = ""; // The same file can be chosen again.
  });
  // Wherever a file is dropped: elsewhere the browser would leave the page and open it.
  addEventListener("dragover", event => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", event => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  addEventListener("drop", event => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) classify(file, file.name);
  });
}

function addRecorder() {
  const button = byId("record");
  const allowed = window.isSecureContext && navigator.mediaDevices?.getUserMedia;
  button.hidden = !allowed;
  byId("no-recording").hidden = Boolean(allowed);
  let recorder = null;
  const stop = async () => {
    const stopped = recorder;
    recorder = null;
    button.classList.remove("recording");
    button.textContent = "Record";
    classify(await stopped.stop(), "recording.wav");
  };
  button.addEventListener("click", async () => {
    if (recorder) return stop();
    const started = new Recorder(settings.maxSeconds, settings.maxBytes);
    button.disabled = true; // While the browser asks for permission.
    try {
      await started.start(seconds => {
        if (recorder !== started) return;
        button.textContent = `Stop (${clock(seconds)})`;
        if (started.full) stop();
      });
      recorder = started;
      button.classList.add("recording");
      button.textContent = "Stop (0:00)";
    } catch (error) {
      showError(`The microphone cannot be used: ${error.message}.`);
    } finally {
      button.disabled = false;
    }
  });
}

addFiles();
addRecorder();
addExamples();
