"""Write the model card: description, training data, scores, use, limits and licence of a model."""

import csv
from pathlib import Path
from typing import Any

from lit_genre import __version__
from lit_genre.batch import Task
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import wilson_interval
from lit_genre.runs.checkpoint import is_best
from lit_genre.runs.folder import RunFolder
from lit_genre.text import markdown

_FMA = (
    "The Free Music Archive data set (Defferrard et al., ISMIR 2017): its metadata is under CC BY 4.0, and each track "
    "under the licence that its artist chose, many of which exclude commercial use. Whether these licences apply to "
    "weights trained on the tracks is not settled; get advice before commercial use."
)
_GTZAN = (
    "GTZAN (Tzanetakis and Cook, 2002) without the excerpts of known faults, in the split of Kereliuk, Sturm and "
    "Larsen (2015). The owners and licences of the recordings were never recorded."
)
_FOLDER = (
    "A collection of the author of the model, sorted into genres by the author, who should describe it and its licence."
)
_SYNTHETIC = "The demo data set of lit-genre, which is synthetic: the model has not been trained on music."
_UNKNOWN = "Not recorded: the checkpoint was exported without the folder of its run."
_PRETRAINED = "the weights that its class comes with (see its documentation), or random weights."


def write_card(model: GenreClassifier, folder: Path, checkpoint: Path | None, license: str | None) -> None:
    """Write README.md; facts that the folder of the run does not have are left out or marked as unknown.

    Args:
        model: The model.
        folder: Folder of the model.
        checkpoint: Checkpoint of the model, in the folder of its run; None if it is not known.
        license: Licence of the weights, as the Hub writes it; None if it is not decided.
    """
    from huggingface_hub import ModelCardData

    run = RunFolder.of_checkpoint(checkpoint) if checkpoint else None
    # The scores in the folder of the run are those of its best checkpoint.
    tested = run if checkpoint and is_best(checkpoint) else None
    scores = (_scores(tested, model.task) if tested else None) or "Not known: no test of it was found."
    backbone = type(model.backbone).__name__
    metadata = ModelCardData(
        license=license,
        library_name="lit-genre",
        pipeline_tag="audio-classification",
        tags=["music", "genre-classification", backbone],
    )
    parts = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {markdown(backbone)}, a music genre classifier",
        _what(model),
        f"## Training data\n\n{_data(run)}",
        f"## Scores\n\n{scores}",
        f"## Use\n\n{_use(model)}",
        f"## Limits\n\n{_limits(model)}",
        f"## Licence\n\n{_licence(license)}",
    ]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _what(model: GenreClassifier) -> str:
    several = "several genres per track (sigmoid)" if model.task == "multilabel" else "one genre per track (softmax)"
    count = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"A model of lit-genre {__version__}: {several}, {count:,} parameters, from "
        f"mono audio of {model.sample_rate:,} Hz in clips of {model.clip_samples / model.sample_rate:g} s, whose "
        f"probabilities are averaged over a track.\n\nGenres: {', '.join(map(markdown, model.classes))}."
    )


def _data(run: RunFolder | None) -> str:
    if run is None:
        return _UNKNOWN
    own = _describe_data(run.read_config()["data"], run)
    summary = run.read_summary()
    if "regularization" not in summary:
        return own
    # A probe: the head and the backbone were trained on different data.
    origin = summary.get("backbone_data")
    whose = _describe_data(origin, run) if isinstance(origin, dict) else _PRETRAINED
    return f"The head: {own}\n\nFront-end and backbone, which were frozen: {whose}"


def _describe_data(data: dict[str, Any], run: RunFolder) -> str:
    arguments = data.get("init_args")
    if not isinstance(arguments, dict):
        arguments = {}
    name = str(data.get("class_path", "")).rpartition(".")[2]
    if name == "GTZANDataModule":
        return _GTZAN
    if name == "FolderDataModule":
        return _FOLDER
    if name != "FMADataModule":
        return f"{markdown(name)}."
    # Only for an own run: the file of a stranger must not find out which paths exist here.
    root = Path(str(arguments.get("root", "data"))).expanduser() if run.is_own() else Path("data")
    # A relative path starts where runs/ was made, which may not be the current directory.
    if any((place / root / "fma_metadata" / "demo.json").exists() for place in (Path(), run.path.parent.parent)):
        return _SYNTHETIC
    return f"FMA {markdown(str(arguments.get('subset', 'small')))}, or data in its layout. {_FMA}"


def _scores(run: RunFolder, task: Task) -> str | None:
    """Describe the last test of a run, from its tables."""
    try:
        with (run.genres_table if task == "multilabel" else run.test_table).open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        # By position: a genre may have the name of another column.
        return _average_precision(rows) if task == "multilabel" else _accuracy([(row[1], row[2]) for row in rows])
    except (OSError, ValueError, IndexError, csv.Error):
        return None


def _accuracy(pairs: list[tuple[str, str]]) -> str:
    n_right = sum(genre == predicted for genre, predicted in pairs)
    low, high = wilson_interval(n_right, len(pairs))
    lines = [
        f"Accuracy {n_right / len(pairs):.1%} of the {len(pairs):,} tracks of the test split "
        f"(95 % interval {low:.1%} to {high:.1%}), in the last test of the run.",
        "",
        "| genre | tracks | recall |",
        "|---|---|---|",
    ]
    for genre in sorted({genre for genre, _ in pairs}):
        predicted = [predicted for own, predicted in pairs if own == genre]
        lines.append(f"| {markdown(genre)} | {len(predicted)} | {predicted.count(genre) / len(predicted):.0%} |")
    return "\n".join(lines)


def _average_precision(rows: list[list[str]]) -> str:
    rated = [float(average) for _, _, average in rows if average]
    lines = [
        f"Mean average precision over {len(rated)} genres {sum(rated) / max(1, len(rated)):.3f}, in the last test of "
        "the run.",
        "",
        "| genre | tracks | average precision |",
        "|---|---|---|",
        *("| " + " | ".join(map(markdown, (genre, tracks, average or "-"))) + " |" for genre, tracks, average in rows),
    ]
    return "\n".join(lines)


def _use(model: GenreClassifier) -> str:
    return (
        "lit-genre is not on a package registry yet: a package of that name there is not this project. Clone the "
        "repository of the project and install it from there. FOLDER is the folder with these files.\n\n"
        "```bash\npip install -e '.[hub]'  # in the clone\nlit-genre classify FOLDER song.mp3\n```\n\n"
        "```python\nfrom lit_genre import load_model\n\nmodel = load_model('FOLDER')\n"
        "probabilities, embedding = model.predict_with_embedding(waveform)  # (b, n), mono, full scale 1, "
        f"{model.sample_rate} Hz\n```"
    )


def _limits(model: GenreClassifier) -> str:
    return (
        f"The model assigns its {len(model.classes)} genres to any sound, also to speech and silence. Genres have no "
        "sharp boundaries, and listeners agree on them only in part. Music that is rare in the training data, such as "
        "that of other regions and periods, is recognised badly. Do not use the model for decisions about artists, "
        "such as payment or promotion."
    )


def _licence(license: str | None) -> str:
    return (
        f"The weights: {markdown(license)}."
        if license
        else "The weights: not decided. The author of the model should add it here."
    ) + " The program lit-genre: Apache-2.0."
