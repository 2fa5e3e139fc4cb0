"""The course of the learning rate: torch's own one cycle, of whatever length the training has."""

from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from lit_genre.model.schedule import OneCycle
from tests.runs import QUIET, SMALL, Run, folder, metrics

PEAK = 0.002
STEPS = 400
SHARE_OF_PEAK = 0.01
"""torch puts the peak a step earlier, and ends at a hundred-thousandth instead of nothing."""

MODERN = ("--model.optimizer=torch.optim.AdamW", "--model.optimizer.lr=0.002", "--model.scheduler=lit_genre.OneCycle")


def course(name: str) -> list[float]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    if name == "ours":
        schedule: OneCycle | OneCycleLR = OneCycle(optimizer)
        schedule.total_steps = STEPS
    else:
        schedule = OneCycleLR(optimizer, max_lr=PEAK, total_steps=STEPS, cycle_momentum=False)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < STEPS:
            schedule.step()
    return rates


def test_it_is_the_one_cycle_of_torch() -> None:
    ours, torchs = course("ours"), course("torch's")
    assert ours == pytest.approx(torchs, abs=SHARE_OF_PEAK * PEAK)
    assert ours[-1] == 0
    assert max(ours) == pytest.approx(PEAK, rel=1e-4)


def test_a_run_ends_at_nothing(run: Run, fma: Path) -> None:
    run("fit", *SMALL, QUIET, *MODERN, f"--data.root={fma}", "--data.batch_size=2", "--trainer.max_epochs=3")
    rates = [float(row["lr"]) for row in metrics(folder())]
    # Each row has the rate behind the epoch's last step: twelve steps, of which the last had nothing.
    assert rates[0] > rates[1] > rates[2] == pytest.approx(0, abs=1e-9)


def test_it_needs_an_end(run: Run, fma: Path) -> None:
    with pytest.raises(SystemExit, match="OneCycle needs to know where training ends"):
        run("fit", *SMALL, QUIET, *MODERN, f"--data.root={fma}", "--trainer.max_epochs=-1")
