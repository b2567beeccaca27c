"""Python as it is where this package is not installed: a checkpoint is then loaded by the code that it carries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch


def run_plain(code: str, *words: object, home: Path) -> subprocess.CompletedProcess[str]:
    """Run code with torch and transformers at hand, and this package not; `home` keeps what transformers stores."""
    # -S leaves out the file by which this checkout is on the path; the site folder itself is put back.
    site = Path(torch.__file__).parents[1]
    environment = {"PYTHONPATH": str(site), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-S", "-c", code, *map(str, words)]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
