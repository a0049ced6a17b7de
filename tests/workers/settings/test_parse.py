"""What each sort of value accepts, from the environment and from the file."""

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from workers.settings import Secret, Token, parse
from workers.settings.parse import InvalidValueError, Parser
from workers.settings.store_url import redis_url


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
def test_a_text_with_control_or_invalid_characters_is_refused(value: str, problem: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse.text(value)
    assert caught.value.problem == problem


@pytest.mark.parametrize("value", ["1", " 40 ", 1, 40, "007"])
def test_a_count_is_a_whole_number(value: object) -> None:
    assert parse.whole(40)(value) == int(str(value))


@pytest.mark.parametrize(
    "value", ["0", "-1", "41", "1.0", "1e1", "1_0", "٣", "", "x", "9" * 5000, 0, 41, 1.0, True, None, [1]]
)
def test_an_invalid_count_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.whole(40)(value)


@pytest.mark.parametrize("value", ["6", "0.5", ".5", "5.", 6, 0.5])
def test_seconds_may_have_decimals(value: object) -> None:
    assert parse.decimal(60)(value) == float(str(value))


@pytest.mark.parametrize(
    "value", ["0", "-1", "61", "nan", "inf", "1e1", "1,5", "", 0, -1, 61, math.nan, math.inf, True, None]
)
def test_an_invalid_number_of_seconds_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.decimal(60)(value)


def test_zero_is_accepted_where_it_is_allowed() -> None:
    assert parse.decimal(60, least=0)("0") == 0.0


def test_a_choice_is_one_of_its_words_in_any_case() -> None:
    read = parse.choice("DEBUG", "INFO")

    assert read("info") == "INFO"
    with pytest.raises(InvalidValueError) as caught:
        read("loud")
    assert caught.value.fix == "write DEBUG or INFO"


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
    assert parse.url(value) == address


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
        ("https://acme.happyfox.com/api/1.1/json", "has more than a scheme and a host"),
        ("https://acme.happyfox.com?x=1", "has more than a scheme and a host"),
        ("https://acme.happyfox.com#x", "has more than a scheme and a host"),
        ("https://", "has no valid host"),
        ("https://ac me.happyfox.com", "has no valid host"),
        ("https://acme..com", "has no valid host"),
        ("https://acme.happyfox.com:0", "has no valid host"),
        ("https://acme.happyfox.com:99999", "is not an address"),
        ("https://[::1", "is not an address"),
        ("https://acme\n.happyfox.com", "contains a control character"),
        (7, "is not a text"),
    ],
)
def test_an_invalid_address_is_refused(value: object, problem: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse.url(value)
    assert caught.value.problem == problem


def test_an_api_key_with_a_colon_is_the_whole_pair() -> None:
    with pytest.raises(InvalidValueError, match="colon"):
        parse.api_key("key:code")


@pytest.mark.parametrize("reader", [parse.api_key, parse.auth_code])
def test_a_non_ascii_character_in_the_auth_pair_is_refused(reader: Parser) -> None:
    assert reader("0a1b") == Secret("0a1b")
    with pytest.raises(InvalidValueError, match="ASCII") as caught:
        reader("0é1b")
    assert "1b" not in str(caught.value)


def test_every_mistake_in_an_address_is_reported() -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse.url("http://acme.happyfox.com/x")
    reported = [caught.value.problem, *(each.problem for each in caught.value.more)]
    assert reported == ["has more than a scheme and a host", "would send the key over plain http"]


def test_a_dsn_has_a_key_a_host_and_a_project() -> None:
    assert parse.sentry_dsn("https://public@errors.example/4") == Secret("https://public@errors.example/4")
    for value in ("https://errors.example/4", "public@errors.example/4", "https://public@errors.example"):
        with pytest.raises(InvalidValueError):
            parse.sentry_dsn(value)


@pytest.mark.parametrize("value", ["127.0.0.1", "::", "localhost"])
def test_a_host_to_listen_on(value: str) -> None:
    assert parse.host(value) == value


@pytest.mark.parametrize("value", ["http://x", "a b", "", 3])
def test_an_invalid_host_to_listen_on_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.host(value)


ALL: list[Parser] = [
    *(
        parse.whole(9),
        parse.decimal(9),
        parse.dry_run,
        parse.choice("a", "b"),
        parse.path,
        parse.host,
    ),
    *(
        parse.account_name,
        parse.url,
        redis_url,
        parse.secret,
        parse.api_key,
        parse.sentry_dsn,
    ),
    *(parse.size, parse.secrets, parse.tokens, parse.handlers, parse.grants),
]
ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text() | some.dates(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=5,
)
ADDRESSES = some.builds("{}://{}".format, some.sampled_from(["http", "https", "redis", "unix"]), some.text())


@given(value=ANYTHING | ADDRESSES)
def test_a_parser_accepts_a_value_or_says_why_it_is_invalid(value: object) -> None:
    for read in ALL:
        with suppress(InvalidValueError):
            read(value)


@given(name=some.from_regex(r"[a-z0-9-]+", fullmatch=True))
def test_every_name_of_the_pattern_is_an_account(name: str) -> None:
    assert parse.account_name(name) == name


def test_white_space_around_a_key_is_stripped() -> None:
    assert parse.secret(" key\n") == Secret("key")


def test_a_path_is_a_path() -> None:
    assert parse.path(" a/b ") == Path("a/b")


# Lists


def test_white_space_around_signing_keys_is_stripped() -> None:
    assert parse.secrets(" new , old\n,") == (Secret("new"), Secret("old"))
    assert parse.secrets([" new ", "old"]) == (Secret("new"), Secret("old"))


def test_a_key_in_a_list_of_the_file_may_contain_a_comma() -> None:
    assert parse.secrets(["a,b"]) == (Secret("a,b"),)


@pytest.mark.parametrize("value", [",", [], [""], [3], 3, {"a": "b"}])
def test_an_empty_list_of_signing_keys_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.secrets(value)


@pytest.mark.parametrize(("value", "size"), [("16mb", 16 * 1024**2), (" 512 MB", 512 * 1024**2), ("2gb", 2 * 1024**3)])
def test_a_size_has_a_unit(value: str, size: int) -> None:
    assert parse.size(value) == size


@pytest.mark.parametrize("value", ["15mb", "512", 512, "1.5gb", "-1gb", "1tb", "", "999999999gb"])
def test_another_size_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.size(value)


def test_tokens_are_names_roles_and_digests() -> None:
    digest = "0123456789abcdef" * 4
    assert parse.tokens(f"grafana:viewer:{digest}, ci.1:admin:{digest.upper()}") == (
        Token("grafana", "viewer", digest),
        Token("ci.1", "admin", digest),
    )


@pytest.mark.parametrize(
    "value", ["", ",", "a:viewer:token", f"a:owner:{'0' * 64}", f":viewer:{'0' * 64}", f"a:viewer:{'0' * 63}"]
)
def test_a_token_without_name_role_or_digest_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        parse.tokens(value)
    assert "0" * 20 not in str(refused.value)


def test_handlers_are_import_strings_and_names_in_order() -> None:
    given_ = "vip:router, acme.crm.sync:router.of, rules, crm-sync,vip:router"

    assert parse.handlers(given_) == ("vip:router", "acme.crm.sync:router.of", "rules", "crm-sync")


@pytest.mark.parametrize(
    "value", ["vip.py", "vip:", ":router", "a/b:router", "vip:router:x", "vip router", "a..b:c", ",", []]
)
def test_an_invalid_router_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.handlers(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        *((word, True) for word in ("1", "true", "YES", " on ", True)),
        *((word, False) for word in ("0", "false", "No", "off", False)),
        *(("vip", {"vip"}), ("vip, crm", {"vip", "crm"}), (["vip"], {"vip"})),
    ],
)
def test_a_dry_run_is_on_or_off_or_of_some_routers(value: object, read: object) -> None:
    assert parse.dry_run(value) == read


@pytest.mark.parametrize("value", ["Vip", "vip:router", "2", 2, 1, 0, None, {"vip": True}, [True]])
def test_a_dry_run_of_an_invalid_router_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.dry_run(value)


@pytest.mark.parametrize("value", ["vip:reply, crm:move", ["vip:reply", "crm:move"], {"vip": ["reply"], "crm": "move"}])
def test_grants_are_pairs(value: object) -> None:
    assert parse.grants(value) == {("vip", "reply"), ("crm", "move")}


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("vip:replys", "did you mean 'reply'?"),
        (
            "vip:xyzzy",
            "use one of reply, reply-as-contact, forward, move, delete, subscribe, create, contacts",
        ),
        ("vip", "use one of reply, reply-as-contact, forward, move, delete, subscribe, create, contacts"),
        ("Vip:reply", "write router:permission, for example vip:reply"),
        (":reply", "write router:permission, for example vip:reply"),
        ({"vip": ["reply:move"]}, "did you mean 'reply'?"),
    ],
)
def test_an_invalid_grant_is_refused(value: object, fix: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse.grants(value)
    assert caught.value.fix == fix


HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"


def test_users_of_the_dashboard_are_separated_by_white_space() -> None:
    users = parse.dashboard_users(f"ada:admin:{HASH}\n sam@acme.example:viewer:{HASH}")
    assert [(user.name, user.role, user.hash.reveal()) for user in users] == [
        ("ada", "admin", HASH),
        ("sam@acme.example", "viewer", HASH),
    ]
    assert parse.dashboard_users([f"ada:admin:{HASH}"])[0].name == "ada"
    assert HASH not in repr(users)


@pytest.mark.parametrize("value", ["ada", f"ada:{HASH}", "ada:admin:secret", f"ada:god:{HASH}", 7, f"a:admin:{HASH} b"])
def test_what_is_not_a_user_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        parse.dashboard_users(value)


def test_a_user_is_named_once() -> None:
    with pytest.raises(InvalidValueError, match="twice"):
        parse.dashboard_users(f"ada:admin:{HASH} ada:viewer:{HASH}")


def test_a_proxy_is_a_header_and_where_it_calls_from() -> None:
    proxy = parse.dashboard_proxy("X-User from 10.0.0.0/8,fd00::/8 role X-Role secret X-Secret=a=b")
    assert (proxy.user_header, proxy.role_header, proxy.secret_header) == ("x-user", "x-role", "x-secret")
    assert [str(network) for network in proxy.networks] == ["10.0.0.0/8", "fd00::/8"]
    assert proxy.secret == Secret("a=b")
    assert list(parse.doubtful_proxy(proxy)) == []
    [doubt] = parse.doubtful_proxy(parse.dashboard_proxy("X-User from 127.0.0.1"))
    assert "every sender in that network" in doubt.problem


@pytest.mark.parametrize(
    "value",
    [
        *("X-User", "X-User from", "X-User from here", "X User from 10.0.0.0/8", "X-User from 10.0.0.1/8"),
        *("X-User of 10.0.0.0/8", "X-User from 10.0.0.0/8 secret X-Secret", "X-User role X-Role"),
        "X-User from 10.0.0.0/8 from 10.0.0.0/8",
    ],
)
def test_what_does_not_describe_a_proxy_is_refused(value: str) -> None:
    with pytest.raises(InvalidValueError):
        parse.dashboard_proxy(value)
