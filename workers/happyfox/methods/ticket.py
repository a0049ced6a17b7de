"""Writing to one ticket (KB 1039, 7 to 16).

Make writes to one ticket one after another: HappyFox supports no parallel ones. After ``InDoubt`` or ``Broken`` read
the ticket and compare its rows before writing again: nothing takes a note or reply back.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from workers.errors import Gone, Refused
from workers.happyfox.answers import nothing_to_update
from workers.happyfox.methods.tickets import Tickets
from workers.happyfox.requests import ticket as requests
from workers.happyfox.requests.members import Upload
from workers.happyfox.requests.ticket import Forward, Note, Reply
from workers.models.results import Said, read_said
from workers.models.ticket import TicketRead


class TicketWrites(Tickets):
    """Replies, notes, tags and the rest. ``staff`` is the one who writes; by default ``HAPPYFOX_STAFF_ID``."""

    def staff_update(self, n: int, *, staff: int | None = None, **reply: Unpack[Reply]) -> TicketRead:
        """Replies, sets properties, or both, and gives the ticket (KB 1039, 7); ``Reply`` tells what can be given.

        Every call leaves a row for ever, so set several properties in one. Closing a ticket with an empty compulsory
        field raises ``Refused`` with that field in ``problems``.
        """
        request = requests.staff_update(n, staff=self._as(staff), dialect=self.dialect, **reply)
        try:
            return self._one(request, self._read_ticket)
        except Refused as error:
            if self.dialect.nothing_to_update_is_success and nothing_to_update(error):
                return self.ticket(n)
            raise

    def private_note(self, n: int, *, staff: int | None = None, **note: Unpack[Note]) -> TicketRead | None:
        """Adds a note that contacts do not see (KB 1039, 8); gives the ticket where HappyFox answers it."""
        request = requests.private_note(n, staff=self._as(staff), dialect=self.dialect, **note)
        return self._any(request, self._read_ticket)

    def contact_reply(
        self,
        n: int,
        *,
        contact: int,
        text: str,
        cc: Iterable[str] = (),
        bcc: Iterable[str] = (),
        files: Iterable[Upload] = (),
    ) -> TicketRead | None:
        """Replies as a contact (KB 1039, 9); ``text`` is plain or html. Gives the ticket where HappyFox answers it."""
        request = requests.user_reply(n, user=contact, text=text, cc=cc, bcc=bcc, files=files)
        return self._any(request, self._read_ticket)

    def update_custom_fields(self, n: int, fields: Mapping[str, Any], *, staff: int | None = None) -> TicketRead | None:
        """Sets custom fields by the names ``t-cf-<id>`` (KB 1039, 10); compulsory ones have to be among them."""
        request = requests.update_custom_fields(n, staff=self._as(staff), fields=fields)
        return self._any(request, self._read_ticket)

    def update_tags(
        self, n: int, *, add: Iterable[str] = (), remove: Iterable[str] = (), staff: int | None = None
    ) -> TicketRead:
        """Adds and removes tags and gives the ticket (KB 1039, 11). Tags have no commas and keep their case."""
        by = self._as(staff) if self.dialect.tags_name_staff else None
        return self._one(requests.update_tags(n, add, remove, by), self._read_ticket)

    def subscribe(self, n: int, *others: int, staff: int | None = None) -> Said:
        """Subscribes a staff member and ``others`` (KB 1039, 12); no row, no webhook."""
        return read_said(self.call(requests.subscribe(n, staff_id=self._as(staff), others=others)))

    def unsubscribe(self, n: int, staff: int) -> Said:
        """Ends the subscription of one staff member (KB 1039, 13)."""
        return read_said(self.call(requests.unsubscribe(n, staff_id=staff)))

    def forward_ticket(
        self,
        n: int,
        *,
        to: Iterable[str],
        subject: str,
        message: str | None,
        staff: int | None = None,
        **more: Unpack[Forward],
    ) -> Said:
        """Mails a ticket to others (KB 1039, 14); no webhook. ``Forward`` tells what else can be given."""
        request = requests.forward(
            n, staff_id=self._as(staff), to=to, subject=subject, message=message, dialect=self.dialect, **more
        )
        return read_said(self.call(request))

    def move_ticket(
        self, n: int, category: int, *, note: str = "", assign_to: int | None = None, staff: int | None = None
    ) -> Said:
        """Moves a ticket to another category (KB 1039, 15). The staff member needs the right to."""
        request = requests.move(
            n, staff_id=self._as(staff), target_category_id=category, note=note, assign_to=assign_to
        )
        return read_said(self.call(request))

    def delete_ticket(self, n: int, *, staff: int | None = None) -> Said:
        """Deletes a ticket for good and gives its display id (KB 1039, 16); no webhook. Raises ``Gone``.

        One client saw a 400 for an unknown ticket: such a one that names no field is ``Gone``, too.
        """
        try:
            return read_said(self.call(requests.delete(n, staff_id=self._as(staff))))
        except Refused as error:
            if error.status == 400 and not any(field for field, _ in error.problems):
                raise Gone(
                    f"HappyFox knows no ticket {n} (400): it was deleted, or the key may not see it", 400
                ) from None
            raise
