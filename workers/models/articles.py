"""The knowledge base as HappyFox answers it. No document shows its objects: members are those that clients read."""

from dataclasses import dataclass

from workers.models.lists import Entry
from workers.models.values import items, mapping, number, text


@dataclass(frozen=True, kw_only=True)
class ArticleRead(Entry):
    """An article; ``name`` is its title, ``contents`` its html."""

    contents: str


@dataclass(frozen=True, kw_only=True)
class SectionRead(Entry):
    """A section with its articles, where HappyFox tells them."""

    articles: tuple[ArticleRead, ...]


def read_article(raw: object) -> ArticleRead | None:
    """Reads an article; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    name = text(members.get("title") or members.get("name"))
    return ArticleRead(id=identity, name=name, contents=text(members.get("contents")), raw=members)


def read_section(raw: object) -> SectionRead | None:
    """Reads a section; None for one without id."""
    members = mapping(raw)
    if (identity := number(members.get("id"))) is None:
        return None
    inside = tuple(each for each in map(read_article, items(members.get("articles"))) if each is not None)
    return SectionRead(
        id=identity, name=text(members.get("name") or members.get("title")), articles=inside, raw=members
    )
