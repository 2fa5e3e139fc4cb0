"""Log to Weights & Biases: online with an account, offline without one, and never with a prompt."""

import hashlib
import netrc
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from lightning.pytorch.loggers import WandbLogger

from lit_genre.text import one_line, shorten

Mode = Literal["online", "offline", "disabled"]

_LONGEST: Final = 64
"""Longest tag and run id that W&B accepts, characters."""


class RunLogger(WandbLogger):
    """Lightning's logger for W&B.

    Lightning's own log_model uploads a checkpoint without the names of its classes; Dashboard uploads it with them.

    Attributes:
        uploads_model: Whether to upload the best checkpoint.
    """

    uploads_model: bool = False


def wandb_logger(
    save_dir: str = ".",
    project: str = "lit-genre",
    name: str | None = None,
    group: str | None = None,
    tags: list[str] | None = None,
    log_model: bool = False,
    mode: Mode | None = None,
) -> RunLogger:
    """Log to Weights & Biases.

    Args:
        save_dir: Folder for W&B's files; "." for the folder of the run.
        project: Project in W&B.
        name: Name of the run; null for backbone and data on the command line, else for the name of its folder.
        group: Group of runs; null for the backbone.
        tags: Tags of the run; null for backbone and data.
        log_model: Whether to upload the best checkpoint, with its score and the names of the genres.
        mode: null for the value of WANDB_MODE or, if it is not set, online with a key or a login and offline without.
    """
    import wandb

    # W&B prints a dozen lines which hide those of the run; the address is printed at the end of the run.
    os.environ.setdefault("WANDB_SILENT", "true")
    folder = Path(save_dir).resolve()
    # Files that wait for their upload are stored with the run, not in the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(folder))
    logger = RunLogger(
        project=project,
        # An absolute path: W&B's own process keeps the working directory in which it was started.
        save_dir=folder,
        # From the absolute path, so that a resumed run continues its own W&B run and no other of the same name. W&B
        # refuses some characters, and uses the id as a file name.
        id=f"{re.sub('[^A-Za-z0-9_.-]', '_', folder.name)[:_LONGEST]}-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}",
        name=one_line(name or folder.name),
        group=group,
        tags=tags and [shorten(tag, _LONGEST) for tag in tags],
        # Machine name, paths and console output would be uploaded too; they contain user names.
        settings=wandb.Settings(x_disable_machine_info=True, disable_git=True, console="off"),
        mode=mode or os.environ.get("WANDB_MODE") or ("online" if has_login() else "offline"),
    )
    logger.uploads_model = log_model
    # Lightning 2.6 passes a setting which W&B 0.31 warns about, whatever its value.
    logger._wandb_init.pop("anonymous", None)
    return logger


def finish_wandb(failed: bool) -> None:
    """Close W&B's run if there is one: otherwise the next run of this process would be logged to it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=int(failed))
        _remove_staging()


def _remove_staging() -> None:
    """Remove the empty folders in which W&B collected tables and files."""
    staging = Path(os.environ["WANDB_DATA_DIR"]) / "artifacts" / "staging" if "WANDB_DATA_DIR" in os.environ else None
    if staging is not None and staging.is_dir():
        for folder in (*staging.iterdir(), staging, staging.parent):
            with suppress(OSError):  # The folder is in use, or not empty.
                folder.rmdir()


def has_login() -> bool:
    """Return whether W&B has a key: in the environment or, from `wandb login`, in the netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    candidates = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for path in (Path(candidate).expanduser() for candidate in candidates):
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
