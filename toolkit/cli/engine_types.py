"""What the command line takes from the rooms below, by name, until they are merged.

Engine.open(root, run_dir); engine.images, engine.containers; close()
engine.containers  create(ContainerOptions), get(name), list(all=), plan(ContainerOptions)
engine.images      get(name), list(), pull(name, platform=, progress=), push(name, progress=),
tag(source, target), remove(name, force=), inspect(name)
Container          id, name, options, start(attach=, trace=, console_size=), attach(stdin=), wait(), kill(signal),
stop(timeout_s), remove(force=), logs(follow=, tail=, since_ns=, until_ns=), exec(ExecOptions),
inspect(), stats(), pids()
Attachment         fileno(), read() -> Output(stream, data) | None, has_output(), write_stdin(), close_stdin(),
resize(rows, columns), exit_code, events, close()
"""

from typing import Any

Attachment = Any
Container = Any
Engine = Any
ImageRecord = Any
Progress = Any
Step = Any
