"""What must be true for every history; each checker yields its complaints.

They compare what people did and what HappyFox shows with what became durable. The engine's own records count only
where they say that it withheld or gave up something, and then the reason is checked.
"""

from collections.abc import Callable, Iterator

from tests.simulation.checkers import brakes, calls, ended, performed, presented, swept
from tests.simulation.history import History

CHECKERS: tuple[Callable[[History], Iterator[str]], ...] = (
    presented.updates_are_shown_once,
    presented.updates_are_shown_in_order,
    presented.properties_are_shown_once,
    presented.tags_are_shown_once,
    presented.fields_are_shown,
    presented.no_echo_is_shown,
    presented.some_act_only_once,
    swept.no_sweep_overlooks_a_change,
    calls.one_writer_per_ticket,
    calls.no_window_is_overrun,
    calls.no_call_while_closed,
    calls.a_denied_ticket_stops_no_other,
    calls.an_unreachable_happyfox_gets_few_calls,
    calls.nothing_is_sent_dry,
    calls.nothing_overwrites_a_person,
    brakes.emails_per_address_are_few,
    brakes.emails_in_a_row_are_few,
    brakes.conversations_are_never_braked,
    brakes.calls_are_few,
    brakes.effects_have_a_grant,
    performed.effects_happen_once,
    performed.nothing_is_written_again_to_an_emptied_store,
    performed.effects_happen_in_order,
    performed.messages_are_written_once,
    performed.refusals_become_dead_letters,
    performed.state_changes_happen_once,
    ended.everything_ends,
    ended.dead_letters_have_a_cause,
    ended.lanes_are_scheduled,
    ended.leases_last,
)


def check(history: History) -> list[str]:
    """Run every checker and return the complaints."""
    return [f"{checker.__name__}: {line}" for checker in CHECKERS for line in checker(history)]


def undecided(history: History) -> int:
    """Count the effects in doubt that were never decided."""
    dead_letters = [dead_letter for settled in history.witness.settled for dead_letter in settled.dead_letters]
    # An effect that several handlers asked for has a dead letter for each of them.
    return len(
        {
            dead_letter.id.rpartition(dead_letter.handler)[0]
            for dead_letter in dead_letters
            if dead_letter.reason.startswith("it may or")
        }
    )
