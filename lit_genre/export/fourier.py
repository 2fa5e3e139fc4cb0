"""Compute mel power by matrix products, for ONNX Runtime, whose own Fourier transform is slow."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_genre.model.spectrogram.frontend import LogMel


def with_matrix_products(frontend: nn.Module) -> nn.Module:
    """Return a front-end whose Fourier transform consists of matrix products.

    Args:
        frontend: The front-end.

    Returns:
        A copy, if it is a LogMel, or a subclass with the same power, whose Fourier kernels are not trained and have an
        even length; otherwise the front-end itself.
    """
    if (
        not isinstance(frontend, LogMel)
        or type(frontend).power is not LogMel.power
        or any(True for _ in frontend.layer.stft.parameters())
        or frontend.layer.stft.n_fft % 2
    ):
        return frontend
    frontend = copy.deepcopy(frontend)
    # A submodule, so that its constants are named after the front-end. An attribute of an object, such as `power`,
    # takes precedence over a method of its class.
    frontend.products = MelPowerProducts(frontend)
    object.__setattr__(frontend, "power", frontend.products.forward)
    if type(frontend) is LogMel:
        # Its other methods read nothing of nnAudio's layer, whose kernels would be in the graph.
        frontend.layer = nn.Identity()
    return frontend


class MelPowerProducts(nn.Module):
    """Mel power as LogMel computes it, by the Fourier transform of Cooley and Tukey in three steps.

    Let x be a frame of 2 h samples after the window, with h = p q. First, the halves of the frame are added for the
    even frequencies, and subtracted for the odd ones: y[n] = x[n] + (-1)^r x[n + h]. Then, with n = n1 q + n2 and
    k = r + 2 (k1 + p k2), the transform is

        X[k] = sum over n2 of W_q^(n2 k2) (sum over n1 of W_2h^((n1 q + n2) (r + 2 k1)) y[n1 q + n2])

    where W_m is exp(-2 pi i / m). The inner sums are a product of matrices for each n2, and the outer sums one for each
    k1. For 2,048 samples they need a twentieth of the operations of one product with the matrix of the whole transform,
    and a sixtieth of its constants.

    The samples are real, so that X[2 h - k] is the conjugate of X[k], and half of the values of k1 are enough. The
    frequencies stay in the order of (r, k1, k2); the columns of the mel matrices are in this order, too.

    Args:
        frontend: The front-end.

    Shape:
        - waveform: (b, n), full scale 1
        - Output: (b, m, f)

    Reference:
        J. W. Cooley and J. W. Tukey, "An algorithm for the machine calculation of complex Fourier series",
        Mathematics of Computation, 1965.
    """

    windows: Tensor
    inner_even: Tensor
    inner_odd: Tensor
    outer: Tensor
    mel_even: Tensor
    mel_odd: Tensor

    def __init__(self, frontend: LogMel) -> None:
        super().__init__()
        self.n_fft: int = frontend.layer.stft.n_fft
        self.hop_length = frontend.hop_length
        half = self.n_fft // 2
        self.p = _first_factor(half)
        self.q = half // self.p
        # (half, n2, n1, 1)
        window = frontend.layer.stft.window_mask.reshape(2, self.p, self.q, 1)
        self.register_buffer("windows", window.transpose(1, 2).contiguous())
        n, k2 = torch.arange(half).reshape(self.p, self.q), torch.arange(self.q)
        # ((part, k2), (n2, part of the inner sum)), where a part is the real or the imaginary one
        real, imaginary = _turns(k2[:, None] * k2, self.q)
        outer = torch.stack([torch.stack([real, -imaginary], -1), torch.stack([imaginary, real], -1)])
        self.register_buffer("outer", outer.flatten(0, 1).flatten(1).float())
        mel, is_new = frontend.layer.mel_basis.detach(), torch.ones(half + 1, dtype=torch.bool)
        for name, r, n_k1 in (("even", 0, self.p // 2 + 1), ("odd", 1, (self.p + 1) // 2)):
            k1 = torch.arange(n_k1)
            # (n1, n2, k1, part) to (n2, (k1, part), n1)
            inner = torch.stack(_turns(n[:, :, None] * (r + 2 * k1), self.n_fft), -1)
            self.register_buffer(f"inner_{name}", inner.permute(1, 2, 3, 0).flatten(1, 2).float().contiguous())
            k = (r + 2 * (k1[:, None] + self.p * k2)).flatten()
            self.register_buffer(f"mel_{name}", _columns(mel, torch.minimum(k, self.n_fft - k), is_new))

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the power in each mel band.

        Args:
            waveform: Full scale 1, shape (b, n).

        Returns:
            Power, shape (b, m, f).
        """
        first, second = (half * window for half, window in zip(self._halves(waveform), self.windows, strict=True))
        even = self.mel_even @ self._powers(first + second, self.inner_even)
        return even + self.mel_odd @ self._powers(first - second, self.inner_odd)

    def _powers(self, samples: Tensor, inner: Tensor) -> Tensor:
        """Compute the power at the even or the odd frequencies: (b, n2, n1, f) to (b, (k1, k2), f)."""
        (batch, q, _, n_frames), n_k1 = samples.shape, inner.shape[1] // 2
        # (b, n2, (k1, part), f) to (b, k1, (n2, part), f)
        sums = (inner @ samples).reshape(batch, q, n_k1, 2 * n_frames).transpose(1, 2)
        transform = self.outer @ sums.reshape(batch, n_k1, 2 * q, n_frames)
        # A sum over an axis, because onnxruntime would copy both parts before it adds them.
        power = transform.reshape(batch, n_k1, 2, q * n_frames).square().sum(2)
        return power.reshape(batch, n_k1 * q, n_frames)

    def _halves(self, waveform: Tensor) -> Sequence[Tensor]:
        """Cut a waveform into centred frames, with silence beyond its ends: (b, n) to two of (b, n2, n1, f)."""
        half, hop = self.n_fft // 2, self.hop_length
        batch, n_samples = waveform.shape
        n_frames, n_pieces = n_samples // hop + 1, -(-self.n_fft // hop)
        rows = n_frames - 1 + n_pieces
        padded = F.pad(waveform, (half, rows * hop - half - n_samples))
        # Hops are brought into the order (n2, n1) before they are copied into several frames, if that is possible.
        q = self.q if hop % self.q == 0 else 1
        hops = padded.reshape(batch, rows, hop).transpose(1, 2).reshape(batch, hop // q, q, rows).transpose(1, 2)
        # A frame is a number of hops, and a part of another one if the hop does not divide it.
        lengths = [min(hop, self.n_fft - piece * hop) // q for piece in range(n_pieces)]
        pieces = [hops[:, :, :length, piece : piece + n_frames] for piece, length in enumerate(lengths)]
        if hop == half:
            return pieces
        frames = torch.cat(pieces, 2)
        if q != self.q:
            frames = frames.reshape(batch, 2 * self.p, self.q, n_frames).transpose(1, 2)
        return frames.chunk(2, 2)


def _first_factor(half: int) -> int:
    """Return the factor p of half = p q for which the products have the fewest operations."""
    # Of real samples the inner sums have half p operations, and the outer sums of complex numbers 2 half q.
    return min((p for p in range(1, half + 1) if half % p == 0), key=lambda p: p + 2 * half // p)


def _turns(products: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Return real and imaginary part of exp(-2 pi i products / period), float64; integers keep the angles exact."""
    angles = (products % period).double() * (-2 * math.pi / period)
    return angles.cos(), angles.sin()


def _columns(mel: Tensor, frequencies: Tensor, is_new: Tensor) -> Tensor:
    """Return the columns of a mel matrix for frequencies; 0 for a frequency that occurred before, which is marked."""
    columns = mel[:, frequencies]
    for position, frequency in enumerate(frequencies.tolist()):
        if not is_new[frequency]:
            columns[:, position] = 0
        is_new[frequency] = False
    return columns
