"""MusicFM: the network of Won et al. (2024), pretrained on FMA-large or on the Million Song Dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lit_genre.model.backbone import InputShape
from lit_genre_encoders.muq import MuQ


class MusicFM(MuQ):
    """A Conformer on mel spectrograms, pretrained to predict random codes of masked frames.

    MuQ has the network of MusicFM. MusicFM itself is not a package, and its code downloads a configuration when it is
    built; therefore this class takes the network from the package muq. All that `MuQ` describes holds here, too. The
    authors use layer 7 (`model.layers: [7]`) for frozen weights.

    The "FMA" weights were trained on FMA-large, which contains the test tracks of FMA-small and FMA-medium. Accuracy
    on these is optimistic.

    Args:
        input_shape: (n_samples,).
        weights: "MSD" or "FMA" downloads the weights of minzwon/MusicFM from the Hugging Face hub (1.3 GB, MIT
            license). Or path of a file of weights, such as pretrained_msd.pt, with its statistics, such as
            msd_stats.json, in the same folder. null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: Sizes of another network than the published one, as in `MuQ`.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, encoder_dim), the mean over time of the last layer; 1024 in the published size

    Raises:
        LitGenreError: The package muq is not installed, a setting is unknown, or the weights cannot be read or do not
            fit.

    Reference:
        M. Won, Y.-N. Hung and D. Le, "A Foundation Model for Music Informatics", ICASSP 2024.
    """

    published: ClassVar[Mapping[str, tuple[str, str, str]]] = {
        "MSD": ("minzwon/MusicFM", "pretrained_msd.pt", "msd_stats.json"),
        "FMA": ("minzwon/MusicFM", "pretrained_fma.pt", "fma_stats.json"),
    }

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "MSD",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(input_shape, weights, freeze, settings)

    def _statistics_name(self, path: Path) -> str:
        return f"{path.stem.removeprefix('pretrained_')}_stats.json"

    def _find_statistics(self, content: dict[str, Any]) -> dict[str, Any]:
        return content
