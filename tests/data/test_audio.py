from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lit_genre.data.audio import AudioError, decode
from tests.conftest import tone

RATE = 22050
LOSSY = 0.1
"""Largest error of a decoded tone of amplitude 0.5 that lossy coding and resampling explain."""


def pitch(pcm: NDArray[np.int16]) -> float:
    """Find the strongest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(spectrum.argmax() * RATE / len(pcm))


@pytest.mark.parametrize("file_format", ["MP3", "FLAC", "OGG", "WAV"])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_format_rate_and_number_of_channels(tmp_path: Path, file_format: str, rate: int, channels: int) -> None:
    path = tmp_path / "clip.mp3"
    soundfile.write(path, np.stack([tone(440, 2, rate)] * channels, axis=1), rate, format=file_format)
    pcm = decode(path, RATE)
    assert pcm.dtype == np.int16
    assert pcm.ndim == 1
    assert len(pcm) == pytest.approx(2 * RATE, rel=0.05)
    assert pitch(pcm) == pytest.approx(440, abs=1)
    assert np.percentile(np.abs(pcm), 99.9) / 32768 == pytest.approx(0.5, abs=LOSSY)


def test_more_than_two_channels_are_averaged(tmp_path: Path) -> None:
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


def test_truncated_file_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    soundfile.write(path, tone(440, 4), RATE, format="MP3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pcm = decode(path, RATE)
    assert RATE < len(pcm) < 3 * RATE
    assert pcm[-RATE // 2 :].any()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"This is text. " * 500, "no audio that can be decoded"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "no audio that can be decoded"),
        (b"\xff\xfb\x90\x00", "no audio that can be decoded"),
    ],
)
def test_what_is_no_audio_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=reason):
        decode(path, RATE)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE, dtype=np.float32), "nothing but silence"),
        (np.full(RATE, np.nan, dtype=np.float32), "not finite"),
        (np.zeros(0, dtype=np.float32), "no samples"),
    ],
)
def test_what_holds_no_music_says_why(tmp_path: Path, samples: NDArray[np.float32], reason: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=reason):
        decode(path, RATE)


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_a_rate_that_no_music_has_is_refused_before_it_fills_the_memory(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(1, 70_000, 1), rate)
    with pytest.raises(AudioError, match=f"a sample rate of {rate:,} Hz"):
        decode(path, RATE)


def test_absent_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "nothing.mp3", RATE)


def test_an_mp3_of_varying_bit_rate_that_does_not_tell_its_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    # Quiet, then loud: a guess from the bit rate of the first frame would be wrong.
    samples = np.concatenate([tone(440, 5, amplitude=1e-3), np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE)])
    soundfile.write(path, samples, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.1)
    content = path.read_bytes()
    # The first frame tells it; the second begins with the same four bytes but for the bit rate.
    second = next(place for place in range(4, 2000) if content[place : place + 2] == content[:2])
    assert b"Xing" in content[:second] or b"Info" in content[:second]
    for tag in (b"", b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)):
        path.write_bytes(tag + content[second:])
        assert len(decode(path, RATE)) / RATE == pytest.approx(10, abs=0.2)
