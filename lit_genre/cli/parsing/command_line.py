"""Find the configurations, the checkpoint and the class of the model in a command line before it is parsed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_genre.class_path import find_model_class
from lit_genre.cli.parsing.arguments import asks_for_help, check_names, take, take_configs, take_model_class, texts_in
from lit_genre.cli.restore import Restored, data_of, restore
from lit_genre.errors import LitGenreError
from lit_genre.model.classifier import GenreClassifier
from lit_genre.runs.locate import AUTO, find_checkpoint, last_checkpoint
from lit_genre.trust.recipe import SECTIONS


@dataclass(frozen=True)
class CommandLine:
    """A command line, and the settings that its checkpoint stores.

    Attributes:
        command: "fit", "validate", "test" or "predict".
        configs: Configurations that are named, in their order.
        options: The other options, with the path of the checkpoint in the place of its name.
        checkpoint: The checkpoint; None if none is named, or a run that is to be resumed has none yet.
        resumes_own_folder: Whether the options are those with which the run began: `--ckpt_path auto`.
        restored: What the checkpoint and the configuration of its run describe.
    """

    command: str
    configs: list[str]
    options: list[str]
    checkpoint: Path | None
    resumes_own_folder: bool
    restored: Restored

    def restored_config(self) -> dict[str, Any]:
        """Return the configuration of the checkpoint, which the user's options override.

        To resume a run, it is the whole recipe of the run. To score it, it is the model and the data of the run, unless
        another data set is named.
        """
        recipe, hyperparameters = self.restored.recipe, self.restored.hyperparameters
        if self.command == "fit" and self.restored.written:
            # The arguments in the checkpoint: with them, a pretrained backbone needs no files.
            backbone = {"backbone": hyperparameters["backbone"]}
            if self.resumes_own_folder:
                # The options are the whole recipe: with the recipe before them, callbacks+ would append twice.
                return {"model": backbone}
            return recipe | {"model": recipe["model"] | backbone}
        known = {"model": hyperparameters} if hyperparameters else {}
        if recipe:
            return known | data_of(recipe, take(self.options, "--data")[0], self.configs)
        several = hyperparameters.get("task", "multiclass") != "multiclass"
        return known | ({"data": {"init_args": {"task": hyperparameters["task"]}}} if several else {})


def read_command_line(command: str, *argv: str) -> CommandLine:
    """Find the configurations and the checkpoint in a command line, and read the settings of the checkpoint.

    Args:
        command: "fit", "validate", "test" or "predict".
        argv: The configurations and options.

    Raises:
        LitGenreError: The checkpoint does not exist, is not given, or names something that is not trusted.
    """
    trust, options = "--trust" in argv, [argument for argument in argv if argument != "--trust"]
    configs, options = take_configs(options)
    for config in configs:
        check_names(config)
    class_path, configs, options = take_model_class(configs, options)
    asked, options = take(options, "--ckpt_path")
    if asked is None and command != "fit" and not asks_for_help(options):
        raise LitGenreError("--ckpt_path is missing. Set it to a path, or to best or last for the newest run.")
    if asked == AUTO and command != "fit":
        raise LitGenreError(
            f"--ckpt_path {AUTO} is for fit only. Set it to a path, or to best or last for the newest run."
        )
    if asked == AUTO:
        checkpoint = last_checkpoint(take(options, "--trainer.default_root_dir")[0])
    else:
        checkpoint = find_checkpoint(asked) if asked else None
    model_class = find_model_class(class_path) if class_path else None
    restored = Restored(model_class=model_class or GenreClassifier)
    if checkpoint is not None:
        # A test uses the model and the data of the checkpoint, not its trainer.
        # With auto, the options are the whole recipe, so that nothing of the run's configuration is used.
        sections = () if asked == AUTO else SECTIONS if command == "fit" else ("data",)
        restored = restore(checkpoint, trust, texts_in(configs, options), sections, model_class)
        options += ["--ckpt_path", str(checkpoint)]
    return CommandLine(command, configs, options, checkpoint, asked == AUTO, restored)
