"""Contact groups (KB 1092, 6 and 8 to 12)."""

from collections.abc import Iterable, Sequence

from workers.happyfox.methods.bulk import in_hundreds, results
from workers.happyfox.methods.caller import Caller
from workers.happyfox.requests import groups as requests
from workers.happyfox.requests.groups import Member
from workers.models.contacts import GroupRead, read_group
from workers.models.results import ItemResult


class Groups(Caller):
    """Reading, creating and changing contact groups. No call deletes or renames one."""

    def contact_groups(self) -> list[GroupRead]:
        """Lists the contact groups, without their contacts (KB 1092, 8)."""
        return self._list(requests.contact_groups(), read_group)

    def contact_group(self, id: int) -> GroupRead:
        """Reads one contact group with its contacts (KB 1092, 9). Raises ``Gone``."""
        return self._one(requests.contact_group(id), read_group)

    def create_contact_group(
        self, name: str, *, description: str = "", tagged_domains: Iterable[str] = ()
    ) -> GroupRead:
        """Creates a contact group; its name is unique (KB 1092, 10). Later contacts of the domains join it."""
        request = requests.create_contact_group(name, description=description, tagged_domains=tagged_domains)
        return self._one(request, read_group)

    def edit_contact_group(
        self, id: int, *, description: str | None = None, tagged_domains: Iterable[str] | None = None
    ) -> GroupRead | None:
        """Changes what is given (KB 1092, 11); gives the group where HappyFox answers it."""
        request = requests.edit_contact_group(
            id, description=description, tagged_domains=tagged_domains, dialect=self.dialect
        )
        return self._any(request, read_group)

    def add_contacts_to_group(
        self, id: int, contacts: Sequence[int | Member], *, access_tickets: bool | None = None
    ) -> list[ItemResult]:
        """Adds up to 100 contacts, or changes what they may see, with a result for each (KB 1092, 12)."""
        request = requests.add_contacts_to_group(id, contacts, access_tickets=access_tickets, dialect=self.dialect)
        return results(self.call(request), contacts)

    def add_all_contacts_to_group(
        self, id: int, contacts: Iterable[int | Member], *, access_tickets: bool | None = None
    ) -> list[ItemResult]:
        """Adds any number of contacts, a hundred at a time."""
        return in_hundreds(contacts, lambda part: self.add_contacts_to_group(id, part, access_tickets=access_tickets))

    def remove_contacts_from_group(self, id: int, contacts: Sequence[int]) -> list[ItemResult]:
        """Removes up to 100 contacts, with a result for each (KB 1092, 6)."""
        return results(self.call(requests.remove_contacts_from_group(id, contacts)), contacts)

    def remove_all_contacts_from_group(self, id: int, contacts: Iterable[int]) -> list[ItemResult]:
        """Removes any number of contacts, a hundred at a time."""
        return in_hundreds(contacts, lambda part: self.remove_contacts_from_group(id, part))
