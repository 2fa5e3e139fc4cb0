import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from lit_genre.errors import LitGenreError
from lit_genre.model.spectrogram.frontend import LogMel
from tests.helpers.audio import tone

RATE = 22050
ENGINES = ("nnaudio", "fft")

ENGINE_TOLERANCE = 1e-4
"""Largest difference of the two engines' power, relative to the loudest band: float32 sums in another order."""
LIBROSA_TOLERANCE_DB = 0.02
"""Largest difference from librosa within 60 dB of the peak, dB; below, float32 rounding shows."""


def music() -> Tensor:
    """Three tones that swell, and noise, shape (2, 2 s)."""
    generator = np.random.default_rng(0)
    swell = np.linspace(0.1, 1, 2 * RATE)
    waveform = sum(tone(hertz, 2.0, amplitude=0.2) for hertz in (220, 1000, 5000)) * swell
    return torch.from_numpy(
        np.stack([waveform, waveform[::-1] + 0.1 * generator.standard_normal(2 * RATE)]).astype(np.float32)
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("hertz", [110, 440, 1000, 3000, 9000])
def test_a_tone_lands_in_the_band_that_contains_it(engine: str, hertz: float) -> None:
    mel = LogMel(RATE, engine=engine)(torch.from_numpy(tone(hertz, 1.0))[None])[0]
    edges = librosa.mel_frequencies(130, fmin=0, fmax=RATE / 2)
    band = int(mel[:, 5:-5].mean(1).argmax())
    assert edges[band] <= hertz <= edges[band + 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_twice_the_amplitude_is_six_decibels(engine: str) -> None:
    frontend, waveform = LogMel(RATE, engine=engine), music()
    gain = 10 * (frontend.power(2 * waveform) / frontend.power(waveform)).log10()
    assert gain.numpy() == pytest.approx(6.0206, abs=1e-3)


def test_loudness_of_the_whole_clip_does_not_matter() -> None:
    frontend, waveform = LogMel(RATE), music()
    torch.testing.assert_close(frontend(0.1 * waveform), frontend(waveform), atol=1e-4, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 1023, 1024, 1025, 30000])
def test_number_of_frames(engine: str, n: int) -> None:
    assert LogMel(RATE, engine=engine)(torch.randn(2, n)).shape == (2, 128, n // 1024 + 1)


@pytest.mark.parametrize("settings", [{}, {"n_fft": 1024, "win_length": 800, "hop_length": 256, "n_mels": 64}])
def test_engines_agree(settings: dict[str, int]) -> None:
    waveform = music()
    power = [LogMel(RATE, engine=engine, **settings).power(waveform) for engine in ENGINES]
    assert ((power[0] - power[1]).abs().amax() / power[0].amax()) < ENGINE_TOLERANCE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_auto_is_fft_on_an_nvidia_gpu() -> None:
    waveform = music().cuda()
    assert torch.equal(LogMel(RATE).cuda()(waveform), LogMel(RATE, engine="fft").cuda()(waveform))


def test_auto_is_fft_on_the_cpu() -> None:
    waveform = music()
    assert torch.equal(LogMel(RATE)(waveform), LogMel(RATE, engine="fft")(waveform))


@pytest.mark.parametrize("engine", ENGINES)
def test_agrees_with_librosa(engine: str) -> None:
    waveform = music()
    ours = (LogMel(RATE, engine=engine)(waveform) - 1) * 40
    for clip, mel in zip(waveform.numpy(), ours.numpy(), strict=True):
        power = librosa.feature.melspectrogram(y=clip, sr=RATE, n_fft=2048, hop_length=1024, n_mels=128)
        reference = librosa.power_to_db(power, ref=np.max, top_db=80)
        loud = reference > -60
        assert loud.mean() > 0.1
        assert mel[loud] == pytest.approx(reference[loud], abs=LIBROSA_TOLERANCE_DB)


@pytest.mark.parametrize("engine", ENGINES)
def test_bfloat16_autocast_changes_nothing(engine: str) -> None:
    frontend, waveform = LogMel(RATE, engine=engine), music()
    expected = frontend(waveform)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mel = frontend(waveform)
    assert mel.dtype == torch.float32
    assert torch.equal(mel, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_silence_and_a_single_sample_are_finite(engine: str) -> None:
    frontend = LogMel(RATE, engine=engine)
    assert (frontend(torch.zeros(1, RATE)) == -1).all()
    assert frontend(torch.ones(1, 1)).isfinite().all()


def test_range_is_fixed() -> None:
    mel = LogMel(RATE)(music())
    assert mel.amax(dim=(1, 2)).numpy() == pytest.approx(1, abs=1e-6)
    assert mel.min() >= -1


def test_constants_stay_out_of_the_checkpoint() -> None:
    assert not LogMel(RATE).state_dict()
    learnt = LogMel(RATE, trainable_mel=True, trainable_stft=True)
    assert set(learnt.state_dict()) == {"layer.mel_basis", "layer.stft.wsin", "layer.stft.wcos"}


def test_trainable_kernels_learn() -> None:
    frontend = LogMel(RATE, trainable_mel=True, trainable_stft=True)
    assert frontend.engine == "nnaudio"
    frontend(music()).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in frontend.parameters())


def test_fft_has_nothing_to_train() -> None:
    with pytest.raises(LitGenreError, match="cannot be trained"):
        LogMel(RATE, engine="fft", trainable_mel=True)
