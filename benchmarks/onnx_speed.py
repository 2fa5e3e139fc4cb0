"""Compare ONNX Runtime with PyTorch on the CPU, from waveforms to probabilities.

    python benchmarks/onnx_speed.py [--rounds 9] [--seconds 30]

Both predict batches of four clips of noise alternately, with the number of threads of torch. Medians are printed.
"""

import argparse
import tempfile
from pathlib import Path

import onnxruntime
import torch
from timing import medians

from lit_genre.backbones.registry import backbones
from lit_genre.cli.allocator import retain_freed_memory
from lit_genre.export.to_onnx import write_onnx
from lit_genre.model.classifier import GenreClassifier

SEVEN = ["CNN1DDeep", "CNN1DShallow", "CNN2DDeep", "CNN2DShallow", "CRNN", "CRNNStacked", "RNN"]
BATCH = 4


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    retain_freed_memory()
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = torch.get_num_threads()
    print("| | torch, ms a clip | ONNX Runtime | ratio | difference |\n|---|---|---|---|---|")
    for name in SEVEN:
        print(compare(name, options.seconds, options.rounds, session_options), flush=True)


def compare(name: str, seconds: float, rounds: int, session_options: onnxruntime.SessionOptions) -> str:
    """Measure a network, and return its row."""
    torch.manual_seed(0)
    model = GenreClassifier(backbones()[name].loaded, ["a", "b", "c"], clip_seconds=seconds)
    model = model.eval().requires_grad_(False)
    waveform = torch.rand(BATCH, model.clip_samples) - 0.5
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(model, path)
        session = onnxruntime.InferenceSession(path, session_options, providers=["CPUExecutionProvider"])

    def by_torch() -> torch.Tensor:
        with torch.inference_mode():
            return model.predict_with_embedding(waveform)[0]

    def by_onnx() -> torch.Tensor:
        return torch.from_numpy(session.run(None, {"waveform": waveform.numpy()})[0])

    difference = float((by_torch() - by_onnx()).abs().max())
    took = medians(rounds, torch=by_torch, onnx=by_onnx)
    by, other = (1000 * took[kind] / BATCH for kind in ("torch", "onnx"))
    return f"| {name} | {by:.1f} | {other:.1f} | {other / by:.2f} | {difference:.0e} |"


if __name__ == "__main__":
    main()
