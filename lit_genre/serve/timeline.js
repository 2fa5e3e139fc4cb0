// Shows one song: spectrogram and genres over time on one axis, which is also the position of the only player.

const SVG = "http://www.w3.org/2000/svg";
const MAX_LINES = 5; // page.css has as many colours and dashes; more lines could not be told apart.
const MAX_DOTS = 12; // With more windows, the dots would hide the dashes of a line on a phone.
const TICK_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const MAX_TICKS = 5; // Intervals between labels of the time; as many labels fit on a phone.
const LEVEL_STEP = 0.2; // The axis of the probabilities ends at a multiple, so that its half is a whole percentage.
const KEY_SECONDS = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 };

const byId = id => document.getElementById(id);
const player = byId("player"), play = byId("play"), axis = byId("axis");
let song = null; // { seconds, windows } of the song that is shown.
let position = 0; // Position of the cursor, s. The player has the same position if the browser can play the song.

export const percent = probability => `${Math.round(100 * probability)}%`;

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = number => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function showSong(result, classes, blob, name) {
  // The value of a window is that of its centre: it is as much about what comes before as about what comes after.
  const windows = result.timeline.map(window => ({ ...window, centre: (window.start + window.end) / 2 }));
  song = { seconds: result.seconds, windows };
  byId("name").textContent = name;
  byId("spectrogram").src = result.spectrogram;
  byId("unplayable").hidden = true;
  axis.setAttribute("aria-valuemax", result.seconds);
  const peaks = new Map(classes.map(genre => [genre, Math.max(...windows.map(({ genres }) => genres[genre]))]));
  // By the largest value, not the mean, so that a genre of a short part of the song is shown.
  const order = [...classes].sort((first, second) => peaks.get(second) - peaks.get(first));
  const shown = order.slice(0, MAX_LINES), others = order.slice(MAX_LINES);
  drawChart(shown, peaks.get(order[0]));
  drawLegend(shown);
  byId("note").textContent = [describeWindows(), describeOthers(others, peaks)].filter(Boolean).join(" ");
  // The browser plays its own copy, because the server never sends an upload back.
  play.hidden = false;
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

function drawChart(genres, peak) {
  const { seconds, windows } = song;
  const top = Math.max(LEVEL_STEP, Math.ceil(peak / LEVEL_STEP - 1e-6) * LEVEL_STEP);
  const step = TICK_SECONDS.find(tick => seconds / tick <= MAX_TICKS) ?? seconds;
  const ticks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, number) => number * step);
  const grid = draw("path", "grid");
  grid.setAttribute("d", `M0 0H${seconds}M0 .5H${seconds}M0 1H${seconds}${ticks.map(tick => `M${tick} 0V1`).join("")}`);
  const lines = genres.flatMap((genre, number) => {
    const points = windows.map(window => [window.centre, 1 - window.genres[genre] / top]);
    const line = draw("polyline", `line line-${number}`), dots = draw("path", `dots line-${number}`);
    // One window has no line, so that of its extent is drawn; without it the dashes of the genre would be missing.
    const corners = points.length > 1 ? points : [0, seconds].map(x => [x, points[0][1]]);
    line.setAttribute("points", corners.map(corner => corner.join(",")).join(" "));
    // A line of length 0 is a round dot, where a circle would be stretched with the chart.
    dots.setAttribute("d", points.map(([x, y]) => `M${x} ${y}h0`).join(""));
    return windows.length > MAX_DOTS ? [line] : [line, dots];
  });
  byId("chart").setAttribute("viewBox", `0 0 ${seconds} 1`);
  byId("chart").replaceChildren(grid, ...lines.reverse()); // The most probable genre last, above the others.
  byId("levels").replaceChildren(...[top, top / 2, 0].map(level => label(percent(level))));
  byId("ticks").replaceChildren(...ticks.map(tick => {
    const text = label(clock(tick));
    text.style.left = `${(100 * tick) / seconds}%`;
    return text;
  }));
}

function drawLegend(genres) {
  byId("legend").replaceChildren(...genres.map((genre, number) => {
    const entry = document.createElement("li"), sample = draw("svg", ""), line = draw("path", `line line-${number}`);
    sample.setAttribute("viewBox", "0 0 40 10");
    line.setAttribute("d", "M1 5H39");
    sample.append(line);
    entry.append(sample, genre);
    return entry;
  }));
}

function draw(tag, className) {
  const element = document.createElementNS(SVG, tag);
  element.setAttribute("class", className);
  return element;
}

function label(text) {
  const element = document.createElement("span");
  element.textContent = text;
  return element;
}

function describeWindows() {
  const [first, second] = song.windows;
  const tenths = seconds => Number(seconds.toFixed(1));
  if (!second) return "One window covers the whole song, so there is one prediction.";
  const [length, hop] = [tenths(first.end - first.start), tenths(second.start - first.start)];
  return `Each point is the prediction for the ${length} s of music around it. There is a point every ${hop} s.`;
}

function describeOthers(others, peaks) {
  if (!others.length) return "";
  const peak = `${Math.ceil(100 * peaks.get(others[0]))}%`;
  return others.length > 1 ? `The other ${others.length} genres reach at most ${peak}.` : `The other genre reaches at most ${peak}.`;
}

function moveTo(seconds) {
  if (!song) return;
  position = Math.min(song.seconds, Math.max(0, seconds));
  const distance = window => Math.abs(window.centre - position);
  const nearest = song.windows.reduce((best, next) => (distance(next) < distance(best) ? next : best));
  const [genre, probability] = Object.entries(nearest.genres).reduce((best, next) => (next[1] > best[1] ? next : best));
  const text = `${clock(nearest.start)} – ${clock(nearest.end)}: ${genre}, ${percent(probability)}`;
  const share = time => `${(100 * time) / song.seconds}%`;
  byId("cursor").style.left = share(position);
  byId("window").style.left = share(nearest.start);
  byId("window").style.width = share(nearest.end - nearest.start);
  byId("time").textContent = `${clock(position)} / ${clock(song.seconds)}`;
  byId("now").textContent = text;
  axis.setAttribute("aria-valuenow", position.toFixed(1));
  axis.setAttribute("aria-valuetext", `${clock(position)}; ${text}`);
}

function seek(seconds) {
  moveTo(seconds);
  if (!play.hidden) player.currentTime = position;
}

function toggle() {
  if (play.hidden) return;
  // `play` is rejected if another song replaces this one before the browser has loaded it.
  if (player.paused) player.play().catch(() => {});
  else player.pause();
}

function follow() {
  moveTo(player.currentTime);
  // At every frame: `timeupdate` is sent only about four times a second.
  if (!player.paused) requestAnimationFrame(follow);
}

play.addEventListener("click", toggle);
player.addEventListener("play", follow);
for (const event of ["play", "pause", "ended", "emptied"]) {
  player.addEventListener(event, () => { play.textContent = player.paused ? "Play" : "Pause"; });
}
for (const event of ["timeupdate", "seeking"]) player.addEventListener(event, () => moveTo(player.currentTime));
player.addEventListener("error", () => {
  if (!song) return;
  play.hidden = true;
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
  const target = { Home: 0, End: song.seconds }[event.key] ?? position + KEY_SECONDS[event.key];
  if (event.key === " ") toggle();
  else if (Number.isFinite(target)) seek(target);
  else return;
  event.preventDefault(); // These keys would scroll the page.
});
