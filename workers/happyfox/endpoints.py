"""The table of endpoints, and the client with a method for each of them."""

from dataclasses import dataclass
from typing import Final

from workers.happyfox.assets import AssetReads, Assets
from workers.happyfox.contacts import ContactReads, Contacts, GroupReads, Groups
from workers.happyfox.knowledge import Articles
from workers.happyfox.reference import Reference, ReferenceReads
from workers.happyfox.reports import Reports
from workers.happyfox.tickets import TicketReads, Tickets


class Reads(TicketReads, ContactReads, GroupReads, ReferenceReads, AssetReads, Reports, Articles):
    """The endpoints that change nothing: what handlers may call."""


class Client(Tickets, Contacts, Groups, Reference, Assets, Reads):
    """Every endpoint of HappyFox's documents as a method with a typed answer.

    It makes its calls through ``send``, which may raise ``NotNow``, ``Unsent`` and ``InDoubt``. Answers are frozen and
    keep what HappyFox sent in ``raw``. An error answer raises ``Refused``, ``Gone``, ``CheckCredentials``, ``Locked``
    or ``Broken``; a call that HappyFox could not accept raises ``Unfit``, and nothing is sent. After a write that
    raised ``InDoubt`` or ``Broken``, check whether it was done before you repeat it.
    """


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call."""

    source: str
    """The article and its section."""
    method: str
    path: str
    """Relative to ``BASE``."""
    name: str
    """The name of the client's method."""


ENDPOINTS: Final = tuple(
    Endpoint(*row.split(" | "))
    for row in """\
KB 1039, 1, 2 and 19 | GET | /tickets/ | tickets
KB 1039, 3 | GET | /ticket/<n>/ | ticket
KB 1039, 4 and 17 | POST | /tickets/ | create_ticket
KB 1039, 5 | POST | /tickets/ | create_tickets
KB 1039, 6 | POST | /ticket-inline-attachment | inline_attachment
KB 1039, 7 | POST | /ticket/<n>/staff_update/ | staff_update
KB 1039, 8 | POST | /ticket/<n>/staff_pvtnote/ | private_note
KB 1039, 9 | POST | /ticket/<n>/user_reply/ | contact_reply
KB 1039, 10 | POST | /ticket/<n>/update_custom_fields/ | update_custom_fields
KB 1039, 11 | POST | /ticket/<n>/update_tags/ | update_tags
KB 1039, 12 | POST | /ticket/<n>/subscribe/ | subscribe
KB 1039, 13 | POST | /ticket/<n>/unsubscribe/ | unsubscribe
KB 1039, 14 | POST | /ticket/<n>/forward/ | forward_ticket
KB 1039, 15 | POST | /ticket/<n>/move/ | move_ticket
KB 1039, 16 | POST | /ticket/<n>/delete/ | delete_ticket
KB 1039, 18 | GET | /ticket_custom_fields/ | ticket_custom_fields
KB 1247 | PUT | /ticket_custom_field/<id>/ | update_choices
KB 1092, 1 and 2 | GET | /users/ | contacts
KB 1092, 3 | GET | /user/<id or e-mail>/ | contact
KB 1092, 4 | POST | /users/ | create_or_edit_contact
KB 1092, 4 and 14 | POST | /user/<id>/ | edit_contact
KB 1092, 5 | POST | /users/ | create_or_edit_contacts
KB 1092, 7 | POST | /user/<id or e-mail>/ | set_login
KB 1092, 13 | GET | /user_custom_fields/ | contact_custom_fields
KB 1092, 8 | GET | /contact_groups/ | contact_groups
KB 1092, 9 | GET | /contact_group/<id>/ | contact_group
KB 1092, 10 | POST | /contact_groups/ | create_contact_group
KB 1092, 11 | POST | /contact_group/<id>/ | edit_contact_group
KB 1092, 12 | POST | /contact_group/<id>/update_contacts/ | add_contacts_to_group
KB 1092, 6 | POST | /contact_group/<id>/delete_contacts/ | remove_contacts_from_group
KB 360 | GET | /categories/ | categories
KB 360 | GET | /staff/ | staff
KB 360 | GET | /statuses/ | statuses
KB 1039 | GET | /priorities/ | priorities
KB 1201 | GET | /assets/ | assets
KB 1201 | GET | /asset/<id>/ | asset
KB 1201 | POST | /assets/ | create_asset
KB 1201 | PUT | /asset/<id>/ | update_asset
KB 1201 | DELETE | /asset/<id>/ | delete_asset
KB 1201 | GET | /asset_custom_fields/ | asset_custom_fields
KB 1201 | GET | /asset_custom_field/<id>/ | asset_custom_field
KB 1201 | GET | /asset_types/ | asset_types
KB 1201 | GET | /asset_type/<id>/ | asset_type
KB 360 | GET | /kb/articles/ | articles
KB 360 | GET | /kb/internal-articles/ | internal_articles
KB 360 | GET | /kb/sections/ | sections
KB 360 | GET | /kb/article/<id> | article
KB 360 | GET | /kb/section/<id> | section
KB 1088 | GET | /reports/ | reports
KB 1088 | GET | /report/<id>/ | report
KB 1088 | GET | /report/<id>/tabulardata/ | tabular_data
KB 1088 | GET | /report/<id>/responsestats/ | response_stats
KB 1088 | GET | /report/<id>/staffperformance/ | staff_performance
KB 1088 | GET | /report/<id>/staffactivity/ | staff_activity
KB 1088 | GET | /report/<id>/customeractivity/ | contact_activity
KB 1088 | GET | /report/<id>/slaentries/ | sla_entries""".splitlines()
)
