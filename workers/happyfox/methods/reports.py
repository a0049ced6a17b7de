"""Reports (KB 1088). ``Period`` tells the time they cover and how they are sorted."""

from typing import Unpack

from workers.happyfox.methods.caller import Caller
from workers.happyfox.requests import reports as requests
from workers.happyfox.requests.reports import Period
from workers.models import reports as models
from workers.models.page import Page


class Reports(Caller):
    """The eight report calls; all of them only read."""

    def reports(self, *, page: int = 1, size: int = 50) -> Page[models.ReportRead]:
        """Reads a page of the reports that people saved (KB 1088)."""
        return self._page(requests.reports(page=page, size=size), page, models.read_report, "rows")

    def report(self, id: int) -> models.ReportCounts:
        """Reads how many tickets a report holds (KB 1088); takes no period. Raises ``Gone``."""
        return self._one(requests.report(id), models.read_counts)

    def tabular_data(
        self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]
    ) -> Page[models.ReportTicket]:
        """Reads a page of the tickets of a report (KB 1088)."""
        request = requests.tabular_data(id, page=page, size=size, **period)
        return self._page(request, page, models.read_report_ticket, "rows")

    def response_stats(self, id: int, **period: Unpack[Period]) -> list[models.ResponseStat]:
        """Reads four averages of how soon and how often contacts were answered (KB 1088)."""
        return self._list(requests.response_stats(id, **period), models.read_stat)

    def staff_performance(
        self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]
    ) -> Page[models.ReportPerson]:
        """Reads averages for each staff member (KB 1088)."""
        request = requests.staff_performance(id, page=page, size=size, **period)
        return self._page(request, page, models.read_person, "staff_performance")

    def staff_activity(
        self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]
    ) -> Page[models.ReportPerson]:
        """Reads what each staff member did (KB 1088)."""
        request = requests.staff_activity(id, page=page, size=size, **period)
        return self._page(request, page, models.read_person, "staff_activity")

    def contact_activity(
        self, id: int, *, page: int = 1, size: int = 50, **period: Unpack[Period]
    ) -> Page[models.ReportPerson]:
        """Reads what each contact did (KB 1088)."""
        request = requests.contact_activity(id, page=page, size=size, **period)
        return self._page(request, page, models.read_person, "customer_activity")

    def sla_entries(self, id: int, **period: Unpack[Period]) -> list[models.SlaEntry]:
        """Reads how the service level agreements were kept, in percent (KB 1088)."""
        return self._list(requests.sla_entries(id, **period), models.read_sla)
