"""Measure the peak memory of training for several sizes of the store, with which it must not grow.

    python benchmarks/memory.py [--gigabytes 1 4 30]

Each store is a sparse file of silence, with clips of 30 s. A process of its own reads each clip once with data module
and Trainer, and a tiny network. For comparison, the same bytes are read through a memory map.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CLIP = 30 * 22050


def write_store(root: Path, gigabytes: float) -> None:
    """Write the metadata and the store of some tracks, without audio files, which a store does not need."""
    from lit_genre.data.store.index import COLUMNS, Entry, line_checksum, store_folder

    tracks = int(gigabytes * 1e9 / (2 * CLIP))
    rows = [",set,set,track,track,artist,artist", ",split,subset,genre_top,title,id,name", "track_id,,,,,,"]
    rows += [
        f"{k},{'training' if k > 2 else 'validation'},small,{'Rock' if k % 2 else 'Pop'},T,{k},A" for k in range(tracks)
    ]
    for folder in ("fma_metadata", "fma_small"):
        (root / folder).mkdir(parents=True)
    (root / "fma_metadata" / "tracks.csv").write_text("\n".join(rows) + "\n")
    store = store_folder(root / "pcm", "fma_small", 22050)
    store.mkdir(parents=True)
    entries = [Entry(k, 1, k * CLIP, CLIP, 0, "complete", 0.0, -1, 0, -1, "") for k in range(tracks)]
    lines = (",".join(map(str, (*entry, line_checksum(entry)))) for entry in entries)
    (store / "index.csv").write_text("\n".join([",".join(COLUMNS), *lines, ""]))
    with (store / "pcm-1.int16").open("wb") as pcm:
        pcm.truncate(tracks * CLIP * 2)


def train(root: Path) -> None:
    """Read every clip once."""
    import torch
    from lightning.pytorch import Trainer
    from torch import nn

    from lit_genre.data.datamodules.fma import FMADataModule
    from lit_genre.model.backbone import Backbone, InputShape
    from lit_genre.model.classifier import GenreClassifier

    class Few(Backbone):
        takes = "waveform"

        def __init__(self, input_shape: InputShape) -> None:
            super().__init__()
            self.embedding_dim = 64

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            return waveform[:, :64]

    data = FMADataModule(root, batch_size=32, num_workers=0)
    model = GenreClassifier(Few, ["Pop", "Rock"], frontend=nn.Identity)
    Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, limit_val_batches=0, num_sanity_val_steps=0,
    ).fit(model, data)  # fmt: skip


def by_map(root: Path) -> None:
    """Read every clip once through a memory map."""
    (pcm,) = root.glob("pcm/*/pcm-1.int16")
    samples = np.memmap(pcm, dtype=np.int16, mode="r")
    for start in range(0, len(samples), CLIP):
        np.array(samples[start : start + CLIP])


def main() -> None:
    """Print peak resident memory for each size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1, 4, 30])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, root = options.child
        {"train": train, "by_map": by_map}[what](Path(root))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    for gigabytes in options.gigabytes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_store(root, gigabytes)
            peaks = {}
            for what in ("train", "by_map"):
                command = [sys.executable, __file__, "--child", what, folder]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                peaks[what] = int(done.stdout.split()[-1]) / 1e6
        print(
            f"store {gigabytes:5g} GB   training peaks at {peaks['train']:.2f} GB   a map at {peaks['by_map']:.2f} GB"
        )


if __name__ == "__main__":
    main()
