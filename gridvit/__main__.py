"""``python -m gridvit``: the command line."""

import sys

from gridvit.cli import main

sys.exit(main())
