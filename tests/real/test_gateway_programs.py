"""Programs that nobody here wrote use the gateway; it is killed and loaded, beside the engine at work."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.fleet import Fleet
from tests.support.plugins import FAITHFUL

pytestmark = pytest.mark.e2e

CLIENTS = """
[clients.reporting]
token = "reporting-token"
allow = ["tickets:read"]
class = "bulk"
wait = 50

[clients.triage]
token = "triage-token"
allow = ["tickets:read", "tickets:note", "tickets:tag"]
wait = 50

[clients.form]
token = "form-token"
allow = ["*"]
class = "interactive"
wait = 50
"""

NODE = """
const [base, ticket] = process.argv.slice(1);
const headers = {Authorization: "Basic " + btoa("triage:triage-token"), "Content-Type": "application/json"};
const body = JSON.stringify({staff: 1, text: "a note from node"});
fetch(`${base}/ticket/${ticket}/staff_pvtnote/`, {method: "POST", headers, body})
  .then(answer => answer.json()).then(found => console.log(found.id));
"""

PERL = """
use HTTP::Tiny; use JSON::PP;
my ($base, $ticket) = @ARGV;
my $http = HTTP::Tiny->new(default_headers => {Authorization => 'Bearer triage-token'});
my $answer = $http->post_form("$base/ticket/$ticket/staff_pvtnote/", {staff => 1, text => 'a note from perl'});
print decode_json($answer->{content})->{id};
"""


def program(*command: str) -> str:
    """Run a program to its end and return what it prints."""
    assert shutil.which(command[0]), f"{command[0]} is not installed"
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def base(fleet: Fleet) -> str:
    return f"{fleet.gateway_url}/gateway/demo/api/1.1/json"


def serve(fleet: Fleet, **environ: str) -> None:
    """Start the gateway, again if it was killed, and wait until it is ready."""
    (fleet.folder / "foxhooks.toml").write_text(CLIENTS)
    fleet.start_gateway(**environ)
    fleet.wait(lambda: gateway_status(fleet) == 200, "the gateway is ready")


def gateway_status(fleet: Fleet) -> int:
    try:
        return httpx.get(f"{fleet.gateway_url}/readyz", trust_env=False).status_code
    except httpx.TransportError:
        return 0


def note(fleet: Fleet, who: str, ticket: int, text: str, key: str = "") -> int:
    """Write a note as a client; return the status, 0 if no answer came."""
    try:
        return httpx.post(
            f"{base(fleet)}/ticket/{ticket}/staff_pvtnote/",
            json={"staff": 1, "text": text},
            auth=(who, f"{who}-token"),
            headers={"Idempotency-Key": key} if key else {},
            timeout=60,
            trust_env=False,
        ).status_code
    except httpx.TransportError:
        return 0


def texts(fleet: Fleet, ticket: int) -> list[str]:
    """Return the messages of a ticket after its first one."""
    updates = fleet.ask("GET", f"ticket/{ticket}")["updates"]
    return [update["message"]["text"].strip() for update in updates if update["message"]][1:]


def test_curl_node_and_perl_work_unchanged(deploy: Callable[..., Fleet]) -> None:
    fleet = deploy(FAITHFUL)
    serve(fleet)
    number = fleet.open_ticket(subject="Café ☕")
    url, reporting = f"{base(fleet)}/ticket/{number}", ("-u", "reporting:reporting-token")
    shown = program("curl", "-sf", *reporting, f"{url}/")
    assert json.loads(shown)["subject"] == "Café ☕"
    refused = program("curl", "-s", *reporting, "-d", "staff_id=1", f"{url}/delete/")
    assert json.loads(refused)["missing"] == ["tickets:delete"]
    form = ("-F", "staff=1", "-F", "text=a note from curl", "-F", "attachments=@/etc/hostname")
    program("curl", "-sf", "-u", "triage:triage-token", *form, f"{url}/staff_pvtnote/")
    assert program("node", "-e", NODE, base(fleet), str(number)).strip() == str(number)
    assert program("perl", "-e", PERL, base(fleet), str(number)).strip() == str(number)
    assert texts(fleet, number) == ["a note from curl", "a note from node", "a note from perl"]
    assert fleet.calls("POST", "delete") == []


@pytest.mark.parametrize("before", [False, True], ids=["already applied", "applied after the kill"])
def test_kills_in_the_middle_of_writes_repeat_none(deploy: Callable[..., Fleet], *, before: bool) -> None:
    fleet = deploy(FAITHFUL)
    serve(fleet)
    numbers = [fleet.open_ticket() for _ in range(3)]
    fleet.fault("hang", path="ticket/*/staff_pvtnote", seconds=0.5, before=before, count=None)
    answered = set[str]()

    def write(job: int) -> None:
        """Repeat a write with its key until it is answered, as long as the gateway comes back."""
        text = f"note {job} of the test"
        while note(fleet, "triage", numbers[job % 3], text, f"job-{job}") != 200:
            fleet.wait(lambda: gateway_status(fleet) == 200, "the gateway is back")
        answered.add(text)

    def in_the_middle(of: int) -> bool:
        """Return whether more writes than these have arrived, and one of them has not been answered to its client."""
        return any(call.body["text"] not in answered for call in fleet.calls("POST", "staff_pvtnote")[of:])

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(write, job) for job in range(12)]
        for _ in range(2):
            arrived = len(fleet.calls("POST", "staff_pvtnote"))
            fleet.wait(lambda arrived=arrived: in_the_middle(arrived), "a write is under way")  # type: ignore[misc]
            assert fleet.gateway
            fleet.gateway.kill()
            serve(fleet)
        for job in jobs:
            job.result(timeout=100)
    written = sorted(text for number in numbers for text in texts(fleet, number))
    assert written == sorted(f"note {job} of the test" for job in range(12))
    assert not any(call.overlapped for call in fleet.calls())


def test_clients_and_the_engine_share_limits_and_tickets(deploy: Callable[..., Fleet]) -> None:
    limit = 40
    fleet = deploy(FAITHFUL, gets=limit, posts=limit)
    limits = {"HAPPYFOX_GETS_PER_MINUTE": str(limit), "HAPPYFOX_POSTS_PER_MINUTE": str(limit)}
    limits["HAPPYFOX_TIMEOUT_SECONDS"] = "15"
    fleet.start_web(**limits)
    fleet.ready_worker(**limits)
    serve(fleet, **limits)
    numbers = [fleet.open_ticket() for _ in range(3)]
    reads: dict[str, list[int]] = {"reporting": [], "triage": [], "form": []}
    notes: list[int] = []

    def load(who: str) -> None:
        for turn in range(24):
            number = numbers[turn % 3]
            got = httpx.get(f"{base(fleet)}/ticket/{number}/", auth=(who, f"{who}-token"), timeout=60, trust_env=False)
            reads[who].append(got.status_code)
            if who != "reporting":
                notes.append(note(fleet, who, number, f"note {turn} of {who}"))

    threads = [threading.Thread(target=load, args=(who,)) for who in reads]
    for thread in threads:
        thread.start()
    for turn in range(6):
        fleet.wait(lambda turn=turn: len(notes) > 5 * turn, "clients write")  # type: ignore[misc]
        fleet.reply(numbers[turn % 3], f"message {turn}")
    for thread in threads:
        thread.join()
    fleet.settle()
    assert set(notes) == {200}
    assert reads == {who: [200] * 24 for who in reads}
    assert [call for call in fleet.calls() if call.status == 429] == []
    assert len(fleet.calls("POST")) > limit
    assert not any(call.overlapped for call in fleet.calls())
    answered = [text for number in numbers for text in fleet.notes(number) if text.startswith("noted: message")]
    assert sorted(answered) == [f"noted: message {turn}" for turn in range(6)]
