import platform
import subprocess
import sys

import pytest

FREE_A_LARGE_BLOCK = """
import os, torch
from lit_genre.cli.allocator import retain_freed_memory
if {keep}:
    retain_freed_memory()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
block = torch.ones(50_000_000)
before = resident()
del block
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
@pytest.mark.parametrize(("keep", "given_back"), [(False, True), (True, False)])
def test_a_large_block_is_kept(keep: bool, given_back: bool) -> None:
    command = [sys.executable, "-c", FREE_A_LARGE_BLOCK.format(keep=keep)]
    freed = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (freed > 150_000_000) == given_back
