from pathlib import Path

import pytest

from lit_genre.loggers.wandb import has_login, wandb_logger


@pytest.fixture(autouse=True)
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_no_account_is_offline(tmp_path: Path) -> None:
    assert not has_login()
    assert wandb_logger(str(tmp_path / "run"))._wandb_init["mode"] == "offline"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("api.wandb.ai", "online"), ("wandb.lab.example", "offline"), ("github.com", "offline")],
)
def test_a_login_to_this_server_is_online(tmp_path: Path, machine: str, expected: str) -> None:
    (tmp_path / "netrc").write_text(f"machine {machine} login user password {'a' * 40}\n")
    assert wandb_logger(str(tmp_path / "run"))._wandb_init["mode"] == expected


def test_a_key_is_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert has_login()


def test_a_netrc_that_cannot_be_read_is_no_login(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine")
    assert not has_login()


def test_what_is_asked_for_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_logger(str(tmp_path))._wandb_init["mode"] == "disabled"
    assert wandb_logger(str(tmp_path), mode="offline")._wandb_init["mode"] == "offline"


def test_the_run_in_wandb_follows_from_the_folder(tmp_path: Path) -> None:
    first, again, other = (wandb_logger(str(tmp_path / name / "CRNN-1"))._wandb_init for name in ("a", "a", "b"))
    assert first["id"] == again["id"] != other["id"]
    assert first["name"] == other["name"] == "CRNN-1"
