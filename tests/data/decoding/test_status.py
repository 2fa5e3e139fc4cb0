"""Of a damaged file as much as possible is decoded, and what is missing is reported."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lit_genre.data.decoding.errors import AudioError
from lit_genre.data.decoding.excerpts import measure_track
from lit_genre.data.decoding.status import COMPLETE, StatusKind, TrackStatus
from lit_genre.data.decoding.track_audio import MIN_SECONDS, decode, decode_track
from tests.data.decoding.test_formats import FORMATS
from tests.helpers.audio import tone
from tests.helpers.media import MP3, PLAIN_MP3, RATE, Format, as_mono, correlation, song, verbatim_flac, write

SECONDS = 6.0


def result(path: Path) -> tuple[float, TrackStatus]:
    """Decode a file: how many seconds, and the status."""
    with decode_track(path, RATE) as audio:
        return audio.n_samples / RATE, audio.status


class Damage(NamedTuple):
    """What is done to a file of six seconds, and what of it is left."""

    kind: str
    begin: float
    end: float
    content: bytes | None
    status: StatusKind
    seconds: float
    lost: float
    tolerance: float = 0.1


def cut(kind: str, part: float, lost: float | None = None, tolerance: float = 0.1) -> Damage:
    """Keep a part of a file, of whose remainder the length is known; None: of which nothing is known."""
    seconds = part * SECONDS
    status: StatusKind = "complete" if lost is None else "truncated"
    return Damage(kind, part, 1.0, b"", status, seconds, lost or 0.0, tolerance)


HALF = SECONDS / 2
DAMAGES = [
    # One bit of a frame of 0.1 s.
    Damage("flac", 0.2, 0.2, None, "recovered", SECONDS - 0.1, 0.1),
    Damage("24.flac", 0.2, 0.2, None, "recovered", SECONDS, 0.1, 0.15),
    # 2,000 bytes of 16,000 a second.
    Damage("info.mp3", 0.25, 0.25, bytes(2000), "recovered", SECONDS - 0.125, 0.125),
    Damage("plain.mp3", 0.25, 0.25, bytes(2000), "recovered", SECONDS - 0.125, 0.125),
    Damage("info.mp3", 0.25, 0.25, np.random.default_rng(0).bytes(20_000), "recovered", SECONDS - 1.25, 1.25),
    Damage("plain.mp3", 0.25, 0.25, np.random.default_rng(0).bytes(20_000), "recovered", SECONDS - 1.25, 1.25),
    # A download that did not arrive, in a file of its full size.
    Damage("info.mp3", 0.75, 1.0, bytes(24_000), "truncated", 0.75 * SECONDS, 0.25 * SECONDS),
    Damage("plain.mp3", 0.75, 1.0, bytes(24_000), "truncated", 0.75 * SECONDS, 0.25 * SECONDS),
    cut("info.mp3", 0.5, HALF),
    cut("mono.mp3", 0.5, HALF),
    cut("plain.mp3", 0.5),
    cut("flac", 0.5, HALF, tolerance=0.2),
    cut("24.flac", 0.5, HALF, tolerance=0.2),
    cut("wav", 0.5, HALF),
    cut("24.wav", 0.5, HALF),
    cut("ms_adpcm.wav", 0.5, HALF),
    cut("ac3.wav", 0.5, HALF),
    cut("rf64.wav", 0.5, HALF),
    cut("w64", 0.5, HALF),
    cut("aiff", 0.5, HALF),
    cut("au", 0.5, HALF),
    cut("moov_first.m4a", 0.5, HALF),
    cut("fragments.mp4", 0.5, HALF),
    cut("opus.mka", 0.5, HALF),
    # A block of 0.5 s and a frame of 1 s are decoded as a whole or not at all.
    cut("wv", 0.5, HALF, tolerance=0.6),
    cut("tta", 0.5, HALF, tolerance=1.1),
    cut("aac", 0.5),
    cut("ac3", 0.5),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: f"{damage.status} {damage.kind} {damage.lost:g}")
def test_what_a_damaged_file_lacks_is_reported(damage: Damage, tmp_path: Path) -> None:
    form = FORMATS[damage.kind]
    path = write(tmp_path / f"song.{damage.kind}", song(SECONDS, form.rate, form.n_channels), form)
    content = bytearray(path.read_bytes())
    begin = int(damage.begin * len(content))
    if damage.content is None:
        content[begin] ^= 1
    else:
        content[begin : max(begin + len(damage.content), int(damage.end * len(content)))] = damage.content
    path.write_bytes(content)
    seconds, status = result(path)
    assert status.kind == damage.status
    assert seconds == pytest.approx(damage.seconds, abs=damage.tolerance)
    assert status.seconds_lost == pytest.approx(damage.lost, abs=damage.tolerance)


@pytest.mark.parametrize("kind", ["vorbis.ogg", "opus", "oga"])
def test_of_an_ogg_that_was_cut_inside_a_page_the_rest_of_the_page_is_missing(kind: str, tmp_path: Path) -> None:
    form = FORMATS[kind]
    path = write(tmp_path / f"song.{kind}", song(SECONDS, form.rate, form.n_channels), form)
    content = path.read_bytes()
    pages = [position for position in range(len(content)) if content[position : position + 4] == b"OggS"]
    path.write_bytes(content[: (pages[-2] + pages[-3]) // 2])
    seconds, status = result(path)
    assert status.kind == "truncated"
    assert status.seconds_lost == pytest.approx(1, abs=0.2)  # FFmpeg's pages have 1 s.
    assert 2 < seconds < SECONDS - 1.5


def test_of_chained_streams_the_last_may_be_cut(tmp_path: Path) -> None:
    form = FORMATS["opus"]
    path = write(tmp_path / "song.opus", song(3, form.rate, 2), form)
    content = path.read_bytes()
    path.write_bytes(content + content[: len(content) // 2])
    seconds, status = result(path)
    assert 3.9 < seconds < 4.6
    assert status.kind == "truncated"


@pytest.mark.parametrize(
    ("file_format", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_24"), ("CAF", "PCM_16"), ("AU", "FLOAT")]
)
@pytest.mark.parametrize("part", [0.25, 0.99])
def test_samples_that_a_header_declares_and_the_file_lacks_are_missing(
    tmp_path: Path, file_format: str, subtype: str, part: float
) -> None:
    path = tmp_path / "song"
    soundfile.write(path, song(SECONDS, RATE, 2), RATE, format=file_format, subtype=subtype)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    seconds, status = result(path)
    assert status.kind == "truncated"
    assert seconds == pytest.approx(part * SECONDS, abs=0.05)
    assert status.seconds_lost == pytest.approx((1 - part) * SECONDS, abs=0.1)
    assert measure_track(path, RATE) == (round(seconds * RATE), status)


@pytest.mark.parametrize("junk", [bytes(3000), np.random.default_rng(1).bytes(3000)])
def test_bytes_after_the_last_declared_frame_of_an_mp3_are_no_loss(tmp_path: Path, junk: bytes) -> None:
    path = write(tmp_path / "song.mp3", song(SECONDS, 44100, 2), MP3)
    path.write_bytes(path.read_bytes() + junk)
    seconds, status = result(path)
    assert status == COMPLETE
    assert seconds == pytest.approx(SECONDS, abs=0.01)


def test_what_is_decoded_after_the_damage_is_in_its_place(tmp_path: Path) -> None:
    samples = song(SECONDS, 44100, 2)
    path = write(tmp_path / "song.mp3", samples, PLAIN_MP3)
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 4 + 2000] = bytes(2000)
    path.write_bytes(content)
    pcm, mono = decode(path, RATE), as_mono(samples, 44100)
    assert correlation(pcm[:RATE], mono[:RATE]) > 0.99
    assert correlation(pcm[-3 * RATE :], mono[-3 * RATE :]) > 0.99


def float_wav(path: Path, samples: NDArray[np.float32]) -> Path:
    soundfile.write(path, samples, RATE, format="WAV", subtype="FLOAT")
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_one_sample_that_is_not_finite_becomes_silence(tmp_path: Path, value: float) -> None:
    samples = tone(440, 3)
    expected = decode(float_wav(tmp_path / "whole.wav", samples), RATE)
    samples[1000] = value
    pcm = decode(float_wav(tmp_path / "song.wav", samples), RATE)
    assert len(pcm) == len(expected)
    assert (np.delete(pcm, 1000) == np.delete(expected, 1000)).all()
    assert pcm[1000] == (32767 if np.isfinite(value) else 0)


def test_many_samples_that_are_not_finite_are_reported(tmp_path: Path) -> None:
    samples = tone(440, 3)
    samples[RATE : 2 * RATE] = np.nan
    seconds, status = result(float_wav(tmp_path / "song.wav", samples))
    assert seconds == 3
    assert status == TrackStatus("recovered", 1.0)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(RATE, dtype=np.float32), "nothing but silence"),
        (np.full(RATE, np.nan, dtype=np.float32), "nothing but silence"),
        (np.zeros(0, dtype=np.float32), "no samples"),
        (np.full(1, 0.5, dtype=np.float32), "only 0.0000 s of sound"),
        (tone(440, MIN_SECONDS)[:-1], "only 0.0200 s of sound"),
    ],
)
def test_sound_that_is_no_music_is_refused_with_a_reason(
    tmp_path: Path, samples: NDArray[np.float32], reason: str
) -> None:
    path = float_wav(tmp_path / "clip.wav", samples)
    for call in (decode, measure_track):
        if call is decode or "silence" not in reason:  # Silence is found by decoding all.
            with pytest.raises(AudioError, match=reason):
                call(path, RATE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"This is text. " * 500, "no audio that can be decoded"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "no audio that can be decoded"),
        (b"\xff\xfb\x90\x00", "no audio that can be decoded"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "no audio that can be decoded"),
        (b"OggS" + bytes(23), "no audio that can be decoded"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".m4a"])
def test_content_that_is_no_audio_is_refused_with_a_reason(
    tmp_path: Path, content: bytes, reason: str, suffix: str
) -> None:
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    for call in (decode, measure_track):
        with pytest.raises(AudioError, match=reason):
            call(path, RATE)


def test_an_absent_file_is_an_os_error(tmp_path: Path) -> None:
    for call in (decode, measure_track):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "nothing.mp3", RATE)


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_a_rate_that_no_music_has_is_refused_before_it_fills_the_memory(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(1, 70_000, 1), rate)
    with pytest.raises(AudioError, match=f"a sample rate of {rate:,} Hz"):
        decode(path, RATE)


def test_a_longer_file_than_is_allowed_is_not_decoded_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(440, 60), RATE)
    with pytest.raises(AudioError, match="longer than 2 s"):
        decode_track(path, RATE, max_seconds=2)
    path = write(tmp_path / "song.m4a", song(5), Format("ipod", "aac", n_channels=1, kbit=64))
    with pytest.raises(AudioError, match="longer than 2 s"):
        decode_track(path, RATE, max_seconds=2)


def test_a_bit_that_two_decoders_pass_over_is_still_damage(tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    content = bytearray(verbatim_flac(song(SECONDS, 16000, 1), 16000, 16))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    seconds, status = result(path)
    assert status.kind == "recovered"
    assert seconds == pytest.approx(SECONDS, abs=0.3)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (COMPLETE, ""),
        (TrackStatus("truncated", 10.0), "truncated: its end is missing, 10.0 of 30.0 s could not be decoded"),
        (TrackStatus("recovered", 0.25), "recovered: it is damaged, 0.2 of 20.2 s could not be decoded"),
    ],
)
def test_a_status_is_described_for_people(status: TrackStatus, text: str) -> None:
    assert status.describe(20.0) == text
