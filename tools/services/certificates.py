"""The certificate that the servers of a folder share."""

import subprocess
from pathlib import Path
from typing import Final

from tools.services import folders

SCRIPT: Final = Path(__file__).with_suffix(".sh")  # the same that compose.yaml runs


def make_certificates(folder: Path) -> None:
    """Make them where there are none."""
    folders.make(folder)
    subprocess.run(["/bin/sh", SCRIPT, folder], check=True, capture_output=True, timeout=60)
