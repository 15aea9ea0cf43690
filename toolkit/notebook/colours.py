"""One colour for each part of the work of making a container, the same in all pictures of it."""

from toolkit.notebook.html import AMBER, BLUE, GREEN, PURPLE

PHASES = {
    "namespace": BLUE,
    "rootfs": GREEN,
    "cgroup": PURPLE,
    "security": "#c2557a",
    "network": "#3a9aa8",
    "identity": "#9a8a2f",
    "terminal": "#7d8a99",
    "program": "#b0703c",
    "hooks": "#8f8f8f",
}
"""Of middle lightness, as those of `html`; amber is kept for what failed."""
OTHER = "#7f7f7f"
FAILED = AMBER


def of_phase(phase: str) -> str:
    """Return the colour of a phase; grey where it has none (calls outside of the plan)."""
    return PHASES.get(phase, OTHER)
