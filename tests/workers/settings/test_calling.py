"""A script needs address and credentials, and nothing of a worker's."""

from pathlib import Path

import pytest

from workers.settings import SettingsError, load_account

LEAST = {"HAPPYFOX_URL": "https://acme.happyfox.com", "HAPPYFOX_API_KEY": "k", "HAPPYFOX_AUTH_CODE": "c"}


def test_address_and_credentials_are_enough(tmp_path: Path) -> None:
    found = load_account(LEAST, tmp_path)
    assert (found.account.name, found.account.staff_id, found.redis_url) == ("acme", 0, None)
    assert found.account.budget.gets == 500
    assert found.data == tmp_path / ".foxhooks"


def test_what_is_set_holds(tmp_path: Path) -> None:
    more = {"HAPPYFOX_STAFF_ID": "7", "HAPPYFOX_GETS_PER_MINUTE": "9", "REDIS_URL": "redis://127.0.0.1:6379/0"}
    found = load_account({**LEAST, **more, "FOXHOOKS_HANDLERS": "???"}, tmp_path)
    assert (found.account.staff_id, found.account.budget.gets) == (7, 9)
    assert found.redis_url == more["REDIS_URL"]
    assert "6379" not in repr(found)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_account({"HAPPYFOX_URL": "http://acme.happyfox.com", "HAPPYFOX_STAFF_ID": "Ann"}, tmp_path)
    named = {complaint.setting.partition(" ")[0] for complaint in wrong.value.complaints}
    assert named == {"HAPPYFOX_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE", "HAPPYFOX_STAFF_ID"}


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "foxhooks.toml").write_text("[accounts")
    with pytest.raises(SettingsError, match=r"foxhooks\.toml"):
        load_account(LEAST, tmp_path)
