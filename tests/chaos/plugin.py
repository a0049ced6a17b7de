"""The handlers of the deployment: everything they write names the message that it is for."""

TEXT = """
import re
from workers import Router

router = Router("test")
MESSAGE = re.compile(r"message [0-9]+ of ticket [0-9]+")
STATUS = re.compile(r"set status (New|In Progress|On Hold)")


@router.on("ticket-created")
def welcome(ticket, event):
    ticket.add_tags("welcomed")


@router.on("ticket-created", "contact-replied")
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
