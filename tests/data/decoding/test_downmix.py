"""A song of any number of channels becomes the same mono, whatever its format."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.pcm import downmix_gains, to_int16
from lit_genre.data.decoding.track_audio import decode
from tests.helpers.audio import tone
from tests.helpers.media import RATE, Format, correlation, song, write

HALF_POWER = 0.5**0.5
# ITU-R BS.775: 0.7071 (L + R) + C + 0.5 (Ls + Rs), and all of it times 0.7071, that stereo is the mean.
LEFT, CENTRE, SURROUND = HALF_POWER * HALF_POWER, HALF_POWER, 0.5 * HALF_POWER
GAINS = {
    1: [1.0],
    2: [LEFT, LEFT],
    3: [LEFT, LEFT, CENTRE],
    4: [LEFT, LEFT, SURROUND, SURROUND],
    5: [LEFT, LEFT, CENTRE, SURROUND, SURROUND],
    6: [LEFT, LEFT, CENTRE, 0, SURROUND, SURROUND],
    8: [LEFT, LEFT, CENTRE, 0, SURROUND, SURROUND, SURROUND, SURROUND],
}
"""Of the layouts of `media.LAYOUTS`, in FFmpeg's order."""

FORMATS = {
    "wav": Format("wav", "pcm_s16le", rate=48000),
    "float.wav": Format("wav", "pcm_f32le", rate=48000),
    "flac": Format("flac", "flac", rate=48000),
    "oga": Format("ogg", "flac", rate=48000),
    "opus": Format("ogg", "libopus", rate=48000, kbit=320),
    "m4a": Format("ipod", "aac", rate=48000, kbit=384),
    "ac3": Format("ac3", "ac3", rate=48000, kbit=448),
    "eac3": Format("eac3", "eac3", rate=48000, kbit=448),
    "wv": Format("wv", "wavpack", rate=48000),
    "alac.m4a": Format("ipod", "alac", rate=48000),
}


def expected(samples: NDArray[np.float32], gains: list[float]) -> NDArray[np.float32]:
    """Mix and resample, shape (t,), full scale 32768."""
    return np.asarray(32768 * soxr.resample(samples @ np.array(gains, dtype=np.float32), 48000, RATE))


def decibels(one: NDArray[np.int16], other: NDArray[np.float32]) -> float:
    """Compare the levels."""
    length = min(len(one), len(other))
    energies = [np.square(pcm[:length].astype(np.float64)).sum() for pcm in (one, other)]
    return float(10 * np.log10(energies[0] / energies[1]))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_song_of_six_channels_is_the_same_in_every_format(kind: str, tmp_path: Path) -> None:
    samples = song(3, 48000, 6)
    pcm = decode(write(tmp_path / f"song.{kind}", samples, FORMATS[kind]), RATE)
    mono = expected(samples, GAINS[6])
    assert abs(decibels(pcm, mono)) < 0.1
    assert correlation(pcm, mono) > 0.99


@pytest.mark.parametrize("file_format", ["WAV", "AIFF", "CAF"])
def test_six_channels_without_names_are_taken_for_5_1(file_format: str, tmp_path: Path) -> None:
    samples = song(3, 48000, 6)
    soundfile.write(tmp_path / "song.wav", samples, 48000, format=file_format)
    assert abs(decibels(decode(tmp_path / "song.wav", RATE), expected(samples, GAINS[6]))) < 0.1


def test_vorbis_of_six_channels_is_the_same_as_well(tmp_path: Path) -> None:
    samples = song(3, 48000, 6)
    # FFmpeg's encoder writes stereo only. Vorbis has the centre second and the low frequencies last.
    in_order = samples[:, [0, 2, 1, 4, 5, 3]]
    soundfile.write(tmp_path / "song.ogg", in_order, 48000, format="OGG", subtype="VORBIS", compression_level=0.1)
    pcm, mono = decode(tmp_path / "song.ogg", RATE), expected(samples, GAINS[6])
    assert abs(decibels(pcm, mono)) < 0.1
    assert correlation(pcm, mono) > 0.99


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("kind", ["wav", "flac", "m4a", "wv"])
def test_one_to_eight_channels(kind: str, n_channels: int, tmp_path: Path) -> None:
    samples = song(2, 48000, n_channels)
    form = FORMATS[kind]._replace(kbit=64 * n_channels if kind == "m4a" else None)
    pcm = decode(write(tmp_path / f"song.{kind}", samples, form), RATE)
    mono = expected(samples, GAINS[n_channels])
    assert abs(decibels(pcm, mono)) < 0.1
    assert correlation(pcm, mono) > 0.99


def test_low_frequencies_of_their_own_channel_are_left_out(tmp_path: Path) -> None:
    samples = np.zeros((48000, 6), dtype=np.float32)
    samples[:, 3] = tone(50, 1, 48000)
    with pytest.raises(AudioError, match="nothing but silence"):
        decode(write(tmp_path / "song.flac", samples, FORMATS["flac"]), RATE)


def test_channels_of_unknown_position_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    channels = np.stack([tone(440, 1), np.zeros(RATE), np.zeros(RATE), np.zeros(RATE)], axis=1)
    soundfile.write(path, channels, RATE)
    assert np.abs(decode(path, RATE)).max() / 32768 == pytest.approx(0.125, abs=0.001)


def test_opposite_channels_are_silence_and_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.stack([tone(440, 1), -tone(440, 1)], axis=1), RATE)
    with pytest.raises(AudioError, match="silence"):
        decode(path, RATE)


def test_beyond_full_scale_is_clipped_not_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, 4 * tone(440, 1), RATE, subtype="FLOAT")
    pcm = decode(path, RATE)
    assert pcm.max() == 32767
    assert pcm.min() == -32768
    assert np.abs(np.diff(pcm.astype(int))).max() < 32768


def test_int16_is_rounded_to_the_nearest() -> None:
    samples = np.array([0, 1.4, -1.4, 1.6, 32767.4, -40000, 40000]) / 32768
    assert to_int16(samples.astype(np.float32)).tolist() == [0, 1, -1, 2, 32767, -32768, 32767]


@pytest.mark.parametrize(
    ("channels", "gains"),
    [
        (["FL", "FR"], [0.5, 0.5]),
        (["FC"], [1]),
        (["FL", "FR", "LFE"], [0.5, 0.5, 0]),
        (["LFE"], [1]),
        (["LFE", "LFE2"], [0.5, 0.5]),
        (["FC", "LFE"], [1, 0]),
        (["FL", "FR", "TFL", "TFR"], [0.25] * 4),
        (["FL", "FR", "FC", "LFE", "BC", "SL", "SR"], [LEFT, LEFT, CENTRE, 0, 0.5, SURROUND, SURROUND]),
    ],
)
def test_gains_of_layouts(channels: list[str], gains: list[float]) -> None:
    assert downmix_gains(channels).tolist() == pytest.approx(gains)
