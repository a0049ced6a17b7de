"""Emails: how many a ticket has sent that nobody answered, and which answers are no person's.

HappyFox does not show the headers of an email (KB 1039), so RFC 3834's ``Auto-Submitted`` cannot be read. What remains
is what the ticket shows: the subject, the address, the words and the time of a message. The result is a hint: it drops
no event, and the brakes on email do not count an automatic message as a person's answer.
"""

# ruff: noqa: RUF001 - the subjects are in many scripts

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import timedelta
from email.utils import parseaddr
from typing import Final

from msgspec.structs import replace

from workers.tickets.change import Change
from workers.tickets.folding import fold
from workers.tickets.model import Message, TicketRead, Update, by_staff, mapping, text
from workers.tickets.snapshot import EmailRun
from workers.tickets.text import same_words, within, words

#: Subjects of automatic answers in the languages of the most widely used mail programs: English, German, French,
#: Spanish, Portuguese, Italian, Dutch, Polish, Swedish, Danish and Norwegian, Finnish, Czech, Russian, Turkish,
#: Japanese, Chinese and Korean. Each is the whole subject, or stands before a colon and the subject of the answered
#: message; one with a colon is never the whole.
SUBJECTS: Final = (
    *("auto reply", "autoreply", "auto-reply", "automatic reply", "automatic response", "autoresponse"),
    *("auto response", "auto-response", "automated reply", "automated response", "out of office", "out of the office"),
    *("out-of-office", "out of office reply", "out of office autoreply", "out of office auto-reply"),
    *("out of office message", "ooo:", "vacation reply", "vacation message", "away from my mail"),
    *("automatische antwort", "automatische rückantwort", "abwesenheitsnotiz", "abwesenheitsbenachrichtigung"),
    *("réponse automatique", "réponse d'absence", "message d'absence", "absence du bureau", "absent du bureau"),
    *("respuesta automática", "fuera de la oficina", "fuera de oficina"),
    *("resposta automática", "fora do escritório", "ausência temporária"),
    *("risposta automatica", "fuori ufficio", "assente dall'ufficio"),
    *("automatisch antwoord", "automatische reactie", "afwezigheidsbericht"),
    *("odpowiedź automatyczna", "automatyczna odpowiedź", "poza biurem"),
    *("automatiskt svar", "autosvar", "frånvaromeddelande"),
    *("automatisk svar", "fraværsmelding", "fraværsbesked"),
    *("automaattinen vastaus", "poissa toimistosta", "poissaoloviesti"),
    *("automatická odpověď", "mimo kancelář"),
    *("автоматический ответ", "автоответ"),
    *("otomatik yanıt", "otomatik cevap", "ofis dışında"),
    *("自動応答", "自動返信", "自动答复", "自动回复"),
    *("不在办公室", "自動回覆", "자동 회신", "자동 응답", "부재 중"),
)

#: Subjects of bounces and absences that people write as well, of parcels and of themselves: before a colon, they count
#: only if what follows is the subject of an answer, such as ``Re: Your order``, or if the message is the report of a
#: mail server.
AMBIGUOUS: Final = (
    *("undeliverable", "undeliverable mail", "undeliverable message", "undelivered mail", "message undeliverable"),
    *("delivery status notification", "message delivery delayed"),
    *("auto:", "delivery failure", "delivery incomplete", "delivery has failed", "returned mail", "failure notice"),
    *("mail delivery failed", "mail delivery failure", "mail delivery system", "your message could not be delivered"),
    *("unzustellbar:", "nicht zustellbar:", "nicht im büro", "abwesenheit:", "zustellung fehlgeschlagen"),
    *("non remis:", "non distribuable:", "échec de la remise", "courrier non distribué"),
    *("no se puede entregar:", "no entregado:", "error en la entrega del mensaje", "mensaje no entregado"),
    *("não foi possível entregar:", "não é possível entregar:", "falha na entrega da mensagem", "não entregue:"),
    *("non recapitabile:", "notifica di mancato recapito", "mancato recapito", "recapito non riuscito", "fuori sede"),
    *("onbestelbaar:", "niet-bezorgd bericht", "afwezig", "niet aanwezig"),
    *("niedostarczalne:", "nie można dostarczyć:", "nieobecność"),
    *("går inte att leverera:", "ej levererbart:", "frånvaro:"),
    *("kan ikke leveres:", "uleverbar:", "ikke levert:", "fravær:", "ikke til stede"),
    *("ei voi toimittaa:", "toimittamaton:", "nedoručitelné:", "nedoručitelná:"),
    *("недоставленное сообщение", "не доставлено:", "отсутствую", "нет на рабочем месте"),
    *("teslim edilemedi:", "teslim edilemez:"),
    *("配信不能:", "配信できません:", "无法送达:", "未傳遞的主旨", "不在通知", "배달되지 않음:"),
)

#: Beginnings that only programs write.
_BEGINNINGS: Final = re.compile(
    r"\[auto(?:[- ]?(?:reply|response|responder|antwort))\]|auto: out$|auto: .*\bout of (?:the )?office\b"
    r"|out[- ]of[- ](?:the[- ])?office (?:until|till|returning|[-\u2013(])(?!.*\?)"
    r"|delivery status notification \((?:failure|delay|relay|success)"
    r"|delivery has failed to these recipients|undelivered mail returned to sender"
    r"|mail delivery failed: returning message"
    r"|returned mail: (?:see transcript|user unknown|host unknown|data format error|service unavailable)"
    r"|delivery failure: (?:user\b.*\bnot listed|error transferring"
    r"|5\d\d (?:[ -]?5\.\d|.*\b(?:user|recipient|mailbox|relay)))"
)

#: What the report of a mail server contains in any language (RFC 3464, RFC 3463), and who sends it.
_REPORT: Final = re.compile(
    r"\b(?:final|original)-recipient: ?rfc822\b|\breporting-mta: ?dns\b|\bdiagnostic-code: ?smtp\b|\bsmtp; ?[45]\d\d\b"
    r"|\bx-failed-recipients:|\bmessage/delivery-status\b|\bstatus: ?[45]\.\d{1,3}\.\d{1,3}\b"
    r"|\b[45]\d\d[ -][(#]?[45]\.\d{1,3}\.\d{1,3}\b|\b(?:mailer-daemon|postmaster)@|\bqmail-send program\b",
    re.IGNORECASE,
)

#: How many characters of a message are searched for such a report.
_SEARCHED: Final = 20_000

#: What mail programs and HappyFox put before the subject of an answer.
_ANSWERED: Final = r"(?:(?:re|aw|sv|vs|res|ynt|odp|回复|答复|返信)\s?[:：]|\[[^\]]{0,40}#[^\]]{0,40}\])\s*"
_PREFIX: Final = re.compile(_ANSWERED, re.IGNORECASE)

#: The same, and what they put before the subject of a message that is passed on: who does that is a person.
_PREFIX_OR_FORWARD: Final = rf"(?:{_ANSWERED}|(?:fw|fwd|wg|tr|rv|enc)\s?[:：]\s*)"

#: Local parts of addresses that no person reads or writes from.
_ADDRESS: Final = re.compile(
    r"(?:(?P<role>mailer[-_.]?daemon|postmaster|no[-_.]?reply|do[-_.]?not[-_.]?reply|nao[-_.]?responda|nicht[-_.]?antworten"
    r"|ne[-_.]?pas[-_.]?repondre|no[-_.]?responder|auto[-_.]?(?:reply|responder|answer)|bounces?|listserv"
    r"|mail[-_.]?delivery)(?:[-_.+0-9].*)?|(?P<server>microsoftexchange)[0-9a-f]{32})",
    re.IGNORECASE,
)

#: Where mail programs put the answered message below an answer without ``>``: its headers, or a line before them.
_ORIGINAL: Final = re.compile(
    r"^[ \t]*(?:-{3,}[^\n-]{1,60}-{3,}|_{10,}"
    r"|(?:from|von|de|da|van|från|fra|od|от|发件人|差出人)[ \t]?[:：][^\n]*@[^\n]*)[ \t\r]*$",
    re.IGNORECASE | re.MULTILINE,
)

#: An address with more comments in brackets is no address; Python's parser calls itself for each one inside another.
MOST_COMMENTS: Final = 20

#: A message of at least this many words that comes again, or returns our text, is a program's.
DISTINCTIVE: Final = 8

#: No person answers this soon after our message, this many times.
FAST: Final = timedelta(seconds=10)
FAST_ANSWERS: Final = 3

#: How many updates before a message are compared with it.
_COMPARED: Final = 200
#: How many messages of others are compared to find the last one by a person: more in a row are no conversation.
_CHECKED: Final = 50


def is_automatic(update: Update, ticket: TicketRead, staff: int) -> bool:
    """Return whether an update by a contact or a colleague looks like a program's; ``staff`` is whom we write as.

    Look at the subject and address of the message (the ticket's, for the update that opened it) and at the updates
    before it: one that returns our text, repeats an earlier message, or arrives within seconds of our message for the
    third time is automatic. An update without a message, or by anybody but a contact or a colleague, never is.
    """
    if update.author not in ("contact", "staff") or update.message is None or update.client or by_staff(update, staff):
        return False
    before = [each for each in ticket.history if each.id < update.id][-_COMPARED:]
    if _fast_answers([*before, update], staff, update.author) >= FAST_ANSWERS:
        return True
    subject, report = _subject(update, ticket, opening=not before), _is_report(update.message)
    if update.author == "staff":
        # Colleagues send the same words again, and answer below the subject of the ticket.
        return automatic_subject(subject, report=report) and not automatic_subject(ticket.subject, report=True)
    if automatic_subject(subject, report=report) or automatic_address(_address(update, ticket)):
        return True
    return _repeats(update.message, before, staff)


def automatic_subject(subject: str, *, report: bool = False) -> bool:
    """Return whether a subject is one of an out-of-office answer or a bounce; ``report`` if a mail server wrote it."""
    folded = fold(subject[:200])
    while found := _PREFIX.match(folded):
        folded = folded[found.end() :]
    return (_AUTOMATIC_REPORT if report else _AUTOMATIC).match(folded) is not None


def _is_report(message: Message) -> bool:
    """Return whether a message contains the report of a mail server about one that could not be delivered."""
    return any(_REPORT.search(each[:_SEARCHED]) for each in (message.text, message.html))


def automatic_address(address: str) -> bool:
    """Return whether an address is one that no person uses, such as ``mailer-daemon@example.com``."""
    return _ADDRESS.fullmatch(_bare(address).rpartition("@")[0]) is not None


def mailbox(address: str) -> str:
    """Return the mailbox that an address leads to, the same for all its spellings.

    These differ in the name beside the address, in case, in details (``sam+orders@``, RFC 5233), and in the form of an
    international domain. Dots remain: most providers deliver ``s.am@`` to somebody else. An address that no person uses
    counts without what programs add to it, because they may add something else each time (``bounce-124@``).
    """
    local, at, domain = _bare(address).rpartition("@")
    local = local.casefold()
    if found := _ADDRESS.fullmatch(local):
        local = found["role"] or found["server"]
    return f"{local.partition('+')[0] or local}{at}{_ascii(domain)}"


def _bare(address: str) -> str:
    """Return an address without a name, a comment, quotes or compatibility characters."""
    normalized = unicodedata.normalize("NFKC", address[:1000]).strip()
    nested = normalized.count("(") > MOST_COMMENTS
    bare = normalized if nested else parseaddr(normalized)[1] or normalized
    local, at, domain = bare.rpartition("@")
    return local.strip('"') + at + domain


def _ascii(domain: str) -> str:
    """Return a domain in lower case, each international label as DNS has it (RFC 3492), without a final dot."""
    labels = domain.lower().replace("\u3002", ".").rstrip(".").split(".")
    return ".".join(each if each.isascii() else f"xn--{each.encode('punycode').decode()}" for each in labels)


def _before_colon(subjects: Iterable[str], following: str) -> str:
    """Return an expression for these subjects, as a whole or before a colon and what follows."""
    folded = [fold(each) for each in subjects]
    with_colon, whole = (
        "|".join(re.escape(each.rstrip(":")) for each in folded if each.endswith(":") == colon)
        for colon in (True, False)
    )
    return rf"(?:(?:{with_colon}|{whole}) ?[:：] ?{following}|(?:{whole})[.!]?$)"


_AUTOMATIC, _AUTOMATIC_REPORT = (
    re.compile("|".join((_before_colon(SUBJECTS, ""), _before_colon(AMBIGUOUS, following), _BEGINNINGS.pattern)))
    for following in (_PREFIX_OR_FORWARD, "")
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
    """Return whether a message begins with our text, or has exactly the words of an earlier message of a contact.

    What it quotes is not compared: a program may quote our message, which is another one each time.
    """
    theirs, own = words(message.text or message.html), _own_words(message)
    if len(theirs) < DISTINCTIVE:
        return False
    for each in before:
        if each.message is None or each.message.private:
            continue
        earlier = words(each.message.text or each.message.html)
        if len(earlier) < DISTINCTIVE:
            continue
        if each.author == "contact":
            if theirs == earlier or (len(own) >= DISTINCTIVE and own == _own_words(each.message)):
                return True
        elif _is_automated(each, staff) and same_words(earlier, theirs):
            return True
    return False


def _own_words(message: Message) -> tuple[str, ...]:
    """Return the words of a message without those that it quotes, and without the lines that introduce a quotation."""
    original = _ORIGINAL.search(message.text)
    lines: list[str] = []
    for line in (message.text[: original.start()] if original else message.text).splitlines():
        if not line.lstrip().startswith(">"):
            lines.append(line)
            continue
        while lines and not lines[-1].strip():
            lines.pop()
        if lines and lines[-1].rstrip().endswith((":", "：")):  # it may be wrapped
            while lines and lines[-1].strip():
                lines.pop()
    return words("\n".join(lines))


def _fast_answers(updates: Sequence[Update], staff: int, author: str) -> int:
    """Count the messages of contacts, or of colleagues, that came within seconds of one that we sent.

    Return 0 if the last one did not.
    """
    ours, count, last = None, 0, False
    for update in updates:
        if update.message is None or update.message.private:
            continue
        last = False
        if _is_automated(update, staff):
            ours = update.at
        elif update.author == author:
            last = ours is not None and update.at is not None and update.at - ours <= FAST
            count += last
            ours = None
        elif update.author == "contact":  # a tool in a colleague's name does not wait for an answer
            count = 0
    return count if last else 0


def count_people(
    emails: EmailRun,
    changes: Iterable[Change],
    staff: int,
    history: Sequence[Update] = (),
    ours: Sequence[tuple[str, ...]] = (),
) -> EmailRun:
    """Return the emails in a row after these changes by others; ``staff`` is the staff member we write as.

    A person may have written before our last emails, and be read after them: those in the ``history`` still count.
    A message by our staff member is a colleague's, unless it contains the words of one of ``ours``: HappyFox may show
    our message in another form.
    """
    for change in changes:
        if change.automatic:
            continue
        colleague = change.actor.kind == "staff" and (change.actor.id != staff or _is_anothers(change, ours))
        if colleague or change.actor.kind == "contact":
            since = change.update_id or sys.maxsize
            later = sum(each.id > since and _is_automated(each, staff) and _is_public(each) for each in history)
            emails = replace(emails, unanswered=min(emails.unanswered, later))
        if colleague and emails.any and change.kind in ("staff-replied", "note-added"):
            emails = replace(emails, staff_wrote=True)
    return emails


def _is_anothers(change: Change, ours: Sequence[tuple[str, ...]]) -> bool:
    """Return whether a person who works as our staff member wrote a message."""
    theirs = words(change.html or change.text)
    return change.kind in ("staff-replied", "note-added") and not any(within(each, theirs) for each in ours)


def emails_shown(ticket: TicketRead, staff: int) -> EmailRun:
    """Return the emails in a row as the ticket shows them: our public messages since the last update by a person.

    For a ticket without a snapshot, or with one that is older than our last messages.
    """
    unanswered = checked = 0
    for update in reversed(ticket.history):
        if _is_automated(update, staff):
            unanswered += _is_public(update)
        elif update.author in ("contact", "staff"):
            checked += 1
            if checked > _CHECKED or not is_automatic(update, ticket, staff):
                break
    ours = [update.id for update in ticket.history if _is_automated(update, staff) and _is_public(update)]
    staff_wrote = any(
        update.message is not None and not _is_automated(update, staff) and not is_automatic(update, ticket, staff)
        for update in ticket.history
        if ours and update.author == "staff" and update.id > ours[-1]
    )
    return EmailRun(unanswered, bool(ours), staff_wrote)


def _is_automated(update: Update, staff: int) -> bool:
    """Return whether an update is by a program: by us, or by a client of the gateway, in any name."""
    return by_staff(update, staff) or bool(update.client)


def _is_public(update: Update) -> bool:
    return update.message is not None and not update.message.private
