"""``python -m kio``: the command line."""

import sys

from kio.cli import main

sys.exit(main())
