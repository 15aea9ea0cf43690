"""Live pictures of what the kernel says, and of what happens if one asks it for too much.

    from toolkit.notebook.pictures import namespace_map, gauges

    c = %container run -d lab sleep 1000
    namespace_map(c)          # who shares what; run a command in the namespaces that you choose
    gauges(c)                 # memory, CPU, processes and disk against their limits

Each function returns a widget: show it as a cell's last value.  It is alive
while it is in sight.  What can be clicked in it is a method of it too, for
cells that assert something; and `.figure()` is the same picture standing
still, which is what a page without a kernel shows.
"""

from toolkit.notebook.containers import find
from toolkit.notebook.values import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container as EngineContainer
    from toolkit.notebook.widgets.arena import ArenaWidget
    from toolkit.notebook.widgets.gauges import GaugesWidget
    from toolkit.notebook.widgets.namespaces import NamespaceWidget
    from toolkit.notebook.widgets.playground import PlaygroundWidget
    from toolkit.notebook.widgets.sides import SidesWidget

__all__ = ["arena", "gauges", "namespace_map", "playground", "sides"]


def namespace_map(*things: "Container | EngineContainer | str | int") -> "NamespaceWidget":
    """Show which process is in which namespaces, and who shares them.

        m = namespace_map(c)
        m.map.own(c.name)                       # the kinds of which it has one of its own
        m.join("hostname", c, "net", "uts")     # a command in two of its namespaces; the rest stays ours

    Args:
        things: containers (or their names) and pids; without containers, all that run, as they come and go.

    Raises:
        NotFoundError: there is no container of that name.
    """
    from toolkit.notebook.widgets.namespaces import widget

    return widget(things)


def gauges(container: "Container | EngineContainer | str") -> "GaugesWidget":
    """Show what a container uses against its limits, which can be moved while it runs.

        g = gauges(c)
        g.sample().memory_bytes                 # one look, now
        with g.recording():                     # samples while the block runs, also where no page shows it
            c.exec("sh", "-c", "yes > /dev/null & sleep 3; kill $!")
        g.history, g.throttled, g.oom_kills
        g.limit("memory", 64 << 20)

    Raises:
        NotFoundError: there is no container of that name.
    """
    from toolkit.notebook.widgets.gauges import GaugesWidget

    return GaugesWidget(find(container))


def arena(*names: str) -> "ArenaWidget":
    """Show attacks that are really made, in containers that are thrown away, with their defences as switches.

        a = arena()
        a.names
        bomb = a.run("fork bomb", {"pids limit": False})
        bomb.succeeded, bomb.evidence, bomb.output

    Args:
        names: the attacks to show; none: all.

    Raises:
        NotFoundError: there is no attack of that name.
    """
    from toolkit.notebook.widgets.arena import widget

    return widget(names)


def playground() -> "PlaygroundWidget":
    """Show what root in a container may do, and let a command be run with other powers than the usual ones.

    p = playground()
    tried = p.run("chown student /tmp", drop=["chown"])
    tried.exit_code, tried.output, tried.effective, tried.refused
    p.run("mkdir /tmp/new", seccomp="mkdir")            # a filter that denies this one call
    """
    from toolkit.notebook.widgets.playground import PlaygroundWidget

    return PlaygroundWidget()


def sides(container: "Container | EngineContainer | str") -> "SidesWidget":
    """Show what the same commands say on this machine and in a container: ps, mount, hostname, id, ip, df.

        s = sides(c)
        seen = s.look("processes")
        seen.inside.text, seen.shared           # what is to be seen on both sides

    Raises:
        NotFoundError: there is no container of that name.
    """
    from toolkit.notebook.widgets.sides import SidesWidget

    return SidesWidget(find(container))
