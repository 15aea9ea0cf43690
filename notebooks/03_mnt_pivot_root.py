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
# # 03 · A root of one's own
#
# A container sees other files than you do. Where do they come from, and why can it not reach yours? This notebook has
# one idea, and you get to it by breaking something:
#
# > **Hiding the way out is not a wall. Taking the outside away is one.** `chroot` does the first, `pivot_root` the
# > second.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("files", "rooted", "gated", recording="03_mnt_pivot_root")

# %% [markdown]
# ## Folders that only you can see: mnt
#
# On Linux, a disk, a stick or a piece of memory becomes visible by being **mounted**: attached to a folder. From then
# on, what was in the folder is covered, and what is on the disk appears in its place. All mounts together make up the
# one tree of files that begins at `/`.
#
# We work in a folder of our own, which is thrown away with this notebook.
#
# *Expect:* its name.

# %%
import os
from pathlib import Path

from toolkit.notebook.desk import Desk

desk = Desk("03")
os.chdir(desk.name)
os.mkdir("shelf")
print("we work in", os.getcwd())

assert os.listdir() == ["shelf"]

# %% [markdown]
# Which mounts there are is a view, too. The kind is called *mnt*. (To the kernel its name is just `NEWNS`, a new
# namespace: it was the first, and nobody thought that there would be others.) In a new one, we attach a piece of memory
# (*tmpfs*) to `shelf`, and put a file on it.
#
# *Expect:* the file is there inside. Out here, the same folder is empty.

# %%
# inside = !unshare --mount sh -c 'mount -t tmpfs nothing shelf; touch shelf/vase; ls shelf'
# outside = !ls shelf

print("inside: ", inside)
print("outside:", outside)

assert inside == ["vase"]
assert outside == []

# %% [markdown]
# ## The files of a small Linux
#
# Before we can lock somebody in, we need a place with all that they will want: a shell, the programs, their libraries.
# The image `lab` is one. `export` packs a container's files into one archive, and `tar` unpacks it into the folder
# `root`.
#
# *Expect:* the name of the container, and top folders that look like those of any Linux.

# %%
# %container create --name files lab true
# %container export --output small.tar files
# !mkdir root && tar -xf small.tar -C root && rm small.tar
# !ls root

assert Path("root/etc/os-release").exists()

# %% [markdown]
# ## chroot: the sign says "no exit"
#
# `chroot` is from 1979. It starts a program for which `/` is another folder. Whatever path it uses, the kernel begins
# at that folder, and `..` from there leads nowhere. Outside, beside `root`, we leave something to look for.
#
# *Expect:* inside, `/` is the small Linux, and our file is not to be found: neither by its full name nor by climbing up
# with `..`.

# %%
Path("treasure.txt").write_text("gold\n")
treasure = os.path.abspath("treasure.txt")

# top = !chroot root ls /
# by_name = !chroot root cat {treasure}
# by_climbing = !chroot root cat ../treasure.txt

print("/ is", " ".join(top[:8]), "...")
print(*by_name, *by_climbing, sep="\n")

assert "No such file" in by_name[0] and "No such file" in by_climbing[0]

# %% [markdown]
# It looks like a prison. It is not one, and root knows the way out. To see it, think of the kernel as a guard who stands
# at one door, the process's root, and stops whoever tries to go up *through that door*. There is only one such door for
# each process, and a process may have it moved:
#
# 1. stay where you are, and have the door moved down into some folder, `/hole`;
# 2. now you stand above the door. Go up. Nobody stops you, since you do not come through it;
# 3. at the very top, have the door moved to where you are.
#
# `chroot` itself is the call that moves the door, and it needs only to be root.
#
# *Expect:* the name of the file that is written.

# %%
# %%writefile root/escape.py
# import os, sys
#
# os.makedirs("/hole", exist_ok=True)
# os.chroot("/hole")       # the door is below us now
# for _ in range(100):
#     os.chdir("..")       # up, past where it was
# os.chroot(".")           # wherever this is: it is our / now
#
# print("in / I see", *(name for name in ("boot", "etc", "hole", "media") if os.path.exists("/" + name)))
# try:
#     print("found:", open(sys.argv[1]).read().strip())
# except FileNotFoundError:
#     print("not found:", sys.argv[1])

# %% [markdown]
# Run it inside.
#
# *Expect:* folders that this machine has and the small Linux has not; no `hole`, which is only in there. And the gold.

# %%
# escaped = !chroot root python3 /escape.py {treasure}

print("\n".join(escaped))

assert escaped[-1] == "found: gold"

# %% [markdown]
# Every file of this machine, for anyone who is root inside. `chroot` has its uses (repairing a system from a rescue
# disk), but it never meant to hold anybody who does not want to be held.
#
# ## pivot_root: there is no outside
#
# The escape works because the rest of the machine is still there, above. So take it away! In a *mnt* namespace of its
# own, a process may **swap** the root of the whole tree with `pivot_root`: another mount becomes `/`, and what was `/`
# hangs on a folder in it. And a mount that hangs on a folder can be unmounted.
#
# *Expect:* the name of the file. Read its six lines: that is how every container gets its root.

# %%
# %%writefile enter.sh
# mount --bind root root        # pivot_root wants a mount, not a mere folder: attach it to itself
# mount -t proc proc root/proc  # a /proc of its own: umount looks there for what is mounted
# cd root && mkdir -p old
# pivot_root . old              # root becomes /, and what was / hangs on /old
# umount --lazy /old            # off it goes, for this namespace
# exec "$@"

# %% [markdown]
# The same escape again, with the same powers. (`--pid --fork` is from the last notebook: the new `/proc` is to show
# only what is in here.)
#
# *Expect:* nothing is left in `/old`. The escape climbs a hundred steps, and is where it was: it sees its own `hole`. No
# gold.

# %%
# old = !unshare --mount --pid --fork sh enter.sh ls /old
# held = !unshare --mount --pid --fork sh enter.sh python3 /escape.py {treasure}

print("in /old:", old)
print("\n".join(held))

assert old == []
assert held[-1] == f"not found: {treasure}"
assert Path(treasure).read_text() == "gold\n", "out here it has been all the time"

# %% [markdown]
# The trick still moves the door. There is only nothing behind the door any more.
#
# ## What a container sees
#
# The engine does the same, and mounts more: the kernel's own information (`/proc`, `/sys`), a few harmless devices
# (`/dev`), and it covers what is nobody's business.
#
# *Expect:* the tree of all mounts in a container. No line of it is a disk of this machine, but for three small files
# that the engine writes for the container: its host name, and where to ask for names of others.

# %%
# c = %container run -d --name rooted lab sleep 1000

from toolkit.notebook.figures.mounts import mount_tree, read_mounts

mounts = {each.point: each for each in read_mounts(c.pid)}

assert mounts["/"].fstype == "overlay"
assert mounts["/proc/sys"].is_read_only and not mounts["/"].is_read_only
assert not any(point.startswith(os.getcwd()) for point in mounts)
mount_tree(c.pid, "what `rooted` sees")

# %% [markdown]
# `overlay` at the top is how the files of the image become the container's without being copied; notebook 08 takes it
# apart.
#
# Does the escape work in here? A container's root *may* call `chroot`.
#
# *Expect:* it does not find the treasure.

# %%
attempt = c.exec("python3", "-c", Path("root/escape.py").read_text(), treasure)
print(attempt.output, end="")

assert attempt.lines[-1] == f"not found: {treasure}"

# %% [markdown]
# ## Watch it happen
#
# `container step run` makes a container one step at a time, and waits between two of them, for as long as you like. The
# half-made container can be looked at from here. We let it go on until the step that calls `pivot_root` comes next.
#
# *Expect:* it sees all of this machine's mounts and, far down, its own future root with all that hangs on it.

# %%
# s = %container step run --rm --name gated lab true

s.run_until("pivot_root")
before = read_mounts(s.pid)
future = next(each.point for each in before if each.point.endswith("/rootfs"))
its_own = [each for each in before if each.point.startswith(future)]
print(f"{len(before)} mounts, {len(its_own)} of them below {future}")

assert len(its_own) < len(before)
assert "/" in {each.point for each in before}
mount_tree(its_own, "what will be its own")

# %% [markdown]
# Now one step.
#
# *Expect:* the calls of this step as they were made, with what each returned and how long it took: `pivot_root` in the
# middle, and soon after it `umount2`, our `umount --lazy`. Then how many mounts are no longer seen: all of ours.

# %%
done = s.next()
after = read_mounts(s.pid)

assert {each.point for each in after} == {each.point.removeprefix(future) or "/" for each in its_own}
done

# %% [markdown]
# A few more steps make it a container: they take powers away (notebook 07), and start the program. Let them.
#
# *Expect:* the code 0: `true` ran to its end.

# %%
code = s.finish().wait()
print("exit code", code)

assert code == 0

# %% [markdown]
# Now you. This is the whole walk as a picture, and it shows more than we have asked for: on the left every step and why
# it is there, on the right what the half-made container is after it. On a machine without containers it is a recording,
# and says so; its buttons work all the same.
#
# *Expect:* it stands where we stood, before `pivot_root`. Press *Next step* and see the table of mounts shrink. Then
# choose a step further down, and press *Run to here*.

# %%
walk = lesson.walk("lab true", recording="03_walk")
walk.run_until("pivot_root")

assert any(call.startswith("pivot_root") for call in walk.steps[walk.index].calls)
walk

# %% [markdown]
# ## Break it
#
# If all this is so, then a container that is made with `chroot` in place of `pivot_root` must be open. The *arena* runs
# the escape for real, in a container that is thrown away, with its defences as switches. (Its escape is a cousin of
# ours: it keeps a folder open, instead of walking.)
#
# *Expect:* with `pivot_root` switched off it has worked; with it, it has failed. The card tells about the second try. In
# JupyterLab you can press the switch yourself.

# %%
from toolkit.notebook.pictures import arena

ring = arena("chroot escape")
without = ring.run("chroot escape", {"pivot_root": False})
with_it = ring.run("chroot escape")
print(f"without pivot_root: {without.succeeded}; with it: {with_it.succeeded}")

assert without.succeeded
assert not with_it.succeeded
ring

# %% [markdown]
# ## Nothing of this is visible out here
#
# *Expect:* this machine's own mounts, not one more than before: the container's are in its namespace, and are gone with
# it.

# %%
ours = {each.point for each in read_mounts("self")}

assert not any(point.startswith(desk.name) for point in ours)
print(f"{len(ours)} mounts here, {len(mounts)} in the container")

# %% [markdown]
# ## Leave no trace
#
# *Expect:* the names of the containers, and nothing else.

# %%
walk.abort()
# %container rm -f files rooted

os.chdir("/")
desk.close()

assert not os.path.exists(treasure)

# %% [markdown]
# ## Try it yourself
#
# 1. Leave out the line `umount --lazy /old` of `enter.sh`. Where is the gold now? (The escape is not even needed.) Put it
#    back, and leave out `--pid --fork` instead. Look into `/proc/1/root` from inside. Whose root is that?
# 2. Drop the power to call `chroot`: `%container run --rm --cap-drop SYS_CHROOT lab chroot / true`. Would that have
#    been enough to make a prison of `chroot`? Think of a file that was open before. (`man 2 chroot` knows the answer.)
# 3. `%container run --rm --read-only lab touch /file`: which line of the tree has changed? `--tmpfs /tmp` gives it back
#    one folder to write to.
# 4. In a terminal, `findmnt -N PID` with a container's pid prints the same tree. Find the `MS_SLAVE` in
#    `%container run --dry-run lab true`. Why does the engine say that *before* it mounts anything?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 mount_namespaces`: the long one. Read the part on *propagation* when exercise 4 has made you curious.
# - `man 2 chroot`: the section *Notes* says in so many words that this is no prison.
# - `man 2 pivot_root`: at the end, a program of one page that does what `enter.sh` does.
# - [OCI runtime specification, *Root* and *Mounts*](https://github.com/opencontainers/runtime-spec/blob/main/config.md#root):
#   how a container's file asks for all this.
#
# **Next:** [04 · Root that isn't](04_user_cgroup_time.ipynb). The prisoner was root, and that root is the machine's. Or is
# it?
