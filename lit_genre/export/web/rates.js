// Sample rates: reads that of a file, and reduces that of a waveform.
"use strict";

const TAPS = 256; // Of the low-pass filter, for each sample of the old rate in a sample of the new rate.
// Relative to half the new rate. The filter passes up to 0.925 and stops from 0.988 on, similar to soxr's quality HQ.
const CUTOFF = 0.957;
const BLACKMAN_HARRIS = [0.35875, -0.48829, 0.14128, -0.01168]; // Harris, Proc. IEEE 1978: side lobes of -92 dB.

// Return the sample rate in the header of a WAV, FLAC, Ogg or MP3 file, Hz; null for other files.
function readSampleRate(bytes) {
  const view = new DataView(bytes);
  const has = (text, offset) => [...text].every((letter, at) => view.getUint8(offset + at) === letter.charCodeAt(0));
  try {
    if (has("RIFF", 0)) return readWavRate(view, has);
    if (has("fLaC", 0)) return view.getUint32(18) >>> 12;
    if (has("OggS", 0)) return has("vorbis", 29) ? view.getUint32(40, true) : null;
    return readMp3Rate(view, has("ID3", 0));
  } catch (error) {
    if (error instanceof RangeError) return null; // The file ends before its header does.
    throw error;
  }
}

function readWavRate(view, has) {
  let offset = 12;
  while (!has("fmt ", offset)) {
    const size = view.getUint32(offset + 4, true);
    offset += 8 + size + (size % 2);
  }
  return view.getUint32(offset + 12, true);
}

function readMp3Rate(view, isTagged) {
  // A byte of the length of a tag has 7 bits.
  const length = [6, 7, 8, 9].reduce((sum, offset) => 128 * sum + view.getUint8(offset), 0);
  const header = view.getUint32(isTagged ? 10 + length : 0);
  const rate = [44100, 48000, 32000][(header >>> 10) & 3];
  const divisor = { 3: 1, 2: 2, 0: 4 }[(header >>> 19) & 3]; // MPEG 1, 2 and 2.5.
  const isMp3 = header >>> 21 === 0x7ff && ((header >>> 17) & 3) === 1; // Layer III.
  return isMp3 && rate && divisor ? rate / divisor : null;
}

// Reduce the sample rate of a waveform by a whole factor. Returns a Float32Array.
async function decimate(samples, factor, oldRate) {
  if (factor === 1) return samples;
  const delay = (TAPS * factor) / 2;
  const context = new OfflineAudioContext(1, samples.length + delay, oldRate);
  const [sound, kernel] = [samples, lowPass(factor)].map(values => {
    const buffer = context.createBuffer(1, values.length, oldRate);
    buffer.copyToChannel(values, 0);
    return buffer;
  });
  const source = new AudioBufferSourceNode(context, { buffer: sound });
  const filter = new ConvolverNode(context, { buffer: kernel, disableNormalization: true });
  source.connect(filter).connect(context.destination);
  source.start();
  const filtered = (await context.startRendering()).getChannelData(0);
  const reduced = new Float32Array(Math.round(samples.length / factor));
  for (let index = 0; index < reduced.length; index++) reduced[index] = filtered[delay + factor * index];
  return reduced;
}

// Return a windowed sinc of TAPS * factor + 1 samples.
function lowPass(factor) {
  const length = TAPS * factor, bandwidth = CUTOFF / factor;
  return Float32Array.from({ length: length + 1 }, (_, index) => {
    const x = Math.PI * bandwidth * (index - length / 2), phase = (2 * Math.PI * index) / length;
    const window = BLACKMAN_HARRIS.reduce((sum, part, order) => sum + part * Math.cos(order * phase), 0);
    return bandwidth * window * (x === 0 ? 1 : Math.sin(x) / x);
  });
}
