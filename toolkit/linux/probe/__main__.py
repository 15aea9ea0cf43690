"""Print the features of this machine as JSON."""

import json
import sys

from toolkit.linux.probe.essential import essential


def main(arguments: list[str]) -> None:
    """Try the features that are asked for, in this process, which has one thread."""
    found = essential()
    if "--everything" in arguments:
        from toolkit.linux.probe.links import links
        from toolkit.linux.probe.optional import optional

        found += optional() + links()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
