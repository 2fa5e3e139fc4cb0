"""The Weights & Biases logger: online with an account, offline without one, and never a question."""

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
"""Characters of a tag that W&B takes."""


class RunLogger(WandbLogger):
    """Lightning's logger for W&B, which knows whether the run's model is to be uploaded.

    Lightning's own log_model uploads a checkpoint without the names of its classes.
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
        name: Name of the run; null for backbone and data, as the command line knows them, or else its folder's name.
        group: Group of runs; null for the backbone.
        tags: Tags of the run; null for backbone and data.
        log_model: Whether to upload the best checkpoint, with its score and the names of the genres.
        mode: null for what WANDB_MODE says, or else online where there is a key or a login and offline where not.
    """
    import wandb

    # A dozen lines that hide the run's own; where the run lies, the run says at its end.
    os.environ.setdefault("WANDB_SILENT", "true")
    folder = Path(save_dir).resolve()
    # What waits for its upload lies with the run, and not in the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(folder))
    logger = RunLogger(
        project=project,
        # Whole, for W&B's own process keeps the working folder that it was started in.
        save_dir=folder,
        # From the folder, so that a resumed run goes on in the same run of W&B, and no other's of the same name.
        # W&B refuses some characters, and names a file after it.
        id=f"{re.sub('[^A-Za-z0-9_.-]', '_', folder.name)[:_LONGEST]}-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}",
        name=one_line(name or folder.name),
        group=group,
        tags=tags and [shorten(tag, _LONGEST) for tag in tags],
        # They would be uploaded too: name of the machine, paths and console output, which have user names in them.
        settings=wandb.Settings(x_disable_machine_info=True, disable_git=True, console="off"),
        mode=mode or os.environ.get("WANDB_MODE") or ("online" if has_login() else "offline"),
    )
    logger.uploads_model = log_model
    # Lightning 2.6 hands on a setting that W&B 0.31 warns of whatever its value.
    logger._wandb_init.pop("anonymous", None)
    return logger


def finish_wandb(failed: bool) -> None:
    """Close W&B's run, if there is one: the next run of this process would go on in it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=int(failed))
        _remove_staging()


def _remove_staging() -> None:
    """Remove the empty folders in which W&B gathered tables and files before it took them over."""
    staging = Path(os.environ["WANDB_DATA_DIR"]) / "artifacts" / "staging" if "WANDB_DATA_DIR" in os.environ else None
    if staging is not None and staging.is_dir():
        for folder in (*staging.iterdir(), staging, staging.parent):
            with suppress(OSError):  # It is in use, or not empty.
                folder.rmdir()


def has_login() -> bool:
    """Check whether W&B has a key: in the environment or, from `wandb login`, in the netrc file."""
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
