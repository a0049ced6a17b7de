import copy
import json
import pickle

import pytest

from workers.settings import Secret

KEY = "correct-horse-battery"


def test_a_secret_shows_asterisks_however_it_is_printed() -> None:
    secret = Secret(KEY)

    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!s:>20}", f"{[secret]}"):
        assert KEY not in shown
        assert "Secret('**********')" in shown


def test_an_empty_secret_looks_like_a_full_one_and_is_false() -> None:
    assert repr(Secret("")) == repr(Secret(KEY))
    assert not Secret("")
    assert Secret(KEY)


def test_reveal_returns_the_text() -> None:
    assert Secret(KEY).reveal() == KEY


def test_secrets_are_equal_by_their_text_and_to_no_text() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2


def test_a_secret_is_neither_pickled_nor_dumped() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(KEY))
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(KEY)})
    with pytest.raises(TypeError):
        vars(Secret(KEY))


def test_a_copy_is_the_secret_itself() -> None:
    secret = Secret(KEY)

    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
