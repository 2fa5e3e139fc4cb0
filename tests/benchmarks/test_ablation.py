"""The ablation study: its variants are configurations of `fit`, and its decisions follow its rule."""

from pathlib import Path

import pytest
import yaml

from benchmarks.ablation import VARIANTS, Gain, decide, write_configs
from tests.helpers.runs import Run


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_is_accepted_by_fit(
    name: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_configs(tmp_path, ["data/emotify"], [])
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--config", tmp_path / "configs" / f"{name}.yaml", "--print_config")
    config = yaml.safe_load(capsys.readouterr().out)
    model = config["model"]
    assert model["mean_normalized_channels"] == (name != "without_mean_normalized_channels")
    assert model["optimizer"]["class_path"].endswith("Adam" if name == "without_adamw_and_one_cycle" else "AdamW")
    assert config["trainer"]["max_epochs"] == (200 if name == "with_200_epochs" else 60)
    assert str(tmp_path / "configs" / f"{name}.yaml") in (tmp_path / "emotify.yaml").read_text()


def gain(points: float, p: float, calibration_error: float = 0.0) -> Gain:
    return Gain(points, points - 1, points + 1, p, 800, 100, 3, calibration_error, 1.0)


@pytest.mark.parametrize(
    ("name", "gains", "decision"),
    [
        # Without a part, the accuracy is lower: the part is good.
        ("without_mixup", [gain(-5, 0.01), gain(-1, 0.9)], "kept"),
        ("without_mixup", [gain(5, 0.01), gain(-1, 0.9)], "dropped"),
        ("without_mixup", [gain(-5, 0.01), gain(5, 0.01)], "undecided"),
        ("without_mixup", [gain(2, 0.5), gain(1, 0.9)], "dropped"),
        ("without_mixup", [gain(-2, 0.5), gain(1, 0.9)], "undecided"),
        ("without_mixup", [gain(-2, 0.5, -0.1), gain(1, 0.9, -0.1)], "undecided, dropped for its calibration error"),
        ("with_filter", [gain(5, 0.01), gain(1, 0.9)], "kept"),
        ("with_filter", [gain(-2, 0.5), gain(-1, 0.9)], "dropped"),
        ("with_filter", [gain(2, 0.5, 0.1), gain(1, 0.9, 0.1)], "undecided"),
    ],
)
def test_the_rule(name: str, gains: list[Gain], decision: str) -> None:
    assert decide(name, gains) == decision
