"""The API as methods with typed answers, over whatever makes the calls."""

from workers.happyfox.methods.articles import Articles
from workers.happyfox.methods.assets import Assets
from workers.happyfox.methods.contacts import Contacts
from workers.happyfox.methods.groups import Groups
from workers.happyfox.methods.reference import Reference
from workers.happyfox.methods.reports import Reports
from workers.happyfox.methods.ticket import TicketWrites


class Client(TicketWrites, Contacts, Groups, Reference, Assets, Reports, Articles):
    """Every endpoint of HappyFox's documents; ``docs/api.md`` lists them.

    Built over ``send``, which makes one call and may raise ``NotNow``, ``Unsent`` and ``InDoubt``. Answers are frozen
    and keep what HappyFox sent in ``raw``. Methods raise ``Refused``, ``Gone``, ``CheckCredentials``, ``Locked`` or
    ``Broken`` for an answer that is no success, and ``Unfit``, with nothing sent, for what HappyFox could not take. A
    write that raised ``InDoubt`` or ``Broken`` has to be looked up before it is made again.
    """
