"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def put(path: Path, content: str) -> None:
    """Write a text by a temporary name and a rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(content)
    os.replace(temporary, path)
