"""Options of fit, validate, test and predict beside those of model, data and trainer."""

from lightning.pytorch.cli import LightningArgumentParser


def add_options(parser: LightningArgumentParser) -> None:
    """Add the options that the commands of Lightning have here."""
    parser.add_argument(
        "--model_class",
        type=str | None,
        help="class of the model: a subclass of lit_genre.GenreClassifier, or any LightningModule, by its import "
        "path; model.class_path says the same. Its arguments are those of model",
    )
    parser.add_argument(
        "--select_by",
        type=str | None,
        help="what best.ckpt is chosen by: a logged metric, such as val/loss, or last for the last epoch; null for "
        "what the callbacks say, the primary score of validation",
    )
    parser.add_argument(
        "--without_callbacks",
        type=list[str],
        default=[],
        help="callbacks to turn off among those that every run has, by name: Telemetry, SaveOnSigterm, History, "
        "TrackReport, Dashboard, best, last; those that you give as trainer.callbacks are added to them",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import what the checkpoint and the configuration of its run name, and use the files and folders that "
        "they name: this can run any code, so add it for files of people whom you trust only",
    )
