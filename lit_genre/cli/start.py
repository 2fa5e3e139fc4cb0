"""Start a LightningCLI with this project's defaults and parser, and turn the errors of libraries into messages."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final, TypeVar

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningCLI

from lit_genre.backbones.registry import backbones
from lit_genre.callbacks.other_loggers import mlflow_refusal
from lit_genre.cli.allocator import retain_freed_memory
from lit_genre.cli.parsing.parser import GenreParser
from lit_genre.cli.quiet import silence_expected_warnings
from lit_genre.cli.run_config import RunConfig
from lit_genre.data.datamodules.registry import datamodules
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier

CLI = TypeVar("CLI", bound=LightningCLI)

MISFIT: Final = "Error(s) in loading state_dict"
"""First words of torch's error for weights that do not fit a model."""


def start(cli: type[CLI], args: Sequence[str]) -> CLI:
    """Parse a command line and run its command.

    Args:
        cli: Class of the command line.
        args: The command and its arguments.

    Returns:
        The command line, after the command has run.

    Raises:
        LitGenreError: An error of the user that a library raised.
    """
    silence_expected_warnings()
    if not torch.accelerator.is_available():
        retain_freed_memory()
    # Imported before the parser is built: jsonargparse finds classes by their names among those that are imported.
    backbones()
    datamodules()
    defaults = {"default_config_files": [str(files("lit_genre.cli") / "defaults.yaml")], "allow_abbrev": False}
    try:
        return cli(
            GenreClassifier,
            LightningDataModule,
            subclass_mode_data=True,
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            auto_configure_optimizers=False,
            parser_class=GenreParser,
            parser_kwargs={
                "prog": "lit-genre",
                "allow_abbrev": False,
                args[0]: defaults,
            },
            args=list(args),
        )
    except MisconfigurationException as error:
        raise LitGenreError(str(error)) from error
    except (ImportError, ValueError) as error:
        if refusal := mlflow_refusal(error):
            raise LitGenreError(refusal) from error
        if (missing := _missing_package(error)) is None:
            raise
        reason = " ".join(str(missing).split())
        raise LitGenreError(f"{reason} Install the missing package, or leave out the option that needs it.") from error
    except RuntimeError as error:
        if MISFIT not in str(error):
            raise
        raise LitGenreError(f"The weights of the checkpoint do not fit the model of the options. {error}") from error


def _missing_package(error: BaseException | None) -> ImportError | None:
    """Return the ImportError in a chain of errors: jsonargparse wraps errors of constructors in its own."""
    while error is not None and not isinstance(error, ImportError):
        error = error.__cause__ or error.__context__
    return error
