"""Check that a configuration trains, on a tiny synthetic data set."""

from pathlib import Path
from tempfile import TemporaryDirectory


def check_config(config: Path, *options: str) -> None:
    """Check that a configuration trains: a step of training and of validation on a tiny synthetic data set.

    Args:
        config: A YAML file, as `lit-genre fit --config` takes it.
        options: Further words of the command line, such as --model.backbone.channels=8.

    Raises:
        AssertionError: The command line refused it; what it said is on stderr.
    """
    from lit_genre.__main__ import main
    from lit_genre.demo.write import write_demo

    with TemporaryDirectory() as folder:
        write_demo(Path(folder), artists=3, tracks_per_artist=1, seconds=2.0)
        words = ["fit", "--config", str(config), f"--data.root={folder}", "--trainer.fast_dev_run=true"]
        words += ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", *options]
        try:
            main(words)
        except SystemExit as refused:
            raise AssertionError(f"lit-genre {' '.join(words)}: {refused}") from refused
