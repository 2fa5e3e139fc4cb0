// Decodes a file and cuts it into windows, as lit_genre.data.decoding and lit_genre.data.loading do.
"use strict";

const FULL_SCALE = 32768; // Of 16 bits.
const LEAST_RATE = 44100; // Of decoding, Hz, for files of another rate than that of the model.
const MIN_SECONDS = 0.02; // Shorter files are usually the remains of a damaged file.
// Downmix of 5.1 and 7.1 by ITU-R BS.775-4, annex 4, table 2, times 0.7071, without the low-frequency channel.
const [FRONT, SURROUND] = [[0.5, 0.5, Math.SQRT1_2, 0], [Math.SQRT1_2 / 2, Math.SQRT1_2 / 2]];
const GAINS = { 6: [...FRONT, ...SURROUND], 8: [...FRONT, ...SURROUND, ...SURROUND] };

// Decode a File. Returns mono samples, Float32Array of full scale 1, at the sample rate of the model, Hz.
async function decodeSong(file, sampleRate) {
  const bytes = await file.arrayBuffer().catch(() => {
    throw new Error(`${file.name} cannot be read. Choose a file, not a folder.`);
  });
  // decodeAudioData resamples to the rate of its context. Chromium's filter for that is short, and changes the upper
  // half of the band. At a multiple of the model's rate, this is above the band of the model.
  const factor = readSampleRate(bytes) === sampleRate ? 1 : Math.ceil(LEAST_RATE / sampleRate);
  const context = new OfflineAudioContext(1, 1, factor * sampleRate);
  const audio = await context.decodeAudioData(bytes).catch(() => {
    throw new Error(
      `${file.name} cannot be decoded: it is not audio, or damaged, or of a format that this browser does not ` +
      "support. Choose another file, or convert it to WAV, FLAC or MP3.");
  });
  if (audio.duration < MIN_SECONDS) throw new Error(`${file.name} has only ${audio.duration.toFixed(3)} s of sound.`);
  const samples = roundTo16Bits(await decimate(mixToMono(audio), factor, context.sampleRate));
  if (samples.every(sample => sample === 0)) throw new Error(`${file.name} has nothing but silence.`);
  return samples;
}

// Mix an AudioBuffer to mono samples; samples that are not finite become silence.
function mixToMono(audio) {
  const count = audio.numberOfChannels;
  const gains = GAINS[count] ?? new Array(count).fill(1 / count);
  const mono = new Float32Array(audio.length);
  for (let channel = 0; channel < count; channel++) {
    const samples = audio.getChannelData(channel), gain = gains[channel];
    for (let index = 0; index < mono.length; index++) {
      if (Number.isFinite(samples[index])) mono[index] += gain * samples[index];
    }
  }
  return mono;
}

// Round samples to 16 bits and clip them to full scale, as in training.
function roundTo16Bits(samples) {
  const clip = value => Math.min(FULL_SCALE - 1, Math.max(-FULL_SCALE, value));
  return samples.map(sample => clip(Math.round(FULL_SCALE * sample)) / FULL_SCALE);
}

// Return the first samples of as few evenly spaced windows as cover a song; a rest of up to 0.05 windows is no window.
function windowStarts(samples, length) {
  const last = Math.max(0, samples - length), steps = Math.max(0, Math.ceil(samples / length - 1 - 0.05));
  return Array.from({ length: steps + 1 }, (_, number) => Math.round((last * number) / Math.max(1, steps)));
}

// Copy a window of a song; a shorter song is repeated until the window is full.
function cutWindow(samples, start, length) {
  if (samples.length >= length) return samples.slice(start, start + length);
  return Float32Array.from({ length }, (_, index) => samples[index % samples.length]);
}
