# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 1 · A container in 40 lines
#
# In notebook 01 you saw that a container is a process which the kernel shows less to. In 02 and 03 you made such views
# by hand, one at a time. Now you put them together: at the end of this lab there is a program of your own, `box.py`,
# of about 40 lines, and
#
# ```
# python box.py sh -c 'hostname; ls /'
# ```
#
# runs a command in a container that you made.
#
# **You need** what notebooks 00 to 03 taught, and Python functions. **It takes** about an hour.
#
# ## How a lab works
#
# - A cell that says `# YOUR CODE HERE` is yours: put your lines in place of that one and the `raise` below it.
# - A cell with `check(...)` asks the kernel whether you are there. It does not read what you wrote: it looks at your
#   processes from outside, so any way that leads there is right.
# - The card below it shows what was expected and what was found. Not there yet? Each time you run the check you get one
#   more hint.
# - Lost? Run the first cell again: it takes away everything that this lab has started. Your code stays.
#
# *Expect of the first cell:* a green card with the five tasks.

# %%
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# Beside this notebook there is now a directory `rootfs`: some programs and the libraries that they need, in the places
# where programs look for them. It is to become the `/` of your container.
#
# *Expect:* names that you know from `/` itself.

# %%
# !ls rootfs

# %% [markdown]
# ## How your program is put together
#
# You write one function for each step. `write_program` writes them into the file `box.py`, one after the other, with
# the calls below; `run_program` runs that file in a process of its own.
#
# Why not call the functions here? Because then *this notebook* would get a new host name and a new root, and could not
# come back.
#
# The last function is given. `execvp` makes the process become another program: the one that `box.py` was asked to run.

# %%
IMPORTS = """
import warnings  # execvp wants it, and once the root has changed nothing can be imported any more
from toolkit.linux.mount import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC, mount, pivot_root, umount
from toolkit.linux.namespace import CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, unshare
from toolkit.linux.process import sethostname
"""


def become():
    os.execvp(sys.argv[1], sys.argv[1:])


# %% [markdown]
# ## Task 1: a name of its own
#
# Write `new_views`, which makes four new *namespaces* for the process that calls it: one for the host name (UTS), one
# for shared memory (IPC), one for mounts (NS: it was the first, and nobody thought that there would be others), and one
# for process numbers (PID). `unshare` does it; its argument says which, joined by `|`.
#
# And write `new_name`, which sets the host name to `box`. In a UTS namespace of its own, nobody else notices.


# %% solution="new_name"
def new_views():
    ### BEGIN SOLUTION
    unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS)
    ### END SOLUTION


def new_name():
    ### BEGIN SOLUTION
    sethostname("box")
    ### END SOLUTION


# %% [markdown]
# *Expect:* a process that runs. (If your program stops with an error, its last lines are shown instead.)

# %%
lab.write_program("box.py", new_views, new_name, become, imports=IMPORTS)
lab.run_program("box.py", "rootfs/usr/bin/sleep", "1000")

# %% check="L1.1"
from toolkit.notebook.lab import check

check("L1.1")

# %% [markdown]
# ## Task 2: process number 1
#
# You asked for a new PID namespace, but your process has kept its old number: a process cannot change its number while
# it runs. The *next child* of it is the first in the new namespace, and gets the number 1.
#
# So write `first_process`: make a child with `os.fork()`. This call returns twice. In the child it returns 0: there,
# simply return, and the program goes on with the functions that follow. In the parent it returns the child's number:
# there, wait until the child has ended (`os.waitpid`), and then end too (`sys.exit`).


# %% solution="first_process"
def first_process():
    ### BEGIN SOLUTION
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        sys.exit(code if code >= 0 else 128 - code)
    ### END SOLUTION


# %%
lab.stop_programs()
lab.write_program("box.py", new_views, new_name, first_process, become, imports=IMPORTS)
lab.run_program("box.py", "rootfs/usr/bin/sleep", "1000")

# %% check="L1.2"
from toolkit.notebook.lab import check

check("L1.2")

# %% [markdown]
# ## Task 3: a root of its own
#
# Now the files. You know from notebook 03 that `chroot` is a door that can be opened from inside, and that `pivot_root`
# takes the old root away altogether. Write `new_root`, in these steps:
#
# 1. Make all mounts private: `mount(None, "/", None, MS_REC | MS_PRIVATE)`. Otherwise what you mount here could turn up
#    on the machine outside, too.
# 2. `pivot_root` accepts only a *mount point* as the new root. Make `rootfs` one: bind-mount it onto itself.
# 3. Go into it, and make it the root: `pivot_root(".", ".")`. With the same place twice, the old root ends up on top of
#    the new one.
# 4. Take the old one off (`umount` with `MNT_DETACH`, which does not wait until nobody uses it), and go to `/`.


# %% solution="new_root"
def new_root():
    ### BEGIN SOLUTION
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("rootfs", "rootfs", None, MS_BIND | MS_REC)
    os.chdir("rootfs")
    pivot_root(".", ".")
    umount(".", MNT_DETACH)
    os.chdir("/")
    ### END SOLUTION


# %% [markdown]
# The command is only `sleep` this time: in the new root it is found where programs usually are.

# %%
lab.stop_programs()
lab.write_program("box.py", new_views, new_name, first_process, new_root, become, imports=IMPORTS)
lab.run_program("box.py", "sleep", "1000")

# %% check="L1.3"
from toolkit.notebook.lab import check

check("L1.3")

# %% [markdown]
# ## Task 4: a list of processes that is true
#
# `ps` in your container would fail now: it reads `/proc`, and yours is an empty directory. Write `new_proc`, which
# mounts the file system `proc` there. Which processes will it list? Those of the PID namespace of *whoever mounts it*.


# %% solution="new_proc"
def new_proc():
    ### BEGIN SOLUTION
    mount("proc", "/proc", "proc")
    ### END SOLUTION


# %%
lab.stop_programs()
lab.write_program("box.py", new_views, new_name, first_process, new_root, new_proc, become, imports=IMPORTS)
lab.run_program("box.py", "sleep", "1000")

# %% check="L1.4"
from toolkit.notebook.lab import check

check("L1.4")

# %% [markdown]
# ## Task 5: a program that others can use
#
# `box.py` is complete. Use it: *expect* the name `box`, the number 1, a short list of processes and the root that you
# gave it.

# %%
import sys

# !{sys.executable} box.py sh -c 'hostname; echo $$; ps -o pid,args; ls /'

# %% [markdown]
# Whoever runs a command wants to know how it ended. A program says so with its *exit code*: 0 for "all is well",
# anything else for "it is not". What your container's program says must not get lost on the way: `box.py` has to exit
# with the same code, and with 128 plus the signal's number where a signal has ended it, as shells do.
#
# The check uses `box.py` as a command, with programs that end in different ways. If it is not content, improve
# `first_process` above, and run the cells from there again.

# %% check="L1.5"
from toolkit.notebook.lab import check

check("L1.5")

# %% [markdown]
# ## What you have made
#
# Look at it: this file is a container engine.

# %%
# !cat box.py

# %% [markdown]
# The engine of this project does the same, in the same order, and then some more: it gives the container limits
# (notebook 06), takes most of root's powers from it (07), and stacks its files from layers (08). Compare:
# `container run --dry-run lab sleep 1000`.
#
# The last cell takes away what this lab has started.

# %%
lab.stop_programs()

# %% [markdown]
# ## Go on from here
#
# 1. Your container sees the machine's network. Add `CLONE_NEWNET` to the views. What does `ip link` say inside?
# 2. Run `box.py` twice at the same time. Which of the two sees the files that the other makes in `/tmp`? Why?
# 3. End the container's `sleep` from inside (`python box.py sh`, then `kill -9 1`). Why does nothing happen? Lab 2 is
#    about that.
#
# ## To read
#
# - `man 2 unshare`, `man 7 namespaces`, `man 7 pid_namespaces`
# - `man 2 pivot_root`, the section *NOTES*, on `pivot_root(".", ".")`
# - [rubber-docker](https://github.com/Fewbytes/rubber-docker), a workshop that takes the same way
