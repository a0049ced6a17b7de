"""The demo's hands in the simulated HappyFox: what people do there, and what can be read back over HTTP."""

from typing import Any

import httpx

Json = dict[str, Any]


class HappyFox:
    """Talks to the simulator's own API, which costs none of the account's budget."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/simulator", timeout=10, trust_env=False)

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def answers(self) -> bool:
        """Tells whether the simulator is there."""
        try:
            return self._client.get("/").is_success
        except httpx.HTTPError:
            return False

    def open_ticket(self, email: str, subject: str, text: str) -> int:
        """A contact opens a ticket by mail; gives its number."""
        ticket: Json = self._post("/tickets", {"email": email, "subject": subject, "text": text})
        return int(ticket["id"])

    def contact_replies(self, number: int, text: str) -> None:
        """The ticket's contact answers."""
        self._post(f"/ticket/{number}/contact", {"text": text})

    def close_ticket(self, number: int, staff: str) -> None:
        """A staff member closes the ticket in the panel."""
        self._post(f"/ticket/{number}/staff", {"staff": staff, "status": "Closed"})

    def fire_rule(self, number: int, name: str) -> None:
        """A smart rule of the account fires on the ticket."""
        self._post(f"/ticket/{number}/rule", {"name": name})

    def ticket(self, number: int) -> Json:
        """Reads a ticket as the API shows it."""
        return self._get(f"/ticket/{number}")  # type: ignore[no-any-return]

    def calls(self, after: int) -> list[Json]:
        """Reads the call log from a number on."""
        return self._get(f"/calls?after={after}")  # type: ignore[no-any-return]

    def deliveries(self, after: int = 0) -> list[Json]:
        """Reads the log of its webhooks from a number on."""
        return self._get(f"/deliveries?after={after}")  # type: ignore[no-any-return]

    def _get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()

    def _post(self, path: str, body: Json) -> Any:
        return self._client.post(path, json=body).raise_for_status().json()
