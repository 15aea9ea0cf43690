"""The step that changes the kernel's settings for the container's namespaces."""

from toolkit.core.record import NamedTuple
from toolkit.linux import file
from toolkit.linux.flags import quoted
from toolkit.runtime.steps.base import INIT, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context


@step(
    INIT,
    "rootfs",
    why="Asked for with --sysctl; only settings that a namespace keeps for itself are allowed.",
    see="sysctl(8), proc_sys(5)",
)
class WriteSysctls(NamedTuple):
    """Change kernel settings that belong to the container's own namespaces."""

    values: tuple[tuple[str, str], ...]

    def calls(self) -> tuple[str, ...]:
        return tuple(f"write({quoted(_sysctl_path(key))}, {quoted(value)})" for key, value in self.values)

    def apply(self, context: "Context") -> None:
        for key, value in self.values:
            file.write_text(_sysctl_path(key), value, "sysctl.write")


def _sysctl_path(key: str) -> str:
    return "/proc/sys/" + key.replace(".", "/")
