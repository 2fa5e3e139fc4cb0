"""Imitate Windows in a process of its own, on Linux: `python -m tests.helpers.windows`.

No POSIX module can be imported, POSIX attributes of `os` and `signal` are missing, `sys.platform` is win32, and a file
that is open or mapped is neither replaced nor deleted. Reading or writing text without an encoding is an error. The
process then imports every module of the package, and runs the command lines on stdin.

Not imitated: `os.name` and Windows paths, which pathlib refuses on Linux; descriptors in text mode; signals, pipes and
locks of Windows; and Windows in third-party libraries, which are imported before.
"""

import importlib
import os
import pkgutil
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import filelock
from lightning.pytorch.trainer.connectors import signal_connector

POSIX_MODULES: Final = "crypt fcntl grp nis posix pty pwd readline resource spwd syslog termios tty"
POSIX_OS: Final = (
    "chown chroot confstr ctermid eventfd fchdir fchmod fchown fdatasync fork forkpty fpathconf fstatvfs getegid "
    "geteuid getgid getgroups getloadavg getpgid getpgrp getpriority getresgid getresuid getsid getuid getxattr "
    "initgroups killpg lchown listxattr lockf login_tty major makedev memfd_create minor mkfifo mknod nice openpty "
    "O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC pathconf pidfd_open pipe2 posix_fadvise "
    "posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev readv register_at_fork removexattr "
    "sched_getaffinity sched_getscheduler sched_setaffinity sched_yield sendfile setegid seteuid setgid setgroups "
    "setpgid setpriority setregid setreuid setsid setuid setxattr splice statvfs sync sysconf tcgetpgrp tcsetpgrp "
    "ttyname uname wait wait3 wait4 waitid writev"
)
POSIX_SIGNALS: Final = (
    "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU "
    "SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH alarm getitimer pause pthread_kill pthread_sigmask setitimer "
    "siginterrupt sigpending sigtimedwait sigwait sigwaitinfo"
)
LIBRARIES: Final = (
    "asyncio av fastapi jsonargparse lightning.pytorch.cli matplotlib.font_manager multiprocessing.pool "
    "nnAudio.features pandas requests scipy.optimize sklearn.linear_model soundfile torchaudio torchmetrics "
    "uvicorn wandb"
)
"""Libraries that decide about the system when they are imported."""


def become_windows() -> None:
    """Imitate Windows for everything that this process imports and calls from now on."""
    for library in LIBRARIES.split():
        importlib.import_module(library)
    for name in POSIX_MODULES.split():
        sys.modules[name] = None  # type: ignore[assignment] # Each import of it raises ImportError.
    for module, names in ((os, POSIX_OS), (signal, POSIX_SIGNALS)):
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    # Lightning sets and restores the handlers of these.
    signal_connector._IS_WINDOWS = True  # type: ignore[attr-defined]
    valid = {signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGINT, signal.SIGSEGV, signal.SIGTERM}
    signal.valid_signals = lambda: valid
    filelock.FileLock = _NoLock  # type: ignore[assignment]
    # As on Windows; that of POSIX needs SIGKILL.
    subprocess.Popen.kill = subprocess.Popen.terminate  # type: ignore[method-assign]
    for name in ("rename", "replace", "unlink", "remove"):
        setattr(os, name, _refusing_files_in_use(getattr(os, name)))
    warnings.filterwarnings("error", category=EncodingWarning, module=r"lit_genre\b")
    sys.platform = "win32"


class _NoLock:
    """In place of a lock of a file: that of filelock asks again for the system when it is acquired."""

    def __init__(self, path: Any) -> None: ...

    def acquire(self, timeout: float = -1) -> None: ...

    def release(self) -> None: ...


def _refusing_files_in_use(function: Callable[..., None]) -> Callable[..., None]:
    def wrapped(*paths: Any, **options: Any) -> None:
        in_use = _files_in_use()
        # With options, paths are relative to an open folder: shutil.rmtree.
        for path in () if options else paths:
            if os.path.realpath(path) in in_use:
                raise PermissionError(13, "The file is in use", str(path))
        function(*paths, **options)

    return wrapped


def _files_in_use() -> set[str]:
    """Return the paths of the files that this process has open or mapped."""
    opened = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            opened.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:  # The descriptor of the listing itself.
            continue
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return opened | {line.split(maxsplit=5)[5].rstrip("\n") for line in maps if "/" in line}


if __name__ == "__main__":
    become_windows()
    import lit_genre
    from lit_genre.__main__ import main

    for info in pkgutil.walk_packages(lit_genre.__path__, "lit_genre."):
        importlib.import_module(info.name)
    for line in sys.stdin.read().splitlines():
        main(shlex.split(line))
