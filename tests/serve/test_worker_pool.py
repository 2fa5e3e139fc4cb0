import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lit_genre.data.decoding.errors import AudioError
from lit_genre.serve.worker_pool import PoolClosedError, WorkerPool
from lit_genre.serve.worker_process import WorkerError
from tests.helpers.serving import workload
from tests.helpers.serving.servers import PATIENCE

BOUND = 0.5  # s


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, PATIENCE, max_bytes=3_000_000_000) as pool:
        yield pool


@pytest.fixture
def hasty() -> Iterator[WorkerPool]:
    with WorkerPool(1, BOUND, name="decoder") as pool:
        # Starting the first process takes longer.
        pool.seconds = PATIENCE
        pool.run(workload.square, 1)
        pool.seconds = BOUND
        yield pool


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    # Ended, and not yet noticed by the process that inherits it.
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(process_id: int) -> None:
    end = time.monotonic() + PATIENCE
    while is_alive(process_id):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_more_calls_than_workers_all_get_their_own_result(pool: WorkerPool) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda number: pool.run(workload.square, number), range(50))) == [
            number**2 for number in range(50)
        ]
        workers = set(threads.map(lambda _: pool.run(workload.process_id), range(20)))
    assert len(workers) <= 2
    assert os.getpid() not in workers


def test_an_exception_keeps_its_type_and_spares_the_worker(pool: WorkerPool) -> None:
    worker = pool.run(workload.process_id)
    with pytest.raises(AudioError, match="an empty file") as raised:
        pool.run(workload.refuse, "an empty file")
    assert "workload.py" in raised.value.__notes__[0]
    with pytest.raises(WorkerError, match="FussyError: reason 5"):
        pool.run(workload.refuse_fussily)
    assert pool.run(workload.process_id) == worker


def test_a_call_that_does_not_end_is_stopped(hasty: WorkerPool) -> None:
    worker = hasty.run(workload.process_id)
    with pytest.raises(WorkerError, match=r"^the decoder was stopped after 0.5 s$"):
        hasty.run(workload.hang)
    assert not is_alive(worker)
    assert hasty.run(workload.process_id) != worker


def test_what_a_stopped_worker_started_is_stopped_too(hasty: WorkerPool, tmp_path: Path) -> None:
    note = tmp_path / "child"
    hasty.seconds = 5.0
    with pytest.raises(WorkerError, match="stopped"):
        hasty.run(workload.hang_with_child, note)
    wait_until_gone(int(note.read_text()))


def test_a_crash_costs_one_call(pool: WorkerPool) -> None:
    with pytest.raises(WorkerError, match=r"^the worker crashed$"):
        pool.run(workload.crash)
    assert pool.run(workload.square, 3) == 9


def test_a_worker_that_dies_while_it_is_idle_costs_no_call(hasty: WorkerPool) -> None:
    worker = hasty.run(workload.process_id)
    os.kill(worker, signal.SIGKILL)
    wait_until_gone(worker)
    hasty.seconds = PATIENCE
    assert hasty.run(workload.square, 3) == 9


def test_memory_is_limited(pool: WorkerPool) -> None:
    assert pool.run(workload.allocate, 100_000_000) == 100_000_000
    with pytest.raises(WorkerError, match="too much memory"):
        pool.run(workload.allocate, 4_000_000_000)
    assert pool.run(workload.square, 3) == 9


def test_closing_ends_the_calls_that_run_and_those_that_wait() -> None:
    pool = WorkerPool(1, PATIENCE)
    worker = pool.run(workload.process_id)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            pool.run(workload.hang)
        except PoolClosedError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    pool.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(errors) == 3
    wait_until_gone(worker)
    with pytest.raises(PoolClosedError):
        pool.run(workload.square, 3)
