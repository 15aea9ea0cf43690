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
# # 07 · Root without power
#
# Most containers run as root, and as the machine's own root (notebook 04). Yet they cannot set the clock, load a driver
# or read the disk. Two mechanisms see to that, and this notebook is about both:
#
# > **Root's power comes in pieces, and a container gets a few of them. And what it may not even ask for, a filter stops
# > at the door.** The pieces are called *capabilities*, the filter is called *seccomp*.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("tame", recording="07_capabilities_seccomp")

# %% [markdown]
# ## 41 pieces
#
# Long ago, the kernel asked one question: is it root? Since 1999, it asks for one of some forty powers instead: to
# change the owner of a file takes `CAP_CHOWN`, to set the clock `CAP_SYS_TIME`. Root is simply a user who has them all,
# unless somebody takes some away.
#
# For each process, `/proc/PID/status` has the powers that it may use now in the line `CapEff` (*effective*): one bit
# for each power, written as a number in base 16.
#
# *Expect:* two numbers. This notebook's has many bits, the container's a few.

# %%
# tame = %container run -d --name tame lab sleep 1000

from pathlib import Path

from toolkit.linux.capability import DEFAULT, NAMES, names


def effective(pid):
    """Return the powers of a process as a number, one bit for each."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)


ours, theirs = effective("self"), effective(tame.pid)
print(f"this notebook: {ours:011x}   {len(names(ours)):2} powers")
print(f"the container: {theirs:011x}   {len(names(theirs)):2} powers")

assert theirs == DEFAULT & ours
assert theirs & ~ours == 0, "nobody can give what they have not"

# %% [markdown]
# Which ones? What programs in a container need now and then, and with which they can hurt hardly anybody but themselves.
#
# *Expect:* up to fourteen names (they are docker's fourteen). You will be able to guess what some of them are for.

# %%
kept = [name.removeprefix("CAP_") for name in names(theirs)]
for start in range(0, len(kept), 4):
    print(*(f"{name:18}" for name in kept[start : start + 4]))

assert "CAP_CHOWN" in names(theirs)
assert "CAP_SYS_TIME" not in names(theirs)

# %% [markdown]
# ## Take one away
#
# Root in a container may give a file to another user. That is `CAP_CHOWN`, one of the fourteen. The option `--cap-drop`
# takes a power away before the program starts.
#
# *Expect:* the first container gives its folder away and says nothing. The second is told *Operation not permitted*:
# that is how the error `EPERM` reads. Both are root! (`2>&1` is a shell's way to have complaints printed as everything
# else.)

# %%
# may = %container run --rm lab chown student /tmp
# may_not = %container run --rm --cap-drop CHOWN lab sh -c "id -u; chown student /tmp 2>&1"

assert may.exit_code == 0
assert may_not.lines[0] == "0"
assert "Operation not permitted" in may_not.lines[1]

# %% [markdown]
# All powers at a glance, and a place to try: the *playground* runs one command in a container that is thrown away, with
# the powers that you choose.
#
# *Expect:* a board. Green is what the container had; `CHOWN` is not among it, and the command was refused. In JupyterLab,
# click on powers, change the command, and run it again.

# %%
from toolkit.notebook.pictures import playground

field = playground()
tried = field.run("chown student /tmp", drop=["chown"])

assert tried.exit_code != 0
assert "CAP_CHOWN" not in tried.effective
field

# %% [markdown]
# ## Give one more
#
# The host name belongs to the container alone (notebook 02), and still it may not change it: that takes
# `CAP_SYS_ADMIN`, which is not one of the fourteen. `--cap-add` gives it.
#
# *Expect:* first a refusal, then the new name. (The refusal says "you must be root". That is the program's guess, and it
# is wrong: we are.)

# %%
# refused = %container run --rm lab sh -c "hostname elsewhere 2>&1"
# granted = %container run --rm --cap-add SYS_ADMIN lab sh -c "hostname elsewhere; hostname"

assert refused.exit_code != 0
assert granted.lines == ["elsewhere"]

# %% [markdown]
# Be careful with that one. So many things ask for `CAP_SYS_ADMIN` (mounts, namespaces, and dozens more) that it is known
# as *the new root*: who has it can get the others.
#
# ## Take all
#
# What is left of root without any power? The owner of root's files. Nothing more.
#
# *Expect:* number 0, and powers that are all zero. Root can still read what belongs to root. It can give nothing away,
# and not even become somebody else.

# %%
# bare = %container run --rm --cap-drop ALL lab sh -c "id -u; grep CapEff /proc/self/status"
# owner = %container run --rm --cap-drop ALL lab head -n 1 /etc/shadow
# refused = %container run --rm --cap-drop ALL lab sh -c "(chown student /tmp; su student -c true) 2>&1"

assert bare.lines[0] == "0"
assert int(bare.lines[1].split()[1], 16) == 0
assert owner.output.startswith("root:")
assert all("Operation not permitted" in line for line in refused.lines)

# %% [markdown]
# Many programs need none at all. Try it with yours: drop all, see what breaks, and add that one power. Lab 8 is about
# this.
#
# ## A filter at the door: seccomp
#
# Capabilities are asked for deep inside the kernel, in the middle of its work. By then, much code has run for a caller
# that one does not trust. Linux has over 350 calls, and a usual program uses 50. Why let it knock on all doors?
#
# A *seccomp* filter is a small program that the kernel runs at each call, before anything else. It looks at the number
# of the call, and says: go on, or `EPERM`, or *end this process*. Once it is there, nobody can take it off.
#
# *Expect:* `Seccomp: 2` for the container, which means that it has a filter. This notebook has 0, unless somebody
# filters it, too.

# %%
# !grep Seccomp: /proc/self/status /proc/{tame.pid}/status


def filter_mode(pid):
    """Return 0 for a process without a filter, 2 for one with."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Seccomp:")))


assert filter_mode(tame.pid) == 2

# %% [markdown]
# To see that this is not about powers, take a call that needs none: `unshare`, asked for *nothing*. `unshare true`
# makes no namespace and starts `true`. Anybody may do that. But the call is on the list of those that a container has no
# business with.
#
# *Expect:* with the filter, it is refused. Without it (`seccomp=unconfined`), it works, and the powers are the same.

# %%
# filtered = %container run --rm lab sh -c "unshare true 2>&1"
# unfiltered = %container run --rm --security-opt seccomp=unconfined lab unshare true
# powers = %container run --rm --security-opt seccomp=unconfined lab grep CapEff /proc/self/status

assert "Operation not permitted" in filtered.output
assert unfiltered.exit_code == 0
assert int(powers.output.split()[1], 16) == effective(tame.pid)

# %% [markdown]
# ## A filter of your own
#
# The list comes from a file, and you may bring one: what to do with most calls, and then the exceptions. This one
# allows everything but making folders. (Two names, since there are two calls for it: an old one, and a newer one that
# most programs use today.)
#
# *Expect:* a file can be made without a word, a folder cannot. By root, in its own container.

# %%
import json

from toolkit.notebook.desk import Desk

profile = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
}
desk = Desk("07")
# %cd -q {desk.name}
Path("no-folders.json").write_text(json.dumps(profile))

# file = %container run --rm --security-opt seccomp=no-folders.json lab touch /file
# folder = %container run --rm --security-opt seccomp=no-folders.json lab sh -c "mkdir /folder 2>&1"

assert file.exit_code == 0
assert "Operation not permitted" in folder.output

# %% [markdown]
# ## Why `unshare` is on the list
#
# In notebook 04, a user without any rights became root in a user namespace of its own. Harmless, by itself. But such a
# root may knock at doors in the kernel that were built for the real one only, and many a hole was found behind them. So
# containers may not do it, and what stops them is the filter alone.
#
# On some machines only root may, anyway. *Expect:* `ready`, or a reason.

# %%
lesson.needs("own view of user, as anybody")

# %% [markdown]
# The *arena* makes the attack for real, in a container that is thrown away, with the defence as a switch.
#
# *Expect:* without the filter it has worked; with it, it has failed. The card tells about the second try. In JupyterLab
# you can press the switch yourself.

# %%
from toolkit.notebook.pictures import arena

attack = "new powers in a new user namespace"
ring = arena(attack)
without = ring.run(attack, {"seccomp": False})
with_it = ring.run(attack)
print(f"without the filter: {without.succeeded}; with it: {with_it.succeeded}")

assert without.succeeded
assert not with_it.succeeded
ring

# %% [markdown]
# ## Leave no trace
#
# *Expect:* `ready`, the name, and an empty list.

# %%
lesson.needs()

# %%
# %container rm -f tame

# %cd -q /
desk.close()

# left = %container ps -a

assert "tame" not in left.column("NAMES")

# %% [markdown]
# ## Try it yourself
#
# 1. `%container run --rm --user student lab grep CapEff /proc/self/status`: what does a user who is not root have? Does
#    `--cap-add CHOWN` change that? (`man 7 capabilities`, *Ambient*, says why.)
# 2. Which power does `mount` take? Find out by adding one after the other to
#    `%container run --rm lab mount -t tmpfs x /mnt`. One is not enough here. What else is in the way?
# 3. A filter may end the process: use `"action": "SCMP_ACT_KILL_PROCESS"` in the profile. What is the exit code, and
#    which signal is that?
# 4. `--privileged` switches all of this off. Compare `CapEff` and `Seccomp`. What would you have to trust to run such a
#    container?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 capabilities`: the list of all powers. Read the entry of `CAP_SYS_ADMIN`, and count.
# - `man 2 seccomp`: the call, and what a filter can answer.
# - [docker's default profile](https://docs.docker.com/engine/security/seccomp/): which calls it stops, and why each.
# - [OCI runtime specification, *Seccomp*](https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp):
#   the words of the file that you have written.
#
# **Next:** 08 · union file systems comes with the engine's images. Until then: [15 · Container and
# machine](15_container_and_vm.ipynb). If a container is a process, what is a virtual machine?
