"""Write a model as a folder in the Hugging Face Hub's format: weights as safetensors, configuration, model card."""

import json
from pathlib import Path

import torch

from lit_genre import __version__
from lit_genre.errors import LitGenreError
from lit_genre.export.card import write_card
from lit_genre.inference.load import CONFIG, WEIGHTS
from lit_genre.model.classifier import GenreClassifier


def write_hub(model: GenreClassifier, folder: Path, checkpoint: Path | None, license: str | None) -> None:
    """Write a folder that `lit_genre.load_model` reads and that can be uploaded.

    Args:
        model: The model.
        folder: Folder to create, with its parents.
        checkpoint: Checkpoint of the model, in its run folder; None if it is not known.
        license: Licence of the weights, as the Hub spells it, such as "cc-by-nc-4.0"; None if it is not decided.

    Raises:
        LitGenreError: safetensors is not installed.
        FileExistsError: The folder exists.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise LitGenreError(
            "To export in the Hub's format, in a clone of the repository: pip install -e '.[hub]'."
        ) from error
    folder.mkdir(parents=True)
    # Copies: safetensors refuses weights that layers share.
    weights = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in model.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights, metadata={"format": "pt"}))
    # Names with an underscore are Lightning's, such as `_instantiator`, a function that it would call.
    hyperparameters = {name: value for name, value in model.hparams.items() if not name.startswith("_")}
    config = {"library_name": "lit-genre", "lit_genre": __version__, "hyper_parameters": hyperparameters}
    config |= {"model_class": f"{type(model).__module__}.{type(model).__qualname__}"}
    # Entries that tools for the Hub read.
    labels = {"id2label": dict(enumerate(model.classes)), "label2id": {name: i for i, name in enumerate(model.classes)}}
    (folder / CONFIG).write_text(json.dumps(config | labels, indent=2) + "\n", encoding="utf-8")
    write_card(model, folder, checkpoint, license)
