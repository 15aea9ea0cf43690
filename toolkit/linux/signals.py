"""Signals as plain numbers, and what Python's own C code does with them.

The standard library's `signal` makes enums of the numbers, which costs 0.8 MB
in a process that has no other use for enums; each monitor would be a copy,
and to import it costs each command a millisecond.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import (
        SIG_BLOCK,
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIGCHLD,
        SIGHUP,
        SIGINT,
        SIGKILL,
        SIGPIPE,
        SIGQUIT,
        SIGRTMAX,
        SIGRTMIN,
        SIGTERM,
        SIGUSR1,
        SIGUSR2,
        SIGWINCH,
        SIGXFSZ,
        alarm,
        pause,
        pidfd_send_signal,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
        valid_signals,
    )

    _numbers: dict[str, object] = {}
else:
    import _signal
    from _signal import (
        SIG_BLOCK,
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIGCHLD,
        SIGHUP,
        SIGINT,
        SIGKILL,
        SIGPIPE,
        SIGQUIT,
        SIGRTMAX,
        SIGRTMIN,
        SIGTERM,
        SIGUSR1,
        SIGUSR2,
        SIGWINCH,
        SIGXFSZ,
        alarm,
        pause,
        pidfd_send_signal,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
        valid_signals,
    )

    _numbers = vars(_signal)

__all__ = [
    "SIGCHLD",
    "SIGHUP",
    "SIGINT",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMIN",
    "SIGTERM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "SIGXFSZ",
    "SIG_BLOCK",
    "SIG_DFL",
    "SIG_IGN",
    "SIG_SETMASK",
    "alarm",
    "name",
    "number",
    "pause",
    "pidfd_send_signal",
    "pthread_sigmask",
    "set_wakeup_fd",
    "signal",
    "valid_signals",
]

_FIRST_REAL_TIME = 32
"""The kernel's SIGRTMIN; the C library keeps the first two for itself."""


def name(number: int) -> str:
    """Return a signal's name as strace prints it."""
    names = [key for key, value in _numbers.items() if value == number and key[:3] == "SIG" and key[3] not in "_R"]
    return min(names, default=f"SIGRT_{number - _FIRST_REAL_TIME}")  # of two names the usual one comes first


def number(name_without_sig: str) -> int:
    """Return the number of a signal that is named without its "SIG", "TERM" for one; 0: there is none of this name."""
    return int(str(_numbers.get(f"SIG{name_without_sig}", 0))) if name_without_sig.isalnum() else 0
