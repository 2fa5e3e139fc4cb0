// Shows one song: player, spectrogram and genres over time on one axis, with a cursor that follows the player.

const SVG = "http://www.w3.org/2000/svg";
const COLORS = [
  "#4c78c8", "#f2902f", "#4fa35a", "#dd5555", "#a678b8", "#e8c440", "#55b6b0", "#f59ab5", "#9a7356", "#9ccf6a",
];
const OTHERS = "#8b919b";
const KEY_SECONDS = 5; // The step of the arrow keys, s.

const byId = id => document.getElementById(id);
const player = byId("player"), axis = byId("axis");
let song = null; // { seconds, segments } of the song that is shown.
let position = 0; // Position of the cursor, s. The player has the same position if the browser can play the song.

export const percent = probability => `${Math.round(100 * probability)}%`;

export function clock(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = number => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function showSong(result, classes, blob, name) {
  song = { seconds: result.seconds, segments: result.segments };
  byId("name").textContent = name;
  byId("spectrogram").src = result.spectrogram;
  byId("end").textContent = clock(result.seconds);
  byId("unplayable").hidden = true;
  axis.setAttribute("aria-valuemax", result.seconds);
  const layers = chooseLayers(result.genres, classes);
  drawChart(layers);
  drawLegend(layers);
  // The browser plays its own copy, because the server never sends an upload back.
  player.hidden = false;
  player.src = URL.createObjectURL(blob);
  byId("song").hidden = false;
  moveTo(0);
}

export function hideSong() {
  song = null;
  byId("song").hidden = true;
  if (player.src) {
    URL.revokeObjectURL(player.src);
    player.removeAttribute("src");
    player.load();
  }
}

// The most probable genres have one colour each; the other genres share one.
function chooseLayers(genres, classes) {
  const order = [...classes].sort((first, second) => genres[second] - genres[first]);
  const shown = order.length <= COLORS.length ? order : order.slice(0, COLORS.length - 1);
  const layers = shown.map((genre, number) => ({ name: genre, color: COLORS[number], genres: [genre] }));
  const others = order.slice(shown.length);
  if (others.length) layers.push({ name: `${others.length} others`, color: OTHERS, genres: others });
  return layers;
}

// Stack the probabilities. Each segment is drawn from its start to the start of the next.
function drawChart(layers) {
  const { seconds, segments } = song;
  const edges = [...segments.map(segment => segment.start), seconds];
  const stacks = segments.map(({ genres }) => {
    const values = layers.map(layer => layer.genres.reduce((sum, genre) => sum + genres[genre], 0));
    // In the multilabel task the probabilities do not sum to 1.
    const total = values.reduce((sum, value) => sum + value, 0) || 1;
    let below = 1;
    return [1, ...values.map(value => (below -= value / total))];
  });
  const steps = level => stacks.flatMap((stack, number) => [[edges[number], stack[level]], [edges[number + 1], stack[level]]]);
  byId("chart").setAttribute("viewBox", `0 0 ${seconds} 1`);
  byId("chart").replaceChildren(...layers.map((layer, number) => {
    const area = document.createElementNS(SVG, "polygon");
    area.setAttribute("points", [...steps(number), ...steps(number + 1).reverse()].join(" "));
    area.setAttribute("fill", layer.color);
    const title = document.createElementNS(SVG, "title");
    title.textContent = layer.name;
    area.append(title);
    return area;
  }));
}

function drawLegend(layers) {
  byId("legend").replaceChildren(...layers.map(layer => {
    const entry = document.createElement("li"), patch = document.createElement("i");
    patch.style.background = layer.color;
    entry.append(patch, layer.name);
    return entry;
  }));
}

function moveTo(seconds) {
  if (!song) return;
  position = Math.min(song.seconds, Math.max(0, seconds));
  const segment = song.segments.findLast(({ start }) => start <= position) ?? song.segments[0];
  const [genre, probability] = Object.entries(segment.genres).reduce((best, next) => (next[1] > best[1] ? next : best));
  const text = `${clock(segment.start)} – ${clock(segment.end)}: ${genre}, ${percent(probability)}`;
  byId("cursor").style.left = `${(100 * position) / song.seconds}%`;
  byId("now").textContent = text;
  axis.setAttribute("aria-valuenow", position.toFixed(1));
  axis.setAttribute("aria-valuetext", text);
}

function seek(seconds) {
  moveTo(seconds);
  if (!player.hidden) player.currentTime = position;
}

function follow() {
  moveTo(player.currentTime);
  // At every frame: `timeupdate` is sent only about four times a second.
  if (!player.paused) requestAnimationFrame(follow);
}

player.addEventListener("play", follow);
for (const event of ["timeupdate", "seeking"]) player.addEventListener(event, () => moveTo(player.currentTime));
player.addEventListener("error", () => {
  if (!song) return;
  player.hidden = true;
  byId("unplayable").hidden = false;
});

function seekTo(event) {
  const box = axis.getBoundingClientRect();
  seek(((event.clientX - box.left) / box.width) * song.seconds);
}

axis.addEventListener("pointerdown", event => {
  if (event.button) return;
  axis.setPointerCapture(event.pointerId);
  seekTo(event);
});
axis.addEventListener("pointermove", event => {
  if (axis.hasPointerCapture(event.pointerId)) seekTo(event);
});
axis.addEventListener("keydown", event => {
  const target = {
    ArrowLeft: position - KEY_SECONDS, ArrowRight: position + KEY_SECONDS, Home: 0, End: song.seconds,
  }[event.key];
  if (target === undefined) return;
  event.preventDefault();
  seek(target);
});
