"""The knowledge base (KB 360), which can only be read."""

from workers.happyfox.methods.caller import Caller
from workers.happyfox.requests import articles as requests
from workers.models.articles import ArticleRead, SectionRead, read_article, read_section


class Articles(Caller):
    """Articles and sections; their paging is undocumented, so that a list is what one call gives."""

    def articles(self) -> list[ArticleRead]:
        """Lists the external articles (KB 360)."""
        return self._list(requests.articles(), read_article)

    def internal_articles(self) -> list[ArticleRead]:
        """Lists the internal articles (KB 360)."""
        return self._list(requests.internal_articles(), read_article)

    def sections(self) -> list[SectionRead]:
        """Lists the sections (KB 360)."""
        return self._list(requests.sections(), read_section)

    def article(self, id: int) -> ArticleRead:
        """Reads one article, an external one (KB 360), by either spelling of its path. Raises ``Gone``."""
        slash = self.dialect.article_slash
        return self._either([requests.article(id, slash), requests.article(id, not slash)], read_article)

    def section(self, id: int) -> SectionRead:
        """Reads one section (KB 360), by either spelling of its path. Raises ``Gone``."""
        slash = self.dialect.article_slash
        return self._either([requests.section(id, slash), requests.section(id, not slash)], read_section)
