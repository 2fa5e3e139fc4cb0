"""The model card: what a model is, what it was trained on, how well it did, and what it must not be taken for."""

import csv
from pathlib import Path
from typing import Any

from lit_genre import __version__
from lit_genre.batch import Task
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.checkpoint import is_best
from lit_genre.runs.folder import RunFolder
from lit_genre.text import markdown

_FMA = (
    "The Free Music Archive data set (Defferrard et al., ISMIR 2017): its metadata is under CC BY 4.0, and each track "
    "under the licence that its artist chose, many of which exclude commercial use. Whether weights trained on it fall "
    "under those licences is not settled; ask before you sell what depends on it."
)
_GTZAN = (
    "GTZAN (Tzanetakis and Cook, 2002) without the excerpts of known faults, in the split of Kereliuk, Sturm and "
    "Larsen (2015). Whose recordings they are, and under which licence, was never recorded."
)
_FOLDER = (
    "Music of whoever trained it, sorted into genres by them. What it is, and under which licence, is for them to say."
)
_SYNTHETIC = "The demo data set of lit-genre, which is synthetic: the model has never heard music."
_UNKNOWN = "Not recorded: the checkpoint was exported without the folder of its run."
_BROUGHT = "what its class brings along, of which its documentation speaks, or random numbers."


def write_card(model: GenreClassifier, folder: Path, checkpoint: Path | None, license: str | None) -> None:
    """Write README.md; what the run's folder does not tell is left out or said to be unknown."""
    from huggingface_hub import ModelCardData

    run = RunFolder.of_checkpoint(checkpoint) if checkpoint else None
    # The test in the run's folder is that of its best checkpoint.
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
    several = "several genres a track, each by a sigmoid" if model.task == "multilabel" else "one genre a track"
    count = sum(parameter.numel() for parameter in model.parameters())
    return (
        f"A model of lit-genre {__version__}: {several}, {count:,} parameters, from "
        f"mono audio of {model.sample_rate:,} Hz in clips of {model.clip_samples / model.sample_rate:g} s, whose "
        f"probabilities are averaged over a track.\n\nGenres: {', '.join(map(markdown, model.classes))}."
    )


def _data(run: RunFolder | None) -> str:
    if run is None:
        return _UNKNOWN
    own = _said_of(run.read_config()["data"], run)
    summary = run.read_summary()
    if "regularization" not in summary:
        return own
    # A probe: two things have been trained, each on its own.
    origin = summary.get("backbone_data")
    whose = _said_of(origin, run) if isinstance(origin, dict) else _BROUGHT
    return f"The head: {own}\n\nFront-end and backbone, which were frozen: {whose}"


def _said_of(data: dict[str, Any], run: RunFolder) -> str:
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
    # Whether a place elsewhere exists is nothing that a run from elsewhere may ask.
    root = Path(str(arguments.get("root", "data"))).expanduser() if run.is_own() else Path("data")
    # A relative one is of the place where runs/ lies, from which another place may have been chosen since.
    if any((place / root / "fma_metadata" / "demo.json").exists() for place in (Path(), run.path.parent.parent)):
        return _SYNTHETIC
    return f"FMA {markdown(str(arguments.get('subset', 'small')))}, or data in its layout. {_FMA}"


def _scores(run: RunFolder, task: Task) -> str | None:
    """Tell the last test of a run, from the tables that it left."""
    try:
        with (run.genres_table if task == "multilabel" else run.test_table).open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        # By place, for a genre may have the name of another column.
        return _average_precision(rows) if task == "multilabel" else _accuracy([(row[1], row[2]) for row in rows])
    except (OSError, ValueError, IndexError, csv.Error):
        return None


def _accuracy(pairs: list[tuple[str, str]]) -> str:
    from scipy.stats import binomtest

    n_right = sum(genre == predicted for genre, predicted in pairs)
    low, high = binomtest(n_right, len(pairs)).proportion_ci(method="wilson")
    lines = [
        f"Accuracy {n_right / len(pairs):.1%} of the {len(pairs):,} tracks of the test split "
        f"(95 % interval {low:.1%} to {high:.1%}), by the last test of the run.",
        "",
        "| genre | tracks | recognised |",
        "|---|---|---|",
    ]
    for genre in sorted({genre for genre, _ in pairs}):
        predicted = [predicted for own, predicted in pairs if own == genre]
        lines.append(f"| {markdown(genre)} | {len(predicted)} | {predicted.count(genre) / len(predicted):.0%} |")
    return "\n".join(lines)


def _average_precision(rows: list[list[str]]) -> str:
    rated = [float(average) for _, _, average in rows if average]
    lines = [
        f"Mean average precision over {len(rated)} genres {sum(rated) / max(1, len(rated)):.3f}, by the last test of "
        "the run.",
        "",
        "| genre | tracks | average precision |",
        "|---|---|---|",
        *("| " + " | ".join(map(markdown, (genre, tracks, average or "-"))) + " |" for genre, tracks, average in rows),
    ]
    return "\n".join(lines)


def _use(model: GenreClassifier) -> str:
    return (
        "lit-genre is on no package registry yet: a package of that name there is not this project's. Clone the "
        "project's repository and install it from there; FOLDER is the folder with these files.\n\n"
        "```bash\npip install -e '.[hub]'  # in the clone\nlit-genre classify FOLDER song.mp3\n```\n\n"
        "```python\nfrom lit_genre import load_model\n\nmodel = load_model('FOLDER')\n"
        "probabilities, embedding = model.predict_with_embedding(waveform)  # (b, n), mono, full scale 1, "
        f"{model.sample_rate} Hz\n```"
    )


def _limits(model: GenreClassifier) -> str:
    return (
        f"It knows {len(model.classes)} genres and rates each of them, in speech and silence too. Genres have no "
        "sharp borders, and people who label music agree in part only. What an archive calls a genre is that of its "
        "listeners: music that is rare in it, of other regions and times above all, is recognised badly. It must not "
        "decide what an artist earns or who is heard."
    )


def _licence(license: str | None) -> str:
    return (
        f"The weights: {markdown(license)}."
        if license
        else "The weights: not decided. Whoever uploads them decides, and writes it here."
    ) + " The program lit-genre: Apache-2.0."
