# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 8 · Drop capabilities until it breaks
#
# For fifty years there were two kinds of user: root, who may do everything, and all others. Then the kernel's authors
# cut root's power into pieces, the *capabilities*: one to change a file's owner, one to set the clock, one to load
# drivers into the kernel, 41 by now. A process can have some of them and not the others.
#
# A container that has few is one in which a thief finds little. In this lab you take them away, see what breaks, and
# find the smallest set with which a given program still does its work.
#
# **You need** notebooks 00 to 02 and 07. **It takes** about three quarters of an hour.
#
# *Expect:* a green card with the four tasks.

# %%
# %load_ext toolkit
from toolkit.notebook import lab

lab.begin()

# %% [markdown]
# ## The errand
#
# Beside this notebook lies `errand.sh`, a script of five steps that root can do and others cannot. It says each step
# before it does it, and ends at the first that is not allowed.

# %%
# !cat errand.sh

# %% [markdown]
# `%%container run IMAGE` would run a cell in a container; this function does the same with the script, and with any
# options that you want to try. *Expect:* all five steps, for a container has 14 capabilities if you do not say
# otherwise.


# %%
def errand(options=""):
    with open("errand.sh") as script:
        get_ipython().run_cell_magic("container", f"run --rm {options} lab sh", script.read())


errand()

# %% [markdown]
# ## Task 1: root without any power
#
# Start a container `bare` (from the image `lab`, with `sleep 1000`) whose process is root and has no capability at all.

# %% solution="bare"
### BEGIN SOLUTION
# %container run -d --name bare --cap-drop ALL lab sleep 1000
### END SOLUTION

# %% check="L8.1"
from toolkit.notebook.lab import check

check("L8.1")

# %% [markdown]
# How far does the errand come with that? *Expect:* it makes its parcel, and fails at step 2. `id` would still say that
# this is root.

# %%
errand("--cap-drop ALL")

# %% [markdown]
# ## Task 2: break step four, and only that
#
# Now the other way round. Start a container `almost` (with `sleep 1000`) that lacks exactly *one* of the usual 14
# capabilities, so that the errand comes to step 4 and ends there.
#
# Try candidates with `errand("--cap-drop ...")`. `man 7 capabilities` tells what each is for; the usual 14 are
# `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
# AUDIT_WRITE`.

# %% solution="almost"
### BEGIN SOLUTION
errand("--cap-drop DAC_OVERRIDE")
# %container run -d --name almost --cap-drop DAC_OVERRIDE lab sleep 1000
### END SOLUTION

# %% check="L8.2"
from toolkit.notebook.lab import check

check("L8.2")

# %% [markdown]
# ## Task 3: as few as possible
#
# Start a container `minimal` (with `sleep 1000`) in which the errand comes to its end, and from which nothing more can
# be taken: each capability that it has is needed for some step.
#
# `--cap-drop ALL` takes all, `--cap-add` gives one back.

# %% solution="minimal"
### BEGIN SOLUTION
few = "--cap-drop ALL --cap-add CHOWN --cap-add FOWNER --cap-add DAC_OVERRIDE --cap-add SETUID"
errand(few)
get_ipython().run_line_magic("container", f"run -d --name minimal {few} lab sleep 1000")
### END SOLUTION

# %% check="L8.3"
from toolkit.notebook.lab import check

check("L8.3")

# %% [markdown]
# ## Task 4: sealed
#
# The best case is a program that needs none of this. But powers can also be *gained*: a program file may belong to root
# and carry a mark (set-uid) that lets everybody who starts it be root, as `su` does.
#
# Start a container `sealed` (with `sleep 1000`) that runs as the user 1000, has no capability, can never get one, and
# has the kernel's promise (`NoNewPrivs`) that no program file raises its rights.

# %% solution="sealed"
### BEGIN SOLUTION
# %container run -d --name sealed --user 1000 --cap-drop ALL --security-opt no-new-privileges lab sleep 1000
### END SOLUTION

# %% check="L8.4"
from toolkit.notebook.lab import check

check("L8.4")

# %% [markdown]
# The last cell takes away what this lab has started.

# %%
# %container rm -f bare almost minimal sealed

# %% [markdown]
# ## Go on from here
#
# 1. Which of the 14 did the errand not need? For three of them, find a command that does (`man 7 capabilities`).
# 2. Give `bare` one capability back: SYS_ADMIN. Why do people call it the new root?
# 3. As the user 1000, with `--cap-add CHOWN`: what is in CapEff, and what in CapBnd, of `/proc/self/status`? Why does
#    the first stay empty?
#
# ## To read
#
# - `man 7 capabilities`
# - [no_new_privs in the kernel's documentation](https://docs.kernel.org/userspace-api/no_new_privs.html)
# - [The 14 capabilities that docker leaves to a container](https://docs.docker.com/engine/security/#linux-kernel-capabilities)
