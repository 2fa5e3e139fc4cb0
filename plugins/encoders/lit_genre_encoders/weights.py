"""Files of weights: found, downloaded from the Hugging Face hub or a web address, and loaded into a network."""

from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lit_genre.errors import LitGenreError


def find_weights(weights: str, addresses: Mapping[str, str]) -> str:
    """Return the path of a file of weights, which is downloaded if `weights` is a published name.

    Args:
        weights: Path of a file, or a name.
        addresses: Web address of each published name.

    Returns:
        The path; that of a downloaded file is in the cache of torch.hub.

    Raises:
        LitGenreError: There is no such file or name, or the download failed.
    """
    if Path(weights).is_file():
        return weights
    if weights not in addresses:
        raise LitGenreError(
            f"There is no file of weights {weights}. Set weights to such a file, or to {' or '.join(addresses)}."
        )
    path = Path(torch.hub.get_dir(), "checkpoints", addresses[weights].rpartition("/")[2].replace("%3D", "="))
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(addresses[weights], str(path))
        except (OSError, HTTPException) as error:
            raise LitGenreError(
                f"The weights {weights} cannot be downloaded from {addresses[weights]} ({error}). Download them with "
                "another program, and set weights to the file."
            ) from error
    return str(path)


def download_from_hub(repository: str, name: str) -> Path:
    """Return a file of a repository on the Hugging Face hub, from the cache if it is there.

    Args:
        repository: Name of the repository.
        name: Name of the file in it.

    Returns:
        The path of the file.

    Raises:
        LitGenreError: The download failed.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name))
    # Errors of the hub, the network and the disk have no common base class.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise LitGenreError(
            f"{name} of {repository} cannot be downloaded: {reason} Try again, or set weights to a file."
        ) from error


def load_tensors(module: nn.Module, tensors: Any, weights: str) -> None:
    """Load tensors into a network, all of whose tensors must be there.

    Args:
        module: The network.
        tensors: Its state_dict, as read from a file.
        weights: Name or file of the weights, for the message.

    Raises:
        LitGenreError: The tensors are those of another network.
    """
    try:
        if not (isinstance(tensors, Mapping) and all(isinstance(value, Tensor) for value in tensors.values())):
            raise RuntimeError("it contains no state_dict")
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).replace("\n\t", " ").strip()[:200]
        raise LitGenreError(
            f"The weights {weights} do not fit {type(module).__name__}: {reason}. Set weights to a file of this "
            "network, or settings to the sizes of the weights."
        ) from error
