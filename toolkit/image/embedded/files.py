"""What the lab image has of its own: users, names, the shell's first words."""

from toolkit.image.embedded.host import Host
from toolkit.image.embedded.tree import Tree

STUDENT = 1000

_USERS = """\
root:x:0:0:root:/root:{shell}
daemon:x:1:1:daemon:/:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
student:x:1000:1000:a learner:/home/student:{shell}
"""
_GROUPS = """\
root:x:0:
daemon:x:1:
tty:x:5:
nogroup:x:65534:
student:x:1000:
"""
_SHADOW = """\
root:*:19000:0:99999:7:::
student:*:19000:0:99999:7:::
"""
_NSSWITCH = """\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""
_OS_RELEASE = """\
NAME="lab"
ID=lab
ID_LIKE="{like}"
PRETTY_NAME="lab: the programs of {host}, in an image"
HOME_URL="https://github.com/opencontainers/image-spec"
"""
_PROFILE = """\
export PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
PS1='$(whoami)@$(hostname):$PWD\\$ '
if [ -n "$BASH_VERSION" ] && [ -r /etc/bash.bashrc ]; then
    . /etc/bash.bashrc
fi
"""
_BASHRC = """\
# Interactive shells only: green for a user, red for root; the host name is the container's.
case $- in *i*) ;; *) return ;; esac
if [ "$(id -u)" = 0 ]; then colour=31; else colour=32; fi
PS1="\\[\\e[1;${colour}m\\]\\u@\\h\\[\\e[0m\\]:\\[\\e[34m\\]\\w\\[\\e[0m\\]\\\\$ "
unset colour
alias ls='ls --color=auto' ll='ls -la' grep='grep --color=auto'
"""
_HOME_BASHRC = """\
[ -r /etc/bash.bashrc ] && . /etc/bash.bashrc
"""
_HOME_PROFILE = """\
[ -n "$BASH_VERSION" ] && . ~/.bashrc
"""
_PAM = """\
# No passwords in here: root may become anybody, nobody else has a setuid program to try with.
auth     sufficient pam_rootok.so
auth     required   pam_deny.so
account  required   pam_permit.so
session  required   pam_permit.so
"""
_EMPTY_DIRECTORIES = ("dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "usr", "var")
_VARIABLE = ("cache", "lib", "log")


def add_files(tree: Tree, host: Host, shell: str) -> None:
    """Put the image's own directories and files into the base layer.

    Args:
        tree: the base layer.
        host: whose name is told in os-release, and whose usr merge is followed.
        shell: the login shell of both users.
    """
    tree.directory("/")  # its mode is the container's root's: a user must be able to pass
    for name in _EMPTY_DIRECTORIES:
        tree.directory(f"/{name}")
    for name in _VARIABLE:
        tree.directory(f"/var/{name}")
    tree.directory("/tmp", 0o1777)
    tree.directory("/var/tmp", 0o1777)
    tree.link("/var/run", "/run")
    for name in ("bin", "sbin", "lib", "lib64"):
        _follow_merge(tree, host, name)
    tree.directory("/root", 0o700)
    tree.directory("/home/student", 0o755, STUDENT)
    _add_etc(tree, host, shell)
    for home, owner in (("/root", 0), ("/home/student", STUDENT)):
        tree.file(f"{home}/.bashrc", _HOME_BASHRC, owner=owner)
        tree.file(f"{home}/.profile", _HOME_PROFILE, owner=owner)


def _follow_merge(tree: Tree, host: Host, name: str) -> None:
    for path, target in host.walk(f"/{name}").links:
        tree.link(path, target)
        tree.directory(host.walk(path).real)


def _add_etc(tree: Tree, host: Host, shell: str) -> None:
    known = _read_os_release(host)
    pretty = known.get("PRETTY_NAME", "this machine")
    tree.file("/etc/os-release", _OS_RELEASE.format(like=known.get("ID", "linux"), host=pretty))
    tree.file("/etc/passwd", _USERS.format(shell=shell))
    tree.file("/etc/group", _GROUPS)
    tree.file("/etc/shadow", _SHADOW, 0o600)
    tree.file("/etc/nsswitch.conf", _NSSWITCH)
    for name in ("hostname", "resolv.conf"):
        tree.file(f"/etc/{name}", "")  # an engine mounts its own over these
    tree.file("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n")
    tree.file("/etc/shells", f"/bin/sh\n{shell}\n")
    tree.file("/etc/ld.so.conf", "/usr/local/lib\n")
    tree.file("/etc/profile", _PROFILE)
    tree.file("/etc/bash.bashrc", _BASHRC)
    for service in ("su", "su-l", "runuser", "runuser-l", "other"):
        tree.file(f"/etc/pam.d/{service}", _PAM)


def _read_os_release(host: Host) -> dict[str, str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if host.is_file(path):
            lines = host.read(path).decode("utf-8", "replace").splitlines()
            pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
            return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    return {}
