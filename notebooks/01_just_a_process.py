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
# # 01 · Just a process
#
# People speak of containers as of small machines: you start one, you go into it, it has an address. This notebook has
# one idea, and it is a different one:
#
# > **A container is a process.** An ordinary one, in the list of all processes, that the kernel shows less to.
#
# We start a container, find it from the outside, look at it from the inside, and end it as one ends any process.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("sleeper", recording="01_just_a_process")

# %% [markdown]
# ## Start one that stays
#
# `sleep 1000` does nothing for 1000 seconds, which is all we ask of it. `-d` (for *detached*) leaves it running in the
# background and gives the notebook back to us.
#
# *Expect:* the container's long id, as in a terminal, and a card with its name, its state and one number: the **pid**,
# by which the kernel knows a process.

# %%
# c = %container run -d --name sleeper lab sleep 1000

assert c.status == "running"
c

# %% [markdown]
# ## Find it from the outside
#
# If the container were a machine, its `sleep` would run *there*. If it is a process, it runs *here*, and the plain old
# `ps` of this machine must know it by that number.
#
# *Expect:* one line of `ps`, with the very command that we gave to the container.

# %%
# !ps -o pid,ppid,user,args -p {c.pid}

import os
from pathlib import Path

command = Path(f"/proc/{c.pid}/cmdline").read_text().split("\0")[:2]

assert command == ["sleep", "1000"]

# %% [markdown]
# There it is. `/proc` is where the kernel answers questions about processes: each one has a folder, named by its pid,
# and what look like files in it are answers, made up at the moment you read them.
#
# ## Look at it from the inside
#
# `exec` runs one more command in the same container. So let us run `ps` in there.
#
# *Expect:* a very short list. Guess before you run it: which pid does `sleep` have in there?

# %%
# inside = %container exec sleeper ps -o pid,args

assert inside.lines[1].split() == ["1", "sleep", "1000"]

# %% [markdown]
# One process, and two numbers for it. Neither `ps` was lying. The kernel keeps a list of processes for each **pid
# namespace**, and our `sleep` is in two: the machine's, and one that was made for the container, in which it came
# first.
#
# The kernel will tell us directly. *Expect:* the line `NSpid` with both numbers, the machine's first.

# %%
# !grep NSpid /proc/{c.pid}/status

status = Path(f"/proc/{c.pid}/status").read_text()
numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))

assert numbers == [str(c.pid), "1"]

# %% [markdown]
# ## Both views at once
#
# *Expect:* on the left some of this machine's processes, on the right all that the container can see. The line joins
# the two names of the same process. Below: each kind of namespace has a number of its own, its *inode*. Where the two
# numbers differ, the container has a view of its own; where they are equal, it sees exactly what you see.

# %%
from toolkit.notebook.figures.split import read_split, split_view

views = {each.kind: each.is_own for each in read_split(c.pid, "sleeper").namespaces}

assert views["pid"] and views["mnt"] and views["uts"] and views["ipc"] and views["net"]
assert not views["user"]
split_view(c.pid, "sleeper")

# %% [markdown]
# So a container is a process with other views. The last row but one deserves a pause: `user` is shared. The *root* in
# this container is the same root as outside, with some of its powers taken away. Notebooks 04 and 07 are about that.
#
# ## One kernel
#
# A machine of its own would have a kernel of its own. Ask both sides for theirs.
#
# *Expect:* the same answer twice. (In notebook 15 you will start a virtual machine, and it will not be.)

# %%
out_here = os.uname().release
in_there = c.exec("uname -r").output.strip()
print(f"out here: {out_here}\nin there: {in_there}")

assert out_here == in_there

# %% [markdown]
# ## End it like any process
#
# There is `container stop`. But if all this is true, we do not need it: a plain signal to the pid, from outside, must
# do. Signal 9 is the one that cannot be refused.
#
# *Expect:* a container that has *exited* with code 137. That is how a shell, too, reports a process that was ended by
# a signal: 128 + 9.

# %%
import signal

os.kill(c.pid, signal.SIGKILL)
code = c.wait()

assert code == 128 + signal.SIGKILL == 137
c

# %% [markdown]
# ## Leave no trace
#
# The process is gone. What is left is what the engine wrote down about it: its name, its files, its exit code. `rm`
# removes that as well.
#
# *Expect:* the name, as in a terminal; and afterwards nothing in the list of all containers (`-a`) by that name.

# %%
# %container rm sleeper

# left = %container ps -a

assert "sleeper" not in left.column("NAMES")

# %% [markdown]
# ## Try it yourself
#
# 1. Start two containers that sleep. Use `split_view` on one of them. Does it see the other? Does the machine?
# 2. In a terminal (*File, New, Terminal*), run `container run -it --rm lab bash`, and in it `echo $$`, which prints the
#    shell's own pid. Leave the shell open, and find it in `ps aux` from another terminal.
# 3. Start `c = %container run -d lab sh -c "sleep 500 & sleep 600"`. How many entries does `c.pids` have? Kill the one
#    that is pid 1 inside. What happens to the other?
# 4. Which process is the container's *parent* (the second column of our `ps` above)? What might it be waiting for?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 pid_namespaces`: why the first process of a container matters more than the others.
# - `man 5 proc_pid_status`: every line of the file in which you found `NSpid`.
# - `man 7 signal`: the signals, and what happens to a process that gets one.
# - [OCI runtime specification, *State*](https://github.com/opencontainers/runtime-spec/blob/main/runtime.md#state): the
#   four words that a container's life is told in.
#
# **Next:** 02 · pid, uts, ipc: make the three smallest views with your own hands.
