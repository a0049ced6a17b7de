import pytest

from workers.webhook import UnreadableBody, known_hosts
from workers.webhook.hosts import help_desk, host_in

URLS = {
    "acme": "https://acme.happyfox.com",
    "beta": "https://support.beta.example",
    "local": "http://127.0.0.1:8001",
    "unknown": "",
}


@pytest.mark.parametrize(
    ("account", "host"),
    [
        ("acme", ""),
        ("acme", "acme.happyfox.com"),
        ("local", "127.0.0.1:8001"),
        ("unknown", ""),
    ],
)
def test_the_own_host_or_none_needs_no_comparison(account: str, host: str) -> None:
    assert known_hosts(URLS)[account].check(host) == ""


@pytest.mark.parametrize(
    ("account", "host"),
    [
        ("acme", "help.acme.example"),
        ("acme", "acme.happyfox.net"),
        ("beta", "beta.happyfox.com"),
        ("local", "demo.happyfox.com"),
        ("local", "127.0.0.1:8002"),
        ("unknown", "unknown.happyfox.com"),
    ],
)
def test_a_host_that_the_settings_do_not_contradict_is_left_to_the_store(account: str, host: str) -> None:
    assert known_hosts(URLS)[account].check(host) == host


@pytest.mark.parametrize(
    ("account", "host", "reason"),
    [
        ("acme", "support.beta.example", "other-account"),
        ("acme", "127.0.0.1:8001", "other-account"),
        ("beta", "acme.happyfox.com", "other-account"),
        ("unknown", "acme.happyfox.com", "other-account"),
        ("acme", "gamma.happyfox.com", "other-help-desk"),
        ("acme", "gamma.happyfox.net:8443", "other-help-desk"),
    ],
)
def test_a_host_of_another_account_or_help_desk_is_a_contradiction(account: str, host: str, reason: str) -> None:
    with pytest.raises(UnreadableBody) as caught:
        known_hosts(URLS)[account].check(host)
    assert caught.value.reason == reason


def test_accounts_with_the_same_host_do_not_contradict_each_other() -> None:
    hosts = known_hosts({"one": "https://acme.happyfox.com", "two": "https://acme.happyfox.com"})
    assert hosts["one"].check("acme.happyfox.com") == hosts["two"].check("acme.happyfox.com") == ""


@pytest.mark.parametrize("host", ["happyfox.com", ".happyfox.com", "acme.happyfox.com.example", "acmehappyfox.com", ""])
def test_only_names_below_the_domains_of_happyfox_are_help_desks(host: str) -> None:
    assert help_desk(host) == ""
    assert help_desk("acme.happyfox.com") == help_desk("acme.happyfox.net:81") == "acme"


def test_an_endless_host_is_cut() -> None:
    assert len(host_in("https://" + "a" * 100_000)) == 253


def test_a_dot_at_the_end_of_a_host_means_nothing() -> None:
    assert host_in("https://Beta.happyfox.com./staff/ticket/3") == "beta.happyfox.com"
