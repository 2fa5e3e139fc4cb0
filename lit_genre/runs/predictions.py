"""Read the predictions of a test, and compute its scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lit_genre.model.metrics import TrackScores, calibration_error, score
from lit_genre.runs.accuracy import TEST_COLUMNS
from lit_genre.runs.run import Run


def read_predictions(run: Run, path: Path) -> None:
    """Read the predictions of a test, and compute its scores.

    Args:
        run: The run, to which predictions and scores are added.
        path: Its test.csv.

    Raises:
        ValueError: The file is damaged.
    """
    # Everything as text, also the header: a genre may be called 1980, None or True, or like another column.
    header, *rows = pd.read_csv(path, header=None, dtype=str, keep_default_na=False).to_numpy().tolist()
    n_leading = len(TEST_COLUMNS)
    if header[:n_leading] != list(TEST_COLUMNS):
        raise ValueError(f"its columns begin with {', '.join(header[:n_leading])}")
    classes = header[n_leading:]
    columns: list[list[Any]] = [[row[place] for row in rows] for place in range(n_leading)]
    columns[3] = [int(artist) for artist in columns[3]]
    track_id = [int(text) for text in columns[0]]
    run.predictions = pd.DataFrame(dict(zip(TEST_COLUMNS[1:], columns[1:], strict=True)), index=track_id)
    # torch.tensor and float() accept the text "nan", hence the check below.
    probs = torch.tensor([[float(share) for share in row[n_leading:]] for row in rows])
    if not probs.isfinite().all():
        raise ValueError("a probability is not a finite number")
    if run.task == "multilabel":
        run.label_names, run.probs = classes, probs.double().numpy()
        run.labels = np.array([[_has(genres, name) for name in classes] for genres in columns[1]])
        rate_labels(run)
        return
    label = torch.tensor([classes.index(genre) for genre in columns[1]])
    scores = TrackScores(torch.tensor(track_id), probs, label)
    rated = score(scores, classes)
    run.test, run.f1_macro = float(rated["accuracy"]), float(rated["f1_macro"])
    run.calibration_error = calibration_error(scores, classes)
    run.predictions["confidence"] = probs.amax(1).tolist()


def rate_labels(run: Run) -> None:
    """Compute the scores of a multilabel test.

    Args:
        run: The run, with the probabilities and the labels of its tracks.
    """
    track_id = torch.tensor(run.predictions.index.to_numpy())
    scores = TrackScores(track_id, torch.from_numpy(run.probs), torch.from_numpy(run.labels).long())
    # Empty if no genre has both tracks with it and tracks without it.
    if rated := score(scores, run.label_names):
        run.average_precision = float(rated["average_precision_macro"])
        run.roc_auc = float(rated["roc_auc_macro"])


def _has(genres: str, name: str) -> bool:
    # With separators at both ends, because a name may be a part of another one, or contain a semicolon.
    return f"; {name}; " in f"; {genres}; "
