"""A container engine you can see through.

`toolkit` is a real container engine: images, registries, containers and their
isolation, built directly on Linux namespaces, cgroups, union file systems and
the OCI specifications.  Every call that it makes to the kernel leaves an event,
so that everything it does can be watched, stepped through and graded.

Start with `toolkit.engine.Engine`; in Jupyter, `%load_ext toolkit`.
`ARCHITECTURE.md` in this directory is the map.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # not from typing, which takes 9 ms to import
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Register `%container` and `%%container` in the running IPython."""
    from toolkit.notebook import magics

    magics.register(shell)


def unload_ipython_extension(shell: "InteractiveShell") -> None:
    """Remove what `load_ipython_extension` registered."""
    from toolkit.notebook import magics

    magics.unregister(shell)
