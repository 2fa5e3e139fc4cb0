"""Silence warnings and log lines of libraries that are expected and that no user can act on."""

import logging
import warnings

from lit_genre.text import printable


def silence_expected_warnings() -> None:
    """Ignore the warnings that Lightning prints at every start."""
    # Lightning 2.6 calls what torch 2.14 deprecates: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    # A resumed run writes into its own folder, as intended.
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
    # Scores over tracks are equal in all processes; for the speed, that of the first process is enough.
    warnings.filterwarnings("ignore", message=r"It is recommended to use `self.log\(.*sync_dist=True")
    # The sampler continues after the last batch of the stopped run; Lightning expects the data module to do so itself.
    warnings.filterwarnings("ignore", message=r"You're resuming from a checkpoint that ended before the epoch")
    # A resumed run has the same callbacks from its configuration; a test does not need the callbacks of the training.
    warnings.filterwarnings("ignore", message=r"Be aware that when using `ckpt_path`, callbacks used to create")
    # A frozen encoder stays in evaluation mode, as intended.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode at the start of training")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_shorten_log)


def _shorten_log(record: logging.LogRecord) -> bool:
    """Drop hints of Lightning, and escape control characters, which a path may have."""
    record.msg, record.args = printable(record.getMessage()), ()
    return not record.msg.startswith(("💡", "TPU available"))
