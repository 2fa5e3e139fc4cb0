"""PaSST: the audio transformer of Koutini et al. (2022), pretrained on AudioSet."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published, read_weights
from lit_genre_encoders.weights import find_weights, load_tensors

_INSTALL: Final = "pip install hear21passt"

_SETTINGS: Final = {
    "embed_dim": 768,
    "depth": 12,
    "num_heads": 12,
    "stride": 10,
    "seconds": 10,
    "s_patchout_t": 0,
    "s_patchout_f": 0,
}
"""Settings of the published network `passt_s_swa_p16_128_ap476`."""

_PATCHOUT: Final = ("s_patchout_t", "s_patchout_f")
"""Settings of patchout, over time and over frequency."""

_RELEASES: Final = "https://github.com/kkoutini/PaSST/releases/download"

_ADDRESSES: Final = {
    "passt_s_swa_p16_128_ap476": f"{_RELEASES}/v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt",
    "passt_s_kd_p16_128_ap486": f"{_RELEASES}/v.0.0.9/passt-s-kd-ap.486.pt",
    "passt_s_p16_s16_128_ap468": f"{_RELEASES}/v0.0.2-audioset/passt-s-f128-p16-s16-ap.468.pt",
    "passt_20sec": f"{_RELEASES}/v0.0.5/passt-s-f128-20sec-p16-s10-ap.474-swa.pt",
    "passt_30sec": f"{_RELEASES}/v0.0.5/passt-s-f128-30sec-p16-s10-ap.473-swa.pt",
}

_BANDS: Final = 128

_HOP: Final = 320
"""Samples from one frame of the spectrogram to the next."""

_PATCH: Final = 16
"""Bands and frames of a patch."""

_LEAST_SAMPLES: Final = (_PATCH - 1) * _HOP + 2
"""Samples of one patch; the pre-emphasis filter of the front-end removes one of them."""

_TOKENS: Final = 2
"""The class token and the distillation token, which come before the patches."""


class PaSST(Encoder):
    """A vision transformer on patches of a mel spectrogram, pretrained on ImageNet, then on the tags of AudioSet.

    The published package computes the spectrogram: 128 mel bands of 100 frames a second. Use it with
    `frontend: torch.nn.Identity`. The augmentation of the spectrogram in that package is off.

    The network takes 10 s at most. A longer clip is cut into the least number of windows of 10 s, at equal distances,
    so that the first begins with the clip and the last ends with it. The embedding is the mean over windows. The
    published code has windows every 2.5 s, which takes four times as long. A clip shorter than 0.15 s is padded with
    zeros.

    `model.layers` embeds by the mean over patches of a layer, except for the last, which is the published embedding:
    the network was trained on the two tokens of that layer only.

    Args:
        input_shape: (n_samples,).
        weights: A file, or one of these names, which are downloaded (340 MB): "passt_s_swa_p16_128_ap476",
            "passt_s_kd_p16_128_ap486", "passt_s_p16_s16_128_ap468" (with stride: 16), "passt_20sec" (with seconds: 20),
            "passt_30sec" (with seconds: 30). null for random weights.
        freeze: Train the head (and the weights of the layers) only.
        settings: Settings of another network: embed_dim, depth, num_heads; stride of the patches, bands and frames;
            seconds, the longest clip. s_patchout_t and s_patchout_f are the columns and rows of patches that are
            dropped at random in training (patchout), for example 40 and 4; they need freeze: false.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, embed_dim), 768 in the published size, the mean of the class token and the distillation token

    Raises:
        LitGenreError: The package is not installed, a setting is unknown or unsuitable, or the weights cannot be read
            or do not fit.

    Reference:
        K. Koutini, J. Schlüter, H. Eghbal-zadeh and G. Widmer, "Efficient Training of Audio Transformers with
        Patchout", Interspeech 2022.
    """

    sample_rate = 32000

    def __init__(
        self,
        input_shape: InputShape,
        weights: str | None = "passt_s_swa_p16_128_ap476",
        freeze: bool = True,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.freeze = freeze
        sizes = _checked(settings or {}, input_shape)
        self.embedding_dim = sizes["embed_dim"]
        self.window = sizes.pop("seconds") * self.sample_rate
        self.net, spectrogram = import_published(lambda: _build(self.window // _HOP, sizes), "hear21passt", _INSTALL)
        # Not a submodule: it stays in evaluation mode, without augmentation, and in float32.
        self._spectrogram = (spectrogram,)
        if weights is not None and torch.get_default_device().type != "meta":
            content = read_weights(find_weights(weights, _ADDRESSES))
            if isinstance(content, Mapping):
                content = {name: value for name, value in content.items() if not name.startswith("head")}
            load_tensors(self.net, content, weights)
        self.requires_grad_(not freeze).train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the states of the class token and the distillation token, after the final norm.

        Args:
            waveform: Samples of full scale 1, shape (b, n), at 32,000 Hz.

        Returns:
            States, shape (b, 2 windows, embed_dim), two for each window.
        """
        # The front-end draws random numbers, in evaluation mode too, which torch.compile does not support. Not a
        # decorator: torch.compiler takes a second to import.
        uncompiled: Callable[[Tensor], Tensor] = torch.compiler.disable(self._mel)  # type: ignore[no-untyped-call]
        mel = uncompiled(self._windows(waveform)).to(self.net.cls_token.dtype)
        # The published network warns of each input of another length than its longest.
        self.net.patch_embed.img_size = tuple(mel.shape[-2:])
        tokens = torch.stack(self.net.forward_features(mel.unsqueeze(1)), 1)
        return tokens.reshape(len(waveform), -1, self.embedding_dim)

    def layer_blocks(self) -> Sequence[nn.Module]:
        """Return the layers of the transformer."""
        blocks: Sequence[nn.Module] = self.net.blocks
        return blocks

    def layer_outputs(self, mel: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Compute the states of some layers.

        Args:
            mel: Waveforms, shape (b, n), full scale 1, at 32,000 Hz.
            layers: Numbers of the layers; 0 is the patches with their positions.

        Returns:
            States of the patches, shape (b, patches of all windows, embed_dim) each; of the last layer, those of
            `encode`, because its patches do not contribute to the output of the published network.
        """
        last = len(self.layer_blocks())
        with self.collect_states(layers) as states:
            states[last] = self.encode(mel)
        shape = (len(mel), -1, self.embedding_dim)
        return [states[layer] if layer == last else states[layer][:, _TOKENS:].reshape(shape) for layer in layers]

    def _windows(self, waveform: Tensor) -> Tensor:
        """Cut clips into windows of equal length, shape (b windows, n)."""
        n_samples = waveform.shape[-1]
        if n_samples <= self.window:
            return F.pad(waveform, (0, max(0, _LEAST_SAMPLES - n_samples)))
        count = math.ceil(n_samples / self.window)
        starts = [(n_samples - self.window) * number // (count - 1) for number in range(count)]
        return torch.stack([waveform[:, start : start + self.window] for start in starts], 1).flatten(0, 1)

    def _mel(self, waveform: Tensor) -> Tensor:
        """Compute spectrograms, shape (b, 128, frames), float32."""
        device = waveform.device
        # The front-end calls functions that torch will remove: torch.stft with real output, torch.cuda.amp.autocast.
        with torch.autocast("cpu" if device.type == "meta" else device.type, enabled=False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mel: Tensor = self._spectrogram[0].to(device)(waveform.float())
        return mel


def _checked(settings: Mapping[str, Any], input_shape: InputShape) -> dict[str, int]:
    """Return all settings, after a check of the names and values."""
    unknown = sorted(settings.keys() - _SETTINGS.keys())
    if unknown:
        raise LitGenreError(f"PaSST has no settings {unknown}. Its settings are {', '.join(_SETTINGS)}.")
    sizes = {**_SETTINGS, **settings}
    for name, value in sizes.items():
        least = 0 if name in _PATCHOUT else 1
        if not isinstance(value, int) or value < least:
            raise LitGenreError(f"The setting {name} is {value!r}, but must be an integer of at least {least}.")
    if sizes["embed_dim"] % sizes["num_heads"]:
        raise LitGenreError(
            f"The setting embed_dim is {sizes['embed_dim']}, but must be a multiple of num_heads, {sizes['num_heads']}."
        )
    frames = min(input_shape[0], sizes["seconds"] * PaSST.sample_rate) // _HOP
    for name, length in zip(_PATCHOUT, (frames, _BANDS), strict=True):
        patches = max(1, (length - _PATCH) // sizes["stride"] + 1)
        if sizes[name] >= patches:
            raise LitGenreError(
                f"The setting {name} is {sizes[name]}, but must be less than the {patches} patches of a clip in this "
                "direction. Set a smaller number or longer clips."
            )
    return sizes


def _build(frames: int, sizes: Mapping[str, Any]) -> tuple[Any, Any]:
    """Build the network and its front-end, on the default device."""
    passt: Any = import_module("hear21passt.models.passt")
    preprocess = import_module("hear21passt.models.preprocess")
    # Otherwise the first forward pass prints shapes.
    passt.first_RUN = False
    # 998 frames are 10 s in the published network: one patch less than 1000, and that number is in its weights.
    frames -= 2 if frames == 1000 else 0
    # The package reads values of tensors, which the meta device does not have.
    with torch.device("cpu"):
        net = passt.PaSST(img_size=(_BANDS, frames), distilled=True, num_classes=0, **sizes)
        # The highest frequency is that which the package sets by default, with a message.
        spectrogram = preprocess.AugmentMelSTFT(n_mels=_BANDS, hopsize=_HOP, fmax=15000)
    net.head = nn.Identity()
    return net.to(torch.get_default_device()), spectrogram.eval()
