"""The 41 capabilities, what each allows, and which of them a process had."""

from html import escape

from toolkit.linux import capability
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, LINE, MONO

MEANINGS = {
    "CAP_CHOWN": "give files to other users",
    "CAP_DAC_OVERRIDE": "read and write files whatever their permissions say",
    "CAP_DAC_READ_SEARCH": "read files and search directories whatever their permissions say",
    "CAP_FOWNER": "do with any file what its owner may (chmod, ...)",
    "CAP_FSETID": "keep set-user-id bits on files that are written to",
    "CAP_KILL": "send signals to other users' processes",
    "CAP_SETGID": "become any group",
    "CAP_SETUID": "become any user",
    "CAP_SETPCAP": "drop capabilities from its bounding set",
    "CAP_LINUX_IMMUTABLE": "make files that nobody can change (chattr +i)",
    "CAP_NET_BIND_SERVICE": "listen on ports below 1024",
    "CAP_NET_BROADCAST": "nothing any more: the kernel does not use it",
    "CAP_NET_ADMIN": "change network devices, addresses, routes, firewalls",
    "CAP_NET_RAW": "send packets of any form (raw sockets)",
    "CAP_IPC_LOCK": "keep memory from being swapped out",
    "CAP_IPC_OWNER": "use other users' shared memory and queues",
    "CAP_SYS_MODULE": "load code into the kernel",
    "CAP_SYS_RAWIO": "talk to hardware ports and memory directly",
    "CAP_SYS_CHROOT": "change its root directory, join mount namespaces",
    "CAP_SYS_PTRACE": "look into and control other processes",
    "CAP_SYS_PACCT": "switch process accounting on and off",
    "CAP_SYS_ADMIN": "mount, join namespaces, set the host name, and much more",
    "CAP_SYS_BOOT": "reboot, load another kernel",
    "CAP_SYS_NICE": "give processes a higher priority",
    "CAP_SYS_RESOURCE": "go beyond limits and quotas",
    "CAP_SYS_TIME": "set the machine's clock",
    "CAP_SYS_TTY_CONFIG": "hang up terminals",
    "CAP_MKNOD": "make device nodes",
    "CAP_LEASE": "be told before others open a file",
    "CAP_AUDIT_WRITE": "write into the audit log",
    "CAP_AUDIT_CONTROL": "change the audit rules",
    "CAP_SETFCAP": "give capabilities to program files",
    "CAP_MAC_OVERRIDE": "go past a security module's rules (Smack)",
    "CAP_MAC_ADMIN": "change a security module's rules (Smack)",
    "CAP_SYSLOG": "read the kernel's log",
    "CAP_WAKE_ALARM": "wake a sleeping machine",
    "CAP_BLOCK_SUSPEND": "keep a machine from sleeping",
    "CAP_AUDIT_READ": "read the audit log",
    "CAP_PERFMON": "measure the performance of the whole machine",
    "CAP_BPF": "load BPF programs into the kernel",
    "CAP_CHECKPOINT_RESTORE": "choose process numbers, as to restore a saved process",
}
"""Each capability in one line; capabilities(7) has the whole of it."""


def draw(held: int, available: int = capability.ALL, caption: str = "", text: str = "") -> Figure:
    """Draw a set of capabilities among all.

    Args:
        held: the set, as in /proc/PID/status.
        available: what this machine can give at all.
        caption: what is said above it; HTML.
        text: the same as text.
    """
    tiles = "".join(
        _tile(name, is_held=bool(held >> number & 1), is_available=bool(available >> number & 1))
        for number, name in enumerate(MEANINGS)
    )
    grid = "display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:.3em;margin:.4em 0"
    names = " ".join(name.removeprefix("CAP_") for name in capability.names(held)) or "none"
    return Figure(
        f'<div style="color:{INK};font-size:.9em;max-width:900px">{caption}<div style="{grid}">{tiles}</div>'
        f'<div style="color:{FAINT}">✓ held, ○ not held, · docker\'s default set</div></div>',
        f"{text}\ncapabilities: {names}".strip(),
    )


def _tile(name: str, *, is_held: bool, is_available: bool) -> str:
    colour, mark = (GREEN, "✓") if is_held else (LINE, "○")
    if not is_available:
        colour, mark = AMBER, "-"
    usual = " ·" if capability.parse([name]) & capability.DEFAULT else ""
    title = MEANINGS[name] + ("" if is_available else " (this machine does not give it)")
    return (
        f'<span title="{escape(title)}" style="border:1px solid {colour};border-radius:6px;padding:.1em .5em;'
        f'font-family:{MONO};font-size:.88em;white-space:nowrap;overflow:hidden;text-overflow:ellipsis">'
        f"{mark} {escape(name.removeprefix('CAP_'))}<b>{usual}</b></span>"
    )
