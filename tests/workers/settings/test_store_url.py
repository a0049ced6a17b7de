"""The address of the store: its options are checked, and no message repeats a password."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from workers.settings import SettingsError, load
from workers.settings.parse import InvalidValueError
from workers.settings.store_url import StoreAddress, redis_url, split_address
from workers.store.connection import connect, connect_async

#: Every option that is possible, with values that are valid, apart from those that name a file.
OPTIONS = [
    *("db=0", "db=15", "username=fox", "password=word", "ssl_cert_reqs=none", "ssl_cert_reqs=required"),
    *("ssl_cert_reqs=optional", "ssl_check_hostname=false", "ssl_check_hostname=true", "ssl_password=word"),
]
FILES = ["ssl_ca_certs={file}", "ssl_ca_path={folder}", "ssl_certfile={file}&ssl_keyfile={file}"]


@pytest.mark.parametrize(
    "value",
    [
        "redis://store:6379/0",
        "redis://store/",
        "redis:///3",
        "rediss://:pass@host:1/0?ssl_cert_reqs=none",
        "rediss://fox:p%40ss%2Fword@host:1/0",
        "redis://fox:p@ss@host:1",
        "unix:///run/redis.sock?db=1",
        "unix://fox:word@/run/redis@2.sock?password=word",
        "redis://[::1]:6379",
        "valkey://store:6379/0",
        "valkeys://store",
        "redis+cluster://one:7000,two:7001",
        "rediss+cluster://fox:p%40ss@one,two/0?ssl_cert_reqs=none",
        "valkey+cluster://[::1]:7000,[::2]:7000",
        "redis+sentinel://one:26379,two:26379/desk/0",
        "valkeys+sentinel://:word@one/desk?sentinel_password=other&ssl_cert_reqs=none",
    ],
)
def test_the_address_of_a_store_is_kept_as_it_is(value: str) -> None:
    assert redis_url(f" {value} ") == value


def test_what_is_possible_works_for_both_kinds_of_clients(tmp_path: Path) -> None:
    for option in (*OPTIONS, *(each.format(file=__file__, folder=tmp_path) for each in FILES)):
        for scheme in ("redis", "rediss"):
            if scheme == "rediss" or not option.startswith("ssl_"):
                url = redis_url(f"{scheme}://store?{option}")
                for client in (connect(url), connect_async(url, connect_seconds=1, answer_seconds=1)):
                    client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("store:6379", "has a scheme that is not known"),
        ("http://store", "has a scheme that is not known"),
        ("redis:store", "has a scheme that is not known"),
        ("REDIS://store", "has a scheme that is not known"),
        ("redis://..", "has a host that is no name of a host"),
        ("redis://store..example", "has a host that is no name of a host"),
        ("redis://" + "a" * 64, "has a host that is no name of a host"),
        ("redis://my store", "has a host that is no name of a host"),
        ("redis://store/12345678901", "has something else than the number of a database after the host"),
        ("redis://store?db=12345678901", "has an invalid value for its option 'db'"),
        ("redis://store:port", "is not an address"),
        ("redis://store:0", "has the port 0"),
        ("redis://store:99999", "is not an address"),
        ("redis://[x", "is not an address"),
        ("unix://", "has no path to a socket"),
        ("unix:///", "has no path to a socket"),
        ("unix://run/redis.sock", "has a host before the path to a socket"),
        ("redis://store/acme", "has something else than the number of a database after the host"),
        ("redis://store/-1", "has something else than the number of a database after the host"),
        ("redis://store/1/2", "has something else than the number of a database after the host"),
        ("redis://store?foo=bar", "has the unknown option 'foo'"),
        ("redis://store?foo", "has the unknown option 'foo'"),
        ("redis://store?DB=1", "has the unknown option 'DB'"),
        ("rediss://store?ssl_cert_req=none", "has the unknown option 'ssl_cert_req'"),
        ("redis://store?decode_responses=true", "has the option 'decode_responses', which foxhooks sets itself"),
        ("redis://store?socket_timeout=abc", "has the option 'socket_timeout', which foxhooks sets itself"),
        ("redis://store?socket_timeout=5", "has the option 'socket_timeout', which foxhooks sets itself"),
        ("redis://store?max_connections=9", "has the option 'max_connections', which foxhooks sets itself"),
        ("redis://store?protocol=2", "has the option 'protocol', which foxhooks sets itself"),
        ("redis://store?ssl_cert_reqs=none", "has the option 'ssl_cert_reqs', but no TLS"),
        ("rediss://store?ssl_cert_reqs=CERT_NONE", "has an invalid value for its option 'ssl_cert_reqs'"),
        ("rediss://store?ssl_check_hostname=maybe", "has an invalid value for its option 'ssl_check_hostname'"),
        ("rediss://store?ssl_ca_certs=/no/such/file", "has an invalid value for its option 'ssl_ca_certs'"),
        ("rediss://store?ssl_keyfile=/etc/hostname", "has the option 'ssl_keyfile' without 'ssl_certfile'"),
        ("redis://store?db=", "has an invalid value for its option 'db'"),
        ("redis://store?db=one", "has an invalid value for its option 'db'"),
        ("redis://store?db=0&db=1", "has the option 'db' more than once"),
        ("redis://store/1?db=2", "has the number of a database twice"),
        ("redis://one:1,two:2", "names several hosts, but neither a cluster nor Sentinels"),
        ("unix+cluster:///run/redis.sock", "has a scheme that is not known"),
        ("redis+shards://store", "has a scheme that is not known"),
        ("redis+cluster://", "does not name a host"),
        ("redis+cluster://one,,two", "does not name a host"),
        ("redis+cluster://one:0,two", "has the port 0"),
        ("redis+cluster://one/1", "has something after the hosts of a cluster"),
        ("redis+cluster://one?db=1", "has the number of a database, but a cluster has only 0"),
        ("redis+sentinel://one", "has no name of a store for the Sentinels"),
        ("redis+sentinel://one/desk/x", "has something else than the number of a database after the host"),
        ("redis+sentinel://one/desk/1?db=1", "has the number of a database twice"),
        ("redis+cluster://one?sentinel_password=word", "has the unknown option 'sentinel_password'"),
    ],
)
def test_an_invalid_address_of_a_store_is_refused(value: str, problem: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        redis_url(value)
    assert caught.value.problem == problem
    if "option" in problem and "unknown" in problem:
        assert "ossible options: db, username, password" in caught.value.fix


def test_an_address_is_split_into_what_a_client_needs() -> None:
    assert split_address("valkeys://fox@store/2") == StoreAddress("server", "rediss://fox@store/2")
    cluster = split_address("valkey+cluster://fox:a%2Cb@one,two:7001?username=x")
    assert cluster.hosts == (("one", 6379), ("two", 7001))
    assert cluster.url == "redis://fox:a%2Cb@one?username=x"
    sentinel = split_address("redis+sentinel://:p@one,[::1]:3/my%20desk/4?sentinel_username=a&sentinel_password=b%26c")
    assert sentinel == ("sentinel", "redis://:p@one/4", (("one", 26379), ("::1", 3)), "my desk", ("a", "b&c"))


def test_the_fix_names_the_option_that_was_meant() -> None:
    with pytest.raises(InvalidValueError) as caught:
        redis_url("rediss://store?ssl_cert_req=none")
    assert caught.value.fix.startswith("did you mean 'ssl_cert_reqs'? Possible options: db, username, password, ssl_")


@pytest.mark.parametrize("word", ["pa/ss", "pa?ss", "pa#ss", "12/34", "a[b", "a]b", "1?b=c&d", "a:b/c"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_password_that_is_not_escaped_is_named_as_the_likely_reason(scheme: str, word: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        redis_url(f"{scheme}://fox:{word}@store:6379/0")
    assert "its password may contain a character" in caught.value.problem
    assert "/ as %2F" in caught.value.fix


@given(some.text(some.characters(exclude_characters="%", min_codepoint=33, max_codepoint=126), min_size=6))
def test_no_password_is_repeated(word: str) -> None:
    word = f"q7{word}z9"
    try:
        redis_url(f"redis://fox:{word}@store:6379/0")
    except InvalidValueError as error:
        said = str([(each.problem, each.fix) for each in (error, *error.more)])
        assert word not in said
        assert "q7" not in said
        assert "z9" not in said


def test_all_problems_are_reported_when_settings_load() -> None:
    environ = {"REDIS_URL": "redis://store/acme?foo=bar&decode_responses=true"}
    with pytest.raises(SettingsError) as caught:
        load("store", environ, Path("/nowhere"))
    found = [each.problem for each in caught.value.problems]
    assert len(found) == 3
    assert {each.setting for each in caught.value.problems} == {"REDIS_URL (environment)"}
