"""Compare ONNX Runtime with PyTorch on the CPU, from waveforms to probabilities, for each type of weights.

    python benchmarks/onnx_speed.py [--rounds 9] [--seconds 30] [--threads 2] [--clock cpu]
    python benchmarks/onnx_speed.py --ckpt_paths runs/*/checkpoints/best.ckpt [--demo data/demo]

Both predict batches of four clips of noise alternately, with equal numbers of threads. A ratio is the time of ONNX
Runtime divided by that of PyTorch in the same round; the median over the rounds and the quartiles are printed.
`--clock cpu` counts the processor time of all threads, which other programs disturb less than the time of day.

Without checkpoints, the seven baseline networks have random weights. The difference of probabilities is then that on
the noise. With checkpoints, it is the largest one on the first clip of each track of the demo data, and the share of
tracks whose most probable genre is the same is printed, too.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from lit_genre import load_model
from lit_genre.backbones.registry import backbones
from lit_genre.cli.allocator import retain_freed_memory
from lit_genre.data.decoding.pcm import INT16_SCALE
from lit_genre.data.decoding.track_audio import decode_track
from lit_genre.export import TOLERANCES
from lit_genre.export.to_onnx import write_onnx
from lit_genre.model.classifier import GenreClassifier

SEVEN = ["CNN1DDeep", "CNN1DShallow", "CNN2DDeep", "CNN2DShallow", "CRNN", "CRNNStacked", "RNN"]
BATCH = 4
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--networks", nargs="+", default=SEVEN)
    parser.add_argument("--weights", nargs="+", choices=list(TOLERANCES), default=list(TOLERANCES))
    parser.add_argument("--ckpt_paths", type=Path, nargs="+", default=[])
    parser.add_argument("--demo", type=Path, default=Path("data/demo"))
    options = parser.parse_args()
    retain_freed_memory()
    torch.set_num_threads(options.threads)
    print(
        f"{options.threads} threads, {options.clock} time\n\n"
        "| | weights | torch, ms per clip | ratio (quartiles) | MB | largest difference | equal decisions |\n"
        "|---|---|---|---|---|---|---|"
    )
    ratios: dict[str, dict[str, float]] = {weights: {} for weights in options.weights}
    for source in options.ckpt_paths or options.networks:
        model = load_model(source) if options.ckpt_paths else random_model(source, options.seconds)
        rows, of_network = compare(model, options)
        print(*rows, sep="\n", flush=True)
        for weights, ratio in of_network.items():
            ratios[weights][str(source)] = ratio
    for weights, of_weights in ratios.items():
        each = ", ".join(f"{source} {ratio:.2f}" for source, ratio in of_weights.items())
        print(f"\nONNX Runtime, {weights}: ratio {np.median(list(of_weights.values())):.2f} to PyTorch's time ({each})")


def random_model(name: str, seconds: float) -> GenreClassifier:
    """Return a baseline network with random weights."""
    torch.manual_seed(0)
    model = GenreClassifier(backbones()[name].loaded, list("abcdefgh"), clip_seconds=seconds)
    return model.eval().requires_grad_(False)


def compare(model: GenreClassifier, options: argparse.Namespace) -> tuple[list[str], dict[str, float]]:
    """Measure a network with each type of weights, and return their rows and ratios."""

    def by_torch(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return model.predict_with_embedding(torch.from_numpy(waveform))[0].numpy()

    random = np.random.default_rng(0)
    noise = random.uniform(-0.5, 0.5, (BATCH, round(options.seconds * model.sample_rate))).astype(np.float32)
    tested = demo_clips(options.demo, model) if options.ckpt_paths else noise
    exported = {weights: export(model, weights, options.threads) for weights in options.weights}
    predictors = {"torch": by_torch} | {weights: predict for weights, (predict, _) in exported.items()}
    seconds = measure(predictors, noise, options.rounds, CLOCKS[options.clock])
    expected = in_batches(by_torch, tested)
    rows, ratios = [], {}
    for weights, (predict, megabytes) in exported.items():
        probs = in_batches(predict, tested)
        low, median, high = np.percentile(seconds[weights] / seconds["torch"], [25, 50, 75])
        ratios[weights] = float(median)
        equal = (probs.argmax(1) == expected.argmax(1)).mean()
        rows.append(
            f"| {type(model.backbone).__name__} | {weights} | {1000 * np.median(seconds['torch']) / BATCH:.1f} "
            f"| {median:.2f} ({low:.2f} to {high:.2f}) | {megabytes:.2f} | {np.abs(probs - expected).max():.1e} "
            f"| {f'{equal:.1%} of {len(tested)}' if options.ckpt_paths else '-'} |"
        )
    return rows, ratios


def in_batches(predict: Predict, waveforms: NDArray[np.float32], size: int = 32) -> NDArray[np.float32]:
    """Predict many waveforms, some at a time."""
    return np.concatenate([predict(waveforms[i : i + size]) for i in range(0, len(waveforms), size)])


def export(model: GenreClassifier, weights: str, threads: int) -> tuple[Predict, float]:
    """Export a model; return the function that predicts by ONNX Runtime, and the size of the file, MB."""
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(model, path, weights)
        session = onnxruntime.InferenceSession(path, session_options, providers=["CPUExecutionProvider"])
        return lambda waveform: session.run(None, {"waveform": waveform})[0], path.stat().st_size / 1e6


def measure(
    predictors: dict[str, Predict], waveform: NDArray[np.float32], rounds: int, clock: Callable[[], float]
) -> dict[str, NDArray[np.float64]]:
    """Call each predictor in turn, `rounds` times; return the seconds of each second call."""
    seconds: dict[str, list[float]] = {name: [] for name in predictors}
    for _ in range(rounds):
        for name, predict in predictors.items():
            # The threads of the other one wait in a busy loop for a while, and would take a core from this one.
            time.sleep(0.2)
            predict(waveform)
            began = clock()
            predict(waveform)
            seconds[name].append(clock() - began)
    return {name: np.array(values) for name, values in seconds.items()}


def demo_clips(root: Path, model: GenreClassifier) -> NDArray[np.float32]:
    """Return the first clip of each track of the demo data, full scale 1, shape (tracks, n)."""
    clips = []
    for path in sorted((root / "fma_small").rglob("*.mp3")):
        with decode_track(path, model.sample_rate) as decoded:
            pcm = np.empty(min(decoded.n_samples, model.clip_samples), dtype=np.int16)
            decoded.read(0, pcm)
        clips.append(np.resize(pcm, model.clip_samples) / INT16_SCALE)
    return np.stack(clips).astype(np.float32)


if __name__ == "__main__":
    main()
