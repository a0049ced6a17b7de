"""Find what a person has newly written in a message: without quoted history, signature and styles.

HappyFox passes on what mail programs send: the whole conversation below each answer. A forwarded message is new here,
so it stays. What is recognized is listed below, in the languages of the most widely used mail programs. It takes time
proportional to the length of the message.
"""

# ruff: noqa: RUF001 - the words are in many scripts

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from workers.tickets.folding import fold
from workers.tickets.text import lines

#: A longer line is no heading, no signature and no separator.
_LONGEST: Final = 300
#: "On Monday Sam wrote:" may be wrapped into this many lines.
_WRAPPED: Final = 4
#: More lines than this after "Thanks," are no signature.
_SIGNATURE_LINES: Final = 8

_MARKUP: Final = re.compile(r"</(?:style|script)|<(?:!doctype html|html|body|div|blockquote)\b", re.IGNORECASE)
_STYLE_RULE: Final = re.compile(r"^[ \t]*[@.#*\w][^{}\n;]{0,200}\s*\{([^{}]*)\}", re.MULTILINE)

#: Lines from which on everything is history.
_SEPARATOR: Final = re.compile(
    r"-{2,}\s*(?:original message|ursprungliche nachricht|ursprüngliche nachricht|message d'origine|message original"
    r"|mensaje original|mensagem original|messaggio originale|oorspronkelijk bericht|wiadomość oryginalna"
    r"|oryginalna wiadomość|ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|alkuperäinen viesti"
    r"|původní zpráva|исходное сообщение|orijinal ileti|元のメッセージ|原始邮件|원본 메시지)\s*-{2,}"
    r"|[#\s=*-]*(?:please )?(?:type your reply|reply|write your reply|respond) above this line.{0,40}"
)
#: Lines after which everything is new, because it was forwarded.
_FORWARDED: Final = re.compile(
    r"(?:-{2,}\s*)?(?:begin forwarded message|forwarded message|weitergeleitete nachricht|anfang der weitergeleiteten"
    r" nachricht|message transféré|début du message réexpédié|mensaje reenviado|inicio del mensaje reenviado"
    r"|mensagem encaminhada|messaggio inoltrato|inizio messaggio inoltrato|doorgestuurd bericht|begin doorgestuurd"
    r" bericht|przekazana wiadomość|wiadomość przekazana|vidarebefordrat meddelande|vidarebefordrat brev"
    r"|videresendt (?:meddelelse|melding|besked)|välitetty viesti|přeposlaná zpráva|пересылаемое сообщение"
    r"|iletilen mesaj|転送されたメッセージ|转发的邮件|전달된 메시지)(?:\s*-{2,}|:)"
)
#: The headings of a quoted message; one of `from` and two others make a quote.
_FROM: Final = re.compile(
    r"\W{0,2}(?:from|von|de|da|van|od|från|fra|lähettäjä|от|kimden|差出人|发件人|보낸 사람)\W{0,2} ?:"
)
_HEADING: Final = re.compile(
    r"\W{0,2}(?:sent|date|to|cc|subject|gesendet|datum|an|betreff|envoyé|à|objet|enviado|fecha|para|asunto|assunto"
    r"|data|inviato|a|oggetto|verzonden|aan|onderwerp|wysłano|do|temat|skickat|till|ämne|sendt|dato|til|emne"
    r"|lähetetty|vastaanottaja|aihe|odesláno|komu|předmět|отправлено|дата|кому|тема|gönderildi|tarih|kime|konu"
    r"|送信日時|日付|宛先|件名|发送时间|日期|收件人|主题|날짜|받는 사람|제목)\W{0,2} ?:"
)
#: "On Monday, 5 January 2026 at 10:00 Sam wrote:" in lines that are joined; a date or time has to be in it.
_WROTE: Final = re.compile(
    r"(?:on|am|le|el|em|il|op|den|dnia|w dniu|på|dne) .*\b(?:wrote|schrieb\b.*|a écrit|escribió|escreveu|ha scritto"
    r"|schreef\b.*|skrev\b.*|napisał(?:\(a\)|a)?|napsal(?:\(a\)|a)?) ?:"
    r"|.*(?:wrote|napisał(?:\(a\)|a)?|kirjoitti|napsal(?:\(a\)|a)?|пишет|написал(?:\(а\)|а)?|(?:şunu|sunu) yazdi|yazdi"
    r"|のメール|は書きました|写道|寫道|님이 작성) ?:"
    r"|.*\d{1,2}:\d\d.*<[^<>\s]+@[^<>\s]+> ?:"
)
_DATE: Final = re.compile(r"\d{1,2}[:.]\d\d|\d{4}|\d{1,2}[./]\d{1,2}")

_DEVICE: Final = re.compile(
    r"(?:sent from (?:my|outlook|yahoo|mail for|proton)|get outlook for|von (?:meinem|meiner) .*gesendet"
    r"|gesendet (?:von|mit)|envoyé (?:de|depuis) |enviado (?:desde|do|a partir)|inviato da|verzonden vanaf"
    r"|verstuurd vanaf|wysłane z|skickat från|sendt fra|lähetetty |odesláno z|отправлено (?:с|из)|.*iphone'umdan"
    r"|iphoneから送信|发自我的|나의 iphone)"
)
#: What people write before their name, alone on a line or followed by the name.
_CLOSINGS: Final = frozenset(
    map(
        fold,
        (
            *("best regards", "kind regards", "kindest regards", "warm regards", "warmest regards", "many regards"),
            *("regards", "with best regards", "with kind regards", "best wishes", "kind wishes", "yours sincerely"),
            *("sincerely", "sincerely yours", "yours faithfully", "yours truly", "respectfully", "with thanks"),
            *("mit freundlichen grüßen", "mit freundlichem gruß", "mit besten grüßen", "mit besten grüssen"),
            *("freundliche grüße", "viele grüße", "liebe grüße", "beste grüße", "herzliche grüße", "schöne grüße"),
            *("mfg", "lg", "vg", "gruß", "grüße", "hochachtungsvoll", "cordialement", "bien cordialement"),
            *("bien à vous", "sincères salutations", "meilleures salutations", "salutations", "amicalement"),
            *("saludos", "un saludo", "saludos cordiales", "un cordial saludo", "atentamente", "cordialmente"),
            *("atenciosamente", "att", "cumprimentos", "com os melhores cumprimentos", "melhores cumprimentos"),
            *("cordiali saluti", "distinti saluti", "saluti", "un saluto", "met vriendelijke groet"),
            *("met vriendelijke groeten", "vriendelijke groeten", "vriendelijke groet", "groeten", "groetjes"),
            *("hartelijke groeten", "pozdrawiam", "z poważaniem", "med vänliga hälsningar", "vänliga hälsningar"),
            *("vänligen", "mvh", "hälsningar", "med venlig hilsen", "venlig hilsen", "de bedste hilsner"),
            *("med vennlig hilsen", "vennlig hilsen", "hilsen", "ystävällisin terveisin", "terveisin"),
            *("s pozdravem", "s přátelským pozdravem", "с уважением", "с наилучшими пожеланиями", "saygılarımla"),
            *(
                "iyi çalışmalar",
                "よろしくお願いいたします",
                "よろしくお願いします",
                "敬具",
                "此致",
                "此致敬礼",
                "감사합니다",
            ),
        ),
    )
)
#: The same for what may also begin an ordinary sentence.
_THANKS: Final = frozenset(
    map(
        fold,
        (
            *("thanks", "thank you", "many thanks", "thanks a lot", "thanks again", "thanks in advance"),
            *("thank you in advance", "thank you very much", "thanks so much", "thx", "cheers", "best", "all the best"),
            *("danke", "vielen dank", "besten dank", "danke im voraus", "vielen dank im voraus", "merci", "gracias"),
            *("merci d'avance", "muchas gracias", "obrigado", "obrigada", "grazie", "grazie mille", "bedankt"),
            *("alvast bedankt", "dank u", "dziękuję", "tack", "tak", "takk", "kiitos", "děkuji", "спасибо"),
            *("teşekkürler", "ありがとうございます", "谢谢"),
        ),
    )
)
_POSTSCRIPT: Final = re.compile(r"p\.? ?p?\.? ?s\.?(?:[:.,-]| )")


def new_text(text: str, html: str = "", *, opening: bool = False) -> str:
    """Return the new words of a message, which is given as text, as HTML, or as both.

    A message that has none returns an empty text, unless it is the ``opening`` one of its ticket: then all of it
    is new.
    """
    whole = lines(html) if html.strip() else text
    if "<" in whole and _MARKUP.search(whole):
        whole = lines(whole)
    if "{" in whole:
        whole = _STYLE_RULE.sub(lambda rule: "" if ":" in rule[1] and ";" in rule[1] else rule[0], whole)
    found = "\n".join(_without_signature(*_without_history(whole.splitlines())))
    return found if found.strip() or not opening else whole


def _without_history(written: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a message into its own lines, without history, and those of a forwarded message."""
    folded = [fold(line) if len(line) <= _LONGEST else "" for line in written]
    own: list[str] = []
    at = 0
    while at < len(written):
        line = folded[at]
        if _FORWARDED.fullmatch(line):
            return own, list(written[at:])
        if _SEPARATOR.fullmatch(line) or _is_heading(folded, at, own):
            while own and not own[-1].strip(" \t_*=-"):
                own.pop()  # the ruler above the headings
            break
        if length := _attribution(folded, at):
            at += length
            below = next((each for each in folded[at:] if each), "")
            if not below.startswith(">"):
                break
            continue
        if not written[at].lstrip().startswith(">"):
            own.append(written[at])
        at += 1
    return own, []


def _attribution(folded: Sequence[str], at: int) -> int:
    """Return how many lines say who wrote what follows, 0 if none do."""
    if not folded[at] or folded[at].startswith(">"):
        return 0
    for length in range(1, _WRAPPED + 1):
        line = folded[at + length - 1 : at + length]
        if not line or not line[0]:
            return 0
        if line[0].endswith(":"):
            joined = " ".join(folded[at : at + length])
            return length if len(joined) <= _LONGEST and _DATE.search(joined) and _WROTE.fullmatch(joined) else 0
    return 0


def _is_heading(folded: Sequence[str], at: int, own: Iterable[str]) -> bool:
    """Return whether the headings of a quoted message begin here; without words before them, it was forwarded."""
    if not _FROM.match(folded[at]):
        return False
    following = [each for each in folded[at + 1 : at + 12] if each][:5]
    return sum(_HEADING.match(each) is not None for each in following) >= 2 and any(each.strip() for each in own)


def _without_signature(own: Sequence[str], forwarded: Sequence[str]) -> Iterator[str]:
    """Yield a message's own lines up to its signature, then a postscript, then what it forwards."""
    folded = [fold(line) if len(line) <= _LONGEST else "..." for line in own]
    began = signed = False
    for at, (line, plain) in enumerate(zip(own, folded, strict=True)):
        if signed and _POSTSCRIPT.match(plain):
            signed = False
        elif not signed and began and _ends(folded, at):
            signed = True
        began = began or bool(plain)
        if not signed and not _DEVICE.match(plain):
            yield line
    yield from forwarded


def _ends(folded: Sequence[str], at: int) -> bool:
    """Return whether a signature begins with this line."""
    line = folded[at].rstrip(" ,.!-")
    if folded[at] in ("--", "__") or line in _CLOSINGS:
        return True
    closing, comma, name = folded[at].partition(",")
    if comma and closing in _CLOSINGS and len(name.split()) <= 4:
        return True
    if line not in _THANKS:
        return False
    following = [each for each in folded[at + 1 : at + 4 * _SIGNATURE_LINES] if each]
    return 0 < len(following) <= _SIGNATURE_LINES and not any(map(_is_sentence, following))


def _is_sentence(line: str) -> bool:
    words = len(line.split())
    return line.endswith("?") or words > 8 or (words >= 4 and line.endswith((".", "!", ":")))
