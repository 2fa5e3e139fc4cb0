"""The check of a configuration: one step of training on a tiny synthetic data set."""

from pathlib import Path
from tempfile import TemporaryDirectory


def check_config(config: Path, *options: str) -> None:
    """Check that a configuration can be trained, by one step of training and one of validation on the CPU.

    Args:
        config: Path of a YAML file for `lit-genre fit --config`.
        options: Further options, such as --model.backbone.channels=8.

    Raises:
        AssertionError: `lit-genre fit` ended with an error, which is in the message or on stderr.
    """
    # Imported here: check_backbone, in the same package, needs neither Lightning nor the command line.
    from lit_genre.__main__ import main
    from lit_genre.demo.write import write_demo

    # Windows does not delete the decoded audio as long as an object of the run has it open.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        write_demo(Path(folder), artists=3, tracks_per_artist=1, seconds=2.0)
        argv = ["fit", "--config", str(config), f"--data.root={folder}", "--trainer.fast_dev_run=true"]
        argv += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", *options]
        try:
            main(argv)
        except SystemExit as error:
            raise AssertionError(f"lit-genre {' '.join(argv)}: {error}") from error
