"""What goes into the lab image: names of programs, by layer.

A name that this machine does not have is left out; the image is what the host
is, no more.  The package's VERSION must rise with every change of what comes out.
"""

from typing import NamedTuple

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

_COREUTILS = """
[ arch b2sum base32 base64 basename basenc cat chcon chgrp chmod chown chroot cksum comm cp csplit cut
date dd df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id
install join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste
pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum
sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch
tr true truncate tsort tty uname unexpand uniq unlink uptime users vdir wc who whoami yes
"""
_SHELL = "sh bash dash getent clear tput reset hostname"
_TEXT = "grep egrep fgrep sed awk find xargs diff cmp less more which file tree"
_ARCHIVES = "tar gzip gunzip zcat xz bzip2"
_PROCESSES = "ps top free kill killall pidof pgrep pkill pstree vmstat watch w pmap nice renice strace setsid script"
_NAMESPACES = "unshare nsenter lsns capsh getpcaps setcap getcap setpriv prlimit su chroot pivot_root switch_root"
_MOUNTS = "mount umount findmnt mountpoint lsblk df dmesg blkid losetup flock fallocate"
_NETWORK = "ip ss ping nc tc bridge"
_EDITORS = "nano vim.tiny"

DLOPENED = ("libnss_files.so.2", "libnss_dns.so.2", "libgcc_s.so.1")
"""Libraries that the C library loads by name, not by DT_NEEDED."""

PAM_MODULES = ("pam_rootok.so", "pam_permit.so", "pam_deny.so")

TERMINALS = (
    *("ansi", "dumb", "linux", "screen", "screen-256color", "tmux", "tmux-256color"),
    *("vt100", "vt220", "xterm", "xterm-256color", "xterm-color"),
)
TERMINFO = ("/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo")
DATA = ("/etc/iproute2", "/usr/share/iproute2", "/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8")
"""Directories that the programs read: names of routing tables, the UTF-8 locale without a language."""
DATA_FILES = ("/etc/protocols", "/etc/services")


class Group(NamedTuple):
    """The programs of one layer."""

    title: str
    """What the image's history says about it."""
    programs: tuple[str, ...]


SHELL = Group("a shell and the core utilities", tuple(f"{_SHELL} {_COREUTILS} {_TEXT} {_ARCHIVES}".split()))
TOOLS = Group(
    "tools to look at processes, mounts, namespaces and networks",
    tuple(f"{_PROCESSES} {_NAMESPACES} {_MOUNTS} {_NETWORK} {_EDITORS}".split()),
)
