# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 6 · Survive the memory hog
#
# One program that wants too much memory can take a whole machine down, and everybody on it. In notebook 06 you saw that
# the kernel can put processes into a group and draw a line for the group. In this lab you draw that line, watch what
# happens to those who cross it, and learn to place it: where the hog is stopped, and honest work is not.
#
# **You need** notebooks 00 to 02 and 06. **It takes** about three quarters of an hour. The hogs here want 200 MiB at
# most, and each of them runs behind a line.
#
# *Expect:* a green card with the four tasks.

# %%
# %load_ext toolkit
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# ## Task 1: draw the line
#
# Start a container `fence` (from the image `lab`, with `sleep 1000`) that may use at most 64 MiB.

# %% solution="fence"
### BEGIN SOLUTION
# fence = %container run -d --name fence --memory 64m lab sleep 1000
### END SOLUTION

# %% check="L6.1"
from toolkit.notebook.lab import check

check("L6.1")

# %% [markdown]
# The check has read this number from the kernel: your container is in a *cgroup*, a group of processes, and the group
# has a limit. The same and more comes from `stats` of the command line. *Expect:* little memory in use: a `sleep` needs
# next to nothing.

# %%
# %container stats --no-stream fence

# %% [markdown]
# ## Task 2: a hog that is stopped
#
# We need a hog. Here is one that every Linux has: `tail` shows the last lines of its input, so it must remember the
# line that it is just reading. If that line does not end (`/dev/zero` is an endless row of zeros), it remembers
# everything. `head -c 200M` cuts the row after 200 MiB, so that no accident takes your machine along.
#
# Run this hog *inside* of `fence` (`container exec`, and a shell for the `|`).

# %% solution="hog"
### BEGIN SOLUTION
# %container exec fence sh -c 'head -c 200M /dev/zero | tail'
### END SOLUTION

# %% [markdown]
# *Expect:* the word `Killed`: the shell saw its `tail` end by a signal. Nobody sent one but the kernel. Its *OOM
# killer* (out of memory) looked for the process in the group that uses most, and ended it. The `sleep` was left alone.

# %% check="L6.2"
from toolkit.notebook.lab import check

check("L6.2")

# %% [markdown]
# ## Task 3: when it hits the first process
#
# Now let the hog be the container's pid 1. Run a container `greedy`, in the foreground and without `--rm`, whose only
# program is a hog, behind a line of 64 MiB. Do it without a shell: the container's command is the hog itself.

# %% solution="greedy"
### BEGIN SOLUTION
# %container run --name greedy --memory 64m lab tail /dev/zero
### END SOLUTION

# %% check="L6.3"
from toolkit.notebook.lab import check

check("L6.3")

# %% [markdown]
# 137 is 128 + 9, and 9 is SIGKILL. But a `container kill` would have given the same number. The engine has asked the
# kernel's counter, and tells the two apart. *Expect:* `true`, then `137`.

# %%
# %container inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' greedy

# %% [markdown]
# ## Task 4: as much as it needs
#
# A line that stops the hog is easy: draw it low. But then honest work is killed as well. Here is some honest work: a
# job that needs a certain amount of memory, gets it, and then keeps it while it waits. (It is a hog on a diet.)
#
# First see how it fares in 64 MiB. (`--memory-swap` is the line for memory and disk together. With the same number for
# both, nothing is put off to a disk, which some machines would do instead of killing.) *Expect:* a container that has
# exited with code 137.

# %%
import time

JOB = "exec tail < <(head -c 96M /dev/zero; sleep 1000)"


def start_job(name, options=""):
    line = f'run -d --name {name} {options} lab bash -c "{JOB}"'
    container = get_ipython().run_line_magic("container", line)  # %container, with a text of Python's
    time.sleep(2)
    return container


start_job("fit", "--memory 64m --memory-swap 64m")

# %% [markdown]
# So how much does it need? Measure it: let it run without a limit, and ask the kernel for the *peak*, the most that the
# group has ever used. Then choose a limit that lets it live, with some room, and not more than 128 MiB. At the end a
# container `fit` has to run with that limit, with the job done and nobody killed.

# %% solution="fit"
### BEGIN SOLUTION
memory = start_job("measure").stats().memory
print((memory.peak_bytes or memory.usage_bytes) / 2**20, "MiB")
# %container rm -f fit measure
start_job("fit", "--memory 112m")
### END SOLUTION

# %% check="L6.4"
from toolkit.notebook.lab import check

check("L6.4")

# %% [markdown]
# The last cell takes away what this lab has started.

# %%
# %container rm -f fence greedy fit

# %% [markdown]
# ## Go on from here
#
# 1. Draw the line of `fit` while it runs: `container update --memory 80m fit`. What does the kernel say, and why?
# 2. Two hogs in one group, and only one must die. Which? `--oom-score-adj` of `container run` has a say in it; so has
#    `/proc/PID/oom_score`.
# 3. Is memory that files use (the *page cache*) on this side of the line? Read a large file in `fence`, and compare
#    `stats` with `memory.stat` of its group.
#
# ## To read
#
# - [The kernel on the memory controller](https://docs.kernel.org/admin-guide/cgroup-v2.html#memory): `memory.max`,
#   `memory.events`, `memory.peak`
# - `man 5 proc_pid_oom_score_adj`
