"""The command `backbones`: list the installed backbones with their packages, sizes and costs."""

import inspect
import os
import warnings
from dataclasses import asdict, dataclass
from json import dumps

import torch
from lightning.fabric.utilities.throughput import measure_flops
from rich import box
from rich.table import Table
from rich.text import Text

from lit_genre.backbones.registry import backbones
from lit_genre.batch import clip_samples
from lit_genre.console import console
from lit_genre.entry_points import Plugin
from lit_genre.model.backbone import Backbone, InputShape
from lit_genre.model.frontend import LogMel
from lit_genre.text import one_line

SAMPLE_RATE = 22050
"""Hz: the default of `fit`, so that sizes and costs are those of a default run."""


@dataclass
class Entry:
    """A row of the list.

    Attributes:
        name: Name of the class.
        package: Package that it comes from.
        version: Version of the package.
        summary: First line of its docstring.
        takes: "mel" or "waveform".
        embedding_dim: Size of its embedding.
        parameters: Number of parameters.
        macs: Multiply-accumulates for a clip of 30 s.
        error: Why values are missing; "" if none is.
    """

    name: str
    package: str
    version: str
    summary: str = ""
    takes: str = ""
    embedding_dim: int | None = None
    parameters: int | None = None
    macs: int | None = None
    error: str = ""


def list_backbones(json: bool = False) -> None:
    """List the installed backbones: package, size, cost for a 30 s clip of the default front-end, and summary.

    Each is built with its defaults. Nothing is downloaded from the Hugging Face hub.

    Args:
        json: Print a JSON list instead of a table.
    """
    # huggingface_hub reads this variable. Without it, building a pretrained backbone could download gigabytes.
    os.environ["HF_HUB_OFFLINE"] = "1"
    with warnings.catch_warnings():
        # A broken plugin has a row of its own.
        warnings.simplefilter("ignore")
        plugins = backbones().values()
    shapes = _shapes()
    entries = [_entry(plugin, shapes) for plugin in plugins]
    if json:
        print(dumps([asdict(entry) for entry in entries], indent=2))
    else:
        console.print(_as_table(entries))


def _shapes() -> dict[str, InputShape]:
    """Return the shape of an item of 30 s for each kind of input."""
    n_samples = clip_samples(None, SAMPLE_RATE)
    n_mels, n_frames = LogMel(SAMPLE_RATE)(torch.zeros(1, n_samples)).shape[1:]
    return {"mel": (n_mels, n_frames), "waveform": (n_samples,)}


def _entry(plugin: Plugin, shapes: dict[str, InputShape]) -> Entry:
    entry = Entry(plugin.name, plugin.package, plugin.version, error=plugin.error)
    if plugin.loaded is None:
        return entry
    entry.summary = (inspect.getdoc(plugin.loaded) or "").partition("\n")[0]
    entry.takes = plugin.loaded.takes
    try:
        _measure(entry, plugin.loaded, shapes[entry.takes])
    except Exception as error:  # A plugin may raise anything; the others are listed.
        entry.error = f"{type(error).__name__}: {error}"
    return entry


def _measure(entry: Entry, backbone_class: type[Backbone], shape: InputShape) -> None:
    """Count parameters and operations on torch's meta device, which computes shapes only."""
    with torch.device("meta"), torch.no_grad():
        backbone = backbone_class(shape).eval()
        item = torch.empty(1, *shape)
        entry.embedding_dim = backbone.embedding_dim
        entry.parameters = sum(parameter.numel() for parameter in backbone.parameters())
        # A multiply-accumulate counts as two floating-point operations.
        entry.macs = measure_flops(backbone, lambda: backbone(item)) // 2


def _as_table(entries: list[Entry]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Backbone, package and description", ratio=1)
    for column in ("Parameters", "MACs, 30 s", "Embedding"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        package = one_line(f"{entry.package} {entry.version}")
        text = Text.assemble((one_line(entry.name), "bold"), "  ", (package, "dim"))
        for line, style in ((entry.summary, "default"), (entry.error.partition("\n")[0], "red")):
            text.append(f"\n{one_line(line)}" if line else "", style)
        dim = "" if entry.embedding_dim is None else str(entry.embedding_dim)
        table.add_row(text, _in_short(entry.parameters), _in_short(entry.macs), dim)
    return table


def _in_short(count: int | None) -> str:
    """Format a count with one decimal and a unit.

    >>> [_in_short(count) for count in (999, 27_456, 999_960, 12_100_000, 3_466_649_600, None)]
    ['999', '27.5 k', '1.0 M', '12.1 M', '3.5 G', '']
    """
    if count is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.99995 * size:
            return f"{count / size:.1f} {unit}"
    return str(count)
