// The page: sends a song from a file, the microphone or an example to the server, and shows the result.
// Names of files and genres are not trusted, so they are set only as text (textContent), never as HTML.
import { Recorder } from "./recorder.js";
import { hideSong, percent, showSong, clock } from "./timeline.js";

const MAX_BARS = 8;
const settings = JSON.parse(document.body.dataset.settings);
const byId = id => document.getElementById(id);
let request = new AbortController();

// Load a song by a function that returns a Blob or the promise of one, and show its result.
async function classify(name, load) {
  // The result of an earlier song must not replace the result of this song.
  request.abort();
  request = new AbortController();
  const { signal } = request;
  clear();
  showStatus(`Analysing ${name} …`, true);
  try {
    const song = await load(signal);
    if (song.size > settings.maxBytes) throw new Error(`This file cannot be classified: ${settings.tooLarge}.`);
    const result = await post(song, signal);
    showStatus(describeMissing(result));
    showGenres(result);
    showSong(result, settings.classes, song, name);
  } catch (error) {
    if (signal.aborted) return;
    showError(error.message);
  }
}

async function post(song, signal) {
  const address = `/classify?top_k=${settings.classes.length}&timeline=true&spectrogram=true`;
  let response, result;
  try {
    response = await fetch(address, { method: "POST", body: song, signal });
    result = await response.json();
  } catch {
    throw new Error("The server did not respond. Check that it is still running, and that this is a file, not a folder.");
  }
  if (!response.ok) throw new Error(result.error);
  return result;
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

function describeMissing({ status, seconds, seconds_lost: missing }) {
  if (status === "complete") return "";
  const reason = status === "truncated" ? "The end of the file is missing" : "The file is damaged";
  return `${reason}: ${missing.toFixed(1)} of ${(seconds + missing).toFixed(1)} s could not be decoded.`;
}

function showGenres(result) {
  byId("genre").textContent = result.genre;
  // Sorted again: an object lists names that are numbers, such as a genre "80", first.
  const rows = Object.entries(result.genres).sort((first, second) => second[1] - first[1]).slice(0, MAX_BARS);
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
  for (const { name, genre } of settings.examples) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = genre;
    button.addEventListener("click", () => classify(name, async signal => {
      try {
        const response = await fetch(`/examples/${encodeURIComponent(name)}`, { signal });
        if (!response.ok) throw new Error();
        return await response.blob();
      } catch {
        throw new Error("The server did not respond. Check that it is still running.");
      }
    }));
    byId("examples").querySelector(".buttons").append(button);
  }
}

function addFiles() {
  const drop = byId("drop");
  byId("file").addEventListener("change", event => {
    const [file] = event.target.files;
    if (file) classify(file.name, () => file);
    event.target.value = ""; // Otherwise the same file could not be chosen again.
  });
  // On the whole page: the browser opens a file that is dropped outside of such an area, and leaves the page.
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
    if (file) classify(file.name, () => file);
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
    classify("recording.wav", () => stopped.stop());
  };
  button.addEventListener("click", async () => {
    if (recorder) return stop();
    const started = new Recorder(settings.maxSeconds, settings.maxBytes);
    byId("player").pause(); // Otherwise the microphone would record the song that is played.
    button.disabled = true; // While the browser asks the user for permission.
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
