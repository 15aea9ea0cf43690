"""`container doctor`."""

from toolkit.cli.command import Command
from toolkit.cli.flags import STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import clean, render_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.probe import Feature

_HEADERS = {
    "Group": "GROUP",
    "Name": "FEATURE",
    "Here": "HERE",
    "Meaning": "MEANING",
    "NeededFor": "NEEDED FOR",
    "Lack": "LACK",
    "Cure": "CURE",
    "Evidence": "EVIDENCE",
}
_COLUMNS = ("Group", "Name", "Here", "Meaning")


def doctor(session: Session, parsed: Parsed) -> Outcome:
    """Try what containers need, and print what is here, what is not, and what would help."""
    from toolkit.linux.probe import find_features

    features = find_features(everything=True)
    rows = [
        {
            "Group": feature.group,
            "Name": feature.name,
            "Here": "yes" if feature.is_here else "no",
            "Meaning": feature.meaning,
            "NeededFor": feature.needed_for,
            "Lack": feature.lack,
            "Cure": feature.cure,
            "Evidence": feature.evidence,
        }
        for feature in features
    ]
    session.stdout.write(render_rows(rows, _HEADERS, _COLUMNS, parsed["format"]))
    if not parsed["format"]:
        _prescribe(session, [feature for feature in features if not feature.is_here])
    return Outcome(value=features)


def _prescribe(session: Session, lacking: "list[Feature]") -> None:
    if not lacking:
        session.print("\nThis machine has all that containers can use.")
        return
    session.print(f"\n{len(lacking)} of these are not here:")
    for feature in lacking:
        purpose = f" (needed for {feature.needed_for})" if feature.needed_for else ""
        session.print(f"  {feature.group} {feature.name}{purpose}: {clean(feature.lack)}")
        session.print(f"    {clean(feature.cure) or 'nothing is known to help'}")


DOCTOR = Command(
    "doctor",
    "[OPTIONS]",
    "Show what this machine can do, and the cure for what it cannot",
    doctor,
    "container doctor\ncontainer doctor --format '{{.Name}}: {{.Here}}, since {{.Evidence}}'",
    flags=(
        Flag(
            "format",
            "",
            STRING,
            "Format output using a custom template:\n'table TEMPLATE':   Print output in table format\n"
            "'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template",
        ),
    ),
    max_args=0,
)
