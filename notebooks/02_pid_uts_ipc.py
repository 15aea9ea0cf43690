# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Three small views
#
# In the last notebook, a container was a process that sees less. What makes it see less?
#
# > **A namespace is made by one request to the kernel, and you can make that request yourself.** No engine is needed.
#
# We make the three smallest ones by hand: for the host name (*uts*), for process numbers (*pid*) and for messages
# between processes (*ipc*). Then we look at a container, and find nothing else in it.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("views", "guest", recording="02_pid_uts_ipc")

# %% [markdown]
# ## Where it is written down
#
# The kernel keeps, for every process, which namespaces it is in. `/proc/PID/ns` has one entry for each kind. Its name
# is the kind, and it points to a number, the *inode*, by which two namespaces can be told apart. `self` stands for
# whichever process is asking.
#
# *Expect:* three lines, a number in each. They are long and say nothing by themselves. All that counts is whether two
# of them are equal.

# %%
# !cd /proc/self/ns && readlink uts pid ipc

import os


def inode(pid, kind):
    """Return which namespace of a kind a process is in."""
    return os.readlink(f"/proc/{pid}/ns/{kind}")


assert inode("self", "uts").startswith("uts:[")

# %% [markdown]
# A new process is in the same namespaces as the one that started it. That is why you never noticed them: everything
# on this machine since power-on has been in the first ones.
#
# *Expect:* the shell that the next cell starts is where this notebook is.

# %%
# theirs = !readlink /proc/self/ns/uts

print("this notebook:", inode("self", "uts"))
print("a new shell:  ", theirs[0])

assert theirs == [inode("self", "uts")]

# %% [markdown]
# ## A host name of one's own: uts
#
# `unshare` asks the kernel for new namespaces, moves into them, and starts a program there. `--uts` asks for the kind
# that holds the host name. (The name is from the 1970s: *UNIX Time-sharing System*. Nobody remembers it for its
# meaning.)
#
# The program that we start is a shell which renames the machine.
#
# *Expect:* the new name inside. Outside, the old one, as if nothing had happened.

# %%
before = os.uname().nodename

# inside = !unshare --uts sh -c 'hostname elsewhere; hostname; readlink /proc/self/ns/uts'

print("inside: ", inside[0])
print("outside:", os.uname().nodename)

assert inside[0] == "elsewhere"
assert os.uname().nodename == before != "elsewhere"
assert inside[1] != inode("self", "uts")

# %% [markdown]
# That is all that there is to it. The kernel has two host names now, and each process is shown the one of its own
# namespace. When the shell had ended, nobody was left in the new one, and the kernel threw it away.
#
# ## Process number 1: pid
#
# Now the kind that made `sleep` number 1 in the last notebook. There is one twist. A process keeps its number for life,
# so it cannot move into a new *pid* namespace itself: only its **children** will be born there. `--fork` tells
# `unshare` to have a child, and to start the program in that.
#
# `$$` is how a shell writes its own process number.
#
# *Expect:* without `--fork`, some large number. With it, 1.

# %%
# without = !unshare --pid sh -c 'echo $$'
# with_fork = !unshare --pid --fork sh -c 'echo $$'

print("without --fork:", without[0])
print("with --fork:   ", with_fork[0])

assert int(without[0]) > 1
assert with_fork == ["1"]

# %% [markdown]
# So we are in. Ask `ps` what else is here.
#
# *Expect:* a surprise. Guess first: how many processes will it list?

# %%
# fooled = !unshare --pid --fork ps -e

print(f"{len(fooled) - 1} processes")

assert len(fooled) - 1 > 2

# %% [markdown]
# The whole machine! Yet `ps` did nothing wrong. It reads the folder `/proc`, and that still shows the processes of the
# namespace in which it was set up. A view of processes is complete only with a `/proc` that was made in it.
# `--mount-proc` makes one. (It also asks for a view of folders of its own, or it would replace the machine's `/proc`.
# That kind is the next notebook's.)
#
# *Expect:* two processes, the shell and `ps`.

# %%
# alone = !unshare --pid --fork --mount-proc sh -c 'ps -o pid,args; true'

print("\n".join(alone))

assert [line.split()[0] for line in alone[1:]] == ["1", "2"]

# %% [markdown]
# ## Why number 1 matters
#
# On every Linux machine, the process with number 1 starts the others and must never end. In a pid namespace it is the
# same. If number 1 ends, the kernel ends all others in it: there is no namespace without its first process.
#
# Let a container show it. Its number 1 is a `sleep`, and it has another one beside it.
#
# *Expect:* two numbers on the host, one for each `sleep`.

# %%
# c = %container run -d --name views lab sh -c "sleep 500 & exec sleep 600"

from time import monotonic, sleep


def wait_until(is_so, seconds=5):
    """Wait until something is so; give up after a while."""
    end = monotonic() + seconds
    while not is_so() and monotonic() < end:
        sleep(0.02)
    return is_so()


assert wait_until(lambda: len(c.pids) == 2)
first, other = c.pid, next(pid for pid in c.pids if pid != c.pid)
print(f"number 1 inside is {first} out here; the other one is {other}")

# %% [markdown]
# From the inside, number 1 cannot be killed, not even by root. A signal that it has made no arrangement for is simply
# not delivered to it, or a slip of the finger would switch off the machine.
#
# *Expect:* `kill -9 1` says nothing, and changes nothing.

# %%
attempt = c.exec("sh", "-c", "kill -9 1; echo sent")
print(attempt.output, end="")

assert attempt.lines == ["sent"]
assert c.status == "running"

# %% [markdown]
# From the outside it is a process like any other. We kill it, and only it.
#
# *Expect:* both are gone.

# %%
import signal

os.kill(first, signal.SIGKILL)


def is_gone(pid):
    """Tell whether a process has ended."""
    return not os.path.exists(f"/proc/{pid}")


assert c.wait() == 137
assert wait_until(lambda: is_gone(first) and is_gone(other))
print("both have ended")

# %% [markdown]
# ## Messages in a room: ipc
#
# Processes can share a piece of memory under a number (*inter-process communication*). Whoever knows the number can
# read it. Databases use this. With two databases on one machine, you would rather they did not find each other's.
#
# `ipcmk` makes such a piece, of 4096 bytes. `/proc/sysvipc/shm` lists those of the reader's own ipc namespace, below a
# line of headings.
#
# *Expect:* one piece more out here, and none in the new namespace.

# %%
# made = !ipcmk --shmem 4096
ident = made[-1].split()[-1]

# out_here = !tail -n +2 /proc/sysvipc/shm
# in_there = !unshare --ipc tail -n +2 /proc/sysvipc/shm
# !ipcrm --shmem-id {ident}

print(f"out here: {len(out_here)}\nin there: {len(in_there)}")

assert any(line.split()[1] == ident for line in out_here)
assert in_there == []

# %% [markdown]
# ## A container has nothing else
#
# Start one, and compare its numbers with ours.
#
# *Expect:* a map: a row for each process, a column for each kind of namespace. The same number in a column is the same
# namespace. The container's `sleep` has numbers of its own in the three kinds that we have made by hand, and in some
# more.

# %%
# guest = %container run -d --name guest --hostname elsewhere lab sleep 1000

from toolkit.notebook.pictures import namespace_map

for kind in ("uts", "pid", "ipc"):
    assert inode(guest.pid, kind) != inode("self", kind)

namespace_map(guest)

# %% [markdown]
# ## One foot in the door
#
# If a container is only a process with other views, then it must be possible to take *one* of its views and leave the
# rest. The call for that is named `setns`, and the command is `nsenter`.
#
# We enter only the container's *uts*. Files, processes and network remain ours.
#
# *Expect:* the container's host name, and this machine's own process list.

# %%
# name = !nsenter --target {guest.pid} --uts hostname
# processes = !nsenter --target {guest.pid} --uts ps -e

print(f"host name: {name[0]}, and {len(processes) - 1} processes")

assert name == ["elsewhere"]
assert len(processes) - 1 > 2

# %% [markdown]
# With all of them (`--all`) you are in the container. This is what `container exec` does, and a little more: limits and
# powers, which come in notebooks 06 and 07.
#
# *Expect:* the process list of the container: `sleep` is number 1.

# %%
# entered = !nsenter --target {guest.pid} --all ps -o pid,args -e

print("\n".join(entered))

assert entered[1].split() == ["1", "sleep", "1000"]

# %% [markdown]
# ## Leave no trace
#
# *Expect:* the names, and an empty list.

# %%
# %container rm -f views guest

# left = %container ps -a

assert not {"views", "guest"} & set(left.column("NAMES"))

# %% [markdown]
# ## Try it yourself
#
# 1. Two containers may share a view: start one with `--name first`, and another with `--pid container:first`. What does
#    `ps` list in the second? Which of the two may be killed, and what happens then?
# 2. `%container run --rm --pid host lab ps -e`: whose processes are these? What would be the use of such a container?
# 3. A namespace lives as long as a process is in it. Run `unshare --uts sleep 30 &` in a terminal, find the number in
#    `/proc/PID/ns/uts`, and enter it with `nsenter` while it is there. And after?
# 4. Make a container without the engine: how far do you get with `unshare --uts --pid --ipc --fork --mount-proc bash`
#    in a terminal? What of the machine can you still see that you would not in a container?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 namespaces`, `man 7 pid_namespaces`, `man 7 uts_namespaces`, `man 7 ipc_namespaces`: the three of this
#   notebook.
# - `man 2 unshare`, `man 2 setns`: the two calls behind `unshare` and `nsenter`. The first one's list of flags is the
#   list of all kinds.
# - [OCI runtime specification, *Namespaces*](https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#namespaces):
#   how a container's file asks for what you have made by hand.
#
# **Next:** [03 · A root of one's own](03_mnt_pivot_root.ipynb). You could see all of the machine's files in here. That
# must end.
