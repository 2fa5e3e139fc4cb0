"""The course of the learning rate: torch's own one cycle, of whatever length the training has."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR, LRScheduler, OneCycleLR

from lit_genre.errors import LitGenreError
from lit_genre.model.training.optimization import OneCycle, check_cycle
from tests.helpers.runs import QUIET, SMALL, Run, assert_same_weights, folder, metrics
from tests.model.checks.test_finite import Diverges
from tests.model.test_classifier import small


class DivergesLater(Diverges):
    """A loss that is NaN in the third epoch of four steps."""

    from_step = 9


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
    with pytest.raises(SystemExit, match="OneCycle needs the number of steps"):
        run("fit", *SMALL, QUIET, *MODERN, f"--data.root={fma}", "--trainer.max_epochs=-1")


CYCLE = (*SMALL, QUIET, *MODERN, "--data.batch_size=2")


def test_a_cycle_that_is_over_is_not_prolonged(run: Run, fma: Path) -> None:
    run("fit", *CYCLE, f"--data.root={fma}", "--trainer.max_epochs=2", "--trainer.default_root_dir=run")
    last = Path("run/checkpoints/last.ckpt")
    before, rows = last.read_bytes(), metrics(Path("run"))
    with pytest.raises(SystemExit, match=r"ended its OneCycle after 2 epochs and 8 steps\. .* start a new run"):
        run("fit", f"--ckpt_path={last}", QUIET, "--trainer.max_epochs=4")
    assert (last.read_bytes(), metrics(Path("run"))) == (before, rows)
    # What a finished run left is not touched either.
    assert Path("run/summary.json").exists()
    run("test", f"--ckpt_path={last}", QUIET, "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu")


def test_a_cycle_that_is_resumed_inside_says_where_another_length_moves_it(
    run: Run, fma: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*CYCLE, f"--data.root={fma}", "--trainer.max_epochs=3")
    run("fit", *words, "--trainer.default_root_dir=whole")
    # Stopped in the third epoch: the checkpoint is that of two.
    with pytest.raises(SystemExit, match="nan in epoch 3"):
        run(
            "fit",
            *words,
            "--trainer.default_root_dir=part",
            "--model.loss=tests.model.training.test_schedule.DivergesLater",
        )
    resume = ("fit", "--ckpt_path=part/checkpoints/last.ckpt", QUIET, "--trainer.accelerator=cpu", "--trust",
              "--trainer.enable_progress_bar=false", "--model.loss=null")  # fmt: skip
    capsys.readouterr()
    run(*resume)
    assert "OneCycle" not in "".join(capsys.readouterr())
    assert_same_weights(Path("part/checkpoints/last.ckpt"), Path("whole/checkpoints/last.ckpt"))


def test_the_length_of_a_resumed_cycle_is_compared_to_the_planned_one() -> None:
    cycle, resumed = (OneCycle(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)) for _ in range(2))
    assert cycle.set_total_steps(101) is None
    for _ in range(50):
        cycle.optimizer.step()
        cycle.step()
    resumed.load_state_dict(cycle.state_dict())
    assert resumed.set_total_steps(101) is None
    assert resumed.get_lr() == cycle.get_lr()
    # Half of the cycle is a quarter of one that is twice as long, where the rate still rises.
    message = "planned for 101 steps and now has 201, so the learning rate changes from 0.81 to 0.94 here"
    assert message in str(resumed.set_total_steps(201))


@pytest.mark.parametrize(
    ("max_epochs", "max_steps", "is_over", "refused"),
    [
        (2, -1, True, False),
        (3, -1, True, True),
        (None, -1, True, True),
        (-1, -1, True, True),
        (-1, 8, True, False),
        (-1, 9, True, True),
        (3, -1, False, False),
    ],
)
def test_only_a_cycle_that_is_over_and_would_go_on_is_refused(
    max_epochs: int | None, max_steps: int, is_over: bool, refused: bool
) -> None:
    checkpoint = {
        "lr_schedulers": [{"last_epoch": 8, "planned_steps": 8 if is_over else 12}],
        "global_step": 8,
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 2}}}},
    }
    if not refused:
        check_cycle(checkpoint, max_epochs, max_steps)
        return
    with pytest.raises(LitGenreError, match="after 2 epochs and 8 steps"):
        check_cycle(checkpoint, max_epochs, max_steps)


@pytest.mark.parametrize(
    ("scheduler", "asked", "interval"),
    [
        (OneCycle, None, "step"),
        (lambda optimizer: OneCycleLR(optimizer, max_lr=1, total_steps=9), None, "step"),
        (lambda optimizer: CyclicLR(optimizer, 0.1, 1, cycle_momentum=False), None, "step"),
        (lambda optimizer: CyclicLR(optimizer, 0.1, 1, cycle_momentum=False), "epoch", "epoch"),
        (lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 9), None, "epoch"),
        (lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 9), "step", "step"),
        (lambda optimizer: ReduceLROnPlateau(optimizer, "val/accuracy"), None, "epoch"),
    ],
)
def test_a_scheduler_steps_as_often_as_its_kind_or_the_user_has_it(
    scheduler: type[LRScheduler], asked: str | None, interval: str
) -> None:
    configured = small(scheduler=scheduler, scheduler_interval=asked).configure_optimizers()
    assert configured["lr_scheduler"]["interval"] == interval


def test_an_interval_that_a_scheduler_cannot_have_is_refused() -> None:
    with pytest.raises(LitGenreError, match="scheduler_interval is epoch, but lit_genre.OneCycle steps"):
        small(scheduler=OneCycle, scheduler_interval="epoch").configure_optimizers()
    with pytest.raises(LitGenreError, match="scheduler_interval is step, but ReduceLROnPlateau"):
        small(
            scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, "val/accuracy"), scheduler_interval="step"
        ).configure_optimizers()


def test_an_interval_is_chosen_on_the_command_line(run: Run, fma: Path) -> None:
    words = (*SMALL, QUIET, f"--data.root={fma}", "--data.batch_size=2", "--trainer.max_epochs=1",
             "--model.scheduler=torch.optim.lr_scheduler.ExponentialLR", "--model.scheduler.gamma=0.5")  # fmt: skip
    for interval, steps in {"epoch": 1, "step": 4}.items():
        run("fit", *words, f"--model.scheduler_interval={interval}", f"--trainer.default_root_dir={interval}")
        assert float(metrics(Path(interval))[0]["lr"]) == pytest.approx(0.001 * 0.5**steps)
    assert "scheduler_interval" not in torch.load("step/checkpoints/last.ckpt", weights_only=True)["hyper_parameters"]
