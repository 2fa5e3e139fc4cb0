"""The command `probe`: a head on the embeddings of a frozen backbone, as a run that other commands can go on with."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from lightning.pytorch import Trainer

from lit_genre.callbacks.checkpoint import DurableCheckpointIO
from lit_genre.cli.run_spec import add_folder, read_settings
from lit_genre.console import console
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.datamodules.training_tracks import trained_tracks
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.inference.load import find_device
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.probe.embeddings import Clips, Embeddings
from lit_genre.probe.head import Kind, fit_head, track_scores
from lit_genre.probe.layers import write_head
from lit_genre.runs.checkpoint import read_checkpoint
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.writer import timed, write_run
from lit_genre.trust.hyperparameters import check_weights


def run(args: Sequence[str]) -> None:
    """Run the command."""
    options, words = _parser().parse_known_args(args)
    check_at_least(head_dim=(options.head_dim, 1))
    kind: Kind = options.head
    settings = read_settings(words)
    settings.asked.model.head_dim = options.head_dim if kind == "mlp" else None
    backbone = settings.asked.model.backbone.class_path.rpartition(".")[2]
    folder = settings.run_folder(options.folder, f"{backbone}-probe")
    data, model = settings.build()
    origin = _take_weights(model, data, settings.checkpoint)
    model.eval().requires_grad_(False).to(find_device(options.device))
    embeddings = Embeddings(model, data, options.embeddings)
    splits = [split for split in SPLITS if split != "val" or data.has_val]
    computed = {split: timed(partial(embeddings.of, split)) for split in splits}
    clips = {split: of_split for split, (of_split, _) in computed.items()}
    _say(backbone, kind, clips, embeddings)
    model.cpu()
    seed = int(settings.asked.seed_everything)
    fitted, seconds = timed(partial(fit_head, kind, options.head_dim, clips["train"], clips.get("val"), seed))
    write_head(fitted, model.head)
    scores: dict[str, TrackScores] = {split: _scores(model, its) for split, its in clips.items()}
    _save(model, data, folder.best)
    config = {name: part for name, part in settings.plain().items() if name in ("seed_everything", "model", "data")}
    summary = {
        "parameters": sum(parameter.numel() for parameter in model.backbone.parameters()),
        "name": f"{backbone} {kind} probe",
        "regularization": fitted.regularization,
        "backbone_data": origin,
    }
    feature_seconds = _feature_seconds({split: seconds for split, (_, seconds) in computed.items()}, embeddings)
    write_run(folder, data.classes, scores, seconds, feature_seconds, config, summary)


def _take_weights(model: GenreClassifier, data: TrackDataModule, checkpoint: Path | None) -> Any:
    """Take front-end and backbone from a checkpoint, and leave its head, which may be of other genres.

    Returns:
        What the checkpoint's run had as data, as its configuration has it; None where that is not known.
    """
    if checkpoint is None:
        ours = type(model.backbone).__module__.startswith("lit_genre.")
        whose = "random: a baseline for those that are not" if ours else "its own, and random where it brings none"
        console.print(f"Without --ckpt_path the backbone's weights are {whose}.")
        return None
    content = read_checkpoint(checkpoint)
    weights = check_weights(content.get("state_dict"), checkpoint)
    for name in ("frontend", "backbone"):
        its = {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
        try:
            model.get_submodule(name).load_state_dict(its)
        except RuntimeError as error:
            raise LitGenreError(f"{checkpoint} does not fit the {name} that the options ask for. {error}") from error
    if (trained_on := trained_tracks(content)) is not None:
        data.report_trained_on(trained_on)
    run = RunFolder.of_checkpoint(checkpoint)
    return run.read_config()["data"] if run else None


def _say(backbone: str, kind: Kind, clips: dict[Split, Clips], embeddings: Embeddings) -> None:
    n_clips, dim = clips["train"].embedding.shape
    how = "computed now and kept" if embeddings.computed else "kept from before"
    console.print(
        f"{backbone}, frozen, and a head to train, {kind}: {n_clips:,} training clips, an embedding of {dim} numbers "
        f"each, {how} in {embeddings.folder}",
    )
    if "val" not in clips:
        console.print("No track is in the val split: how strongly the head is regularised is not chosen, but fixed.")


def _feature_seconds(seconds: dict[Split, float], embeddings: Embeddings) -> float | None:
    """Add up the time of the training and validation tracks; None where an earlier run computed embeddings of them."""
    # The test split is part of neither time, as in the training of a network.
    splits = [split for split in seconds if split != "test"]
    if not set(splits) <= set(embeddings.computed) - set(embeddings.partial):
        return None
    return sum(seconds[split] for split in splits)


def _scores(model: GenreClassifier, clips: Clips) -> TrackScores:
    with torch.inference_mode():
        probs = model.probabilities(model.head(torch.from_numpy(clips.embedding)).float())
    return track_scores(probs, clips)


def _save(model: GenreClassifier, data: TrackDataModule, path: Path) -> None:
    """Write a checkpoint as a fit does."""
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[DurableCheckpointIO()],
    )
    trainer.strategy.connect(model)
    trainer.datamodule = data  # type: ignore[attr-defined]
    trainer.save_checkpoint(path, weights_only=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lit-genre probe",
        usage="%(prog)s [OPTIONS] [WHAT lit-genre fit TAKES ...]",
        description="Train a head on the embeddings of a frozen backbone, and test it. Data and backbone are named as "
        "for lit-genre fit: --config configs/data/demo.yaml, --model.backbone=TransformersBackbone and so on. "
        "--ckpt_path takes a backbone that a run has trained, for the data of that run or any other. What is said of "
        "training and trainer is not heeded.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--head", choices=get_args(Kind), default="linear", help="with or without a hidden layer (default: %(default)s)"
    )
    parser.add_argument("--head_dim", type=int, default=128, help="size of the hidden layer (default: %(default)s)")
    add_folder(parser)
    parser.add_argument(
        "--embeddings", type=Path, help="where embeddings are kept (default: embeddings/ beside the decoded audio)"
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, mps, ... (default: the accelerator, if there is one)"
    )
    return parser
