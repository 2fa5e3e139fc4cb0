"""Decode what libsndfile does not read, m4a and wma above all, by the program `ffmpeg` where it is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lit_genre.data.audio import NO_AUDIO, AudioError, DecoderMissingError

SUFFIXES: Final = frozenset(
    ".3gp .aac .ac3 .amr .ape .asf .dsf .m4a .m4b .mka .mpc .tta .weba .webm .wma .wv".split()  # noqa: SIM905
)
"""Of files with sound that only FFmpeg reads."""

NO_SOUND: Final = "a film or picture without sound"
_NO_STREAM: Final = "matches no streams"

# None of the formats that name other files or addresses, as playlists do: a file is to be read, and nothing else.
_FORMATS: Final = "aac,ac3,amr,ape,asf,avi,dsf,matroska,mov,mpc,mpc8,tta,webm,wv"
_BLOCK: Final = 1 << 18


def decode_blocks(path: Path, sample_rate: int) -> Iterator[NDArray[np.int16]]:
    """Decode a file block by block, mix its channels to mono and resample it.

    Args:
        path: Any file with sound.
        sample_rate: Sample rate of the result, Hz.

    Yields:
        Samples, shape (t,), full scale 32768.

    Raises:
        AudioError: FFmpeg is not installed, or can decode nothing.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise DecoderMissingError("no audio that libsndfile can decode, and FFmpeg, which may, is not installed")
    limits = ("-protocol_whitelist", "file", "-format_whitelist", _FORMATS)
    sound = ("-map", "0:a:0", "-ac", "1", "-ar", str(sample_rate), "-f", "s16le", "-")
    # As an address, a file may be called anything.
    command = [program, "-v", "error", "-nostdin", *limits, "-i", f"file:{path.absolute()}", *sound]
    with tempfile.TemporaryFile() as says, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=says) as process:
        assert process.stdout is not None
        n_blocks = 0
        try:
            # A pipe gives less than it is asked for only at its end.
            while block := process.stdout.read(_BLOCK):
                n_blocks += 1
                yield np.frombuffer(block[: len(block) // 2 * 2], dtype="<i2")
        except BaseException:
            process.kill()  # Nobody reads on.
            raise
        if process.wait() < 0:
            raise AudioError("FFmpeg was stopped in the middle of it")
        if not n_blocks:
            says.seek(0)
            reason = says.read().decode(errors="replace").strip()
            if _NO_STREAM in reason:
                raise AudioError(NO_SOUND)
            reason = reason.rpartition("\n")[2].rpartition(": ")[2]
            raise AudioError(f"{NO_AUDIO} (FFmpeg: {reason})")
