"""Warnings and log lines of libraries that are expected and that no user can act on."""

import logging
import warnings

from lit_genre.text import printable


def silence_expected_warnings() -> None:
    """Ignore warnings that Lightning gives at every start."""
    # Lightning 2.6 calls what torch 2.14 deprecates: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    # A resumed run goes on in its own folder.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Scores over tracks are the same in every process, and the first one's speed stands for all.
    warnings.filterwarnings("ignore", message=r"It is recommended to use `self.log\(.*sync_dist=True")
    # The data begins where the run was stopped, which Lightning cannot know.
    warnings.filterwarnings("ignore", message=r"You're resuming from a checkpoint that ended before the epoch")
    # To go on, a run brings its own; a test needs none of those of the training.
    warnings.filterwarnings("ignore", message=r"Be aware that when using `ckpt_path`, callbacks used to create")
    # A frozen encoder stays in eval.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_shorten_log)


def _shorten_log(record: logging.LogRecord) -> bool:
    """Drop hints of Lightning, and print what may be in a path without control characters."""
    record.msg, record.args = printable(record.getMessage()), ()
    return not record.msg.startswith(("💡", "TPU available"))
