"""What nearly every plan begins with: the process that a zygote keeps in reserve has done it before anyone asks."""

from toolkit.linux import namespace
from toolkit.runtime.steps.identity import JoinKeyring, NewSession
from toolkit.runtime.steps.namespaces import LoopbackUp, NewProcess, Unshare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.steps.base import Step

RESERVE_STEPS: "tuple[Step, ...]" = (
    NewProcess(namespace.CLONE_NEWPID, in_reserve=True),
    NewSession(),
    JoinKeyring(),
    Unshare(namespace.CLONE_NEWUTS | namespace.CLONE_NEWIPC | namespace.CLONE_NEWNET),
    LoopbackUp(),
)
