import os
import subprocess
import sys

MANY_THREADS = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from lit_genre.console import quiet_c_stderr

def one(number):
    with quiet_c_stderr():
        os.write(2, b"a C library\\n")
        time.sleep(0.001 * (number % 5))
        print("a warning", file=sys.stderr)

with ThreadPoolExecutor(8) as pool:
    list(pool.map(one, range(200)))
print("the end", file=sys.stderr)
os.write(2, b"of C\\n")
"""


def test_c_libraries_are_quiet_in_many_threads_and_python_is_not() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", MANY_THREADS], capture_output=True, text=True, env=environment)
    assert done.returncode == 0
    assert sorted(set(done.stderr.splitlines())) == ["a warning", "of C", "the end"]
    assert done.stderr.count("a warning") == 200
