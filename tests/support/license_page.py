"""Write docs/licenses.md from the installed packages: python -m tests.support.license_page."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licenses.md"

HEAD = """\
# Licenses

foxhooks is published under the MIT License. These packages are installed with it (`requirements.txt`). A package that
another system or another Python needs is left out.

<!-- Written by `python -m tests.support.license_page`; a test compares it with the installed packages. -->

| Package | License |
|---|---|
"""

#: How older packages name theirs.
NAMES = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def licenses() -> dict[str, str]:
    """Return the license of each locked package that is installed, as an SPDX expression."""
    found = {}
    for name in re.findall(r"(?m)^([a-z][\w.-]*)==", (ROOT / "requirements.txt").read_text()):
        try:
            known = metadata(name)
        except PackageNotFoundError:
            continue
        prefix = "License :: OSI Approved :: "
        classifiers = [text.removeprefix(prefix) for text in known.get_all("Classifier") or [] if prefix in text]
        [expression] = known.get_all("License-Expression") or [" OR ".join(sorted(NAMES[text] for text in classifiers))]
        found[name] = expression
    return found


def page() -> str:
    """Return the page."""
    return HEAD + "".join(f"| {name} | {license} |\n" for name, license in licenses().items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
