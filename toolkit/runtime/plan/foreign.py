"""The plan of a container that another OCI runtime makes."""

from toolkit.core.errors import UnsupportedError
from toolkit.runtime import steps
from toolkit.runtime.plan.namespaces import from_outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime import spec
    from toolkit.runtime.plan.place import OverlayRoot
    from toolkit.runtime.steps import Step


def foreign_plan(
    config: "spec.Config",
    ident: str,
    bundle: str,
    runtime: tuple[str, ...],
    overlay: "OverlayRoot",
    network: "tuple[steps.ConnectNetwork, ...]" = (),
) -> "tuple[Step, ...]":
    """Return the steps that have another runtime make the container of a bundle, and start it.

    Args:
        config: what config.json says.
        ident: the container's id.
        bundle: the directory of config.json.
        runtime: where it keeps its state, its program, and the flags that it always gets.
        overlay: what is to be seen at `root.path`.
        network: what connects the network namespace that the runtime makes.

    Raises:
        UnsupportedError: a user namespace, whose root only init can put together.
    """
    if any(entry["type"] == "user" for entry in config.get("linux", {}).get("namespaces", [])):
        message = "another runtime cannot be given a container with a user namespace of its own"
        raise UnsupportedError(message, hint="leave out --runtime, or --userns")
    has_terminal = config["process"].get("terminal", False)
    state, *command = runtime
    return (
        steps.ShowOverlay((*overlay[:4], overlay.target)),
        steps.CreateByRuntime(tuple(command), state, bundle, ident, has_terminal),
        *from_outside(network),
        steps.StartByRuntime(tuple(command), state, ident),
    )
