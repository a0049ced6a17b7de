"""What lists accept, from the environment and from the file."""

import pytest

from workers.settings import Secret, lists
from workers.settings.complaints import UnfitError


def test_white_space_around_signing_keys_is_stripped() -> None:
    assert lists.secrets(" new , old\n,") == (Secret("new"), Secret("old"))
    assert lists.secrets([" new ", "old"]) == (Secret("new"), Secret("old"))


def test_a_key_in_a_list_of_the_file_may_hold_a_comma() -> None:
    assert lists.secrets(["a,b"]) == (Secret("a,b"),)


@pytest.mark.parametrize("value", [",", [], [""], [3], 3, {"a": "b"}])
def test_no_signing_key_is_refused(value: object) -> None:
    with pytest.raises(UnfitError):
        lists.secrets(value)


def test_handlers_are_import_strings_and_names_in_order() -> None:
    given_ = "vip:router, acme.crm.sync:router.of, rules, crm-sync,vip:router"

    assert lists.handlers(given_) == ("vip:router", "acme.crm.sync:router.of", "rules", "crm-sync")


@pytest.mark.parametrize(
    "value", ["vip.py", "vip:", ":router", "a/b:router", "vip:router:x", "vip router", "a..b:c", ",", []]
)
def test_what_names_no_router_is_refused(value: object) -> None:
    with pytest.raises(UnfitError):
        lists.handlers(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [("1", True), (True, True), ("off", False), ("vip", {"vip"}), ("vip, crm", {"vip", "crm"}), (["vip"], {"vip"})],
)
def test_a_dry_run_is_on_or_off_or_of_some_routers(value: object, read: object) -> None:
    assert lists.dry_run(value) == read


@pytest.mark.parametrize("value", ["Vip", "vip:router", 2, {"vip": True}, [True]])
def test_a_dry_run_of_what_is_no_router_is_refused(value: object) -> None:
    with pytest.raises(UnfitError):
        lists.dry_run(value)


@pytest.mark.parametrize("value", ["vip:reply, crm:move", ["vip:reply", "crm:move"], {"vip": ["reply"], "crm": "move"}])
def test_grants_are_pairs(value: object) -> None:
    assert lists.grants(value) == {("vip", "reply"), ("crm", "move")}


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        ("vip:replys", "did you mean reply?"),
        (
            "vip:xyzzy",
            "use one of reply, reply-as-contact, forward, move, delete, subscribe, create, contacts",
        ),
        ("vip", "use one of reply, reply-as-contact, forward, move, delete, subscribe, create, contacts"),
        ("Vip:reply", "write router:permission, as vip:reply"),
        (":reply", "write router:permission, as vip:reply"),
        ({"vip": ["reply:move"]}, "did you mean reply?"),
    ],
)
def test_a_grant_of_nothing_known_is_refused(value: object, cure: str) -> None:
    with pytest.raises(UnfitError) as caught:
        lists.grants(value)
    assert caught.value.cure == cure
