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
# # 04 · Root that isn't
#
# So far, root in a container was the root of this machine: number 0, whom the kernel refuses nothing. This notebook has
# one idea:
#
# > **Who you are is a view, too.** Inside you can be number 0, and outside be nobody.
#
# On the way come the last two kinds of namespace: *cgroup*, where one is in the order of limits, and *time*, how long
# one thinks the machine has been up.
#
# *Expect of the first cell:* the word `ready`. Without the right to make containers, the reason, and recorded results
# in place of live ones.

# %%
# %load_ext toolkit
from toolkit.notebook import lesson

lesson.needs_containers("plain", "mapped", recording="04_user_cgroup_time")

# %% [markdown]
# ## The same root
#
# To the kernel, a user is a number; the name is only written beside it in `/etc/passwd`. Number 0 is root. Let a
# container say who it is, and then ask the kernel, out here, whose process that is. In `/proc/PID/status`, the line
# `Uid` has it.
#
# *Expect:* 0 inside, and 0 outside. What this root breaks out of, it owns.

# %%
# plain = %container run -d --name plain lab sleep 1000

from pathlib import Path


def uid_outside(pid):
    """Return the number of a process's user, as this machine counts."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:")))


inside = int(plain.exec("id -u").output)
print("inside: ", inside)
print("outside:", uid_outside(plain.pid))

assert inside == uid_outside(plain.pid) == 0

# %% [markdown]
# ## Nobody becomes root: user
#
# A *user* namespace has its own numbers, and a map that says which number inside is which one outside. Any user may ask
# for one, without being allowed anything else. So we first become the user *nobody*, with the number 65534 (`setpriv`
# does that), and then ask for a user namespace in which we are root (`unshare --user --map-root-user`).
#
# On some machines, only root may. *Expect:* `ready`, or a reason.

# %%
lesson.needs("own view of user, as anybody")

# %% [markdown]
# The map is one line with three numbers: first number inside, first number outside, how many of them.
#
# *Expect:* root, says `id`. Number 0 inside is 65534 outside, and this goes for 1 number.

# %%
as_nobody = "--reuid=65534 --regid=65534 --clear-groups"

# answer = !setpriv {as_nobody} unshare --user --map-root-user sh -c 'id -u -n; cat /proc/self/uid_map'

print("I am:", answer[0])
print("map: ", " ".join(answer[1].split()))

assert answer[0] == "root"
assert answer[1].split() == ["0", "65534", "1"]

# %% [markdown]
# What is such a root worth? The kernel asks, for everything that is reserved for root: *of whose namespace is the thing
# that you want to change?* The host name belongs to the *uts* namespace, and we are still in the machine's own.
#
# *Expect:* twice a refusal: for the host name, and for a file of the real root's.

# %%
# refusals = !setpriv {as_nobody} unshare --user --map-root-user sh -c 'hostname mine; touch /etc/mine'

print("\n".join(refusals))

assert "you must be root" in refusals[0]
assert "Permission denied" in refusals[1]

# %% [markdown]
# Now ask for a *uts* namespace as well, in the same breath. It belongs to our user namespace, and there we are root.
#
# *Expect:* a host name. Not one power was given to *nobody*: it only ever rules over what it has made itself.

# %%
# renamed = !setpriv {as_nobody} unshare --user --map-root-user --uts sh -c 'hostname mine; hostname'

print(renamed[0])

assert renamed == ["mine"]

# %% [markdown]
# ## A container with its own root
#
# `--userns private` gives a container a user namespace. A system needs more than one user, so the engine maps 65536
# numbers, and takes them from a region in which nobody is at home.
#
# On some machines there are no user namespaces. *Expect:* `ready`, or a reason.

# %%
lesson.needs("own view of user")

# %% [markdown]
# *Expect:* a ribbon. Above, the numbers as the container knows them; below, what they are out here. The end that says
# *root* is nowhere near the other.

# %%
# mapped = %container run -d --name mapped --userns private lab sleep 1000

from toolkit.notebook.figures.idmap import uid_map_ribbon

assert int(mapped.exec("id -u").output) == 0
assert uid_outside(mapped.pid) >= 65536
uid_map_ribbon(mapped.pid, "mapped")

# %% [markdown]
# The map goes for files, too. Have root in the container write one, and look at it from here: `/proc/PID/root` leads
# to a process's `/`.
#
# *Expect:* the file is root's inside. Outside, it is owned by the same large number as the process.

# %%
mapped.exec("touch /tmp/mine")
owner_inside = mapped.exec("stat -c %U /tmp/mine").output.strip()
owner_outside = Path(f"/proc/{mapped.pid}/root/tmp/mine").stat().st_uid
print(f"inside, it is {owner_inside}'s; outside, it is number {owner_outside}'s")

assert owner_inside == "root"
assert owner_outside == uid_outside(mapped.pid)

# %% [markdown]
# And if it did break out? Let us give the prisoner of notebook 03 what he wanted: a process with the container's user,
# in front of this machine's own files. (`nsenter --user` takes only that one view.) `/etc/shadow` has the passwords.
#
# *Expect:* a refusal. To this machine, it is a stranger.

# %%
# outbreak = !nsenter --user --target {mapped.pid} --setuid 0 --setgid 0 head -c 1 /etc/shadow

print("\n".join(outbreak))

assert "Permission denied" in outbreak[0]

# %% [markdown]
# So it has one kind of view more of its own than the containers before.
#
# *Expect:* the kinds of namespace that each of the two containers does not share with us. The difference is *user*.

# %%
from toolkit.linux.namespace import namespace_inodes


def own_views(pid):
    """Return the kinds of namespace that a process does not share with this notebook."""
    ours, theirs = namespace_inodes("self"), namespace_inodes(pid)
    return {kind for kind in theirs if theirs[kind] != ours[kind]}


print("plain: ", *sorted(own_views(plain.pid)))
print("mapped:", *sorted(own_views(mapped.pid)))

assert own_views(mapped.pid) - own_views(plain.pid) == {"user"}

# %container rm -f mapped

# %% [markdown]
# That is the strongest of all the walls that you will see, and one has to ask for it: by default, containers share the
# machine's users (docker does the same), since files that many containers share would otherwise belong to different
# people.
#
# ## Where am I in the order of things: cgroup
#
# The kernel keeps processes in groups, to count and limit what they use: *control groups*, notebook 06 is about them.
# The groups form a tree, and `/proc/PID/cgroup` says at which place a process is: the last field of each line.
#
# *Expect:* from outside, the container's place has its name in it. From inside, it believes to be at the root of the
# tree. It cannot even see that there are others.

# %%
def places(text):
    """Return the paths in a /proc/PID/cgroup."""
    return {line.split(":", 2)[2] for line in text.splitlines()}


from_outside = places(Path(f"/proc/{plain.pid}/cgroup").read_text())
from_inside = places(plain.exec("cat /proc/self/cgroup").output)
print("from outside:", *(place.replace(plain.id, plain.name) for place in sorted(from_outside)))
print("from inside: ", *sorted(from_inside))

assert any(plain.id in place for place in from_outside)
assert from_inside == {"/"}

# %% [markdown]
# ## How old is the machine: time
#
# The youngest kind (2020) moves the clock that counts since the machine was switched on. One needs it when a running
# container is carried to another machine, whose clock has counted from elsewhere. The time of day is *not* a view:
# there is one, for all.
#
# Not every kernel has it. *Expect:* `ready`, or a reason.

# %%
lesson.needs("own view of time")

# %% [markdown]
# `/proc/uptime` begins with the seconds since power-on. We start a container that thinks the machine has been up for a
# year longer.
#
# *Expect:* a difference of 365 days in the first row, and none in the second.

# %%
year_s = 365 * 24 * 60 * 60

# future = %container run --rm --boottime 31536000 lab sh -c "cat /proc/uptime; date +%s"

import time

up_inside = float(future.lines[0].split()[0])
up_outside = float(Path("/proc/uptime").read_text().split()[0])
day_s = 24 * 60 * 60
print(f"up since: {up_inside / day_s:6.1f} days inside, {up_outside / day_s:.1f} out here")
print(f"clocks differ by {abs(time.time() - int(future.lines[1])):.0f} s")

assert abs(up_inside - up_outside - year_s) < 10
assert abs(time.time() - int(future.lines[1])) < 10

# %% [markdown]
# ## Leave no trace
#
# *Expect:* `ready`, then the name and an empty list.

# %%
lesson.needs()

# %%
# %container rm -f plain

# left = %container ps -a

assert not {"plain", "mapped"} & set(left.column("NAMES"))

# %% [markdown]
# ## Try it yourself
#
# 1. Draw another map: `--uidmap 0:200000:1000 --uidmap 1000:0:1` (and the same with `--gidmap`). Who is number 1000 in
#    there? Would you want that?
# 2. In a container with `--userns private`, run `cat /proc/self/uid_map` and then `ls -ln /proc/1`. Start the same
#    image without the option, and compare. How can a program find out that it is not the real root?
# 3. What is not mapped has to be shown as *something*: in `mapped`, look at the owner of a file that belongs to the
#    machine's root, for instance with `ls -ln /proc/sys`. The number is in `/proc/sys/kernel/overflowuid`.
# 4. `%container run --rm --cgroupns host lab cat /proc/self/cgroup`: what can the container now see that it could not
#    before?

# %%
# This cell is yours.

# %% [markdown]
# ## To read
#
# - `man 7 user_namespaces`: long, and worth it. Begin with *User and group ID mappings*.
# - `man 7 cgroup_namespaces`, `man 7 time_namespaces`: a page or two each.
# - `man 1 setpriv`, `man 1 nsenter`: the tools of this notebook.
# - [OCI runtime specification, *User namespace mappings*](https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#user-namespace-mappings).
#
# **Next:** 05 · net comes with the engine's networks. Until then: [06 · A line that the kernel
# watches](06_cgroups.ipynb). Views do not keep anybody from eating all of the memory.
