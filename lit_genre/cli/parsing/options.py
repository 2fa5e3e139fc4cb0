"""Options of fit, validate, test and predict, in addition to those of model, data and trainer."""

from lightning.pytorch.cli import LightningArgumentParser


def add_options(parser: LightningArgumentParser, command: str) -> None:
    """Add the options to the parser of a command.

    Args:
        parser: The parser.
        command: "fit", "validate", "test" or "predict".
    """
    if command == "test":
        parser.add_argument(
            "--calibrate",
            action="store_true",
            help="before the test, fit the temperature of the probabilities on the validation split, and store it in "
            "the checkpoint",
        )
    parser.add_argument(
        "--model_class",
        type=str | None,
        help="class path of the model: a subclass of lit_genre.GenreClassifier, or any LightningModule; the same as "
        "model.class_path. Its arguments are the options --model.*",
    )
    parser.add_argument(
        "--select_by",
        type=str | None,
        help="metric that selects the epoch of best.ckpt, such as val/loss, or last for the last epoch; null for "
        "the primary metric of the validation",
    )
    parser.add_argument(
        "--without_callbacks",
        type=list[str],
        default=[],
        help="default callbacks to turn off: Telemetry, SaveOnSigterm, History, TrackReport, Dashboard, best, last; "
        "your own, in trainer.callbacks, are added to the defaults",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the classes and use the files that the checkpoint and the configuration of its run name. This can "
        "run any code: use it only for files of people whom you trust",
    )
