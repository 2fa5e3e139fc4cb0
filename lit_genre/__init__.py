"""lit-genre: music genre classification on the Free Music Archive with PyTorch Lightning.

The path of the data, a folder for each stage::

    data/metadata ─► data/decoding ─► data/store ─► data/loading ─► data/datamodules     on the CPU
    Track            PCM (t,)         PCM on disk   clips (n,)      waveform (b, n)
        │
        └─► batch                                                                        int16, to the device
             │
             └─► model/spectrogram ─► backbones ─► head ─► model/metrics
                 mel (b, m, f)        (b, d)       (b, c)  scores
                                                             │
                 callbacks ─► plots, runs, loggers ◄─────────┘
                 curves, tables, pictures, W&B

Axes: b batch, t samples of a track, n samples of a clip, m mel bands, f frames, d embedding, c classes.

Around the path:

- commands/ has a parser for each command, and starts its work.
- cli/ wires data, model and trainer from YAML and options (LightningCLI), and restores them from a checkpoint.
- model/ has the LightningModule and the contract of a backbone, model/training losses, optimisers and fine-tuning;
  backbones/ has the networks.
- runs/ owns the folder of a run. trust/ decides what the files of a model may make the program do.
- prepare/ fetches FMA, audit/ checks a data set, demo/ writes a synthetic one.
- features/ computes MFCC statistics and spectral contrast of tracks.
- baseline/ trains classifiers on MFCC statistics, probe/ a head on a frozen backbone, compare/ several configurations.
- inference/ predicts files of a user, export/ writes a model for other programs, serve/ shows it on a page.
- scaffold/ writes a plugin package to start from, and testing/ checks it.

The rules for imports are in pyproject.toml, [tool.importlinter]; `make lint` checks them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lit_genre.backbones.cnn1d import CNN1DDeep, CNN1DShallow
    from lit_genre.backbones.cnn1d_attention import CNN1DAttention
    from lit_genre.backbones.cnn2d import CNN2DDeep, CNN2DShallow
    from lit_genre.backbones.crnn import CRNN, CRNNStacked
    from lit_genre.backbones.rnn import RNN
    from lit_genre.batch import Batch
    from lit_genre.callbacks.unfreezing import GradualUnfreezing
    from lit_genre.cli.trainer import trainer
    from lit_genre.data.datamodules.fma import FMADataModule
    from lit_genre.data.datamodules.folder import FolderDataModule
    from lit_genre.data.datamodules.gtzan import GTZANDataModule
    from lit_genre.data.datamodules.predict import PredictDataModule
    from lit_genre.demo.write import write_demo
    from lit_genre.errors import LitGenreError
    from lit_genre.inference.load import load_model
    from lit_genre.model.backbone import Backbone
    from lit_genre.model.classifier import GenreClassifier
    from lit_genre.model.spectrogram.augment import Augmentation, FilterAugment, Mixup, SpecAugment
    from lit_genre.model.spectrogram.frontend import LogMel
    from lit_genre.model.training.losses import BinaryCrossEntropy, CrossEntropy, FocalLoss, Loss
    from lit_genre.model.training.optimization import OneCycle

__version__ = "0.1.0"

_HOMES = {
    "backbones.cnn1d": ["CNN1DDeep", "CNN1DShallow"],
    "backbones.cnn1d_attention": ["CNN1DAttention"],
    "backbones.cnn2d": ["CNN2DDeep", "CNN2DShallow"],
    "backbones.crnn": ["CRNN", "CRNNStacked"],
    "backbones.rnn": ["RNN"],
    "batch": ["Batch"],
    "callbacks.unfreezing": ["GradualUnfreezing"],
    "data.datamodules.fma": ["FMADataModule"],
    "data.datamodules.predict": ["PredictDataModule"],
    "data.datamodules.folder": ["FolderDataModule"],
    "data.datamodules.gtzan": ["GTZANDataModule"],
    "demo.write": ["write_demo"],
    "errors": ["LitGenreError"],
    "model.spectrogram.augment": ["Augmentation", "FilterAugment", "Mixup", "SpecAugment"],
    "model.backbone": ["Backbone"],
    "model.classifier": ["GenreClassifier"],
    "model.spectrogram.frontend": ["LogMel"],
    "model.training.losses": ["BinaryCrossEntropy", "CrossEntropy", "FocalLoss", "Loss"],
    "model.training.optimization": ["OneCycle"],
    "inference.load": ["load_model"],
    "cli.trainer": ["trainer"],
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CRNN",
    "RNN",
    "Augmentation",
    "Backbone",
    "Batch",
    "BinaryCrossEntropy",
    "CNN1DAttention",
    "CNN1DDeep",
    "CNN1DShallow",
    "CNN2DDeep",
    "CNN2DShallow",
    "CRNNStacked",
    "CrossEntropy",
    "FMADataModule",
    "FilterAugment",
    "FocalLoss",
    "FolderDataModule",
    "GTZANDataModule",
    "GenreClassifier",
    "GradualUnfreezing",
    "LitGenreError",
    "LogMel",
    "Loss",
    "Mixup",
    "OneCycle",
    "PredictDataModule",
    "SpecAugment",
    "load_model",
    "trainer",
    "write_demo",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: torch takes seconds, and `lit-genre --help` should not."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lit_genre' has no attribute {name!r}")
    return getattr(import_module(f"lit_genre.{_HOME_OF[name]}"), name)
