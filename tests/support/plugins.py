"""Sources of plug-ins for the deployments of real processes."""

#: Answers every message of a contact with tags, a note and a reply that name the message. While the file
#: `hold-<ticket>` exists it waits, and creates the file `deciding-<ticket>`.
FAITHFUL = """
import os, pathlib, time
from workers import Router

router = Router("test")
folder = pathlib.Path(os.environ["TEST_FOLDER"])


@router.on("ticket-created", "contact-replied")
def answer(ticket, event):
    hold = folder / f"hold-{ticket.id}"
    if hold.exists():
        (folder / f"deciding-{ticket.id}").touch()
        while hold.exists():
            time.sleep(0.01)
    for change in event.matched:
        ticket.note(f"noted: {change.text}")
    ticket.add_tags("seen")
    ticket.reply(f"answer to: {event.matched[-1].text}", status="In Progress")
"""

#: Handlers that fail in every way, and one that works. Each acts when a contact's words name it.
FAULTY = """
import sys, time
from workers import Router

router = Router("test")


def asked(name):
    return lambda ticket, event: any(name in change.text for change in event.changes)


@router.on("contact-replied", when=asked("raise"))
def raises(ticket, event):
    raise ValueError(f"cannot cope with {ticket.contact.email}")


@router.on("contact-replied", when=asked("hang"))
def hangs(ticket, event):
    ticket.note("never to be seen")
    time.sleep(600)


@router.on("contact-replied", when=asked("spin"))
def spins(ticket, event):
    while True:
        pass


@router.on("contact-replied", when=asked("recurse"))
def recurses(ticket, event):
    recurses(ticket, event)


@router.on("contact-replied", when=asked("nonsense"))
def answers_nonsense(ticket, event):
    return {"status": "Closed"}


@router.on("contact-replied", when=asked("exit"))
def exits(ticket, event):
    sys.exit("enough")


@router.on("contact-replied", when=asked("interrupt"))
def interrupts(ticket, event):
    raise KeyboardInterrupt


@router.on("contact-replied", when=asked("print"))
def prints(ticket, event):
    print("printed by a handler")
    print("on both", file=sys.stderr)
    sys.stdout.write("x" * 200_000)


@router.on("contact-replied")
def notes(ticket, event):
    for change in event.matched:
        ticket.note(f"noted: {change.text}")
"""

#: Notes every message and does nothing else.
NOTING = """
from workers import Router

router = Router("test")


@router.on("ticket-created", "contact-replied")
def note(ticket, event):
    for change in event.matched:
        ticket.note(f"noted: {change.text}")
"""

#: Everything these handlers write names the message it is for.
CHAOTIC = """
import re
from workers import Router

router = Router("test")
MESSAGE = re.compile(r"message [0-9]+ of ticket [0-9]+")
STATUS = re.compile(r"set status (New|In Progress|On Hold)")


@router.on("ticket-created")
def welcome(ticket, event):
    ticket.add_tags("welcomed")


@router.on("ticket-created", "contact-replied", "note-added")
def note(ticket, event):
    for change in event.matched:
        ticket.note(f"noted {MESSAGE.search(change.text)[0]}")


@router.on("ticket-created", "contact-replied")
def answer(ticket, event):
    for change in event.matched:
        if "please answer" in change.text:
            ticket.reply(f"answer to {MESSAGE.search(change.text)[0]}")


@router.on("ticket-created", "contact-replied")
def status(ticket, event):
    for change in event.matched:
        if wanted := STATUS.search(change.text):
            ticket.set(status=wanted[1])
"""

#: Handlers that want more than they may: emails to everybody who writes, dozens of notes, what no grant allows. The
#: grant of `former` is taken away during a run; `stranger` never has one. A file shows that it has tried.
GREEDY = """
import contextlib, os, pathlib, re
from workers import Retry, Router
from workers.happyfox import HappyFox

router, former, stranger = Router("test"), Router("former"), Router("stranger")
MESSAGE = re.compile(r"message [0-9]+ of ticket [0-9]+")


def names(event):
    return [MESSAGE.findall(change.text)[-1] for change in event.matched]


@router.on("ticket-created", "contact-replied")
def note(ticket, event):
    for name in names(event):
        ticket.note(f"noted {name}")


@router.on("ticket-created", "contact-replied")
def answer(ticket, event):
    for name in names(event):
        ticket.reply(f"answer to {name}. Thank you for writing to us, we shall look into it.")


@router.on("ticket-created", "contact-replied", when=lambda ticket, event: "at length" in event.matched[-1].text)
def explain(ticket, event):
    for number in range(30):
        ticket.note(f"line {number} about {names(event)[-1]}")


@router.on("ticket-created", "contact-replied", when=lambda ticket, event: "your time" in event.matched[-1].text)
def answer_late(ticket, event):
    path = pathlib.Path(os.environ["TEST_FOLDER"], f"late {names(event)[-1]}")
    if not path.exists():
        path.touch()
        raise Retry("not yet", after="2s")
    for name in names(event):
        ticket.reply(f"late answer to {name}", notify=False)


@router.on("ticket-created", "contact-replied", when=lambda ticket, event: "the others" in event.matched[-1].text)
def answer_elsewhere(ticket, event, ctx):
    if ticket.id > 1:
        for name in names(event):
            ctx.on_ticket(ticket.id - 1).reply(f"elsewhere, an answer to {name}", notify=False)


@former.on("ticket-created", "contact-replied", when=lambda ticket, event: "formerly" in event.matched[-1].text)
def answer_formerly(ticket, event):
    ticket.reply(f"former answer to {names(event)[-1]}", notify=False, priority="High")


@stranger.on("ticket-created")
def meddle(ticket, event):
    pathlib.Path(os.environ["TEST_FOLDER"], f"tried {ticket.id}").touch()
    ticket.reply("a stranger's reply", status="Closed")
    ticket.forward(["stranger@elsewhere.example"], "stranger", "a stranger's forward")
    ticket.delete()
    with contextlib.suppress(Exception), HappyFox.from_env() as happyfox:
        happyfox.private_note(ticket.id, text="a stranger's note")
"""

#: One more handler for a plug-in: a change that is neither a contact's nor the colleague's leaves a file.
SUSPICIOUS = """

@router.on("ticket-updated")
def suspect(ticket, event):
    import os, pathlib
    for change in event.changes:
        if change.actor.kind != "contact" and change.actor.id != 1:
            name = f"seen {ticket.id} {change.update_id} {change.kind} by {change.actor.kind}"
            pathlib.Path(os.environ["TEST_FOLDER"], name).touch()
"""

#: For a plug-in: give a ticket that the key may not read up after seconds, and not after hours.
IMPATIENT = """
from workers.engine import missing

missing.DENIED_RECHECKS = (1_000, 3_000, 8_000)
"""
