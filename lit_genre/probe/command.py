"""Train a head on the embeddings of a frozen backbone, test it, and write a run."""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import Trainer

from lit_genre.backbones.joined import JoinedBackbones
from lit_genre.callbacks.checkpoint import DurableCheckpointIO
from lit_genre.cli.run_spec import read_run_spec
from lit_genre.console import console
from lit_genre.data.datamodules.base import TrackDataModule
from lit_genre.data.datamodules.training_tracks import trained_tracks
from lit_genre.data.metadata.track import SPLITS, Split
from lit_genre.errors import LitGenreError
from lit_genre.inference.load import find_device
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.metrics import TrackScores
from lit_genre.probe import Kind
from lit_genre.probe.embeddings import ClipEmbeddings, EmbeddingCache
from lit_genre.probe.few_shots import draw_curve, few_shot_curve
from lit_genre.probe.head import fit_head, track_scores
from lit_genre.probe.join import encoder_name, join_encoders
from lit_genre.probe.layer_choice import Choice, Fit, choose_layers, layers_to_embed, layers_to_try
from lit_genre.probe.neighbors import fit_neighbors
from lit_genre.probe.to_torch import write_head
from lit_genre.runs.checkpoint import read_checkpoint
from lit_genre.runs.folder import RunFolder
from lit_genre.runs.writer import timed, write_run
from lit_genre.trust.hyperparameters import check_weights

_SELECTED: Final[dict[Kind, str]] = {"logistic": "C", "knn": "The number of neighbours", "mlp": "alpha"}
"""What is selected on the validation split, for messages."""


def train_probe(options: argparse.Namespace, run_args: Sequence[str]) -> None:
    """Compute the embeddings, train and test the head, and write a run; with a checkpoint if the head has weights.

    Args:
        options: Parsed arguments of the command.
        run_args: Options of `fit` that name data and backbone.

    Raises:
        LitGenreError: The data cannot be read or has only one genre, the checkpoint or the layers do not fit the
            backbone, or the folder has a run.
    """
    kind: Kind = options.head
    run_spec = read_run_spec(run_args)
    # The model's head must have the layers of the one that scikit-learn trains.
    run_spec.asked.model.head_dim = options.head_dim if kind == "mlp" else None
    if options.join:
        join_encoders(run_spec, options.join)
    backbone = encoder_name(run_spec.asked.model.backbone)
    folder = run_spec.run_folder(options.output, f"{backbone}-probe")
    data, model = run_spec.build()
    backbone_data = _load_backbone(model, data, run_spec.checkpoint)
    layers = layers_to_try(model, options.layers, options.pool)
    model.eval().requires_grad_(False).to(find_device(options.device))
    embedded = layers_to_embed(model, layers, options.pool)
    cache = EmbeddingCache(model, data, options.embeddings, options.pool if layers else None, embedded)
    splits = [split for split in SPLITS if split != "val" or data.has_val]
    timed_clips = {split: timed(partial(cache.embed, split)) for split in splits}
    clips = {split: split_clips for split, (split_clips, _) in timed_clips.items()}
    if model.loss_weights is not None:
        clips["train"] = clips["train"]._replace(class_weights=model.loss_weights.double().cpu().numpy())
    _print_summary(backbone, kind, clips, cache)
    # The head is trained and written on the CPU.
    model.cpu()
    fit = _fit_of(kind, options.head_dim, len(data.classes), int(run_spec.asked.seed_everything))
    choice, seconds = timed(partial(choose_layers, fit, clips, layers, options.pool, model))
    scores: dict[str, TrackScores]
    if kind == "knn":
        scores = {split: choice.fitted.score(split_clips, split) for split, split_clips in choice.clips.items()}
    else:
        write_head(choice, model, options.pool)
        scores = {split: _score(model, split_clips) for split, split_clips in choice.clips.items()}
        _write_checkpoint(model, data, folder.best)
    _print_choice(kind, choice, "val" in clips)
    if choice.layers:
        run_spec.asked.model.layers, run_spec.asked.model.pool = choice.layers, options.pool
        folder.write_table(folder.layers_table, choice.table.to_csv(index=False, lineterminator="\n"))
    if options.shots:
        _write_shots(choice, options.shots, data.artist_ids, folder, f"{backbone}: few training tracks")
    config = {name: part for name, part in run_spec.plain().items() if name in ("seed_everything", "model", "data")}
    summary = {
        "parameters": sum(parameter.numel() for parameter in model.backbone.parameters()),
        "name": options.name or f"{backbone} {kind} probe",
        "backbone_data": backbone_data,
        "n_neighbors" if kind == "knn" else "regularization": choice.fitted.setting,
    }
    if options.layers:
        # Each fold of a cross-validation may choose another layer; these are what its runs have in common.
        summary["asked_layers"] = options.layers
    feature_seconds = _feature_seconds({split: seconds for split, (_, seconds) in timed_clips.items()}, cache)
    write_run(folder, data.classes, scores, seconds, feature_seconds, config, summary, data.artist_ids)


def _write_shots(
    choice: Choice, shots: Sequence[int], artists: Mapping[int, int], folder: RunFolder, title: str
) -> None:
    """Train heads on few tracks of each genre; print, write and draw their accuracies."""
    curve = few_shot_curve(choice.clips["train"], choice.clips["test"], shots, artists, seed=0)
    console.print(curve.to_string(index=False, float_format="{:.3f}".format))
    folder.write_table(folder.shots_table, curve.to_csv(index=False, lineterminator="\n", float_format="%.6f"))
    draw_curve(curve, title, folder.shots)


def _fit_of(kind: Kind, head_dim: int, n_classes: int, seed: int) -> Fit:
    """Return the function that fits a head to training clips, and selects it on validation clips."""
    if kind == "knn":
        return partial(fit_neighbors, n_classes=n_classes)
    return partial(fit_head, kind=kind, head_dim=head_dim, seed=seed)


def _print_choice(kind: Kind, choice: Choice, has_val: bool) -> None:
    selection = "selected on the val split" if has_val else "fixed, because the val split has no tracks"
    if choice.layers and len(choice.table) > 1:
        console.print(choice.table.to_string(index=False, float_format="{:.3g}".format))
    if choice.layers == "all":
        console.print("The weights of the layers were trained together with the head.")
    elif choice.layers and len(choice.table) > 1:
        console.print(f"Layer {choice.layers[0]} is selected on the val split.")
    console.print(f"{_SELECTED[kind]} is {choice.fitted.setting:g}, {selection}.")
    if kind == "knn":
        console.print("No checkpoint is written: a knn head has no weights.")


def _load_backbone(model: GenreClassifier, data: TrackDataModule, checkpoint: Path | None) -> Any:
    """Load the weights of a checkpoint, without those of its head, which may have other classes.

    Args:
        model: The model; its weights are replaced.
        data: The data, which reports test tracks that the checkpoint was trained on.
        checkpoint: The checkpoint; None to keep the weights of the model.

    Returns:
        Data settings of the checkpoint's run, as in its configuration; None if they are unknown.

    Raises:
        LitGenreError: The checkpoint cannot be read or does not fit the model.
    """
    if checkpoint is None:
        # The backbones of this package have no pretrained weights; a plugin's backbone may load its own.
        encoders = model.backbone.backbones if isinstance(model.backbone, JoinedBackbones) else [model.backbone]
        is_random = all(type(encoder).__module__.startswith("lit_genre.") for encoder in encoders)
        weights_kind = "random, as a baseline for trained ones" if is_random else "its pretrained ones, if it has any"
        console.print(f"Without --ckpt_path, the backbone's weights are {weights_kind}.")
        return None
    content = read_checkpoint(checkpoint)
    weights = check_weights(content.get("state_dict"), checkpoint)
    # Not the head: its classes may differ from those of this data.
    pooling = ["layer_pooling"] if model.layer_pooling is not None else []
    for name in ("frontend", "backbone", *pooling):
        prefix = f"{name}."
        part = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        try:
            model.get_submodule(name).load_state_dict(part)
        except RuntimeError as error:
            raise LitGenreError(f"{checkpoint} does not fit the {name} in the options. {error}") from error
    if (trained_on := trained_tracks(content)) is not None:
        data.report_trained_on(trained_on)
    run = RunFolder.of_checkpoint(checkpoint)
    return run.read_config()["data"] if run else None


def _print_summary(backbone: str, kind: Kind, clips: dict[Split, ClipEmbeddings], cache: EmbeddingCache) -> None:
    n_clips, dim = clips["train"].embedding.shape
    origin = "written to" if cache.computed else "read from"
    console.print(
        f"Training a {kind} head on the frozen {backbone}: {n_clips:,} training clips, embeddings of size {dim}, "
        f"{origin} {cache.folder}."
    )


def _feature_seconds(seconds: dict[Split, float], cache: EmbeddingCache) -> float | None:
    """Return the time of the training and validation tracks; None if an earlier run computed some embeddings."""
    # The test split is part of neither time, as in the training of a network.
    splits = [split for split in seconds if split != "test"]
    if not set(splits) <= set(cache.computed) - set(cache.partial):
        return None
    return sum(seconds[split] for split in splits)


def _score(model: GenreClassifier, clips: ClipEmbeddings) -> TrackScores:
    with torch.inference_mode():
        probs = model.probabilities(model.head(torch.from_numpy(clips.embedding)).float())
    return track_scores(probs, clips)


def _write_checkpoint(model: GenreClassifier, data: TrackDataModule, path: Path) -> None:
    """Write a checkpoint as `fit` does, so that other commands can load it."""
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[DurableCheckpointIO()],
    )
    # What Trainer.fit does before training; save_checkpoint then writes the state of model and data.
    trainer.strategy.connect(model)
    trainer.datamodule = data  # type: ignore[attr-defined]
    trainer.save_checkpoint(path, weights_only=False)
