"""The switches: how calls are spelled where HappyFox's own documents disagree; ``docs/api.md`` tells the sources.

Contradictions that need no switch are settled where they arise: all spellings are read, and what is always right to
send is always sent (``status`` in lists, the staff member's id for tags).
"""

from dataclasses import dataclass
from typing import Final, Literal

from workers.happyfox.exchange import BASE


@dataclass(frozen=True, slots=True)
class Dialect:
    """The choices of one account; the defaults are what most sources agree on."""

    base: str = BASE
    """What every path begins with. The articles also write ``/api/json/1.1`` and ``/api/1.1``, by mistake it seems."""
    plain_text: Literal["plaintext", "text"] = "plaintext"
    """The member for a reply or note in plain text: ``plaintext`` in the articles, ``text`` in live clients. ``html``
    is the same in all; after switching, see that the row's message is there."""
    contact_field: Literal["ccf-", "c-cf-"] = "ccf-"
    """What a contact's field begins with on a ticket's calls: ``ccf-`` in the table of KB 1039, ``c-cf-`` in its
    example."""
    forward_message: Literal["message", "html", "text"] = "message"
    """The member for the words of a forward: ``message`` in KB 1039, ``html`` or ``text`` in one condensed note."""
    group_members: Literal["array", "objects"] = "array"
    """The body that adds contacts to a group: a bare array of ``{contact, access_tickets}`` (KB 1092), or
    ``{"contacts": [{"id": 1}]}`` (one condensed note), which cannot tell ``access_tickets``."""
    group_path: Literal["contact_group", "contact_groups"] = "contact_group"
    """The path that edits a group: singular in KB 1092, plural in an older edition."""
    phone_path: Literal["user", "users"] = "user"
    """Where phones are edited: ``/user/<id>/`` (KB 1092, section 14), which leaves custom fields alone, or ``/users/``
    (its section 4), which resets those left out."""
    login: Literal["text", "boolean"] = "text"
    """``is_login_enabled`` as ``"TRUE"`` and ``"FALSE"`` (KB 1092), or as a JSON boolean (one condensed note)."""
    tags_name_staff: bool = True
    """Whether ``update_tags`` tells ``staff_id``: KB 1039 has none in older editions, and that of 2026 needs it."""
    updates: Literal["show_updates", "include_updates"] = "show_updates"
    """The parameter that puts rows into lists of tickets; an older edition has the second name."""
    asset_field: Literal["asset_custom_field", "asset_custom_fields"] = "asset_custom_field"
    """The path of one asset field that is tried first: singular in KB 1201 of 2026, plural in 2025."""
    article_slash: bool = False
    """Whether ``/kb/article/<id>`` is first tried with a slash at its end: KB 360 writes none."""
    nothing_to_update_is_success: bool = True
    """Whether a 400 that says ``Nothing to update``, as one client saw it, counts as done."""


DEFAULT: Final = Dialect()
