"""Write the model card: description, training data, scores, use, limits and licence of a model."""

import csv
from pathlib import Path
from typing import Any

from lit_genre import __version__
from lit_genre.batch import Task
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.accuracy import ScoredTracks, artist_clusters, describe_accuracy
from lit_genre.runs.checkpoint import is_best
from lit_genre.runs.folder import RunFolder
from lit_genre.text import markdown

# A card describes what the run folder records; these texts describe the data sets that lit-genre reads.
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
    "A collection of the author of the model, who sorted it into genres and should describe it and its licence here."
)
_SYNTHETIC = "The demo data set of lit-genre, which is synthetic: the model has not been trained on music."
_UNKNOWN = "Not recorded: the checkpoint was exported without the folder of its run."
_PRETRAINED = "the pretrained weights of its class (see the documentation of the class), or random weights."


def write_card(model: GenreClassifier, folder: Path, checkpoint: Path | None, license: str | None) -> None:
    """Write README.md of a model; what the run folder does not record is marked as unknown.

    Format and metadata follow the Hugging Face Hub's model cards (Mitchell et al., "Model Cards for Model Reporting",
    FAT* 2019).

    Args:
        model: The model.
        folder: Folder of the model, which exists.
        checkpoint: Checkpoint of the model, in its run folder; None if it is not known.
        license: Licence of the weights, as the Hub spells it, such as "cc-by-nc-4.0"; None if it is not decided.
    """
    from huggingface_hub import ModelCardData

    run = RunFolder.of_checkpoint(checkpoint) if checkpoint else None
    # The scores in the run folder are those of the best checkpoint; another checkpoint would have other scores.
    tested = run if checkpoint and is_best(checkpoint) else None
    scores = (
        _scores(tested, model.task) if tested else None
    ) or "Not known: the run folder contains no test of this checkpoint."
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
        _describe_model(model),
        f"## Training data\n\n{_describe_training_data(run)}",
        f"## Scores\n\n{scores}",
        f"## Use\n\n{_describe_use(model)}",
        f"## Limits\n\n{_describe_limits(model)}",
        f"## Licence\n\n{_describe_licence(license)}",
    ]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _describe_model(model: GenreClassifier) -> str:
    labels = "several genres per track (sigmoid)" if model.task == "multilabel" else "one genre per track (softmax)"
    count = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"A model of lit-genre {__version__} with {count:,} parameters: {labels}. The input is mono audio of "
        f"{model.sample_rate:,} Hz in clips of {model.clip_samples / model.sample_rate:g} s. The probabilities of a "
        f"track are the mean over its clips.\n\nGenres: {', '.join(map(markdown, model.classes))}."
    )


def _describe_training_data(run: RunFolder | None) -> str:
    if run is None:
        return _UNKNOWN
    training_data = _describe_data_module(run.read_config()["data"], run)
    summary = run.read_summary()
    # Only a probe records its regularization. Its head and its backbone were trained on different data.
    if "regularization" not in summary:
        return training_data
    origin = summary.get("backbone_data")
    backbone_data = _describe_data_module(origin, run) if isinstance(origin, dict) else _PRETRAINED
    return f"The head: {training_data}\n\nFront-end and backbone, which were frozen: {backbone_data}"


def _describe_data_module(data: dict[str, Any], run: RunFolder) -> str:
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
    # `root` is read only from a run of this account: the card must not reveal to the author of another run which paths
    # exist on this machine.
    root = Path(str(arguments.get("root", "data"))).expanduser() if run.is_own() else Path("data")
    # A relative root starts at the folder that contains runs/, which need not be the current directory.
    if any((base / root / "fma_metadata" / "demo.json").exists() for base in (Path(), run.path.parent.parent)):
        return _SYNTHETIC
    return f"FMA {markdown(str(arguments.get('subset', 'small')))}, or data in its layout. {_FMA}"


def _scores(run: RunFolder, task: Task) -> str | None:
    """Return the scores of the last test of a run as Markdown, from its tables; None if they cannot be read."""
    try:
        with (run.genres_table if task == "multilabel" else run.test_table).open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        # By position, since a genre may have the name of another column: 1 is the true and 2 the predicted genre.
        return _average_precision(rows) if task == "multilabel" else _accuracy(rows)
    except (OSError, ValueError, IndexError, csv.Error):
        return None


def _accuracy(rows: list[list[str]]) -> str:
    """Describe accuracy and recall, from the rows of test.csv."""
    pairs = [(row[1], row[2]) for row in rows]
    clusters = artist_clusters([int(row[3]) for row in rows])
    tested = ScoredTracks([genre == predicted for genre, predicted in pairs], clusters)
    lines = [
        f"Accuracy in the last test of the run: {describe_accuracy(tested, of='the test split')}.",
        "",
        "| genre | tracks | recall |",
        "|---|---|---|",
    ]
    for genre in sorted({genre for genre, _ in pairs}):
        predicted = [predicted for label, predicted in pairs if label == genre]
        lines.append(f"| {markdown(genre)} | {len(predicted)} | {predicted.count(genre) / len(predicted):.0%} |")
    return "\n".join(lines)


def _average_precision(rows: list[list[str]]) -> str:
    """Describe average precision, from rows of genre, number of tracks and average precision."""
    # The average precision is undefined, and its cell empty, for a genre of no test track or of all.
    values = [float(average) for _, _, average in rows if average]
    lines = [
        f"Mean average precision in the last test of the run: {sum(values) / max(1, len(values)):.3f}, over "
        f"{len(values)} genres.",
        "",
        "| genre | tracks | average precision |",
        "|---|---|---|",
        *("| " + " | ".join(map(markdown, (genre, tracks, average or "-"))) + " |" for genre, tracks, average in rows),
    ]
    return "\n".join(lines)


def _describe_use(model: GenreClassifier) -> str:
    return (
        "lit-genre is not on a package registry yet; a package of that name there is not this project. Clone the "
        "repository of the project and install the clone. FOLDER is the folder with these files.\n\n"
        "```bash\npip install -e '.[hub]'  # in the clone\nlit-genre classify song.mp3 --ckpt_path FOLDER\n```\n\n"
        "```python\nfrom lit_genre import load_model\n\nmodel = load_model('FOLDER')\n"
        "probabilities, embedding = model.predict_with_embedding(waveform)  # (b, n), mono, full scale 1, "
        f"{model.sample_rate} Hz\n```"
    )


def _describe_limits(model: GenreClassifier) -> str:
    return (
        f"The model computes a probability for each of its {len(model.classes)} genres from any sound, including "
        "speech and silence. Genres have no sharp boundaries, and human annotators agree on them only in part. "
        "Accuracy is lower for music that is rare in the training data, such as music of other regions and periods. "
        "Do not use the model for decisions about artists, such as payment or promotion."
    )


def _describe_licence(license: str | None) -> str:
    return (
        f"The weights: {markdown(license)}."
        if license
        else "The weights: not decided. The author of the model should state it here."
    ) + " The program lit-genre: Apache-2.0."
