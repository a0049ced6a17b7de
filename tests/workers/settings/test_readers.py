"""What each sort of value accepts, from the environment and from the file."""

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from workers.settings import Secret, lists, readers
from workers.settings.complaints import UnfitError
from workers.settings.readers import Reader


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a\x00b", "contains a control character"),
        ("a\x7fb", "contains a control character"),
        ("a\x85b", "contains a control character"),
        ("a\udcffb", "is not valid UTF-8"),
        (" ", "is empty"),
    ],
)
def test_a_text_has_no_control_characters_and_no_broken_ones(value: str, problem: str) -> None:
    with pytest.raises(UnfitError) as caught:
        readers.text(value)
    assert caught.value.problem == problem


@pytest.mark.parametrize("value", ["1", " 40 ", 1, 40, "007"])
def test_a_count_is_a_whole_number(value: object) -> None:
    assert readers.whole(40)(value) == int(str(value))


@pytest.mark.parametrize(
    "value", ["0", "-1", "41", "1.0", "1e1", "1_0", "٣", "", "x", "9" * 5000, 0, 41, 1.0, True, None, [1]]
)
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(UnfitError):
        readers.whole(40)(value)


@pytest.mark.parametrize("value", ["6", "0.5", ".5", "5.", 6, 0.5])
def test_seconds_may_have_decimals(value: object) -> None:
    assert readers.decimal(60)(value) == float(str(value))


@pytest.mark.parametrize(
    "value", ["0", "-1", "61", "nan", "inf", "1e1", "1,5", "", 0, -1, 61, math.nan, math.inf, True, None]
)
def test_what_are_no_seconds_is_refused(value: object) -> None:
    with pytest.raises(UnfitError):
        readers.decimal(60)(value)


def test_zero_counts_where_it_is_allowed() -> None:
    assert readers.decimal(60, least=0)("0") == 0.0


@pytest.mark.parametrize(
    ("value", "on"),
    [(word, True) for word in ("1", "true", "YES", " on ", True)]
    + [(word, False) for word in ("0", "false", "No", "off", False)],
)
def test_a_switch_is_on_or_off(value: object, on: bool) -> None:
    assert readers.switch(value) is on


@pytest.mark.parametrize("value", ["", "2", "maybe", "y", 1, 0, None, []])
def test_anything_else_is_no_switch(value: object) -> None:
    with pytest.raises(UnfitError):
        readers.switch(value)


def test_a_choice_is_one_of_its_words_in_any_case() -> None:
    read = readers.choice("DEBUG", "INFO")

    assert read("info") == "INFO"
    with pytest.raises(UnfitError) as caught:
        read("loud")
    assert caught.value.cure == "write DEBUG or INFO"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://acme.happyfox.com", "https://acme.happyfox.com"),
        (" https://ACME.happyfox.net/ ", "https://acme.happyfox.net"),
        ("HTTPS://support.acme.example:8443//", "https://support.acme.example:8443"),
        ("http://localhost:8100", "http://localhost:8100"),
        ("http://127.0.0.9", "http://127.0.0.9"),
        ("http://[::1]:8100/", "http://[::1]:8100"),
    ],
)
def test_an_address_is_scheme_and_host(value: str, address: str) -> None:
    assert readers.url(value) == address


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("acme.happyfox.com", "does not start with https://"),
        ("ftp://acme.happyfox.com", "does not start with https://"),
        ("http://acme.happyfox.com", "would send the key over plain http"),
        ("http://127.0.0.1.acme.example", "would send the key over plain http"),
        ("http://localhost.acme.example", "would send the key over plain http"),
        ("http://10.0.0.7", "would send the key over plain http"),
        ("https://key:code@acme.happyfox.com", "contains a user name or password"),
        ("https://acme.happyfox.com/api/1.1/json", "has more than scheme and host"),
        ("https://acme.happyfox.com?x=1", "has more than scheme and host"),
        ("https://acme.happyfox.com#x", "has more than scheme and host"),
        ("https://", "names no usable host"),
        ("https://ac me.happyfox.com", "names no usable host"),
        ("https://acme..com", "names no usable host"),
        ("https://acme.happyfox.com:0", "names no usable host"),
        ("https://acme.happyfox.com:99999", "is not an address"),
        ("https://[::1", "is not an address"),
        ("https://acme\n.happyfox.com", "contains a control character"),
        (7, "is not a text"),
    ],
)
def test_another_address_is_refused(value: object, problem: str) -> None:
    with pytest.raises(UnfitError) as caught:
        readers.url(value)
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    "value",
    [
        "redis://store:6379/0",
        "rediss://:pass@host:1/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379",
    ],
)
def test_the_address_of_a_store_is_kept_as_it_is(value: str) -> None:
    assert readers.redis_url(f" {value} ") == value


@pytest.mark.parametrize(
    "value", ["store:6379", "http://store", "redis:store", "redis://store:port", "unix://", "redis://[x"]
)
def test_another_address_of_a_store_is_refused(value: str) -> None:
    with pytest.raises(UnfitError):
        readers.redis_url(value)


def test_an_api_key_with_a_colon_is_the_whole_pair() -> None:
    with pytest.raises(UnfitError, match="colon"):
        readers.api_key("key:code")


@pytest.mark.parametrize("reader", [readers.api_key, readers.auth_code])
def test_a_letter_beyond_ascii_in_the_auth_pair_is_a_slip(reader: Reader) -> None:
    assert reader("0a1b") == Secret("0a1b")
    with pytest.raises(UnfitError, match="ASCII") as caught:
        reader("0é1b")
    assert "1b" not in str(caught.value)


def test_all_that_is_wrong_with_an_address_is_told() -> None:
    with pytest.raises(UnfitError) as caught:
        readers.url("http://acme.happyfox.com/x")
    told = [caught.value.problem, *(each.problem for each in caught.value.more)]
    assert told == ["has more than scheme and host", "would send the key over plain http"]


def test_a_dsn_has_a_key_a_host_and_a_project() -> None:
    assert readers.sentry_dsn("https://public@errors.example/4") == Secret("https://public@errors.example/4")
    for value in ("https://errors.example/4", "public@errors.example/4", "https://public@errors.example"):
        with pytest.raises(UnfitError):
            readers.sentry_dsn(value)


@pytest.mark.parametrize("value", ["127.0.0.1", "::", "localhost"])
def test_a_host_to_listen_on(value: str) -> None:
    assert readers.host(value) == value


@pytest.mark.parametrize("value", ["http://x", "a b", "", 3])
def test_no_host_to_listen_on(value: object) -> None:
    with pytest.raises(UnfitError):
        readers.host(value)


ALL: list[Reader] = [
    *(
        readers.whole(9),
        readers.decimal(9),
        readers.switch,
        readers.choice("a", "b"),
        readers.path,
        readers.host,
    ),
    *(
        readers.account_name,
        readers.url,
        readers.redis_url,
        readers.secret,
        readers.api_key,
        readers.sentry_dsn,
    ),
    *(lists.secrets, lists.handlers, lists.grants),
]
ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.dates(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=5,
)
ADDRESSES = some.builds("{}://{}".format, some.sampled_from(["http", "https", "redis", "unix"]), some.text())


@given(value=ANYTHING | ADDRESSES)
def test_a_reader_accepts_or_says_what_does_not_fit(value: object) -> None:
    for read in ALL:
        with suppress(UnfitError):
            read(value)


@given(name=some.from_regex(r"[a-z0-9-]+", fullmatch=True))
def test_every_name_of_the_pattern_is_an_account(name: str) -> None:
    assert readers.account_name(name) == name


def test_white_space_around_a_key_is_stripped() -> None:
    assert readers.secret(" key\n") == Secret("key")


def test_a_path_is_a_path() -> None:
    assert readers.path(" a/b ") == Path("a/b")
