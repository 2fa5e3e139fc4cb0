"""Discogs-EffNet: the EfficientNet of Alonso-Jiménez et al. (2022), pretrained on the music styles of Discogs."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lit_genre import LogMel
from lit_genre.errors import LitGenreError
from lit_genre.model.backbone import InputShape
from lit_genre_encoders.encoder import Encoder, import_published
from lit_genre_encoders.weights import find_weights

_INSTALL: Final = "pip install onnxruntime, or onnxruntime-gpu for an NVIDIA GPU"

_NAME: Final = "discogs-effnet-bsdynamic-1"

_ADDRESSES: Final = {_NAME: f"https://essentia.upf.edu/models/feature-extractors/discogs-effnet/{_NAME}.onnx"}

_BANDS: Final = 96

_N_FFT: Final = 512

_HOP: Final = 256
"""Samples from one frame of the spectrogram to the next."""

_PATCH: Final = 128
"""Frames of a patch."""

_PATCH_HOP: Final = 62
"""Frames from one patch to the next, in Essentia."""

_BATCH: Final = 64
"""Most patches that are computed at once, as in Essentia."""

_OUTPUT: Final = "embeddings"
"""Name of the output; the other one has the probabilities of 400 styles."""


class DiscogsEffNet(Encoder):
    """An EfficientNet-B0 on patches of a mel spectrogram, pretrained on 400 music styles of Discogs; frozen only.

    ONNX Runtime computes the network, on the CPU, or with the package onnxruntime-gpu on an NVIDIA GPU. It cannot be
    trained, and has no layers to choose from. Use it with `frontend: torch.nn.Identity`.

    The spectrogram is that of Essentia's TensorflowInputMusiCNN: log10(1 + 10,000 power) in 96 bands, with a symmetric
    Hann window. Patches of 2 s begin every 62 frames (0.99 s), and the embedding is their mean. Frames after the last
    whole patch are not used. An input of less than 2 s is padded with silence; there is no maximum.

    A checkpoint contains the whole ONNX file. The license of the file, CC BY-NC-SA 4.0, holds for the checkpoint, too.

    Args:
        input_shape: (n_samples,).
        weights: "discogs-effnet-bsdynamic-1" downloads the file (18 MB). Or path of this file, or of another network
            with the same input and output. null only for a network that is then loaded from a checkpoint.
        freeze: Must be true.

    Shape:
        - mel: (b, n), samples of full scale 1
        - Output: (b, 1280)

    Raises:
        LitGenreError: onnxruntime is not installed, the file cannot be read or is of another network, or freeze is
            false.

    Reference:
        P. Alonso-Jiménez, X. Serra and D. Bogdanov, "Music Representation Learning Based on Editorial Metadata from
        Discogs", ISMIR 2022.
    """

    sample_rate = 16000
    embedding_dim = 1280
    graph: Tensor

    def __init__(self, input_shape: InputShape, weights: str | None = _NAME, freeze: bool = True) -> None:
        super().__init__()
        if not freeze:
            raise LitGenreError(
                "DiscogsEffNet cannot be trained, because ONNX Runtime computes no gradients. Set freeze to true."
            )
        self.freeze = freeze
        import_published(lambda: import_module("onnxruntime"), "onnxruntime", _INSTALL)
        # Not a submodule: it stays in float32 when the model is converted.
        self._spectrogram = (_spectrogram(),)
        self._sessions: dict[torch.device, Any] = {}
        # Bytes of the ONNX file. As a buffer they are part of a checkpoint.
        self.register_buffer("graph", torch.empty(0, dtype=torch.uint8))
        if weights is not None and torch.get_default_device().type != "meta":
            path = find_weights(weights, _ADDRESSES)
            # A copy: the memory of np.fromfile would be freed with the array.
            self.graph = torch.from_numpy(np.fromfile(path, dtype=np.uint8)).clone()
            _check_graph(self._session(self.graph.device), path)
        self.train()

    def encode(self, waveform: Tensor) -> Tensor:
        """Compute the embeddings of patches.

        Args:
            waveform: Samples of full scale 1, shape (b, n), at 16,000 Hz.

        Returns:
            Embeddings, shape (b, patches, 1280), one patch every 0.99 s.

        Raises:
            LitGenreError: There is no network, because weights is null and no checkpoint was loaded.
        """
        # torch.compile cannot capture ONNX Runtime. Not a decorator, because torch.compiler takes a second to import.
        uncompiled: Callable[[Tensor], Tensor] = torch.compiler.disable(self._embed)  # type: ignore[no-untyped-call]
        return uncompiled(waveform)

    def _embed(self, waveform: Tensor) -> Tensor:
        if waveform.is_meta:
            # This device computes shapes only.
            frames = -(-waveform.shape[-1] // _HOP) + 1
            return waveform.new_empty(len(waveform), max(0, frames - _PATCH) // _PATCH_HOP + 1, self.embedding_dim)
        patches = self._patches(waveform)
        session = self._session(waveform.device)
        name = session.get_inputs()[0].name
        batches = patches.flatten(0, 1).numpy(force=True)
        parts = [
            session.run([_OUTPUT], {name: batches[start : start + _BATCH]})[0]
            for start in range(0, len(batches), _BATCH)
        ]
        embeddings = torch.from_numpy(np.concatenate(parts)).to(waveform)
        return embeddings.reshape(*patches.shape[:2], self.embedding_dim)

    def _patches(self, waveform: Tensor) -> Tensor:
        """Compute patches of the spectrogram, shape (b, patches, 128 frames, 96 bands), float32."""
        # With whole hops, torch.stft has the frames of Essentia, of which the last is centred behind the end.
        whole = F.pad(waveform, (0, -waveform.shape[-1] % _HOP))
        power = self._spectrogram[0].to(waveform.device).power(whole)
        frames = torch.log10(1 + 10_000 * power)
        frames = F.pad(frames, (0, max(0, _PATCH - frames.shape[-1])))
        return frames.unfold(-1, _PATCH, _PATCH_HOP).permute(0, 2, 3, 1)

    def _session(self, device: torch.device) -> Any:
        """Return the network on a device, which is opened at the first call."""
        if device not in self._sessions:
            if not len(self.graph):
                raise LitGenreError(
                    f"DiscogsEffNet has no network, because weights is null. Set weights to {_NAME} or to its file."
                )
            self._sessions[device] = _open(self.graph.numpy(force=True).tobytes(), device)
        return self._sessions[device]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load the network of a checkpoint, whose file may have another size."""
        graph = state_dict.get(f"{prefix}graph")
        if isinstance(graph, Tensor):
            self.graph = self.graph.new_empty(graph.shape)
            self._sessions = {}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without ONNX Runtime, which can neither be pickled nor copied."""
        return {**self.__dict__, "_sessions": {}}


def _spectrogram() -> LogMel:
    """Build the mel bands with the window of Essentia."""
    with torch.device("cpu"):
        spectrogram = LogMel(DiscogsEffNet.sample_rate, n_fft=_N_FFT, hop_length=_HOP, n_mels=_BANDS, engine="fft")
        # Essentia has a symmetric window, LogMel a periodic one. Bands would differ by up to 0.17.
        window = spectrogram.layer.stft.window_mask
        window.copy_(torch.hann_window(_N_FFT, periodic=False).reshape(window.shape))
    return spectrogram


def _open(graph: bytes, device: torch.device) -> Any:
    """Open a network by ONNX Runtime.

    Raises:
        LitGenreError: The bytes are not a network.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Errors only: it warns of weights that the network does not use.
    options.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    try:
        return onnxruntime.InferenceSession(graph, options, providers)
    # Its errors have no common base class.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise LitGenreError(
            f"The weights of DiscogsEffNet cannot be read: {reason}. Download {_NAME} again."
        ) from error


def _check_graph(session: Any, path: Path | str) -> None:
    """Check input and output of a network.

    Raises:
        LitGenreError: They are those of another network.
    """
    inputs, outputs = (
        [(part.name, part.shape) for part in parts] for parts in (session.get_inputs(), session.get_outputs())
    )
    takes_patches = len(inputs) == 1 and inputs[0][1][1:] == [_PATCH, _BANDS] and not isinstance(inputs[0][1][0], int)
    sizes = [shape[-1] for name, shape in outputs if name == _OUTPUT]
    # A size that is not a number is not fixed.
    if not takes_patches or not sizes or (isinstance(sizes[0], int) and sizes[0] != DiscogsEffNet.embedding_dim):
        raise LitGenreError(
            f"The weights {path} are of another network, with inputs {inputs} and outputs {outputs}. The input must "
            f"have any number of patches of {_PATCH} frames and {_BANDS} bands, and the output {_OUTPUT} must have "
            f"{DiscogsEffNet.embedding_dim} numbers. Use {_NAME}.onnx."
        )
