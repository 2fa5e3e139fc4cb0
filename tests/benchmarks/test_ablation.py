"""The variants of the ablation follow the recipe as it is today."""

from pathlib import Path

import pytest
import yaml

from benchmarks.ablation import VARIANTS, write_variants
from tests.helpers.runs import Run


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_is_accepted_by_fit(
    name: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_variants([name], tmp_path / "variants")
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--config", path, "--print_config")
    model = yaml.safe_load(capsys.readouterr().out)["model"]
    assert model["mean_normalized_channels"] == (name != "without_mean_normalized_channels")
    assert model["optimizer"]["class_path"].endswith("Adam" if name == "papers_optimiser" else "AdamW")
