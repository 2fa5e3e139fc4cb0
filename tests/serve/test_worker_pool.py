import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lit_genre.data.decoding.errors import AudioError
from lit_genre.serve.worker_pool import PoolClosedError, WorkerPool
from lit_genre.serve.worker_process import WorkerError
from tests.helpers.processes import is_alive, wait_until_gone
from tests.helpers.serving import workload
from tests.helpers.serving.servers import PATIENCE

TIME_LIMIT = 0.5  # s


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2, PATIENCE, max_bytes=3_000_000_000) as pool:
        yield pool


@pytest.fixture
def impatient_pool() -> Iterator[WorkerPool]:
    with WorkerPool(1, TIME_LIMIT, name="decoder") as pool:
        # Starting the first process takes longer.
        pool.seconds = PATIENCE
        pool.run(workload.square, 1)
        pool.seconds = TIME_LIMIT
        yield pool


def test_each_of_many_calls_gets_its_own_result(pool: WorkerPool) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda number: pool.run(workload.square, number), range(50))) == [
            number**2 for number in range(50)
        ]
        workers = set(threads.map(lambda _: pool.run(workload.process_id), range(20)))
    assert len(workers) <= 2
    assert os.getpid() not in workers


def test_an_exception_keeps_its_type_and_the_worker_continues(pool: WorkerPool) -> None:
    worker = pool.run(workload.process_id)
    with pytest.raises(AudioError, match="an empty file") as raised:
        pool.run(workload.raise_audio_error, "an empty file")
    assert "workload.py" in raised.value.__notes__[0]
    with pytest.raises(WorkerError, match="FussyError: reason 5"):
        pool.run(workload.raise_fussy_error)
    assert pool.run(workload.process_id) == worker


def test_a_call_that_does_not_end_is_stopped(impatient_pool: WorkerPool) -> None:
    worker = impatient_pool.run(workload.process_id)
    with pytest.raises(WorkerError, match=r"^the decoder was stopped after 0.5 s$"):
        impatient_pool.run(workload.hang)
    assert not is_alive(worker)
    assert impatient_pool.run(workload.process_id) != worker


def test_child_processes_of_a_stopped_worker_are_stopped(impatient_pool: WorkerPool, tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    impatient_pool.seconds = 2.0
    with pytest.raises(WorkerError, match="stopped"):
        impatient_pool.run(workload.hang_with_child, pid_file)
    wait_until_gone(int(pid_file.read_text()))


def test_a_crash_fails_only_its_own_call(pool: WorkerPool) -> None:
    with pytest.raises(WorkerError, match=r"^the worker crashed$"):
        pool.run(workload.crash)
    assert pool.run(workload.square, 3) == 9


def test_a_worker_that_dies_while_idle_fails_no_call(impatient_pool: WorkerPool) -> None:
    worker = impatient_pool.run(workload.process_id)
    os.kill(worker, signal.SIGKILL)
    wait_until_gone(worker)
    impatient_pool.seconds = PATIENCE
    assert impatient_pool.run(workload.square, 3) == 9


def test_memory_is_limited(pool: WorkerPool) -> None:
    assert pool.run(workload.allocate, 100_000_000) == 100_000_000
    with pytest.raises(WorkerError, match="too much memory"):
        pool.run(workload.allocate, 4_000_000_000)
    assert pool.run(workload.square, 3) == 9


def test_closing_ends_running_and_waiting_calls() -> None:
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
