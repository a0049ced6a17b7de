"""Tests of `language.py`."""

import pytest
from language import language_of, router

from workers.testing import run, ticket

SETTINGS = {"categories": {"de": "Orders"}}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich habe meine Bestellung noch nicht erhalten, wie ist der Stand?", "de"),
        ("Where is my order? I have not received it.", "en"),
        ("Je ne trouve pas la facture pour le mois de mai.", "fr"),
        ("No encuentro la factura de mayo, por favor.", "es"),
        ("Order 12345", ""),
        ("", ""),
    ],
)
def test_a_language_is_recognized_by_its_common_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_a_ticket_is_moved_to_the_team_that_speaks_its_language() -> None:
    german = ticket(text="Ich habe meine Rechnung nicht erhalten.", category="Support")
    result = run(router, german, "ticket-created", settings=SETTINGS, allow=["move"])
    assert result.tags_added == {"language-de"}
    assert result.moved == "Orders"


def test_without_a_category_for_the_language_the_ticket_stays() -> None:
    english = ticket(text="I have not received my invoice.")
    result = run(router, english, "ticket-created", settings=SETTINGS, allow=["move"])
    assert result.tags_added == {"language-en"}
    assert result.moved is None
