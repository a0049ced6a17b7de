"""Reading a whole list returns every object once, although the list changes."""

import random

import pytest

from tests.support.happyfox import ClientDesk
from workers.errors import Gone
from workers.happyfox.base import Page, climb, walk, window
from workers.happyfox.messages import ROWS


class Shelf:
    """A list in the order of ids that changes a little before each read."""

    def __init__(self, seed: int, unrest: float, count: int = 400) -> None:
        self.chance, self.unrest = random.Random(seed), unrest
        self.rows = sorted(self.chance.sample(range(1, 10_000), count))
        self.hidden: list[int] = []
        self.always = set(self.rows)
        self.reads = 0

    def change(self) -> None:
        while self.chance.random() < self.unrest:
            if self.chance.random() < 0.5 and self.rows:  # one goes, deleted or no longer in the filter
                gone = self.rows.pop(self.chance.randrange(len(self.rows)))
                self.hidden.append(gone)
                self.always.discard(gone)
            elif self.chance.random() < 0.5 and self.hidden:  # one comes back into the filter
                self.rows = sorted([*self.rows, self.hidden.pop()])
            else:
                self.rows.append(max([*self.rows, *self.hidden]) + self.chance.randrange(1, 5))

    def fetch(self, number: int, size: int) -> Page[int]:
        self.reads += 1
        self.change()
        start = (number - 1) * size
        shown = self.rows[start : start + size]
        if not shown and number > 1:
            raise Gone("beyond the last", 404)
        return Page(tuple(shown), len(self.rows), -(-len(self.rows) // size), start, None)


@pytest.mark.parametrize("unrest", [0.0, 0.3, 0.7, 0.9])
def test_a_climb_misses_nothing_and_repeats_nothing(unrest: float) -> None:
    for seed in range(40):
        shelf = Shelf(seed, unrest)
        met = list(climb(shelf.fetch, lambda row: row))
        assert len(met) == len(set(met))
        assert shelf.always <= set(met), f"seed {seed}"


def test_a_single_walk_of_the_same_list_misses_objects() -> None:
    missed = 0
    for seed in range(40):
        shelf, met, number = Shelf(seed, 0.7), set[int](), 1
        while number == 1 or len(met) < len(shelf.rows):
            try:
                met |= set(shelf.fetch(number, ROWS))
            except Gone:
                break
            number += 1
        missed += len(shelf.always - met)
    assert missed > 0


def test_a_climb_costs_little_more_than_a_plain_walk() -> None:
    shelf = Shelf(1, 0.0, count=2_000)
    assert len(list(climb(shelf.fetch, lambda row: row))) == 2_000
    assert shelf.reads <= 2_000 / ROWS * 1.25


@pytest.mark.parametrize("place", [1, 2, 49, 50, 51, 98, 99, 1_000, 4_711])
def test_a_window_overlaps_the_previous_one(place: int) -> None:
    number, size = window(place)
    start = (number - 1) * size
    assert start < place < start + size
    assert size <= ROWS
    assert start + size - place >= 25 or place < 50


def test_a_list_that_is_not_in_order_is_walked() -> None:
    rows = [5, 3, 9, 1]
    page = Page(tuple(rows), 4, 1, 0, None)
    assert sorted(climb(lambda number, size: page, lambda row: row)) == [1, 3, 5, 9]


def test_a_list_that_ignores_the_page_size_is_walked() -> None:
    rows = list(range(1, 96))

    def fetch(number: int, size: int) -> Page[int]:
        start = (number - 1) * 10
        return Page(tuple(rows[start : start + 10]), len(rows), 10, start, None)

    assert list(climb(fetch, lambda row: row)) == rows


def test_a_list_is_walked_until_it_did_not_change() -> None:
    for seed in range(40):
        shelf = Shelf(seed, 0.9)
        unrest = iter([0.9] * 7)  # the first walk and a little of the second

        def fetch(number: int, size: int, shelf: Shelf = shelf, unrest: object = unrest) -> Page[int]:
            shelf.unrest = next(unrest, 0.0)  # type: ignore[call-overload]
            return shelf.fetch(number, size)

        met = list(walk(fetch, lambda row: row))
        assert len(met) == len(set(met))
        assert set(shelf.rows) <= set(met), f"seed {seed}"


def test_an_unchanged_list_is_walked_once() -> None:
    shelf = Shelf(1, 0.0, count=120)
    assert list(walk(shelf.fetch, lambda row: row)) == shelf.rows
    assert shelf.reads == 3


def test_a_list_that_keeps_changing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(3, 0.95)
    list(walk(shelf.fetch, lambda row: row))
    assert "may be missing" in caplog.text


@pytest.mark.parametrize("options", [{}, {"past_the_end": "missing"}])
def test_all_tickets_come_from_happyfox_while_some_are_deleted(options: dict[str, str]) -> None:
    desk = ClientDesk(dict(options))
    numbers = [desk.ticket() for _ in range(160)]
    met = []
    for ticket in desk.client.all_tickets():
        met.append(ticket.id)
        if ticket.id % 20 == 0:
            desk.simulator.account.remove(ticket.id - 10)
    assert met == [number for number in numbers if number in met]
    assert set(numbers) - set(met) <= {150}  # it was deleted before its turn came
    assert list(ClientDesk().client.all_tickets()) == []


def test_searches_contacts_numbers_and_assets_are_walked_too() -> None:
    desk = ClientDesk()
    numbers = [desk.ticket(email=f"c{n}@x.example", tags=["a"]) for n in range(70)]
    assert sorted(ticket.id for ticket in desk.client.all_tickets(q='tag:"a"')) == numbers
    assert list(desk.client.all_ticket_numbers()) == numbers
    assert len(list(desk.client.all_contacts())) == 73
    assert [asset.id for asset in desk.client.all_assets(asset_type=1)] == [1]
