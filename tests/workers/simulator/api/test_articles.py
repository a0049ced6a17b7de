from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator


def test_sections_hold_their_external_articles(api: Caller) -> None:
    sections = api.got("kb/sections/")
    assert [[one["title"] for one in section["articles"]] for section in sections] == [["Welcome"], ["Paper jams"]]
    assert api.got("kb/section/2") == sections[1]


def test_internal_articles_are_listed_apart_and_not_shown_alone(api: Caller) -> None:
    assert [one["id"] for one in api.got("kb/articles/")] == [1, 2]
    assert [one["id"] for one in api.got("kb/internal-articles/")] == [3]
    assert api.got("kb/article/2")["title"] == "Paper jams"
    assert api.get("kb/article/3").status == 404


def test_whether_lists_come_in_pages_is_a_switch(clock: FakeClock) -> None:
    api = Caller(Simulator(clock, articles_paged=True))
    assert api.got("kb/articles/", "size=1&page=2")["data"][0]["id"] == 2
