"""Whole files of many kinds are decoded from beginning to end, whichever decoder reads them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from lit_genre.data.decoding import ffmpeg, libsndfile
from lit_genre.data.decoding.excerpts import excerpt, measure_track
from lit_genre.data.decoding.pcm import FiniteCounter
from lit_genre.data.decoding.status import COMPLETE
from lit_genre.data.decoding.track_audio import decode, decode_track
from tests.helpers.audio import tone
from tests.helpers.media import MP3, PLAIN_MP3, RATE, Format, as_mono, correlation, song, write

SECONDS = 2.0
TOLERANCE_SECONDS = 0.05

FORMATS = {
    "info.mp3": MP3,
    "plain.mp3": PLAIN_MP3,
    "vbr.mp3": PLAIN_MP3._replace(encoder={"flags": "+qscale", "global_quality": "236"}, kbit=None),
    "mono.mp3": MP3._replace(n_channels=1, kbit=64),
    "48k.mp3": MP3._replace(rate=48000),
    "22k.mp3": MP3._replace(rate=22050, kbit=64),
    "8k.mp3": MP3._replace(rate=8000, kbit=32),
    "mp2": Format("mp2", "mp2", kbit=192),
    "flac": Format("flac", "flac"),
    "24.flac": Format("flac", "flac", sample_format="s32", encoder={"bits_per_raw_sample": "24"}),
    "32.flac": Format("flac", "flac", sample_format="s32"),
    "96k.flac": Format("flac", "flac", rate=96000),
    "flac.ogg": Format("ogg", "flac"),
    "oga": Format("oga", "flac"),
    "vorbis.ogg": Format("ogg", "vorbis", kbit=128),
    "opus": Format("opus", "libopus", rate=48000, kbit=128),
    "opus.ogg": Format("ogg", "libopus", rate=48000, n_channels=1, kbit=64),
    "m4a": Format("ipod", "aac", kbit=128),
    "moov_first.m4a": Format("ipod", "aac", kbit=128, muxer={"movflags": "faststart"}),
    "fragments.mp4": Format("mp4", "aac", kbit=128, muxer={"movflags": "frag_keyframe+empty_moov"}),
    "mov": Format("mov", "aac", kbit=128),
    "3gp": Format("3gp", "aac", rate=22050, kbit=128),
    "alac.m4a": Format("ipod", "alac"),
    "alac.caf": Format("caf", "alac"),
    "pcm.caf": Format("caf", "pcm_s16be"),
    "pcm.mov": Format("mov", "pcm_s16le"),
    "wav": Format("wav", "pcm_s16le"),
    "u8.wav": Format("wav", "pcm_u8"),
    "24.wav": Format("wav", "pcm_s24le"),
    "32.wav": Format("wav", "pcm_s32le"),
    "float.wav": Format("wav", "pcm_f32le"),
    "double.wav": Format("wav", "pcm_f64le"),
    "mulaw.wav": Format("wav", "pcm_mulaw"),
    "alaw.wav": Format("wav", "pcm_alaw", rate=8000, n_channels=1),
    "ms_adpcm.wav": Format("wav", "adpcm_ms"),
    "ima_adpcm.wav": Format("wav", "adpcm_ima_wav"),
    "yamaha_adpcm.wav": Format("wav", "adpcm_yamaha"),
    "g722.wav": Format("wav", "g722", rate=16000, n_channels=1),
    "g726.wav": Format("wav", "g726", rate=8000, n_channels=1, kbit=32),
    "ac3.wav": Format("wav", "ac3", kbit=192),
    "mp3.wav": Format("wav", "libmp3lame", kbit=128),
    "wma.wav": Format("wav", "wmav2", kbit=128),
    "rf64.wav": Format("wav", "pcm_s16le", muxer={"rf64": "always"}),
    "w64": Format("w64", "pcm_s16le"),
    "aiff": Format("aiff", "pcm_s16be"),
    "little.aiff": Format("aiff", "pcm_s16le"),
    "24.aiff": Format("aiff", "pcm_s24be"),
    "au": Format("au", "pcm_s16be"),
    "voc": Format("voc", "pcm_s16le"),
    "opus.mka": Format("matroska", "libopus", rate=48000, kbit=128),
    "flac.mka": Format("matroska", "flac"),
    "mp3.mkv": Format("matroska", "libmp3lame", kbit=128),
    "aac.mka": Format("matroska", "aac", kbit=128),
    "webm": Format("webm", "vorbis", kbit=128),
    "live.webm": Format("webm", "libopus", rate=48000, kbit=128, muxer={"live": "1"}),
    "wma": Format("asf", "wmav2", kbit=128),
    "wmav1.wma": Format("asf", "wmav1", kbit=128),
    "wv": Format("wv", "wavpack"),
    "float.wv": Format("wv", "wavpack", sample_format="fltp"),
    "tta": Format("tta", "tta"),
    "ac3": Format("ac3", "ac3", kbit=192),
    "eac3": Format("eac3", "eac3", kbit=192),
    "aac": Format("adts", "aac", kbit=128),
    "loas.aac": Format("latm", "aac", kbit=128),
    "aac.ts": Format("mpegts", "aac", kbit=128),
    "mp2.ts": Format("mpegts", "mp2", kbit=192),
    "mp2.mpg": Format("mpeg", "mp2", kbit=192),
    "mp3.avi": Format("avi", "libmp3lame", kbit=128),
    "pcm.avi": Format("avi", "pcm_s16le"),
    "mp3.flv": Format("flv", "libmp3lame", kbit=128),
    "nut": Format("nut", "flac"),
    "rm": Format("rm", "ac3", kbit=192),
    "sbc": Format("sbc", "sbc", kbit=328),
    "aptx": Format("aptx", "aptx", rate=48000),
}
"""By the end of the file's name. No encoder that comes with PyAV writes DTS, Monkey's Audio, Musepack, TAK or Speex; of
speech at 12 kbit/s (AMR, G.723.1) the correlation is below 0.99 by intent."""

EXCERPT_LAG_SECONDS = 0.001
"""Matroska numbers its packets by milliseconds."""


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_whole_file_is_decoded_from_beginning_to_end(kind: str, tmp_path: Path) -> None:
    form = FORMATS[kind]
    samples = song(SECONDS, form.rate, form.n_channels)
    path = write(tmp_path / f"song.{kind}", samples, form)
    with decode_track(path, RATE) as audio:
        pcm = np.empty(audio.n_samples, dtype=np.int16)
        audio.read(0, pcm)
        assert audio.status == COMPLETE
    assert len(pcm) / RATE == pytest.approx(SECONDS, abs=TOLERANCE_SECONDS)
    assert correlation(pcm, as_mono(samples, form.rate)) >= 0.99
    n_samples, status = measure_track(path, RATE)
    assert status == COMPLETE
    assert n_samples / RATE == pytest.approx(SECONDS, abs=TOLERANCE_SECONDS)


def test_an_excerpt_is_what_the_whole_file_has_there(kind: str, tmp_path: Path) -> None:
    form = FORMATS[kind]
    path = write(tmp_path / f"song.{kind}", song(SECONDS, form.rate, form.n_channels), form)
    pcm = decode(path, RATE)
    for start in (0, RATE + 123):
        part = excerpt(path, RATE, start, RATE // 2)
        assert len(part) == RATE // 2
        assert correlation(part, pcm[start : start + len(part)], EXCERPT_LAG_SECONDS) > 0.999
    assert len(excerpt(path, RATE, 10 * RATE, 100)) == 0


@pytest.mark.parametrize(
    "kind", ["info.mp3", "mono.mp3", "24.flac", "96k.flac", "opus", "vorbis.ogg", "float.wav", "24.aiff"]
)
def test_two_decoders_decode_the_same(kind: str, tmp_path: Path) -> None:
    form = FORMATS[kind]
    path = write(tmp_path / f"song.{kind}", song(SECONDS, form.rate, form.n_channels), form)
    by_ffmpeg = np.concatenate(list(ffmpeg.Decoding(path, RATE)))
    with libsndfile.open_sound(path) as file:
        by_libsndfile = np.concatenate(list(libsndfile.decode_blocks(file, RATE, FiniteCounter())))
    assert abs(len(by_ffmpeg) - len(by_libsndfile)) / RATE <= TOLERANCE_SECONDS
    assert correlation(by_ffmpeg, by_libsndfile) >= 0.999


def pitch(pcm: NDArray[np.int16]) -> float:
    """Find the strongest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(spectrum.argmax() * RATE / len(pcm))


@pytest.mark.parametrize("file_format", ["MP3", "FLAC", "OGG", "WAV"])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_the_suffix_does_not_matter_and_each_rate_gives_the_pitch(tmp_path: Path, file_format: str, rate: int) -> None:
    path = tmp_path / "clip.mp3"
    soundfile.write(path, np.stack([tone(440, 2, rate)] * 2, axis=1), rate, format=file_format)
    pcm = decode(path, RATE)
    assert pcm.dtype == np.int16
    assert len(pcm) / RATE == pytest.approx(2, abs=0.1)
    assert pitch(pcm) == pytest.approx(440, abs=1)
    assert np.percentile(np.abs(pcm), 99.9) / 32768 == pytest.approx(0.5, abs=0.1)
