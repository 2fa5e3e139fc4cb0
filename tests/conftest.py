"""Small data in FMA's format, made once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from lit_genre.__main__ import main

# Two threads each in several libraries wait for one another on two cores.
torch.set_num_threads(1)
# What a shell puts behind `&` ignores Ctrl-C, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No test asks the network; the hubs' library reads this when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
    os.environ.pop(variable, None)


@pytest.fixture(scope="session", autouse=True)
def _state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the key that signs configurations out of the home folder."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def fma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight genres, three artists each (one a split), one MP3 of 2 s each."""
    from lit_genre.demo.write import write_demo

    root = tmp_path_factory.mktemp("fma")
    write_demo(root, artists=3, tracks_per_artist=1, seconds=2.0)
    return root


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run `lit-genre` in this process, from an empty folder and without an account of W&B."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    return lambda *words: main([str(word) for word in words])


WriteFMA = Callable[[dict[int, tuple[str, str, object]]], Path]


@pytest.fixture
def write_fma(tmp_path: Path) -> WriteFMA:
    """Write tracks.csv and clips by hand: {track id: (FMA's split, genre, samples or bytes or None)}."""

    def write(tracks: dict[int, tuple[str, str, object]]) -> Path:
        root = tmp_path / "by_hand"
        (root / "fma_metadata").mkdir(parents=True)
        (root / "fma_small").mkdir()
        rows = [
            ",set,set,track,track,artist,artist",
            ",split,subset,genre_top,title,id,name",
            "track_id,,,,,,",
        ]
        for track_id, (split, genre, content) in tracks.items():
            rows.append(f"{track_id},{split},small,{genre},Title {track_id},{track_id},Artist {track_id}")
            path = root / "fma_small" / f"{track_id:06d}"[:3] / f"{track_id:06d}.mp3"
            path.parent.mkdir(exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content is not None:
                soundfile.write(path, content, 22050, format="WAV", subtype="PCM_16")
        (root / "fma_metadata" / "tracks.csv").write_text("\n".join(rows) + "\n")
        return root

    return write


def tone(hertz: float, seconds: float, rate: int = 22050, amplitude: float = 0.5) -> NDArray[np.float32]:
    """Make a sine, shape (t,)."""
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture(scope="session")
def trained(fma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of a small run, which has been tested."""
    from tests.runs import QUIET, SMALL

    folder = tmp_path_factory.mktemp("trained") / "run"
    options = (*SMALL, QUIET, f"--data.root={fma}", "--trainer.max_epochs=2", f"--trainer.default_root_dir={folder}")
    main(["fit", *map(str, options)])
    checkpoint = folder / "checkpoints" / "best.ckpt"
    main(["test", f"--ckpt_path={checkpoint}"])
    return checkpoint
