"""`python -m toolkit.cli` is the `container` program."""

import sys

from toolkit.cli.main import main

sys.exit(main())
