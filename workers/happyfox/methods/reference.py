"""What an account calls its things (KB 360)."""

from workers.happyfox.methods.caller import Caller
from workers.happyfox.requests import reference as requests
from workers.models.lists import (
    CategoryRead,
    PriorityRead,
    StaffRead,
    StatusRead,
    read_category,
    read_priority,
    read_staff,
    read_status,
)


class Reference(Caller):
    """Lists of staff, statuses, priorities and categories, without pages."""

    def categories(self) -> list[CategoryRead]:
        """Lists the categories (KB 360)."""
        return self._list(requests.categories(), read_category)

    def staff(self) -> list[StaffRead]:
        """Lists the staff members, also those who are not active (KB 360)."""
        return self._list(requests.staff(), read_staff)

    def statuses(self) -> list[StatusRead]:
        """Lists the statuses (KB 360)."""
        return self._list(requests.statuses(), read_status)

    def priorities(self) -> list[PriorityRead]:
        """Lists the priorities (KB 1039 names the path, not the form)."""
        return self._list(requests.priorities(), read_priority)
