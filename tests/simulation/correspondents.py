"""Those who try the brakes: a program that answers each email, a contact who never does, and a real conversation."""

from collections.abc import Callable, Iterator

from tests.simulation.people import DURATION
from tests.simulation.state import Activity, SimulationState
from tests.simulation.transport import DeliveryService
from workers.testing.desk import BOT, START

#: An address that no person uses, and one whose program can only be recognized by what it writes.
ROBOT, AWAY = "auto-reply@robots.example", "away@holiday.example"
SILENT, TALKER = "quiet@bigcorp.example", "kim@smallshop.example"

#: What a program writes each time, long enough to be recognized when it comes again.
ANSWER = "I am out of the office until Monday and will answer your message then."

#: How long they write (ms): beyond the others, when there is time for their tickets, but not beyond the faults.
WRITING = DURATION + 180_000

#: A program stops after this many answers, so that a seed ends even if a brake is broken.
MOST_ANSWERS = 30


class Correspondents:
    """People and programs that write only on tickets of their own."""

    def __init__(self, state: SimulationState, deliveries: DeliveryService) -> None:
        self._state, self._deliveries = state, deliveries
        self._simulator = state.world.simulator

    def activities(self) -> Iterator[Activity]:
        """Yield what they do, each on its own."""
        answer = self._state.rng.choice([self._answer_on_the_ticket, self._answer_as_a_new_ticket])
        yield self._responder(self._state.rng.choice([ROBOT, AWAY]), answer)
        yield self._silence()
        yield self._conversation()

    def _open(self, address: str, subject: str = "My order", text: str = "Please help.") -> int:
        """Open a ticket on which nobody else acts."""
        ticket = self._simulator.create_ticket(email=address, subject=subject, text=text)
        self._state.history.apart.add(ticket.id)
        self._state.lanes.append(ticket.id)
        self._deliveries.collect()
        return ticket.id

    def _count(self, what: str) -> None:
        self._state.history.faults[what] += 1

    def _running(self) -> bool:
        return self._state.world.now < START + WRITING

    def _responder(self, address: str, answer: Callable[[str, int], int]) -> Activity:
        """Answer each of our emails at once, as programs do."""
        rng = self._state.rng
        yield rng.uniform(0, DURATION / 4)
        tickets, answered = [self._open(address)], set[int]()
        if address == ROBOT:
            self._opening_is_automatic(tickets[0])
        while self._running() and len(answered) < MOST_ANSWERS:
            emails = [(number, update) for number in tickets for update in self._our_emails(number)]
            for number, update in emails:
                if update not in answered:
                    answered.add(update)
                    self._count("a program answers an email")
                    tickets.append(answer(address, number))
                    self._deliveries.collect()
            yield rng.uniform(500, 4_000)

    def _our_emails(self, number: int) -> list[int]:
        """Return the updates of a ticket that emailed its contact."""
        ticket = self._simulator.account.tickets.get(number)
        return [
            update.update_id
            for update in (ticket.updates if ticket else ())
            if update.shown["by"]["id"] == BOT and (update.shown["message"] or {}).get("customer_updated")
        ]

    def _answer_on_the_ticket(self, address: str, number: int) -> int:
        before = self._simulator.account.tickets[number].updates
        again = any(ANSWER in (update.shown["message"] or {"text": ""})["text"] for update in before)
        update = self._simulator.contact_replies(number, ANSWER).updates[-1]
        if again or address == ROBOT:
            self._state.history.automatic.add(update.update_id)
        return number

    def _answer_as_a_new_ticket(self, address: str, number: int) -> int:
        subject = f"Automatic reply: {self._simulator.account.tickets[number].subject}"
        opened = self._open(address, subject[:200], ANSWER)
        self._opening_is_automatic(opened)
        return opened

    def _opening_is_automatic(self, number: int) -> None:
        self._state.history.automatic.add(self._simulator.account.tickets[number].updates[0].update_id)

    def _silence(self) -> Activity:
        """Fire a rule again and again on the ticket of a contact who never answers."""
        rng = self._state.rng
        yield rng.uniform(0, DURATION / 4)
        number = self._open(SILENT)
        while self._running():
            yield rng.uniform(2_000, 30_000)
            self._count("a rule fires on a silent contact's ticket")
            self._simulator.fire_rule(number, "Overdue", note=f"No answer since {self._state.world.now}.")
            self._deliveries.collect()

    def _conversation(self) -> Activity:
        """Let a contact and a colleague talk; the colleague waits for our answer, or not."""
        rng, history = self._state.rng, self._state.history
        yield rng.uniform(0, DURATION / 4)
        number = self._open(TALKER)
        history.conversations.add(number)
        while self._running():
            emails, patience = len(self._our_emails(number)), self._state.world.now + rng.uniform(0, 60_000)
            while self._state.world.now < patience and len(self._our_emails(number)) == emails:
                yield 1_000
            self._count("a contact and a colleague talk")
            at = self._state.world.now
            self._simulator.staff_updates(number, staff=1, text=f"Please send me the details of {at}.")
            self._deliveries.collect()
            yield rng.uniform(1_000, 10_000)
            self._simulator.contact_replies(number, f"Thank you, here are the details of {at}.")
            self._deliveries.collect()
