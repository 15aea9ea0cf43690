"""An OCI runtime: containers made from a bundle by one command, started and deleted by others, with no monitor.

    bundle.py     a bundle's config: read, checked, made absolute
    store.py      what is on disk of a container, and in which state it is
    making.py     a plan carried out in a process that becomes the caller's
    lifecycle.py  create, start, delete
    control.py    signals, pause, resume, other limits
    reexec.py     from a program that nobody can write to
    execute.py    one more process
    foreground.py staying with a process until it ends
    cgroups.py    where a container's groups are
    report.py     state, list, ps, events, features, and a config to begin with

What makes it an engine's container or this kind is one argument of the plan
(`toolkit.runtime.plan.place.Creation`); the steps are the same.

Invariant: after `create` no process of ours is left but init, which becomes
the program.  Whoever called `create` (or the subreaper above it) is init's parent.

See Also:
    runtime-spec runtime.md; runc(8), whose command line this is
"""
