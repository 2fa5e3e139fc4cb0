"""Tables of the tracks of a test: all of them, and those that were most confidently wrong."""

from typing import Any, Final

import torch
from lightning.pytorch import LightningModule, Trainer

from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.text import markdown, one_line

MOST_WRONG: Final = 32
"""Tracks that were wrong with the greatest probability, to be listened to."""

HEARD_SECONDS: Final = 10
"""How much of such a track is sent."""


def knows_tracks(trainer: Trainer) -> bool:
    """Check that the data has titles and sound of its tracks; other data than FMA may have neither."""
    return hasattr(getattr(trainer, "datamodule", None), "track")


def _row(trainer: Trainer, classes: list[str], track_id: int, probs: torch.Tensor, label: int) -> list[Any]:
    track = trainer.datamodule.track(track_id)  # type: ignore[attr-defined]
    shares = [round(share, 4) for share in probs.tolist()]
    names = (track.title, track.artist, classes[label], classes[int(probs.argmax())])
    return [track_id, *map(one_line, names), *shares]


def _columns(classes: list[str], *last: str) -> list[str | int]:
    """Return the columns of a table of tracks; a genre that has the name of another column gets a longer one."""
    first = ["track_id", "title", "artist", "genre", "predicted"]
    taken = {*first, *last}
    return [*first, *(f"genre {name}" if name in taken else name for name in map(one_line, classes)), *last]


def track_table(trainer: Trainer, scores: TrackScores, classes: list[str]) -> Any:
    """Build a table of all tracks for W&B."""
    import wandb

    rows: list[Any] = [
        _row(trainer, classes, int(track_id), probs, int(label)) for track_id, probs, label in zip(*scores, strict=True)
    ]
    return wandb.Table(_columns(classes), rows)


def _positions_most_wrong(scores: TrackScores) -> list[int]:
    confidence, predicted = scores.probs.max(1)
    wrong = (predicted != scores.label).nonzero().flatten()
    positions: list[int] = wrong[confidence[wrong].argsort(descending=True)][:MOST_WRONG].tolist()
    return positions


def most_wrong_markdown(trainer: Trainer, scores: TrackScores, classes: list[str]) -> str:
    """Write the tracks that were most confidently wrong as a table in Markdown."""
    rows: list[list[Any]] = [["track_id", "title", "artist", "genre", "predicted", "probability"]]
    for position in _positions_most_wrong(scores):
        probs, track_id, label = scores.probs[position], scores.track_id[position], scores.label[position]
        row = _row(trainer, classes, int(track_id), probs, int(label))
        rows.append([*row[:5], f"{float(probs.max()):.2f}"])
    lines = ["| " + " | ".join(markdown(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def most_wrong_table(trainer: Trainer, pl_module: LightningModule, scores: TrackScores, classes: list[str]) -> Any:
    """Build a table of the tracks that were most confidently wrong for W&B, with sound and spectrogram."""
    import wandb

    assert isinstance(pl_module, GenreClassifier)
    rows: list[Any] = []
    for index in _positions_most_wrong(scores):
        track_id = int(scores.track_id[index])
        waveform = torch.from_numpy(trainer.datamodule.waveform(track_id, HEARD_SECONDS)).float() / 2**15  # type: ignore[attr-defined]
        row = _row(trainer, classes, track_id, scores.probs[index], int(scores.label[index]))
        sound = wandb.Audio(waveform.numpy(), sample_rate=pl_module.sample_rate)
        rows.append([*row, sound, wandb.Image(_spectrogram(pl_module, waveform))])
    return wandb.Table(_columns(classes, "sound", "spectrogram"), rows)


@torch.no_grad()
def _spectrogram(pl_module: GenreClassifier, waveform: torch.Tensor) -> Any:
    """Paint what the model sees, low bands below; a waveform where it has no spectrogram."""
    from matplotlib import colormaps

    mel = pl_module.frontend(waveform[None].to(pl_module.device))[0].cpu()
    if mel.ndim == 1:
        mel = mel[None, ::64].expand(32, -1)
    return (colormaps["magma"]((mel.flip(0).numpy() + 1) / 2)[..., :3] * 255).astype("uint8")
