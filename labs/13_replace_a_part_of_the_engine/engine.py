"""The command `container` with your functions in it: python engine.py run --rm --memory 48m lab true"""

import os
import sys

from toolkit.lab.replacement import Replaced, replace

HERE = os.path.dirname(os.path.abspath(__file__))

replace(Replaced("toolkit.core.units", "parse_bytes", os.path.join(HERE, "sizes.py")))
replace(Replaced("toolkit.linux.capability", "tweak", os.path.join(HERE, "powers.py")))

from toolkit.cli.main import main  # noqa: E402 - only now: it imports what was replaced

sys.exit(main(sys.argv[1:]))
