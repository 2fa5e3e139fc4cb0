"""The parser of fit, validate, test and predict: an error is one short message."""

import sys
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lit_genre.backbones.registry import backbones, known_backbones
from lit_genre.cli.parsing.option_errors import REQUIRED, explain
from lit_genre.data.datamodules.registry import datamodules
from lit_genre.text import printable


class GenreParser(LightningArgumentParser):
    """LightningCLI's parser, with errors for users."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print an error in one message, without jsonargparse's dump, and exit with status 2."""
        if not self.exit_on_error:
            # The parser of the arguments of a class; the parser of the command catches it and adds the option.
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        plugins = {"data": datamodules(), "model.backbone": backbones()}
        text = explain(message, [action.dest for action in parser._actions], plugins)
        required = REQUIRED.search(message)
        if required and required[2] == "model.backbone":
            text += f"\n{known_backbones()}"
        command = required[1] if required else parser.prog.split()[-1]
        sys.stderr.write(printable(f"lit-genre {command}: {text}\n"))
        sys.exit(2)
