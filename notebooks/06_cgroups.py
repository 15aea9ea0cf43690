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
# # 06 · A line that the kernel watches
#
# Namespaces hide things. They do not keep a program from eating all of the memory, and the machine with it. For that the
# kernel has a second, quite separate mechanism:
#
# > **The kernel counts what a group of processes uses, and acts when a line is crossed.** The group is called a
# > *control group*, or cgroup.
#
# There are three lines in this notebook, and at each of them the kernel does something else: at the line for memory it
# *kills*, at the one for the processor it *slows down*, at the one for the number of processes it *refuses*.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("hog", "greedy", "modest", "crowd", recording="06_cgroups")

# %% [markdown]
# ## A group is a folder
#
# Cgroups come in two generations, *v1* and *v2*, which look different; some machines have both at once. The engine
# speaks both. In each, a group is a folder, made with `mkdir`, and its lines are files in it that one writes numbers
# to. No special calls at all!
#
# *Expect:* which generation this machine has.

# %%
from toolkit.linux.cgroup import detect

kind = detect().kind
print("this machine has cgroup", kind)

assert kind in ("v1", "v2", "hybrid")

# %% [markdown]
# ## Memory
#
# *Expect:* `ready`. If your machine does not count memory, the reason and a cure, and this part is not run.

# %%
lesson.needs("limits on memory")

# %% [markdown]
# We start a container that may use 64 MiB (a MiB is 1024 times 1024 bytes).
#
# *Expect:* the folder of its group, with the file that has the line in it. It says 67108864, which is 64 MiB. And the
# list of the group's processes has our container's, by its number out here.

# %%
# hog = %container run -d --name hog --memory 64m lab sleep 1000

folder = hog.cgroup("memory")
line = next(file for file in (folder / "memory.max", folder / "memory.limit_in_bytes") if file.exists())
members = (folder / "cgroup.procs").read_text().split()

print(f"{line.name}: {line.read_text().strip()}")
print(f"cgroup.procs: {members}")

assert int(line.read_text()) == 64 << 20
assert str(hog.pid) in members

# %% [markdown]
# Now something that eats. First its recipe: a program that takes 2 MiB more every now and then, without end. The cell is
# fed to `cat` in the container, which writes it to a file there.
#
# *Expect:* nothing to see.

# %%
# %%container exec hog sh -c "cat > /eater.py"
# import time
#
# food = []
# while True:
#     food.append(bytearray(2 << 20))
#     time.sleep(0.02)

# %% [markdown]
# Start it in the background. While it runs, we read how much the group has, fifty times a second, until the kernel
# reports a kill. (OOM is for *out of memory*.)
#
# *Expect:* a curve that climbs to the line, never over it, and ends there.

# %%
import time

# %container exec -d hog python3 /eater.py

kills_before, start, curve = hog.stats().memory.oom_kills, time.monotonic(), []
while hog.stats().memory.oom_kills == kills_before and time.monotonic() - start < 20:
    curve.append((time.monotonic() - start, hog.stats().memory.usage_bytes))
    time.sleep(0.02)

from toolkit.notebook.figures.line import memory_curve

assert hog.stats().memory.oom_kills == kills_before + 1
assert max(used for _, used in curve) <= 64 << 20
memory_curve(curve, 64 << 20)

# %% [markdown]
# Only the eater died. `sleep`, in the same group, used next to nothing, and the kernel chose the one whose end would
# help most. A program that is killed has no say; whoever started it sees the code 128 + 9.
#
# Again, this time with instruments.
#
# *Expect:* 137. Then a gauge for each thing that is counted, with its limit as a dashed line, and a mark where the kernel
# has killed. In JupyterLab they go on measuring as long as you look at them, and you can move the limits with the mouse.

# %%
from toolkit.notebook.pictures import gauges

kills_before = hog.stats().memory.oom_kills
meter = gauges(hog)
with meter.recording():
    killed = hog.exec("python3 /eater.py")
print("exit code:", killed.exit_code)

assert killed.exit_code == 137
assert hog.stats().memory.oom_kills == kills_before + 1
assert hog.status == "running"
meter

# %% [markdown]
# A line can be moved while the group runs. It is only a number in a file.
#
# *Expect:* with 256 MiB, a program that wants 100 at once gets them.

# %%
# %container update --memory 256m --memory-swap 512m hog

fed = hog.exec("python3", "-c", "food = bytearray(100 << 20); print(len(food) >> 20, 'MiB')")
print(fed.output, end="")

assert fed.exit_code == 0
assert hog.stats().memory.limit_bytes == 256 << 20

# %% [markdown]
# If the container's *only* process is killed like that, the container has ended, and the engine remembers why.
#
# *Expect:* `OOMKilled` is true, and 137 again.

# %%
# %container rm -f hog

# ended = %container run --name hog --memory 32m lab python3 -c "food = bytearray(500 << 20)"

state = ended.container.inspect()["State"]
print({name: state[name] for name in ("Status", "OOMKilled", "ExitCode")})

assert state["OOMKilled"] and state["ExitCode"] == ended.exit_code == 137

# %% [markdown]
# ## Processor
#
# *Expect:* `ready`, or what is missing.

# %%
lesson.needs("limits on cpu")

# %% [markdown]
# Time on the processor cannot be used up, so nobody is killed for it. The line is a *quota*: so much time in each
# period of a tenth of a second. Who has used it up waits for the next period, and is said to be *throttled*.
#
# Two containers: `greedy` may do as it likes, `modest` gets a quarter of one processor (`--cpus 0.25`). Both run a loop
# that does nothing, for two seconds. The kernel has counted how long each was really on a processor.
#
# *Expect:* close to 1 for the first, if this machine has nothing else to do. For the second 0.25, or less if it is busy.

# %%
# greedy = %container run -d --name greedy lab sleep 1000
# modest = %container run -d --name modest --cpus 0.25 lab sleep 1000


def share(container, seconds=2):
    """Return how many processors a container kept busy, by its group's own counters."""
    used, start = container.stats().cpu.usage_ns, time.monotonic_ns()
    container.exec("timeout", str(seconds), "sh", "-c", "while :; do :; done")
    return (container.stats().cpu.usage_ns - used) / (time.monotonic_ns() - start)


shares = {each.name: share(each) for each in (greedy, modest)}
cpu = modest.stats().cpu

for name, value in shares.items():
    print(f"{name:7} {value:5.2f} {'█' * round(value * 40)}")
print(f"modest was throttled in {cpu.throttled_periods} periods, for {cpu.throttled_ns / 1e9:.1f} s")

assert shares["modest"] < 0.25 * 1.4
assert cpu.throttled_periods > 0
assert greedy.stats().cpu.throttled_periods == 0

# %% [markdown]
# (Why do we allow for more than a quarter? On a busy machine the kernel looks a moment late, and takes it off the next
# period.)
#
# ## Number of processes
#
# *Expect:* `ready`, or what is missing.

# %%
lesson.needs("limits on pids")

# %% [markdown]
# A program that does nothing but start itself again, and those do the same: a *fork bomb*. It needs neither memory nor
# time to speak of. It uses up the table of processes, and then nobody can start anything, not even the command that
# would end it.
#
# Here the line is a number of processes, and at the line the kernel refuses: `fork`, the call that starts a process,
# fails with the error `EAGAIN`, *try again later*.
#
# *Expect:* a container that may have ten processes counts to a few and is told `EAGAIN`. The kernel has counted a
# refusal.

# %%
# crowd = %container run -d --name crowd --pids-limit 10 lab sleep 1000

bomb = """
import errno, os, signal
children = []
try:
    while len(children) < 100:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    print(f"after {len(children)} children: {errno.errorcode[error.errno]}")
for child in children:
    os.kill(child, signal.SIGKILL)
"""

refusals_before = crowd.stats().pids.failures
burst = crowd.exec("python3", "-c", bomb)
print(burst.output, end="")
print("refusals counted:", crowd.stats().pids.failures - refusals_before)

assert burst.output.endswith("children: EAGAIN\n")
assert int(burst.output.split()[1]) < 10
assert crowd.stats().pids.failures > refusals_before

# %% [markdown]
# Whoever is outside of the group has not noticed anything.
#
# *Expect:* this notebook can start a process, at once.

# %%
# answer = !echo still here

print(answer[0])

assert answer == ["still here"]

# %% [markdown]
# ## Leave no trace
#
# *Expect:* `ready`, the names, and a group that is gone with its container: its folder does not exist any more.

# %%
lesson.needs()

# %%
# %container rm -f hog greedy modest crowd

# left = %container ps -a

assert not {"hog", "greedy", "modest", "crowd"} & set(left.column("NAMES"))

# %% [markdown]
# ## Try it yourself
#
# 1. `%container run --rm --memory 64m lab python3 -c "..."` with a program that asks for 500 MiB but never *uses* them.
#    (`import mmap; mmap.mmap(-1, 500 << 20)`.) What does the kernel count?
# 2. Give `modest` twice as much with `%container update --cpus 0.5 modest`, and measure again.
# 3. Fill memory with *files*: `dd if=/dev/zero of=/big bs=1M count=200` in a container with 64 MiB. Why is nobody
#    killed? Look at `c.stats().memory.details`.
# 4. What does a container see of its own line? `%container run --rm --memory 64m lab free -m`. Surprised? Find the file
#    below `/sys/fs/cgroup` that tells it the truth.

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 cgroups`: both generations, from the beginning.
# - [Control Group v2](https://docs.kernel.org/admin-guide/cgroup-v2.html): the kernel's own text. Read *Memory* and
#   *CPU*; each file in the folder is explained there.
# - `man 2 fork`: what it may fail with, and why.
# - [OCI runtime specification, *Control groups*](https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups).
#
# **Next:** [07 · Root without power](07_capabilities_seccomp.ipynb). Limits say how much. What about *what*?
