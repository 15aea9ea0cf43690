# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 3 · Escape from chroot, then lock the door
#
# `chroot` is older than all containers (1979), and many tutorials say that a container's files are "like a chroot". In
# notebook 03 you saw that this is not quite so. In this lab you break out of a chroot with four lines, close the hole,
# find that a window is still open, and close that too.
#
# Knowing an attack is the only way to tell a defence from a decoration. Everything here happens on your own machine,
# to processes of your own.
#
# **You need** notebooks 00 to 03, and lab 1 helps. **It takes** about an hour.
#
# *Expect:* a green card with the four tasks.

# %%
# %load_ext toolkit
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# ## The jail
#
# Two things lie beside this notebook: `rootfs`, a small root file system, and `jail.py`, a program that goes into it.
# With `chroot none` it goes in by `chroot`, and looks around without doing anything.
#
# *Expect:* twice the same list of names: it is in there, and it stays in there.

# %%
import sys

# !{sys.executable} jail.py chroot none < /dev/null

# %% [markdown]
# ## Task 1: out of chroot
#
# A process has a root directory, which is where its `/` is, and a working directory, where paths begin that do not
# start with `/`. `chroot` changes the first, and only that. And `..` goes up until it meets the root: if a process
# stands *above* its root, it never meets it.
#
# Write `escape`. You are root in the jail (uid 0), so you may call `chroot` yourself. Four kinds of call are enough:
# `os.mkdir`, `os.chroot`, `os.chdir`, `os.chroot` again. (A directory that is there already is an error: use
# `os.makedirs(..., exist_ok=True)`.)


# %% solution="escape"
def escape():
    ### BEGIN SOLUTION
    os.makedirs("x", exist_ok=True)
    os.chroot("x")
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    ### END SOLUTION


# %% [markdown]
# *Expect:* two different lists. The second is your machine's `/`.

# %%
lab.write_module("escape.py", escape)
# !{sys.executable} jail.py chroot escape < /dev/null

# %% check="L3.1"
from toolkit.notebook.lab import check

check("L3.1")

# %% [markdown]
# ## Task 2: a lock that holds
#
# The machine's root was still there; chroot had only hidden it. So take it away. Write `lock_in`, which gives the
# process a mount namespace of its own, makes `rootfs` its root with `pivot_root`, and takes off the old one. (In lab 1
# you have written this as `new_root`; here it begins with `unshare`.)


# %% solution="lock_in"
def lock_in():
    ### BEGIN SOLUTION
    unshare(CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("rootfs", "rootfs", None, MS_BIND | MS_REC)
    os.chdir("rootfs")
    pivot_root(".", ".")
    umount(".", MNT_DETACH)
    os.chdir("/")
    ### END SOLUTION


# %% [markdown]
# `jail.py lock escape` goes in by your `lock_in`, and then calls your `escape`, the very same.
#
# *Expect:* twice the same list. (Your `escape` runs without an error, and arrives nowhere: above the root is the root.)

# %%
IMPORTS = """
from toolkit.linux.mount import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC, mount, pivot_root, umount
from toolkit.linux.namespace import CLONE_NEWNS, unshare
"""

lab.write_module("lock.py", lock_in, imports=IMPORTS)
# !{sys.executable} jail.py lock escape < /dev/null

# %% check="L3.2"
from toolkit.notebook.lab import check

check("L3.2")

# %% [markdown]
# ## Task 3: a door that was left open
#
# Now suppose that the program had a directory open before it was locked in. `jail.py lock door` does: it opens the
# machine's `/`, goes in by your `lock_in`, and then says `os.fchdir(door)`: go to the directory behind this open file.
#
# *Expect:* two different lists. The lock holds, and the prisoner left by the window.

# %%
# !{sys.executable} jail.py lock door < /dev/null

# %% [markdown]
# This is no invention. In January 2024 every docker had to be updated, because the program that makes its containers
# (`runc`) had left one such directory open (CVE-2024-21626).
#
# Write `close_doors`, which closes all open files but 0, 1 and 2. A list of what is open would not do: you cannot know
# what some library has opened.


# %% solution="close_doors"
def close_doors():
    ### BEGIN SOLUTION
    os.closerange(3, 65536)
    ### END SOLUTION


# %% [markdown]
# *Expect:* a complaint about a bad file descriptor, and twice the same list.

# %%
lab.write_module("lock.py", lock_in, close_doors, imports=IMPORTS)
# !{sys.executable} jail.py closed door < /dev/null

# %% check="L3.3"
from toolkit.notebook.lab import check

check("L3.3")

# %% [markdown]
# ## Task 4: a cell without the tool
#
# A good prison has more than one wall. Your escape began with a call of `chroot`, and who may call it is decided by a
# *capability*, one of the pieces into which root's power is cut (notebook 07 is about them). The engine gives a
# container fourteen; this one is among them, for old programs that want it.
#
# Start a container `cell` (from the image `lab`, with `sleep 1000`) that lacks this one capability and has all others.

# %% solution="cell"
### BEGIN SOLUTION
# %container run -d --name cell --cap-drop SYS_CHROOT lab sleep 1000
### END SOLUTION

# %% check="L3.4"
from toolkit.notebook.lab import check

check("L3.4")

# %% [markdown]
# The last cell takes away what this lab has started.

# %%
# %container rm -f cell

# %% [markdown]
# ## Go on from here
#
# 1. Your `lock_in` in a container of the engine: would it work there? Which capability does it need? Try it in
#    `%container run --rm -it lab bash` with `unshare -m`, with and without `--cap-add SYS_ADMIN`.
# 2. Ask the engine which call closes its doors: `container run --dry-run lab true`, and look for `close_range`.
# 3. What if the door is opened *after* the lock? A process that is outside can hand a directory to one that is inside,
#    through a socket. (`man 7 unix`, SCM_RIGHTS)
#
# ## To read
#
# - `man 2 chroot`, *NOTES*: "This call does not change the current working directory"
# - `man 2 pivot_root`
# - [CVE-2024-21626](https://github.com/opencontainers/runc/security/advisories/GHSA-xr7r-f8xq-vfvv), as runc's
#   authors tell it
