"""``python -m gridvit.cli``."""

import sys

from gridvit.cli import main

sys.exit(main())
