"""Which hierarchy is where, from the text of /proc files of several distributions."""

from toolkit.linux.cgroup.layout import parse_membership, parse_mountinfo

V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = """\
25 30 0:22 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
27 25 0:24 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,xattr,name=systemd
30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
31 25 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:16 - cgroup cgroup rw,memory
99 25 0:28 / /elsewhere rw,nosuid shared:16 - cgroup cgroup rw,memory
"""


def test_pure_v2() -> None:
    assert parse_mountinfo(V2) == ({}, "/sys/fs/cgroup")


def test_hybrid_with_shared_mounts() -> None:
    layout = parse_mountinfo(V1)
    assert layout.v2 == "/sys/fs/cgroup/unified"
    assert layout.v1 == {
        "name=systemd": "/sys/fs/cgroup/systemd",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
    }


def test_no_cgroups_at_all() -> None:
    assert parse_mountinfo("23 1 0:21 / /proc rw - proc proc rw\n") == ({}, "")


def test_membership() -> None:
    assert parse_membership("9:name=systemd:/\n5:cpu,cpuacct:/a\n0::/b:c\n") == {
        "name=systemd": "/",
        "cpu": "/a",
        "cpuacct": "/a",
        "": "/b:c",
    }
