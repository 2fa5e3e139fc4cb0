"""Compare the embedding of CLAP by plugins/transformers with that of LAION's own code, on equal random weights.

    pip install h5py torchlibrosa
    pip install --no-deps laion-clap
    python benchmarks/clap.py

Use an environment of its own. laion-clap asks for numpy below 2, and installs a package `tests`, which would hide the
tests of this project. So it cannot be a dependency of a plugin, and its network is imported from its file here.

The audio half (HTSAT-tiny) gets random weights, which are renamed for transformers and saved as a model of the hub.
Both embed the same 10 s of the demo's music.
"""

import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import soxr
import torch
import transformers
from lit_genre_transformers import TransformersBackbone
from torch import Tensor, nn

from lit_genre.demo.instruments import SAMPLE_RATE
from lit_genre.demo.synth import GENRES, synthesise

RATE = 48000
SECONDS = 10
RENAMED = {
    "patch_embed.": "audio_encoder.patch_embed.", "layers.": "audio_encoder.layers.", "norm.": "audio_encoder.norm.",
    "bn0.": "audio_encoder.batch_norm.",
}  # fmt: skip
"""The start of a name in LAION's code, and that in transformers."""

IN_BLOCKS = {
    "attn.proj": "attention.output.dense", "attn.": "attention.self.", "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense", "norm1": "layernorm_before", "norm2": "layernorm_after",
}  # fmt: skip


def published_network() -> nn.Module:
    """Build LAION's audio half with random weights, without the imports of the whole package."""
    spec = find_spec("laion_clap")
    assert spec is not None, "laion-clap is not installed"
    assert spec.submodule_search_locations is not None
    (folder,) = spec.submodule_search_locations
    # The modules of these two packages import libraries for training, such as webdataset.
    for name, path in (("laion_clap", folder), ("laion_clap.clap_module", str(Path(folder, "clap_module")))):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [path]
    htsat = import_module("laion_clap.clap_module.htsat")
    settings = SimpleNamespace(
        model_name="tiny", class_num=527, window_size=1024, hop_size=480, sample_rate=RATE, mel_bins=64, fmin=50,
        fmax=14000,
    )  # fmt: skip
    torch.manual_seed(0)
    network: nn.Module = htsat.create_htsat_model(settings)
    # Statistics as of music in decibels; those of a new network would not show a missing normalisation.
    bn: Any = network.bn0
    nn.init.uniform_(bn.running_mean, -40, -20)
    nn.init.uniform_(bn.running_var, 100, 200)
    return network.eval()


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with the names of transformers."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        start = next((start for start in RENAMED if name.startswith(start)), None)
        if start is None or name.endswith((".attn_mask", ".relative_position_index", ".num_batches_tracked")):
            continue  # Constants, and the layer for AudioSet's tags.
        name = RENAMED[start] + name.removeprefix(start)
        for old, new in IN_BLOCKS.items():
            if f".{old}" in name:
                name = name.replace(f".{old}", f".{new}")
                break
        if ".qkv." in name:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[name.replace("qkv", part)] = third
        else:
            found[name] = value
    return found


def save_for_transformers(network: nn.Module, folder: Path) -> None:
    """Save the audio half as part of a CLAP model with a small random text half."""
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 8,
    }
    config = transformers.ClapConfig(text_config=text)
    model = transformers.ClapModel(config)
    missing, unexpected = model.audio_model.load_state_dict(renamed(network.state_dict()), strict=False)
    assert not unexpected, unexpected
    assert not [name for name in missing if not name.endswith(("relative_position_index", "num_batches_tracked"))], (
        missing
    )
    model.save_pretrained(folder)
    # The lowest frequency of LAION's code; the others are defaults of transformers.
    extractor = transformers.ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc", padding="repeatpad")
    extractor.save_pretrained(folder)


@torch.no_grad()
def main() -> None:
    """Print the largest difference of an embedding, and the largest number in it."""
    network = published_network()
    with tempfile.TemporaryDirectory() as folder:
        save_for_transformers(network, Path(folder))
        backbone = TransformersBackbone((RATE * SECONDS,), model=folder, freeze=True).eval()
        for genre in list(GENRES)[:4]:
            music = soxr.resample(synthesise(genre, artist=0, track=0, seconds=SECONDS, seed=0), SAMPLE_RATE, RATE)
            waveform = torch.from_numpy(music)[None, : RATE * SECONDS]
            expected = network({"waveform": waveform}, device=torch.device("cpu"))["embedding"]
            found = backbone(waveform)
            difference = (found - expected).abs().max().item()
            print(f"{genre}: largest difference {difference:.1e} of {expected.abs().max():.1f}")


if __name__ == "__main__":
    main()
