"""Compare the time of the front-end for a batch with that of torchaudio's MelSpectrogram on the same device.

    python benchmarks/frontend.py [--device cpu] [--batch 32] [--rounds 7]

The target for the engine `auto` is at most 1.1 of torchaudio's time on a CPU. torchaudio's module returns the power in
each band, so the comparison ends there. Both are also measured with the conversion to decibels.
"""

import argparse

import torch
from timing import medians
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from lit_genre.model.spectrogram.frontend import LogMel


def main() -> None:
    """Print milliseconds per clip and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    waveform = torch.randn(options.batch, 30 * 22050, device=options.device) / 8
    reference = MelSpectrogram(
        22050, n_fft=2048, hop_length=1024, n_mels=128, norm="slaney", mel_scale="slaney", pad_mode="constant"
    ).to(options.device)
    decibels = AmplitudeToDB(top_db=80).to(options.device)
    engines = {engine: LogMel(22050, engine=engine).to(options.device) for engine in ("auto", "fft", "nnaudio")}

    def finish(result: torch.Tensor) -> None:
        if options.device != "cpu":
            torch.accelerator.synchronize()

    with torch.inference_mode():
        seconds = medians(
            options.rounds,
            torchaudio_power=lambda: finish(reference(waveform)),
            auto_power=lambda: finish(engines["auto"].power(waveform)),
            torchaudio_decibels=lambda: finish(decibels(reference(waveform))),
            auto_decibels=lambda: finish(engines["auto"](waveform)),
            fft_decibels=lambda: finish(engines["fft"](waveform)),
            nnaudio_decibels=lambda: finish(engines["nnaudio"](waveform)),
        )
    print(f"batch of {options.batch} clips of 30 s, {options.device}, {torch.get_num_threads()} threads")
    for what, took in seconds.items():
        print(f"{what:<22}{took / options.batch * 1000:9.3f} ms a clip")
    for kind in ("power", "decibels"):
        ratio = seconds[f"auto_{kind}"] / seconds[f"torchaudio_{kind}"]
        print(f"{kind}: auto takes {ratio:.2f} of torchaudio's time (asked: 1.1)")


if __name__ == "__main__":
    main()
