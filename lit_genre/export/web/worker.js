// Runs the model outside the page, which stays responsive. Each message has a port for its reply:
// "load" loads the model, and a Float32Array of samples is a window, whose reply is the probabilities.
const RUNTIME = "ort.wasm.bundle.min.mjs", ENGINE = "ort-wasm-simd-threaded.wasm";
const INSTALL =
  `Two files of the npm package onnxruntime-web belong next to this page, ${RUNTIME} and ${ENGINE}: run ` +
  "npm install onnxruntime-web, and copy them from node_modules/onnxruntime-web/dist.";
let ort = null, session = null;

async function fetchFile(name, hint) {
  // "no-cache": a model that was exported anew must not be mixed with the cached old one.
  const response = await fetch(name, { cache: "no-cache" }).catch(() => null);
  if (!response?.ok) throw new Error(`${name} is missing or cannot be loaded. ${hint}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function load() {
  ort = await import(`./${RUNTIME}`).catch(() => {
    throw new Error(`${RUNTIME} is missing or cannot be loaded. ${INSTALL}`);
  });
  ort.env.wasm.wasmBinary = await fetchFile(ENGINE, INSTALL);
  const model = await fetchFile("model.onnx", "Export the model again: lit-genre export --format web.");
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] }).catch(error => {
    throw new Error(`onnxruntime-web cannot run model.onnx: ${error.message}`);
  });
}

async function run(samples) {
  const waveform = new ort.Tensor("float32", samples, [1, samples.length]);
  const { probabilities } = await session.run({ waveform });
  return probabilities.data;
}

addEventListener("message", async ({ data, ports: [port] }) => {
  try {
    port.postMessage({ reply: data === "load" ? await load() : await run(data) });
  } catch (error) {
    port.postMessage({ error: error.message });
  }
});
