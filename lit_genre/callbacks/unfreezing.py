"""Unfreeze the layers of a backbone one after the other, the last one first."""

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_genre.errors import LitGenreError, check_at_least
from lit_genre.model.classifier import GenreClassifier
from lit_genre.model.training.finetuning import layers_of, set_frozen_to_eval


class GradualUnfreezing(Callback):
    """Trains the head alone at first, then also the last layer of the backbone, then the last two, and so on.

    The parts outside the layers, such as the first convolutions, are trained after the first layer. What is trained
    depends on the number of the epoch alone, so a resumed run continues exactly. For one process: several would wait
    for gradients of frozen parameters.

    Args:
        epochs: Epochs until one more layer is trained, at least 1.

    Raises:
        LitGenreError: epochs is too small; or, when training starts, the backbone has no layers, or `finetune` is not
            null or "full", or there are several processes.

    Reference:
        J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018.
    """

    def __init__(self, epochs: int = 1) -> None:
        check_at_least(epochs=(epochs, 1))
        self.epochs = epochs

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that the model and the trainer allow it."""
        assert isinstance(pl_module, GenreClassifier)
        layers_of(pl_module.backbone, 1)
        if (finetune := pl_module.hparams["finetune"]) not in (None, "full"):
            raise LitGenreError(f"GradualUnfreezing ends with all layers, but finetune is {finetune}. Set it to full.")
        if trainer.world_size > 1:
            raise LitGenreError(
                f"GradualUnfreezing is for one process, but there are {trainer.world_size}. Set trainer.devices=1."
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set what is trained in this epoch."""
        assert isinstance(pl_module, GenreClassifier)
        backbone, n_trained = pl_module.backbone, trainer.current_epoch // self.epochs
        blocks = layers_of(backbone, 1)
        backbone.requires_grad_(n_trained > len(blocks)).train()
        for block in blocks[len(blocks) - min(n_trained, len(blocks)) :]:
            block.requires_grad_(True)
        set_frozen_to_eval(backbone)
