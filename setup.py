"""What pyproject.toml cannot say: where a build puts its own files, and what an index shows.

Left in the checkout, `build/` would also bring modules that are gone since into the next installation.
"""

import re
import sys
import tempfile
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def description() -> str:
    """Return the README as it can stand alone: without pictures, their captions (*…*) and links to other files."""
    paragraphs = (ROOT / "README.md").read_text("utf-8").split("\n\n")
    text = "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.startswith(("![", "*")))
    return re.sub(r"\[([^]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)


scratch = tempfile.TemporaryDirectory(prefix="rsvqa-build-")
options = {"build": {"build_base": scratch.name}}
if "sdist" not in sys.argv:  # which packs these beside its sources
    options["egg_info"] = {"egg_base": scratch.name}
setup(
    script_name="setup.py",  # else it becomes a module of the package, whose folder is this
    long_description=description(),
    long_description_content_type="text/markdown",
    options=options,
)
