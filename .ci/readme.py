"""Run a README: every fenced ``bash`` and ``python`` block, in order; the first failure stops it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

INTERPRETERS = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-W", "error", "-c"]}


def main(path: str) -> None:
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", Path(path).read_text(), re.S | re.M)
    if not blocks:
        sys.exit(f"{path}: no block to run")
    here = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}
    for language, block in blocks:
        print(block, flush=True)
        start = time.monotonic()
        subprocess.run([*INTERPRETERS[language], block], check=True, env=environment)
        print(f"-- {time.monotonic() - start:.0f} s\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
