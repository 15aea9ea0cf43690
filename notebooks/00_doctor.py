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
# # 00 · What can this machine do?
#
# Welcome. In these notebooks you will take containers apart while they are running.
#
# Nothing here is a simulation. When a cell says *start a container*, a container starts, on this machine, and what
# you see afterwards was read from the system a moment before. If you can move around in a shell (`ls`, `cd`, `cat`,
# `ps`), you know enough. Every other word is explained when it first comes up.
#
# **How to read.** Before each cell there is a sentence that says what to expect. Guess first, then run the cell with
# <kbd>Shift</kbd>+<kbd>Enter</kbd>. Most cells end in a line that begins with `assert`: it checks, on your machine,
# that the text is telling the truth. If an `assert` fails, do not believe the text. Find out why.

# %% [markdown]
# ## Switch it on
#
# *Expect:* nothing to see. The line teaches this notebook one new command, `%container`.

# %%
# %load_ext toolkit

# %% [markdown]
# Whatever you write after `%container` is a command line. In a terminal you would type the same words without the
# percent sign: `container version`.
#
# *Expect:* a version of the engine, and the name of your **kernel**: the one program that runs from power-on to
# power-off, owns the hardware, and does on behalf of all others what they may not do themselves: open files, start
# programs, send packets.

# %%
# version = %container version

import os

assert version["KernelVersion"] == os.uname().release

# %% [markdown]
# ## Ask the doctor
#
# A program that wants something from the kernel makes a **system call**: it asks, and gets a result or a refusal.
# Containers are made of about a dozen rarely used system calls, and not every machine grants all of them. The doctor
# finds out by trying each one, not by looking at version numbers.
#
# *Expect:* a board of features. A green tick means that it was tried and it worked. If something is missing, the
# reason and a cure are written below the board. Rest the mouse on a tile to read what it is good for, and which call
# decided.

# %%
from toolkit.linux.probe import find_features
from toolkit.notebook.figures.capabilities import capability_matrix

features = find_features()
board = capability_matrix(features)

assert features, "the doctor found nothing to look at"
board

# %% [markdown]
# What does that mean for the lessons? On a laptop of your own, as root, all of them run. On a machine that somebody
# lends you in a browser (Binder, for instance), usually none may make a container. Then their cells show a *recording*:
# what they have shown on a machine that could, with its date and its kernel.
#
# *Expect:* a row for each lesson.

# %%
from toolkit.notebook.figures.outlook import LESSONS, outlook

lessons = outlook()

assert all(each.title in lessons.text for each in LESSONS)
lessons

# %% [markdown]
# ## Does the doctor tell the truth?
#
# Let us not take its word for it. The row *own view of* names kinds of **namespaces**. A namespace is a view: programs
# in it see their own list of processes, or their own host name, instead of the machine's. The shell command `unshare`
# asks the kernel for a new one, starts a program in it, and fails if the kernel says no.
#
# *Expect:* two columns that agree in every row: what the doctor said, and what the kernel says to `unshare` just now.

# %%
import subprocess

for feature in features:
    if feature.group == "own view of":
        option = "--mount" if feature.name == "mnt" else f"--{feature.name}"
        attempt = subprocess.run(["unshare", "--fork", option, "true"], capture_output=True)
        kernel_agrees = attempt.returncode == 0
        print(f"{feature.name:>8}   doctor: {feature.is_here!s:6} kernel: {kernel_agrees}")
        assert feature.is_here == kernel_agrees

# %% [markdown]
# ## The first container
#
# Before a container can start, there must be files for it to live in: at the least a program to run, and the
# libraries which that program needs. Such a bundle of files is called an **image**. Images usually come from the
# internet. The one called `lab` does not: it is made on the spot from the programs of *this* machine.
#
# *Expect:* the very first time, two or three seconds of work. Later, no noticeable wait. If this machine does not
# allow containers, the next cell says why, and the cells after it show what they have shown on another machine, marked
# as a recording.

# %%
from toolkit.notebook import lesson

lesson.needs_containers(recording="00_doctor")

# %% [markdown]
# Now one for you to see: start a container from the image `lab`, run `echo` in it, and remove it (`--rm`) when it is
# done.
#
# *Expect:* the words come back.

# %%
# hello = %container run --rm lab echo "hello from inside"

assert hello.output == "hello from inside\n"
assert hello.exit_code == 0

# %% [markdown]
# With **two** percent signs, the whole cell is handed to a shell in the container, as a script.
#
# *Expect:* the script finds a small Linux with a host name and a name of its own, and no sign of your files.

# %%
# %%container run --rm --hostname first lab
# echo "host name:   $(hostname)"
# echo "system:      $(grep ^NAME= /etc/os-release)"
# echo "home:        $(pwd)"
# echo "top folders: $(ls / | tr '\n' ' ')"

# %% [markdown]
# A script in a container can fail like any other. Its exit code comes back to you. Zero means that all went well; any
# other number is the script's way of saying *no*.
#
# *Expect:* a small mark that says `exit code 3`. That is not an error of the notebook: a program said no, and you
# were told.

# %%
# refusal = %container run --rm lab sh -c "exit 3"

assert refusal.exit_code == 3
refusal

# %% [markdown]
# ## What is here now?
#
# *Expect:* the image `lab`, with its size. The same list as a table to look at, and as values to work with.

# %%
# images = %container images

assert "lab" in images.column("REPOSITORY")

# %% [markdown]
# ## Try it yourself
#
# 1. `%container --help` lists all commands. Find the one that shows running containers. Why is its list empty now?
# 2. Run `%container run --rm lab ls /root`. Then write a file to `/root` in one container and look for it in the next.
#    Where did it go?
# 3. Run `%container run --rm lab no-such-program`. What does the message suggest, and what is the exit code? (In a
#    shell, `echo $?` shows it; here, the message's own `CommandError` has an `.exit_code`.)
# 4. The board above shows what every container is made of. `%container doctor` looks at all that *some* container
#    needs. Is anything missing there? Read the cure. On a laptop of your own, would you apply it?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 namespaces`: the kinds of views that you have just seen on the board, on one page.
# - `man 2 unshare`: the system call behind the command.
# - [OCI image specification](https://github.com/opencontainers/image-spec/blob/main/spec.md): what an image is, in the
#   words of the people who agreed on it. Read the first page only; it will make sense by notebook 09.
#
# **Next:** [01 · Just a process](01_just_a_process.ipynb). You started a container. What did you start?
