"""The OCI runtime: an OCI config becomes a plan of steps, and the plan becomes a process.

    spec      the OCI config, as typed dictionaries
    plan      config -> ordered tuple of steps (pure)
    steps/    the steps: how to do each, how strace prints it, why it is there
    perform   walks the plan; the monitor and the container's init take turns
    zygote    small parent process; one of its children becomes each monitor
    monitor   parent and reaper of one container's init, owner of its stdio
    client    what the engine uses to reach zygote and monitors

It takes a bundle and knows neither images nor networks.
"""
