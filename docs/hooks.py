"""Make links out of docs/ work on the site: files are copied to it, folders are only named."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
#: Where the site keeps copies of files of the repository.
SOURCE = "source"

_LINK = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each linked file of the repository."""
    texts = [file.content_string for file in files.documentation_pages()]
    for path in sorted({found[2] for text in texts for found in _LINK.finditer(text)}):
        if (ROOT / path).is_file():
            files.append(File.generated(config, _target(path), content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, /, **_: object) -> str:
    """Point links to files at their copies; leave only the text of links to folders."""

    def replaced(found: re.Match[str]) -> str:
        text, path = found[1], found[2]
        return f"[{text}]({_target(path)})" if (ROOT / path).is_file() else text

    return _LINK.sub(replaced, markdown)


def _target(path: str) -> str:
    """Return the place of a copy; a Markdown page is kept as text, because its own links do not fit there."""
    return f"{SOURCE}/{path}.txt"
