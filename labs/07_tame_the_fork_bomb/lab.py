# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 7 · Tame the fork bomb
#
# A *fork bomb* is a program that starts copies of itself, which start copies of themselves. It needs no memory to speak
# of and no rights at all. Within a second a machine has more processes than it can count, and you cannot even log in to
# end them: that would need a new process.
#
# In this lab you build a cage in which such a thing fizzles, let it go off, and clear up. Our bomb is a polite one: it
# stops by itself after a hundred processes, so that nothing bad happens if your cage has a hole.
#
# **You need** notebooks 00 to 02 and 06; lab 2 helps. **It takes** about three quarters of an hour.
#
# *Expect:* a green card with the four tasks.

# %%
# %load_ext toolkit
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# ## Task 1: a cage
#
# Start a container `cage` (from the image `lab`, with `sleep 1000`) that may have at most 32 processes. It will have to
# deal with many who end, so give it an *init* as well, a first process that reaps them (lab 2).

# %% solution="cage"
### BEGIN SOLUTION
# cage = %container run -d --name cage --init --pids-limit 32 lab sleep 1000
### END SOLUTION

# %% check="L7.1"
from toolkit.notebook.lab import check

check("L7.1")

# %% [markdown]
# ## Task 2: a bomb that fizzles
#
# Let it go off: in `cage`, have a shell try to start a hundred times `sleep 300` in the background, in a loop.

# %% solution="bomb"
### BEGIN SOLUTION
# %container exec cage sh -c 'for i in $(seq 100); do sleep 300 & done'
### END SOLUTION

# %% [markdown]
# *Expect:* `Cannot fork`. The kernel has refused to make one more process, with the error EAGAIN ("try again"), and the
# shell has given up.

# %% check="L7.2"
from toolkit.notebook.lab import check

check("L7.2")

# %% [markdown]
# And your machine? It did not notice. *Expect:* about 30 processes in the column PIDS, and an answer at once.

# %%
# %container stats --no-stream cage

# %% [markdown]
# ## Task 3: clear up from outside
#
# The bomb's processes still sit in the cage, and there is hardly room for a command that would end them: `exec` needs
# a process in there, too.
#
# But you stand outside. To you, they are processes like all others, with numbers of their own. End those that belong to
# the bomb, and only those: the container's first process and its main program (`sleep 1000`) have to go on.
#
# The numbers are in `cage.pids`. What a process runs, `/proc/PID/cmdline` says, with a zero byte behind each word.

# %% solution="clear_up"
import os
from pathlib import Path

### BEGIN SOLUTION
for pid in cage.pids:
    if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\0" + b"300\0":
        os.kill(pid, 9)
### END SOLUTION

# %% check="L7.3"
from toolkit.notebook.lab import check

check("L7.3")

# %% [markdown]
# (Had you left out `--init`: would the number of processes have gone down? The dead have to be reaped, and until then
# they count.)
#
# ## Task 4: put it on ice
#
# There is a kind that is harder to catch. This container starts a process, waits until it ends, and starts the next
# one. Look three times: *expect* other numbers each time, but for the first, which is the shell that does all this.

# %%
import time

# ice = %container run -d --name ice --pids-limit 32 lab sh -c 'while true; do sleep 0.2; done'
for _ in range(3):
    time.sleep(0.5)
    print(ice.pids)

# %% [markdown]
# While you read the second number, it has ended, and another one is there. If each of them started two, you would lose the
# race. So do not run: stop the clock. The kernel can *freeze* a whole group, so that no process in it gets one more
# instant of the processor, until you let it go on. Do this to `ice`.

# %% solution="ice"
### BEGIN SOLUTION
# %container pause ice
### END SOLUTION

# %% check="L7.4"
from toolkit.notebook.lab import check

check("L7.4")

# %% [markdown]
# Now take your time. *Expect:* the same numbers twice.

# %%
first = set(ice.pids)
time.sleep(0.5)
print(first == set(ice.pids))

# %% [markdown]
# The last cell takes away what this lab has started; what is frozen can be killed, too.

# %%
# %container rm -f cage ice

# %% [markdown]
# ## Go on from here
#
# 1. Where is the machine's own limit? (`/proc/sys/kernel/pid_max`, `/proc/sys/kernel/threads-max`.) How many bombs of
#    a hundred would it take?
# 2. `ulimit -u` is a limit on processes as well, and older. Whom does it count, and why does that not help root?
# 3. Look at `pids.events` and `cgroup.freeze` (on cgroup v1, `freezer.state`) of a container's group with your own
#    eyes: `cat /proc/PID/cgroup` tells where it is below `/sys/fs/cgroup`.
#
# ## To read
#
# - [The kernel on the pids controller](https://docs.kernel.org/admin-guide/cgroup-v2.html#pid)
# - `man 2 fork`, *ERRORS*: EAGAIN
# - `man 7 cgroups`, *freezer*
