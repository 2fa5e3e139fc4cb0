import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_genre.data.datamodules.fma import FMADataModule
from lit_genre.data.decoding.status import TrackStatus
from lit_genre.data.decoding.track_audio import TrackAudio, decode_track
from lit_genre.data.store import builder as store_builder
from lit_genre.errors import LitGenreError
from tests.helpers.audio import tone
from tests.helpers.fma import WriteFMA

RATE = 22050
CLIP = tone(440, 1.0)


def opened(root: Path, **options: object) -> FMADataModule:
    data = FMADataModule(root, **{"clip_seconds": 1, "batch_size": 4, "seed": 0} | options)
    data.prepare_data()
    data.setup("fit")
    return data


def test_batches_are_int16_on_the_host(fma: Path) -> None:
    data = opened(fma)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        assert batch.waveform.dtype == torch.int16
        assert batch.waveform.shape == (4, RATE)
        assert batch.label.dtype == torch.int64
        assert batch.waveform.abs().amax(1).min() > 0


def test_splits_hold_their_tracks(fma: Path) -> None:
    data = opened(fma)
    seen = {
        split: {int(track) for batch in loader for track in batch.track_id}
        for split, loader in (
            ("train", data.train_dataloader()),
            ("val", data.val_dataloader()),
            ("test", data.test_dataloader()),
        )
    }
    for split, ids in seen.items():
        assert ids == {track.track_id for track in data.tracks if track.split == split}


def test_labels_are_positions_in_the_class_names(fma: Path) -> None:
    data = opened(fma)
    genre_of = {track.track_id: track.genre_top for track in data.tracks}
    for batch in data.train_dataloader():
        for label, track in zip(batch.label.tolist(), batch.track_id.tolist(), strict=True):
            assert data.classes[label] == genre_of[track]


def test_validation_covers_each_track_with_its_windows(fma: Path) -> None:
    tracks = torch.cat([batch.track_id for batch in opened(fma).val_dataloader()])
    assert tracks.unique(return_counts=True)[1].tolist() == [2] * 8


def test_null_is_the_whole_30_seconds(fma: Path) -> None:
    batch = next(iter(opened(fma, clip_seconds=None).train_dataloader()))
    assert batch.waveform.shape == (4, 30 * RATE)
    # The tracks are of 2 s: heard again and again, never silence.
    assert batch.waveform[:, -RATE:].abs().amax(1).min() > 0


def test_workers_read_what_the_main_process_reads(fma: Path) -> None:
    batches = [list(opened(fma, num_workers=number).train_dataloader()) for number in (0, 2)]
    for alone, by_worker in zip(*batches, strict=True):
        assert alone.mel is None is by_worker.mel
        assert all(torch.equal(a, b) for a, b in zip(alone[:4], by_worker[:4], strict=True))


def test_seed_decides_the_clips(fma: Path) -> None:
    first, again, other = (next(iter(opened(fma, seed=seed).train_dataloader())) for seed in (1, 1, 2))
    assert torch.equal(first.waveform, again.waveform)
    assert not torch.equal(first.waveform, other.waveform)


@pytest.mark.parametrize(("batch_size", "sizes"), [(7, [7]), (5, [5, 3]), (1, [1] * 8), (8, [8]), (20, [8])])
def test_no_batch_of_one_clip_is_left_over_in_training(fma: Path, batch_size: int, sizes: list[int]) -> None:
    data = FMADataModule(fma, batch_size=batch_size)
    data.setup()
    assert [len(batch.label) for batch in data.train_dataloader()] == sizes
    assert sum(len(batch.label) for batch in data.test_dataloader()) == 8


def test_missing_data_says_where_what_and_how(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError) as error:
        FMADataModule(tmp_path / "nowhere").classes  # noqa: B018
    said = str(error.value)
    for part in ("nowhere", "tracks.csv", "fma_small", "lit-genre prepare --subset small", "lit-genre demo"):
        assert part in said


def test_bad_clips_are_left_out_and_listed(write_fma: WriteFMA, capsys: pytest.CaptureFixture[str]) -> None:
    good = dict.fromkeys(range(100, 130), ("training", "Rock", CLIP))
    rest = {200: ("validation", "Pop", CLIP), 300: ("test", "Pop", CLIP)}
    data = opened(write_fma({**good, 98565: ("training", "Rock", b"text named .mp3"), **rest}))
    tracks = torch.cat([batch.track_id for batch in data.train_dataloader()])
    assert sorted(tracks.tolist()) == list(good)
    said = "".join(capsys.readouterr())
    assert "track 98565, no audio that can be decoded" in said
    assert "1 of 33 tracks" in said


def test_a_short_clip_keeps_its_true_length(write_fma: WriteFMA) -> None:
    short = tone(440, 0.5)
    data = opened(
        write_fma({k: (split, "Rock", short) for k, split in enumerate(("training", "validation", "test"), 1)})
    )
    waveform = next(iter(data.train_dataloader())).waveform[0].numpy()
    assert (waveform == np.resize(waveform[: RATE // 2], RATE)).all()


def test_losing_too_much_stops_with_the_reason_unless_allowed(write_fma: WriteFMA) -> None:
    tracks = dict.fromkeys(range(1, 10), ("training", "Rock", CLIP))
    root = write_fma({**tracks, 10: ("training", "Rock", None), 20: ("validation", "Rock", CLIP)})
    with pytest.raises(LitGenreError, match="1 of the 10 train tracks") as error:
        opened(root)
    assert "track 10: no such file" in str(error.value)
    assert "--data.max_missing_fraction=0.1" in str(error.value)
    assert len(opened(root, max_missing_fraction=0.1).train_dataloader().dataset) == 9


@pytest.fixture
def damaged(write_fma: WriteFMA, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty tracks of 1 s; of tracks 3 and 4, 0.5 and 3 s more are missing, and of track 12 1.5 s."""
    lost = {3: TrackStatus("recovered", 0.5), 4: TrackStatus("truncated", 3.0), 12: TrackStatus("truncated", 1.5)}

    def decode(path: Path, *arguments: Any, **options: Any) -> TrackAudio:
        audio = decode_track(path, *arguments, **options)
        audio.status = lost.get(int(path.stem), audio.status)
        return audio

    monkeypatch.setattr(store_builder, "decode_track", decode)
    splits = {1: "validation", 2: "test"}
    return write_fma({k: (splits.get(k, "training"), "Rock", CLIP) for k in range(1, 21)})


def test_tracks_of_which_too_little_was_decoded_are_left_out(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = opened(damaged, max_missing_fraction=0.2)
    assert data.missing_tracks.keys() == {4, 12}
    assert not {4, 12} & set(data.train_dataloader().dataset.track_ids.tolist())
    said = "".join(capsys.readouterr())
    assert "track 4, only 1.0 of 4.0 s could be decoded, less than min_decoded_fraction=0.5 of it" in said
    assert re.search(r"Decoded in part: track 3, recovered: .*0\.5 of 1\.5 s", said)
    assert "Decoded in part: 1 of 18 tracks recovered, 0 truncated, 0.5 s missing in all" in said
    assert str(data.store_folder / "index.csv") in said
    # Another limit decodes nothing again.
    monkeypatch.setattr(store_builder, "decode_track", None)
    assert opened(damaged, min_decoded_fraction=0.3, max_missing_fraction=0.2).missing_tracks.keys() == {4}
    assert "1 of 19 tracks recovered, 1 truncated" in "".join(capsys.readouterr())
    assert not opened(damaged, min_decoded_fraction=0).missing_tracks
    assert opened(damaged, min_decoded_fraction=1, max_missing_fraction=0.5).missing_tracks.keys() == {3, 4, 12}
    with pytest.raises(LitGenreError, match=r"2 of the 18 train tracks.*only 1\.0 of 4\.0 s"):
        opened(damaged)


def test_what_is_incomplete_is_reported_once_and_by_one_process(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(damaged, max_missing_fraction=0.2).setup("test")
    assert "".join(capsys.readouterr()).count("missing in all") == 1
    monkeypatch.setattr(FMADataModule, "_rank_and_world_size", lambda data: (1, 2))
    opened(damaged, max_missing_fraction=0.2)
    assert "in part" not in "".join(capsys.readouterr())


def test_complete_tracks_are_not_reported(fma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not opened(fma).missing_tracks
    assert "in part" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(LitGenreError, match="min_decoded_fraction is .*, but must be between 0 and 1"):
        FMADataModule(min_decoded_fraction=fraction)


def test_an_empty_split_is_said(write_fma: WriteFMA) -> None:
    data = opened(write_fma({1: ("training", "Rock", CLIP)}))
    with pytest.raises(LitGenreError, match="no track of the test split"):
        data.test_dataloader()


def test_store_lies_where_it_is_told(fma: Path, tmp_path: Path) -> None:
    opened(fma, store_root=tmp_path / "fast_disk")
    assert len(list((tmp_path / "fast_disk").glob("fma_small-*-22050-*/pcm-1.int16"))) == 1


def test_data_sets_that_share_a_store_root_have_stores_of_their_own(fma: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(fma)
    folders = {FMADataModule(root, store_root=tmp_path).store_folder for root in (fma, tmp_path, tmp_path / "other")}
    assert len(folders) == 2


def test_home_is_expanded(fma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(fma.parent))
    assert len(FMADataModule(Path("~") / fma.name).classes) == 8


@pytest.mark.parametrize(
    "wrong", [{"clip_seconds": 0}, {"clip_seconds": -1}, {"batch_size": 0}, {"num_workers": -1}, {"sample_rate": 0}]
)
def test_sizes_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(LitGenreError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        FMADataModule(**wrong)
