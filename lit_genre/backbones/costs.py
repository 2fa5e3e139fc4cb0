"""Measure the installed backbones: size, and cost for a clip of 30 s of the default front-end."""

import inspect
import warnings

import torch
from lightning.fabric.utilities.throughput import measure_flops

from lit_genre.backbones import BackboneEntry
from lit_genre.backbones.registry import backbones
from lit_genre.batch import clip_samples
from lit_genre.entry_points import Plugin
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.spectrogram.frontend import LogMel

SAMPLE_RATE = 22050
"""Hz: the default of `fit`, so that sizes and costs are those of a default run."""


def measure_backbones() -> list[BackboneEntry]:
    """Build each installed backbone with its defaults, and count its parameters and operations.

    Returns:
        A row for each backbone, also for one that cannot be built.
    """
    with warnings.catch_warnings():
        # A broken plugin has a row of its own.
        warnings.simplefilter("ignore")
        plugins = backbones().values()
    shapes = _shapes()
    return [_entry(plugin, shapes) for plugin in plugins]


def _shapes() -> dict[str, InputShape]:
    """Return the shape of an item of 30 s for each kind of input."""
    n_samples = clip_samples(None, SAMPLE_RATE)
    n_mels, n_frames = LogMel(SAMPLE_RATE)(torch.zeros(1, n_samples)).shape[1:]
    return {"mel": (n_mels, n_frames), "waveform": (n_samples,)}


def _entry(plugin: Plugin, shapes: dict[str, InputShape]) -> BackboneEntry:
    entry = BackboneEntry(plugin.name, plugin.package, plugin.version, error=plugin.error)
    if plugin.loaded is None:
        return entry
    entry.summary = (inspect.getdoc(plugin.loaded) or "").partition("\n")[0]
    entry.takes = plugin.loaded.takes
    try:
        _measure(entry, plugin.loaded, shapes[entry.takes])
    except Exception as error:  # A plugin may raise anything; the others are listed.
        entry.error = f"{type(error).__name__}: {error}"
    return entry


def _measure(entry: BackboneEntry, backbone_class: type[Backbone], shape: InputShape) -> None:
    """Count parameters and operations on torch's meta device, which computes shapes only."""
    with torch.device("meta"), torch.no_grad():
        backbone = backbone_class(shape).eval()
        item = torch.empty(1, *shape)
        entry.embedding_dim = backbone.embedding_dim
        entry.parameters = sum(parameter.numel() for parameter in backbone.parameters())
        # A multiply-accumulate counts as two floating-point operations.
        entry.macs = measure_flops(backbone, lambda: backbone(item)) // 2
