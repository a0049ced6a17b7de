"""Templates: texts of a rule with words of the ticket in them, checked when they are loaded.

    Hi {{ ticket.contact.name|default("there") }}{% if ticket.assignee %}, {{ ticket.assignee.name }} will{% endif %}

jinja2 parses a template, and the grammar looks at every node of it before any is evaluated or compiled.
"""

from collections.abc import Iterable, Mapping

from jinja2 import StrictUndefined, TemplateError
from jinja2 import Template as Compiled
from jinja2.sandbox import SandboxedEnvironment

from workers.rules.filters import FILTERS
from workers.rules.grammar import Problem, problems
from workers.rules.views import View, shown

#: How much (characters of the file, bytes that come out) a template may have.
LIMIT = 65_536


class TemplateFault(ValueError):
    """A template cannot be used; `problems` says everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("; ".join(problem for problem, _ in self.problems))


class Template:
    """A text with words in it, ready to be filled. Raises TemplateFault when it cannot be used."""

    def __init__(self, source: str) -> None:
        self.fixed = not any(mark in source for mark in ("{{", "{%", "{#"))
        self._source = source
        self._compiled = None if self.fixed else _compiled(source)

    def fill(self, words: Mapping[str, View]) -> str:
        """Gives the text, plain: whoever puts it into markup escapes it whole. What is over 64 kB is cut off."""
        if self._compiled is None:
            return self._source
        pieces, left = [], LIMIT
        for piece in self._compiled.generate(words):
            pieces.append(piece[:left])
            left -= len(piece)
            if left <= 0:
                break
        return "".join(pieces).encode("utf-8", "replace")[:LIMIT].decode("utf-8", "ignore")


def _environment() -> SandboxedEnvironment:
    # Not escaped here: the whole text is plain, also what the author wrote, and is escaped once when it is sent.
    made = SandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=shown, autoescape=False, cache_size=0
    )
    made.globals = {}
    made.tests = {}
    made.filters = {name: each.run for name, each in FILTERS.items()}
    return made


ENVIRONMENT = _environment()


def _compiled(source: str) -> Compiled:
    if len(source) > LIMIT:
        raise TemplateFault([(f"the text is longer than {LIMIT // 1024} kB", "shorten it")])
    try:
        parsed = ENVIRONMENT.parse(source)
        found = list(problems(parsed.body))
        if not found:
            return ENVIRONMENT.from_string(parsed)
    except TemplateError as error:
        found = [(f"the template is broken ({error.message})", "words stand between {{ and }}, if between {% and %}")]
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        found = [("the template is nested too deeply, or has too long a number", "make it simpler")]
    raise TemplateFault(found)
