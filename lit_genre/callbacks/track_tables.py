"""Build tables of the tracks of a test: all of them, and the most confidently wrong ones."""

from typing import Any, Final

import torch
from lightning.pytorch import LightningModule, Trainer

from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.text import markdown, one_line

MOST_WRONG: Final = 32
"""Number of wrong tracks with the highest probability that are sent with sound: more would take long to upload."""

SOUND_SECONDS: Final = 10
"""Length of the sound that is sent of such a track, s: enough to judge a genre, at 0.4 MB a track."""


def knows_tracks(trainer: Trainer) -> bool:
    """Return whether the data module has titles and sound of its tracks; a user's own may have neither."""
    return hasattr(getattr(trainer, "datamodule", None), "track")


def _row(trainer: Trainer, classes: list[str], track_id: int, probs: torch.Tensor, label: int) -> list[Any]:
    track = trainer.datamodule.track(track_id)  # type: ignore[attr-defined]
    # Four digits: a table of thousands of tracks is uploaded as text.
    shares = [round(share, 4) for share in probs.tolist()]
    names = (track.title, track.artist, classes[label], classes[int(probs.argmax())])
    return [track_id, *map(one_line, names), *shares]


def _columns(classes: list[str], *last: str) -> list[str | int]:
    """Return the columns of a table; a genre with the name of another column gets the prefix "genre"."""
    first = ["track_id", "title", "artist", "genre", "predicted"]
    taken = {*first, *last}
    return [*first, *(f"genre {name}" if name in taken else name for name in map(one_line, classes)), *last]


def track_table(trainer: Trainer, scores: TrackScores, classes: list[str]) -> Any:
    """Build a table of all tracks for W&B.

    Args:
        trainer: The trainer, whose data module has the titles.
        scores: Scores of the tracks.
        classes: Class names in the order of the labels.

    Returns:
        A wandb.Table with a row for each track, in the order of the scores.
    """
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
    """Format the most confidently wrong tracks as a table in Markdown.

    Args:
        trainer: The trainer, whose data module has the titles.
        scores: Scores of the tracks.
        classes: Class names in the order of the labels.
    """
    rows: list[list[Any]] = [["track_id", "title", "artist", "genre", "predicted", "probability"]]
    for position in _positions_most_wrong(scores):
        probs, track_id, label = scores.probs[position], scores.track_id[position], scores.label[position]
        row = _row(trainer, classes, int(track_id), probs, int(label))
        rows.append([*row[:5], f"{float(probs.max()):.2f}"])
    lines = ["| " + " | ".join(markdown(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def most_wrong_table(trainer: Trainer, pl_module: LightningModule, scores: TrackScores, classes: list[str]) -> Any:
    """Build a table of the most confidently wrong tracks for W&B, with sound and spectrogram.

    Args:
        trainer: The trainer, whose data module has titles and sound.
        pl_module: The model, which computes the spectrograms.
        scores: Scores of the tracks.
        classes: Class names in the order of the labels.

    Returns:
        A wandb.Table with at most `MOST_WRONG` rows.
    """
    import wandb

    assert isinstance(pl_module, GenreClassifier)
    rows: list[Any] = []
    for index in _positions_most_wrong(scores):
        track_id = int(scores.track_id[index])
        waveform = torch.from_numpy(trainer.datamodule.waveform(track_id, SOUND_SECONDS)).float() / 2**15  # type: ignore[attr-defined]
        row = _row(trainer, classes, track_id, scores.probs[index], int(scores.label[index]))
        sound = wandb.Audio(waveform.numpy(), sample_rate=pl_module.sample_rate)
        rows.append([*row, sound, wandb.Image(_spectrogram(pl_module, waveform))])
    return wandb.Table(_columns(classes, "sound", "spectrogram"), rows)


@torch.no_grad()
def _spectrogram(pl_module: GenreClassifier, waveform: torch.Tensor) -> Any:
    """Draw the front-end's output as an RGB picture (m, f, 3), uint8, low bands at the bottom."""
    from matplotlib import colormaps

    mel = pl_module.frontend(waveform[None].to(pl_module.device))[0].cpu()
    # A network on waveforms: every 64th sample, repeated to a picture 32 pixels high.
    if mel.ndim == 1:
        mel = mel[None, ::64].expand(32, -1)
    return (colormaps["magma"]((mel.flip(0).numpy() + 1) / 2)[..., :3] * 255).astype("uint8")
