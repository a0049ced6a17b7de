"""Emails: how many a ticket has sent that nobody answered, and which answers are no person's.

HappyFox does not show the headers of an email (KB 1039), so RFC 3834's ``Auto-Submitted`` cannot be read. What remains
is what the ticket shows: the subject, the address, the words and the time of a message. The result is a hint: it drops
no event, and the brakes on email do not count an automatic message as a person's answer.
"""

# ruff: noqa: RUF001 - the subjects are in many scripts

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from workers.tickets.change import Change
from workers.tickets.folding import fold
from workers.tickets.model import Message, TicketRead, Update, by_staff, mapping, text
from workers.tickets.text import same_words, words

#: Subjects of automatic messages in the languages of the most widely used mail programs: English, German, French,
#: Spanish, Portuguese, Italian, Dutch, Polish, Swedish, Danish and Norwegian, Finnish, Czech, Russian, Turkish,
#: Japanese, Chinese and Korean. Each is the whole subject, or stands before a colon and the subject of the answered
#: message; one with a colon is never the whole.
SUBJECTS: Final = (
    *("auto reply", "autoreply", "auto-reply", "automatic reply", "automatic response", "autoresponse"),
    *("auto response", "auto-response", "automated reply", "automated response", "out of office", "out of the office"),
    *("out-of-office", "out of office reply", "out of office autoreply", "out of office auto-reply"),
    *("out of office message", "ooo:", "vacation reply", "vacation message", "away from my mail"),
    *("undeliverable", "undeliverable mail", "undeliverable message", "undelivered mail", "message undeliverable"),
    *("delivery status notification", "message delivery delayed"),
    *("automatische antwort", "automatische rückantwort", "abwesenheitsnotiz", "abwesenheitsbenachrichtigung"),
    *("unzustellbar:",),
    *("réponse automatique", "réponse d'absence", "message d'absence", "absence du bureau", "absent du bureau"),
    *("non remis:", "non distribuable:"),
    *("respuesta automática", "fuera de la oficina", "fuera de oficina", "no se puede entregar:", "no entregado:"),
    *("error en la entrega del mensaje", "mensaje no entregado"),
    *("resposta automática", "fora do escritório", "ausência temporária", "não foi possível entregar:"),
    *("não é possível entregar:", "falha na entrega da mensagem", "não entregue:"),
    *("risposta automatica", "fuori ufficio", "assente dall'ufficio", "non recapitabile:"),
    *("notifica di mancato recapito",),
    *("automatisch antwoord", "automatische reactie", "afwezigheidsbericht"),
    *("onbestelbaar:", "niet-bezorgd bericht"),
    *("odpowiedź automatyczna", "automatyczna odpowiedź", "poza biurem", "niedostarczalne:"),
    *("nie można dostarczyć:",),
    *("automatiskt svar", "autosvar", "frånvaromeddelande", "går inte att leverera:", "ej levererbart:"),
    *("automatisk svar", "fraværsmelding", "fraværsbesked", "kan ikke leveres:"),
    *("uleverbar:", "ikke levert:"),
    *("automaattinen vastaus", "poissa toimistosta", "poissaoloviesti", "ei voi toimittaa:", "toimittamaton:"),
    *("automatická odpověď", "mimo kancelář", "nedoručitelné:", "nedoručitelná:"),
    *("автоматический ответ", "автоответ", "недоставленное сообщение", "не доставлено:"),
    *("otomatik yanıt", "otomatik cevap", "ofis dışında", "teslim edilemedi:", "teslim edilemez:"),
    *("自動応答", "自動返信", "配信不能:", "配信できません:", "自动答复", "自动回复"),
    *("不在办公室", "无法送达:", "自動回覆", "未傳遞的主旨", "자동 회신", "자동 응답", "부재 중", "배달되지 않음:"),
)

#: Subjects that people write as well, of parcels and of absences: before a colon, they count only if what follows is
#: the subject of an answer, such as ``Re: Your order``.
AMBIGUOUS: Final = (
    *("auto:", "delivery failure", "delivery incomplete", "delivery has failed", "returned mail", "failure notice"),
    *("mail delivery failed", "mail delivery failure", "mail delivery system", "your message could not be delivered"),
    *(
        "nicht zustellbar:",
        "nicht im büro",
        "abwesenheit:",
        "zustellung fehlgeschlagen",
        "échec de la remise",
        "courrier non distribué",
    ),
    *(
        "mancato recapito",
        "recapito non riuscito",
        "fuori sede",
        "afwezig",
        "niet aanwezig",
        "nieobecność",
        "frånvaro:",
    ),
    *("fravær:", "ikke til stede", "отсутствую", "нет на рабочем месте", "不在通知"),
)

#: Beginnings that only programs write.
_BEGINNINGS: Final = re.compile(
    r"\[auto(?:[- ]?(?:reply|response|responder|antwort))\]|auto: out$|auto: .*\bout of (?:the )?office\b"
    r"|out[- ]of[- ](?:the[- ])?office (?:until|till|returning|[-\u2013(])"
    r"|delivery status notification \(|delivery has failed to these recipients|undelivered mail returned to sender"
    r"|mail delivery failed: returning message"
    r"|returned mail: (?:see transcript|user unknown|host unknown|data format error|service unavailable)"
    r"|delivery failure: (?:user\b.*\bnot listed|error transferring|5\d\d\b)"
)

#: What mail programs and HappyFox put before a subject.
_PREFIX: Final = re.compile(
    r"(?:(?:re|fw|fwd|aw|wg|sv|vs|tr|rv|res|enc|ynt|odp|回复|答复|返信)\s?[:：]|\[[^\]]{0,40}#[^\]]{0,40}\])\s*",
    re.IGNORECASE,
)

#: Local parts of addresses that no person reads or writes from.
_ADDRESS: Final = re.compile(
    r"(?:mailer[-_.]?daemon|postmaster|no[-_.]?reply|do[-_.]?not[-_.]?reply|nao[-_.]?responda|nicht[-_.]?antworten"
    r"|ne[-_.]?pas[-_.]?repondre|no[-_.]?responder|auto[-_.]?(?:reply|responder|answer)|bounces?|listserv"
    r"|mail[-_.]?delivery)(?:[-_.+0-9].*)?",
    re.IGNORECASE,
)

#: A message of at least this many words that comes again, or returns our text, is a program's.
DISTINCTIVE: Final = 8

#: No person answers this soon after our message, this many times.
FAST: Final = timedelta(seconds=10)
FAST_ANSWERS: Final = 3

#: How many updates before a message are compared with it.
_COMPARED: Final = 200
#: How many messages of contacts are compared to find the last one by a person: more in a row are no conversation.
_CHECKED: Final = 50


def is_automatic(update: Update, ticket: TicketRead, staff: int) -> bool:
    """Return whether a contact's update looks like a program's; ``staff`` is the staff member we write as.

    Look at the subject and address of the message (the ticket's, for the update that opened it) and at the updates
    before it: one that returns our text, repeats an earlier message, or arrives within seconds of our message for the
    third time is automatic. An update without a message, or by anybody but a contact, never is.
    """
    if update.author != "contact" or update.message is None:
        return False
    before = [each for each in ticket.history if each.id < update.id][-_COMPARED:]
    if automatic_subject(_subject(update, ticket, opening=not before)) or automatic_address(_address(update, ticket)):
        return True
    return _repeats(update.message, before, staff) or _fast_answers([*before, update], staff) >= FAST_ANSWERS


def automatic_subject(subject: str) -> bool:
    """Return whether a subject is one of an out-of-office answer or a bounce."""
    folded = fold(subject[:200])
    while found := _PREFIX.match(folded):
        folded = folded[found.end() :]
    return _AUTOMATIC.match(folded) is not None


def automatic_address(address: str) -> bool:
    """Return whether an address is one that no person uses, such as ``mailer-daemon@example.com``."""
    return _ADDRESS.fullmatch(address.strip()[:320].rpartition("@")[0]) is not None


def _before_colon(subjects: Iterable[str], following: str) -> str:
    """Return an expression for these subjects, as a whole or before a colon and what follows."""
    folded = [fold(each) for each in subjects]
    with_colon, whole = (
        "|".join(re.escape(each.rstrip(":")) for each in folded if each.endswith(":") == colon)
        for colon in (True, False)
    )
    return rf"(?:(?:{with_colon}|{whole}) ?[:：] ?{following}|(?:{whole})[.!]?$)"


_AUTOMATIC: Final = re.compile(
    "|".join((_before_colon(SUBJECTS, ""), _before_colon(AMBIGUOUS, f"(?:{_PREFIX.pattern})"), _BEGINNINGS.pattern))
)


def _subject(update: Update, ticket: TicketRead, *, opening: bool) -> str:
    """Return the subject of a message; only the one that opened the ticket has the ticket's."""
    own = text(mapping(update.raw.get("message")).get("subject"))
    return own or (ticket.subject if opening else "")


def _address(update: Update, ticket: TicketRead) -> str:
    """Return the address of the contact who wrote an update; HappyFox may show only that of the ticket's contact."""
    own = text(mapping(update.raw.get("by")).get("email"))
    if own:
        return own
    return ticket.contact.email if update.author_id in (None, ticket.contact.id) else ""


def _repeats(message: Message, before: Sequence[Update], staff: int) -> bool:
    """Return whether a message begins with our text, or has exactly those of an earlier message of a contact."""
    theirs = words(message.text or message.html)
    if len(theirs) < DISTINCTIVE:
        return False
    for each in before:
        if each.message is None or each.message.private:
            continue
        earlier = words(each.message.text or each.message.html)
        if len(earlier) < DISTINCTIVE:
            continue
        if theirs == earlier if each.author == "contact" else by_staff(each, staff) and same_words(earlier, theirs):
            return True
    return False


def _fast_answers(updates: Sequence[Update], staff: int) -> int:
    """Count the messages of contacts that arrived within seconds of our message, up to the last update.

    Return 0 if the last one did not.
    """
    ours, count, last = None, 0, False
    for update in updates:
        if update.message is None or update.message.private:
            continue
        last = False
        if by_staff(update, staff):
            ours = update.at
        elif update.author == "contact":
            last = ours is not None and update.at is not None and update.at - ours <= FAST
            count += last
            ours = None
    return count if last else 0


class EmailRun(msgspec.Struct, frozen=True, array_like=True):
    """The emails that we have sent from a ticket, as the brakes count them."""

    unanswered: int = 0
    """How many in a row, without an update by a person between them."""
    any: bool = False
    """Whether we have sent one at all."""
    staff_wrote: bool = False
    """Whether a colleague has written since the last one."""

    def one_more(self) -> "EmailRun":
        """Return the run after another email."""
        return EmailRun(self.unanswered + 1, True)


def count_people(emails: EmailRun, changes: Iterable[Change], staff: int, history: Sequence[Update] = ()) -> EmailRun:
    """Return the emails in a row after these changes; ``staff`` is the staff member we write as.

    A person may have written before our last emails, and be read after them: those in the ``history`` still count.
    """
    for change in changes:
        colleague = change.actor.kind == "staff" and change.actor.id != staff
        if colleague or (change.actor.kind == "contact" and not change.automatic):
            since = change.update_id or sys.maxsize
            later = sum(each.id > since and by_staff(each, staff) and _is_public(each) for each in history)
            emails = replace(emails, unanswered=min(emails.unanswered, later))
        if colleague and emails.any and change.kind in ("staff-replied", "note-added"):
            emails = replace(emails, staff_wrote=True)
    return emails


def emails_shown(ticket: TicketRead, staff: int) -> EmailRun:
    """Return the emails in a row as the ticket shows them: our public messages since the last update by a person.

    For a ticket without a snapshot, or with one that is older than our last messages.
    """
    unanswered = checked = 0
    for update in reversed(ticket.history):
        if by_staff(update, staff):
            unanswered += _is_public(update)
        elif update.author == "staff":
            break
        elif update.author == "contact":
            checked += 1
            if checked > _CHECKED or not is_automatic(update, ticket, staff):
                break
    ours = [update.id for update in ticket.history if by_staff(update, staff) and _is_public(update)]
    colleagues = [
        update.id
        for update in ticket.history
        if update.author == "staff" and not by_staff(update, staff) and update.message is not None
    ]
    return EmailRun(unanswered, bool(ours), bool(ours and colleagues) and colleagues[-1] > ours[-1])


def _is_public(update: Update) -> bool:
    return update.message is not None and not update.message.private
