// Records the microphone as 16-bit WAV, which every decoder reads. MediaRecorder's formats would need FFmpeg.

const HEADER_BYTES = 44;
const SAMPLE_BYTES = 2;

export class Recorder {
  constructor(maxSeconds, maxBytes) {
    this.maxSeconds = maxSeconds;
    this.maxBytes = maxBytes;
    this.blocks = [];
    this.length = 0;
  }

  // Start recording, and call onTime(seconds) after every block of samples.
  async start(onTime) {
    // These filters make speech clearer, but distort music.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      this.context = new AudioContext();
      await this.context.audioWorklet.addModule("/worklet.js");
      const node = new AudioWorkletNode(this.context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
      node.port.onmessage = event => {
        if (this.full) return;
        this.blocks.push(event.data);
        this.length += event.data.length;
        onTime(this.seconds);
      };
      this.context.createMediaStreamSource(this.stream).connect(node);
      await this.context.resume();
    } catch (error) {
      this.release();
      throw error;
    }
  }

  get seconds() {
    return this.length / this.context.sampleRate;
  }

  // Whether another block would exceed the limits of the server.
  get full() {
    const block = this.blocks.length ? this.blocks[0].length : 0;
    const next = this.length + block;
    return next / this.context.sampleRate > this.maxSeconds || HEADER_BYTES + next * SAMPLE_BYTES > this.maxBytes;
  }

  // Stop recording, and return the WAV file.
  async stop() {
    const rate = this.context.sampleRate;
    this.release();
    return new Blob([wavHeader(rate, this.length), ...this.blocks], { type: "audio/wav" });
  }

  release() {
    for (const track of this.stream.getTracks()) track.stop();
    this.context?.close();
  }
}

function wavHeader(rate, length) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (offset, letters) => [...letters].forEach((letter, i) => view.setUint8(offset + i, letter.charCodeAt(0)));
  const bytes = length * SAMPLE_BYTES;
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // Length of the format chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // Channels
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * SAMPLE_BYTES, true);
  view.setUint16(32, SAMPLE_BYTES, true);
  view.setUint16(34, 8 * SAMPLE_BYTES, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  return view.buffer;
}
