import pytest

from tests.support.happyfox import Caller, FakeClock
from workers.simulator import Simulator


@pytest.fixture
def simulator(clock: FakeClock) -> Simulator:
    simulator = Simulator(clock)
    clock.now += 86_400
    Caller(simulator).posted("user/2/", {"phones": [{"number": "+1 123 123 1234"}]})
    Caller(simulator).posted("users/", {"name": "Adam Reed", "email": "adam@new.example"})
    return simulator


@pytest.mark.parametrize(
    ("q", "ids"),
    [
        ("", [1, 2, 3, 4]),
        ("name:reed", [1, 4]),
        ("name:reed+email:adam@new.example", [4]),
        ('name:"Sam+Reed"', [1]),
        ("phone:11231231234", [2]),
        ("phone:x", []),
        ("email:EXAMPLE", [1, 2, 3, 4]),
        ("created_since:2023/11/15", [4]),
        ("created_since:2023-11-15", [4]),
        ('created_since:"2023-11-14+22:13:20"', [1, 2, 3, 4]),
        ("updated_since:2023-11-15T00:00:00Z", [2]),
        ("updated_since:soon", []),
        ("reed+adam", [4]),
        ("smallshop", [2]),
        ("5550100", [1]),
        ("colour:red", []),
    ],
)
def test_contacts_are_found(api: Caller, q: str, ids: list[int]) -> None:
    assert [contact["id"] for contact in api.got("users/", f"q={q}")["data"]] == ids
