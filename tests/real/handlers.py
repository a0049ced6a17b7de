"""Texts of plug-ins for the deployments."""

#: Answers every message of a contact: tags, a note and a reply, each naming the message. Waits while `hold-<ticket>`
#: lies in the folder, having said so by a file.
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
