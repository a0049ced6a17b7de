"""Emails to one address within a day; see ``lua/emails.lua``."""

from collections.abc import Sequence

from workers.store.scripts import Script

#: How the ids of the dead letters begin that hold emails: of a ticket whose number follows, and of an address.
UNANSWERED, ADDRESS = "unanswered-", "address-"


def read_emails(account: str, addresses: Sequence[str]) -> Script[list[list[str]]]:
    """Return the emails that each address (an HMAC) got within a day, as ``<ticket> <turn>.<effect>``, oldest first."""
    return Script("read_emails", account, list(addresses), lambda raw: [[one.decode() for one in each] for each in raw])
