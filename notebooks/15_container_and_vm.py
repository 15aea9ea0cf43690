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
# # 15 · Container and machine
#
# Since notebook 01 you know that a container is a process. So what is the other thing that people run in the cloud, the
# *virtual machine*? This notebook has one idea, and puts the two side by side:
#
# > **A container shares the kernel. A virtual machine brings its own.** Everything else follows: how fast it starts, how
# > much it takes, how well it holds.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("neighbour", recording="15_container_and_vm")

# %% [markdown]
# ## One kernel for all
#
# When a kernel is switched on, it draws a long random number, its `boot_id`. No other kernel has the same, not even on
# the same machine tomorrow. So it is a good way to find out whether two programs talk to the same kernel.
#
# *Expect:* the container gives the same two answers as this notebook.

# %%
import os
from pathlib import Path

BOOT_ID = "/proc/sys/kernel/random/boot_id"

# neighbour = %container run -d --name neighbour lab sleep 1000

out_here = [os.uname().release, Path(BOOT_ID).read_text().strip()]
in_container = neighbour.exec("sh", "-c", f"uname -r; cat {BOOT_ID}").lines
print("out here:         ", *out_here)
print("in the container: ", *in_container)

assert in_container == out_here

# %% [markdown]
# ## A kernel of its own
#
# A virtual machine is a program (here *qemu*) that plays a computer: processor, memory, disks, all of it. In that
# computer a kernel is switched on, which knows nothing of ours.
#
# *Expect:* `ready`, perhaps after a download (the kernel for it, once). If this machine has no qemu, or no kernel is to
# be had, the reason, and the rest shows a recording.

# %%
lesson.needs(lesson.VIRTUAL_MACHINE)

# %% [markdown]
# `container vm run` switches such a machine on, runs a command in it, and switches it off again. The machine sees our
# files, and cannot change them. First we write down what it is to do: the same two questions as before, then two more
# (who is process 1, how much memory is in use), and at last something bold. It sets the clock to the year 2040.
#
# *Expect:* the name of the file.

# %%
from toolkit.notebook.desk import Desk

desk = Desk("15")
# %cd -q {desk.name}

# %%
# %%writefile ask.sh
# uname -r
# cat /proc/sys/kernel/random/boot_id
# cat /proc/1/comm
# grep -E '^Mem(Total|Available)' /proc/meminfo
# date -s 2040-01-01 > /dev/null
# date +%Y

# %% [markdown]
# *Expect:* some seconds of nothing, on a busy machine up to a minute: the computer that qemu plays has to boot. Then six
# lines. The second differs from ours, and with it the kernel. (The first differs, too, unless this machine happens to
# run the same release.)

# %%
import time

start = time.monotonic()
# machine = %container vm run -- sh ask.sh
machine_s = time.monotonic() - start

in_machine = machine.lines[:2]

assert machine.exit_code == 0
assert in_machine[1] != out_here[1]

# %% [markdown]
# Process 1 over there is a little program that started our script; our own process 1 is in another world, and so are
# all others: this machine's `ps` shows *qemu* while the other one runs, and nothing of what happens in it.
#
# ## The same bold deed
#
# There, it is 2040. Here?
#
# *Expect:* in the container, the same command is refused (`date` also prints what it would have set). There is only one
# clock, and it is ours. Out here, the year is what it was.

# %%
refused = neighbour.exec("date -s 2040-01-01")
print("in the container:", refused.output, end="")
print("out here it is", time.strftime("%Y"))

assert machine.lines[-1] == "2040"
assert "Operation not permitted" in refused.output
assert time.strftime("%Y") != "2040"

# %% [markdown]
# Note the difference. The container is *forbidden* to do it, by a check in the kernel that it shares with us. Should
# that check have a gap, the container has our clock, or all of the machine. The virtual machine may do as it likes, with
# a kernel that is only its own. To hurt us it would first have to break out of the computer that qemu plays. That is why
# those who run programs of strangers give each a machine of its own, and why they pay for it.
#
# ## What it costs: time
#
# Three ways to run `true`, a program that does nothing: as a process, in a container, in a machine. We have measured
# the last one already. (`run_line_magic` is how Python says `%container` in the middle of a line.)
#
# *Expect:* a race without suspense. Mind the scale: each step to the right is ten times as long.

# %%
import subprocess
from statistics import median

from toolkit.notebook.figures.race import memory_race, time_race


def took(deed):
    """Return how long a deed takes, in seconds."""
    start = time.monotonic()
    deed()
    return time.monotonic() - start


magic = get_ipython().run_line_magic

process_s = median(took(lambda: subprocess.run("true")) for _ in range(5))
container_s = median(took(lambda: magic("container", "run --rm lab true")) for _ in range(5))

assert process_s < container_s < machine_s
time_race(
    {"a process": process_s, "a container": container_s, "a virtual machine": machine_s},
    "from nothing to done",
)

# %% [markdown]
# ## What it costs: memory
#
# A container is charged for what its processes use. A machine needs memory for a kernel, and for all that the kernel
# keeps in memory to be quick.
#
# *Expect:* a `sleep` takes less than a megabyte, or a few. The machine had about a hundred in use, before it did
# anything; and all that it *may* use, qemu may have to find.

# %%
lesson.needs(lesson.VIRTUAL_MACHINE, "limits on memory")

# %%
words = [line.split() for line in machine.lines if line.startswith("Mem")]
memory = {name.rstrip(":"): int(size) * 1024 for name, size, _unit in words}
in_use = memory["MemTotal"] - memory["MemAvailable"]
container_bytes = neighbour.stats().memory.usage_bytes

assert container_bytes < in_use
memory_race(
    {
        "a container": container_bytes,
        "a virtual machine": in_use,
        "what it may use": memory["MemTotal"],
    },
    "memory in use, doing nothing",
)

# %% [markdown]
# ## Leave no trace
#
# *Expect:* `ready`, and the name. The machine has left nothing: it has no files.

# %%
lesson.needs()

# %%
# %container rm -f neighbour

# %cd -q /

# left = %container ps -a

assert "neighbour" not in left.column("NAMES")

# %% [markdown]
# ## Try it yourself
#
# 1. In a terminal, `container vm run -it -- bash` gives you a shell in such a machine. Find its process 1, its disks,
#    its limits. Delete something important. Then leave, and look whether it is still there.
# 2. While that shell is open, find qemu on this machine with `ps aux`. How many processes does it take? How much memory?
# 3. The machine has cgroup v2, whatever this one has. Look at `/sys/fs/cgroup/cgroup.controllers` in there, and run
#    notebook 06 again with what you see in mind.
# 4. `docker run` on a Mac or on Windows: which kernel does the container talk to there? What follows for how fast it
#    starts, and for `uname -r`?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - [The KVM documentation](https://docs.kernel.org/virt/kvm/api.html): how a program asks the kernel for help with
#   playing a computer. The first page is enough.
# - `man 1 qemu-system-x86_64`: what a computer is made of, as options.
# - [Firecracker](https://github.com/firecracker-microvm/firecracker/blob/main/docs/design.md): machines that are made so
#   small that they start nearly as fast as containers.
# - [OCI runtime specification, *VM-based runtimes*](https://github.com/opencontainers/runtime-spec/blob/main/config-vm.md):
#   a container that *is* a machine.
#
# **Next:** you have reached the end of what is here now. Labs are waiting, and notebook 05 takes up the network, once
# the engine has one.
