# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 2 · Who is my pid 1?
#
# In notebook 02 you saw that the first process of a container is number 1 in there. On a whole machine, number 1 is a
# program written for that place; it is called *init*, and it has two duties that nobody talks about while they are
# done. In a container, number 1 is whatever you asked for: `sleep`, a shell, your web server. It knows of no duties.
#
# In this lab you see what goes wrong then, and you write the init that puts it right. It is shorter than this page.
#
# **You need** notebooks 00 to 02, and Python functions. **It takes** about three quarters of an hour.
#
# *Expect:* a green card with the five tasks.

# %%
# %load_ext toolkit
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# ## The first duty: those who have ended
#
# When a process ends, a little of it stays: its number and its *exit code*, until its parent asks how it ended (that is
# what `wait` does, and it is called *reaping*). Until then it is a **zombie**: it uses no memory and no processor, but
# it is in the list.
#
# And what of a process whose parent has ended before it? It is an **orphan**, and the kernel gives it a new parent:
# the pid 1 of its namespace. So pid 1 inherits children that it never had, and must reap them.
#
# Here is a container whose pid 1 is `sleep`. It sleeps; it does not wait for anybody.

# %%
# crowd = %container run -d --name crowd lab sleep 1000
crowd

# %% [markdown]
# ## Task 1: three zombies
#
# Make at least three zombies in `crowd`. A shell that starts something in the background (`&`) and ends at once leaves
# an orphan; `container exec` brings a shell in.

# %% solution="three_zombies"
### BEGIN SOLUTION
# %container exec crowd sh -c 'sleep 0.2 &'
# %container exec crowd sh -c 'sleep 0.2 &'
# %container exec crowd sh -c 'sleep 0.2 &'
### END SOLUTION

# %% check="L2.1"
from toolkit.notebook.lab import check

check("L2.1")

# %% [markdown]
# Look at them from inside. *Expect:* `Z` in the column `S`, and `<defunct>` where a command would be.

# %%
# %container exec crowd ps -eo pid,ppid,s,args

# %% [markdown]
# Can you get rid of them? A signal ends a process, and these have ended already. *Expect:* the same number of zombies
# before and after.

# %%
import os

from toolkit.lab import evidence

before = evidence.zombies(crowd.pid)
for pid in before:
    os.kill(pid, 9)
after = evidence.zombies(crowd.pid)
print(f"{len(before)} zombies before, {len(after)} after")

# %% [markdown]
# Only their parent can let them go, or its end. A few zombies do no harm. A server that leaves one behind for each
# request has used up all the numbers some night.
#
# ## Task 2: an init that reaps
#
# Your init is a program `init.py` which gets the main program's command on its command line, as in
# `python3 init.py sleep 1000`. The first step is given: it makes a child, which becomes that program. Its number is
# kept in `main`.

# %%
IMPORTS = "import signal"


def start_program():
    global main
    main = os.fork()
    if main == 0:
        os.execvp(sys.argv[1], sys.argv[1:])


# %% [markdown]
# Write `reap`: wait for children again and again, whoever they are. When it is `main` that has ended, end too
# (`sys.exit`), with the exit code that `main` had.


# %% solution="reap"
def reap():
    ### BEGIN SOLUTION
    while True:
        pid, status = os.wait()
        if pid == main:
            code = os.waitstatus_to_exitcode(status)
            sys.exit(code if code >= 0 else 128 - code)
    ### END SOLUTION


# %% [markdown]
# The next cell writes `init.py`, copies it into a new container `mine`, and starts that. If your init fails, the last
# line shows what it has said; otherwise it has nothing to say.

# %%
lab.write_program("init.py", start_program, reap, imports=IMPORTS)
# %container create --name mine lab python3 /init.py sleep 1000
# %container cp init.py mine:/init.py
# mine = %container start mine
# %container logs --tail 1 mine

# %% [markdown]
# The check makes three orphans of its own in `mine`, and looks what becomes of them.

# %% check="L2.2"
from toolkit.notebook.lab import check

check("L2.2")

# %% [markdown]
# ## Task 3: the exit code gets through
#
# Whoever started the container wants to know how the *main program* ended, and gets to know how *pid 1* ended. So your
# init has to pass the code on; and where a signal has ended the program, say 128 plus its number, as shells do.
#
# The check starts containers of its own with your `init.py`. If it is not content, improve `reap` above and run the
# cells from there again (`%container rm -f mine` makes room for the new one).

# %% check="L2.3"
from toolkit.notebook.lab import check

check("L2.3")

# %% [markdown]
# ## The second duty: signals
#
# `container stop` asks politely: it sends the signal SIGTERM to pid 1, waits, and after ten seconds it kills. To most
# processes SIGTERM is the end. But not to a pid 1! The kernel protects it: a signal that it has no handler for is
# dropped, so that nobody ends a machine's init by mistake.
#
# *Expect:* a stop that takes its whole time (we allow two seconds), and exit code 137: killed, 128 + 9.

# %%
import time

began = time.monotonic()
code = crowd.stop(timeout_s=2)
print(f"it took {time.monotonic() - began:.1f} seconds, and ended with {code}")

# %% [markdown]
# `crowd` has ended, and its zombies have gone with it: when a pid 1 ends, its namespace ends.
#
# ## Task 4: signals get through
#
# Write `pass_signals`, which sets a handler for SIGTERM, SIGINT and SIGHUP (`signal.signal`). The handler sends the
# same signal on to `main`. The handler interrupts `os.wait()`, and afterwards Python goes on waiting by itself.


# %% solution="pass_signals"
def pass_signals():
    ### BEGIN SOLUTION
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(main, received))
    ### END SOLUTION


# %%
lab.write_program("init.py", start_program, pass_signals, reap, imports=IMPORTS)
# %container rm -f mine
# %container create --name mine lab python3 /init.py sleep 1000
# %container cp init.py mine:/init.py
# mine = %container start mine
# %container logs --tail 1 mine

# %% check="L2.4"
from toolkit.notebook.lab import check

check("L2.4")

# %% [markdown]
# ## Task 5: the init that comes with the engine
#
# Nobody writes this anew for each image. docker has an option for it, and so has this engine: its init is a program of
# 300 bytes. Start a container `tidy` that has it, and that sleeps for 1000 seconds. (`container run --help` tells the
# option's name.)

# %% solution="tidy"
### BEGIN SOLUTION
# %container run -d --name tidy --init lab sleep 1000
### END SOLUTION

# %% check="L2.5"
from toolkit.notebook.lab import check

check("L2.5")

# %% [markdown]
# *Expect:* two processes where you asked for one.

# %%
# %container exec tidy ps -eo pid,ppid,args

# %% [markdown]
# The last cell takes away what this lab has started.

# %%
# %container rm -f crowd mine tidy

# %% [markdown]
# ## Go on from here
#
# 1. A shell is a better pid 1 than `sleep`. Which of the two duties does `sh` do, and which not? Try it.
# 2. There is a race in `init.py`: a signal may come between `fork` and `pass_signals`. What happens to it? How would
#    you close the gap? (`man 2 sigprocmask`)
# 3. Zombies take numbers. How many can `crowd` have, and where does the kernel say so? (`/proc/sys/kernel/pid_max`;
#    lab 7 sets a limit for one container.)
#
# ## To read
#
# - `man 7 pid_namespaces`, *The namespace init process*
# - `man 2 wait`, *NOTES*, on zombies
# - [tini](https://github.com/krallin/tini), the init that docker uses, and its reasons
