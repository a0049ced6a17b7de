"""The knowledge base (KB 360), which is read-only.

No article shows its objects, so their members are those that other clients read. Its pages are undocumented, so a list
is what one call returns.
"""

from dataclasses import dataclass

from workers.happyfox.base import BaseClient, Resource
from workers.happyfox.messages import Request, segment
from workers.tickets.model import read_all, reader, text


@dataclass(frozen=True, kw_only=True)
class ArticleRead(Resource):
    """An article; ``name`` is its title."""

    contents: str
    """HTML."""


@dataclass(frozen=True, kw_only=True)
class SectionRead(Resource):
    """A section."""

    articles: tuple[ArticleRead, ...]
    """Its articles, if HappyFox sends them."""


class Articles(BaseClient):
    """Articles and sections; sources disagree on a slash at the end of paths."""

    def articles(self) -> list[ArticleRead]:
        return self._list(Request("GET", "/kb/articles/"), read_article)

    def internal_articles(self) -> list[ArticleRead]:
        return self._list(Request("GET", "/kb/internal-articles/"), read_article)

    def sections(self) -> list[SectionRead]:
        return self._list(Request("GET", "/kb/sections/"), read_section)

    def article(self, id: int) -> ArticleRead:
        path = f"/kb/article/{segment(id, 'the article')}"
        return self._either(path, f"{path}/", read_article)

    def section(self, id: int) -> SectionRead:
        path = f"/kb/section/{segment(id, 'the section')}"
        return self._either(path, f"{path}/", read_section)


read_article = reader(ArticleRead, name=lambda raw: text(raw.get("title") or raw.get("name")))
read_section = reader(
    SectionRead,
    name=lambda raw: text(raw.get("name") or raw.get("title")),
    articles=lambda raw: read_all(read_article, raw.get("articles")),
)
