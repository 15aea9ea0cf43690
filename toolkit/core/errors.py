"""Everything that the engine raises on purpose, in one tree.

    EngineError                     exit code 125 unless the class says otherwise
    ├── InvalidError                bad input: a reference, a size, an option, a document
    ├── NotFoundError               no such container, image, ...
    ├── ConflictError               a name or a state stands in the way
    ├── UnsupportedError            this kernel or machine lacks a feature
    ├── PrivilegeError              not allowed as this user
    ├── StorageFullError            no space left for what was asked
    ├── SyscallError (and OSError)  the kernel said no
    ├── StartError                  the container's process could not be started
    │   ├── AbortedError            whoever watched it being made gave it up
    │   ├── CommandNotFoundError    exit code 127
    │   └── CommandNotExecutableError   exit code 126
    ├── GuestError                  a virtual machine did not come up, or did not stay
    │   └── GuestTimeoutError       exit code 124
    ├── PluginError                 a plugin does not answer, or answers with an error or with nonsense
    ├── RegistryError               a registry answered, but not with what was asked
    │   ├── UnreachableError        no answer at all
    │   └── UnauthorizedError       wrong or missing credentials
    └── IntegrityError              bytes are not what their digest or format promises
        ├── DigestMismatchError
        ├── CorruptLayerError
        ├── UnsafePathError         a tar entry that would leave its layer
        └── BombError               unpacks to more than the limit

A message is one line: what happened, then the cure (`hint`).  `str()` is never
empty.  A user sees that line and the exit code; a traceback is a bug.
"""

import errno as _errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class EngineError(Exception):
    """Something the engine was asked to do did not happen.

    Args:
        message: one line, what happened, in the user's words.
        hint: the cure, also for one line; shown after the message.
    """

    exit_code = 125

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self._message = message
        self.hint = hint

    @property
    def message(self) -> str:
        """What happened, without the cure."""
        return self._message

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidError(EngineError):
    """The input does not mean anything."""


class NotFoundError(EngineError):
    """The object that was named does not exist."""


class ConflictError(EngineError):
    """The object exists, but its name or its state stands in the way."""


class UnsupportedError(EngineError):
    """The kernel or the machine lacks what was asked for."""


class PrivilegeError(EngineError):
    """The user may not do this."""


class StorageFullError(EngineError):
    """There is no space (or inode, or quota) left."""


class SyscallError(EngineError, OSError):
    """The kernel refused a call; one of ENOENT is a FileNotFoundError as well, and so on, as OSError itself does it.

    Args:
        call: the call as strace prints it, without its result, or what returns that: many a refusal is expected, and
            nobody reads its text.
        number: the errno.
        hint: the cure.
    """

    def __new__(cls, call: "str | Callable[[], str]", number: int, *, hint: str = "") -> "SyscallError":  # noqa: ARG004, D102, PYI034
        return OSError.__new__(_like(type(OSError(number, ""))))

    def __init__(self, call: "str | Callable[[], str]", number: int, *, hint: str = "") -> None:
        EngineError.__init__(self, "", hint=hint)
        self._call = call
        self.errno = number

    @property
    def call(self) -> str:
        """The call as strace prints it."""
        return self._call if isinstance(self._call, str) else self._call()

    @property
    def message(self) -> str:
        """The call, and what came of it."""
        name = _errno.errorcode.get(self._number, str(self._number))
        return f"{self.call} = -1 {name} ({self.strerror})"

    @property
    def strerror(self) -> str:  # type: ignore[override] # OSError's is an attribute, set when it is made
        """The errno in words."""
        return os.strerror(self._number)

    @property
    def _number(self) -> int:
        assert self.errno is not None
        return self.errno

    def __reduce__(self) -> "tuple[object, ...]":
        """Pickle as the arguments it was made of: OSError would pass on its own."""
        return _syscall_error, (self.call, self.errno, self.hint)


_kinds: "dict[type[OSError], type[SyscallError]]" = {OSError: SyscallError}


def _like(builtin: type[OSError]) -> type[SyscallError]:
    """Return the SyscallError that is also a FileNotFoundError, a PermissionError, ..."""
    if builtin not in _kinds:
        _kinds[builtin] = type("SyscallError", (SyscallError, builtin), {"__module__": __name__})
    return _kinds[builtin]


def _syscall_error(call: str, number: int, hint: str) -> SyscallError:
    return SyscallError(call, number, hint=hint)


class StartError(EngineError):
    """The container was set up, but its process could not be started."""


class AbortedError(StartError):
    """A start was ended between two of its steps, by whoever watched it."""


class CommandNotFoundError(StartError):
    """The command does not exist in the container."""

    exit_code = 127


class CommandNotExecutableError(StartError):
    """The command exists in the container, but cannot be executed."""

    exit_code = 126


class GuestError(EngineError):
    """A virtual machine did not come up, or ended before the command in it."""


class GuestTimeoutError(GuestError):
    """The command in a virtual machine took longer than it may."""

    exit_code = 124


class PluginError(EngineError):
    """A plugin is not there, does not answer in time, or answers with an error or with nonsense."""


class RegistryError(EngineError):
    """A registry's answer is not what was asked for."""


class UnreachableError(RegistryError):
    """A registry does not answer."""


class UnauthorizedError(RegistryError):
    """A registry refuses the credentials, or wants some."""


class IntegrityError(EngineError):
    """Bytes are not what their digest or their format promises."""


class DigestMismatchError(IntegrityError):
    """The bytes have another digest than the one they were asked for by."""


class CorruptLayerError(IntegrityError):
    """A layer ends early or cannot be decoded."""


class UnsafePathError(IntegrityError):
    """A tar entry would be written outside its layer."""


class BombError(IntegrityError):
    """A layer unpacks to more than the limit."""
