"""Your own music without known genres as a LightningDataModule, for `lit-genre predict`."""

import os
from functools import cached_property
from pathlib import Path

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from lit_genre.batch import Batch, clip_samples
from lit_genre.console import console
from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.loading.streaming import SongClips
from lit_genre.data.metadata.audio_files import Scan, describe_left_out, find_audio_files
from lit_genre.errors import check_at_least


class PredictDataModule(LightningDataModule):
    """A folder with audio files, or one file, read as clips that cover each file, like the tracks of a test.

    Reads any format that libsndfile or FFmpeg decodes, of any length, in all subfolders. Files that are left out by
    their names are reported at the beginning, and files that cannot be read at the end. `lit-genre classify` does the
    same with a shorter command.

    Args:
        path: The folder or file.
        sample_rate: Sample rate, Hz. From the command line it follows model.sample_rate, and a value given here is
            overwritten.
        clip_seconds: Length of a clip, s; null for 30 s. From the command line it follows model.clip_seconds, and a
            value given here is overwritten.
        batch_size: Number of clips in a batch.
        num_workers: Number of threads that decode; null for one per core.

    Attributes:
        failures: Why files could not be read, by position in `files`; filled during the prediction.
        statuses: How much of each file was decoded, by position; filled during the prediction.
        seconds: Lengths of the files, s, by position; filled during the prediction.

    Raises:
        LitGenreError: There is no such path, or no audio in it.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int = 22050,
        clip_seconds: float | None = None,
        batch_size: int = 8,
        num_workers: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least(batch_size=(batch_size, 1), num_workers=(1 if num_workers is None else num_workers, 1))
        self.path = Path(path).expanduser()
        self.sample_rate = sample_rate
        self.clip_samples = clip_samples(clip_seconds, sample_rate)
        self.batch_size = batch_size
        self.num_workers = num_workers or os.cpu_count() or 1
        self.failures: dict[int, str] = {}
        self.statuses: dict[int, TrackStatus] = {}
        self.seconds: dict[int, float] = {}

    @cached_property
    def files(self) -> list[Path]:
        """The files, in the order of their positions in the predictions."""
        return self._scan.files

    @cached_property
    def _scan(self) -> Scan:
        # Scanned once, so that the list of files cannot change during the prediction.
        return find_audio_files([self.path])

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return batches of clips that cover each file; each of several processes reads its own files."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        for line in describe_left_out(self._scan.left_out) if rank == 0 else []:
            console.print(line)
        # With fewer files than processes, some processes repeat a file, because each must take part.
        positions = range(rank, len(self.files), world_size) or [rank % len(self.files)]
        clips = SongClips(
            self.files,
            self.sample_rate,
            self.clip_samples,
            self.batch_size,
            self.num_workers,
            positions,
            failures=self.failures,
            statuses=self.statuses,
            seconds=self.seconds,
        )
        # The stream yields whole batches, and decodes in threads of its own.
        return DataLoader(clips, batch_size=None)
