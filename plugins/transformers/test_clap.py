"""CLAP classifies by words: the probabilities are those of transformers."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import transformers
from lit_genre_transformers_clap import zero_shot
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from lit_genre import LitGenreError
from lit_genre.__main__ import main

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "This", "is", "music", ".", "techno", "house", "ambient"]


@pytest.fixture
def clap(tmp_path: Path) -> str:
    """A folder with a tiny CLAP of random weights, which knows few words."""
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**size, "vocab_size": len(WORDS), "max_position_embeddings": 32, "pad_token_id": 1}
    audio = {
        "window_size": 2, "num_mel_bins": 8, "spec_size": 32, "patch_size": 4, "patch_stride": [4, 4],
        "hidden_size": 16, "depths": [2, 2], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 8,
        "num_hidden_layers": 2,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    torch.manual_seed(0)
    folder = tmp_path / "clap"
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(
        feature_size=8, sampling_rate=48000, hop_length=480, max_length_s=1, fft_window_size=768,
        frequency_max=8000, truncation="rand_trunc",
    ).save_pretrained(folder)  # fmt: skip
    vocabulary = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    vocabulary.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=vocabulary, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    return str(folder)


def test_probabilities_equal_those_of_transformers(clap: str) -> None:
    names = ["techno", "house", "ambient"]
    waveform = 0.3 * torch.randn(2, 48000)
    model = zero_shot(names, clap).eval()
    published = transformers.ClapModel.from_pretrained(clap).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(clap)(
        [f"This is {name} music." for name in names], padding=True, return_tensors="pt"
    )
    features = transformers.AutoFeatureExtractor.from_pretrained(clap)(
        list(waveform.numpy()), sampling_rate=48000, return_tensors="pt"
    )
    with torch.no_grad():
        inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        expected = published(**inputs, input_features=features["input_features"], is_longer=torch.zeros(2, 1).bool())
        probs = model.predict_with_embedding(waveform)[0]
    torch.testing.assert_close(probs, expected.logits_per_audio.softmax(-1), atol=1e-4, rtol=1e-4)
    assert probs.std() > 1e-4


def test_songs_are_classified_by_words(clap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 48000)
    soundfile.write(tmp_path / "song.wav", noise, 48000)
    output = tmp_path / "genres.csv"
    main(
        ["classify", str(tmp_path / "song.wav"), "--zero-shot", "techno, house", f"--clap={clap}", f"--output={output}"]
    )
    assert "techno" in "".join(capsys.readouterr())
    assert output.read_text().splitlines()[0].count("house") == 1


@pytest.mark.parametrize("names", ["techno", "techno,techno", "techno,,house"])
def test_names_that_are_not_two_different_ones_are_refused(clap: str, tmp_path: Path, names: str) -> None:
    (tmp_path / "song.wav").touch()
    with pytest.raises(SystemExit, match="must be two or more different names, such as techno,house"):
        main(["classify", str(tmp_path), "--zero-shot", names, f"--clap={clap}"])


def test_what_is_no_clap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LitGenreError, match=r"There is no folder ./absent"):
        zero_shot(["techno", "house"], "./absent")
