"""Text as people are to read it, and as it is compared: one rule for all that Stage 3 writes.

`clean` makes one text of all its encodings. It keeps Unicode's normal form C: the compatibility
form KC would change what people read ("m²" to "m2", "10²" to "102"). `matching` takes KC, because
to compare is another matter: full and half width, ligatures and circled digits are one.
"""

import json
import re
from functools import lru_cache
from html import unescape
from unicodedata import category, is_normalized, normalize

# Printable letters and signs of which each is in normal form C and seen, whatever stands beside it;
# what most texts are made of, so that nothing is to do.
_UNUSUAL = re.compile(
    "[^ -%'-;=-~\xa1-\xac\xae-\u02ff\u0400-\u0482\u048a-\u052f\u2010-\u2027\u20a0-\u20bf]"
)

# Tags of HTML by name, so that "a < b" and "<name withheld>" stay. A block is a blank.
_INLINE = (
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark|q|rp|rt|"
    "ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr"
)
_BLOCK = (
    "address|article|aside|audio|blockquote|body|br|button|caption|center|dd|div|dl|dt|figcaption|"
    "figure|footer|form|h[1-6]|head|header|hr|html|iframe|input|li|link|main|meta|nav|ol|option|p|"
    "picture|pre|section|select|source|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
# "a <b and c> d" has none. Of the last tag the end may be cut off.
_ATTRIBUTES = r"(?:\s*/?>|\s[^<>]*=[^<>]*(?:>|$))"
_UNREAD = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.I | re.S)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.S)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE}){_ATTRIBUTES}", re.I)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK}){_ATTRIBUTES}", re.I)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ROUNDS = 4  # feeds escape what was escaped before; without a limit "&amp;amp;amp;..." is a trap

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\].*?(?:\x07|\x1b\\|$)|[@-Z\\^_])", re.S)
_C1 = re.compile(r"[\x80-\x9f]")
_MOJIBAKE = re.compile(r"[\xc2-\xf4][\x80-\xbf]+")
# What nobody sees: controls, directions, zero widths, fillers, variation selectors, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffc\ufffe\uffff]"
)
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # no encoding of a terminal or a file has it
# Apart: with these in one class `re` compares every range with every letter.
_INVISIBLE_BEYOND = re.compile("[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")
UNSEEN = f"{_INVISIBLE.pattern}|{_INVISIBLE_BEYOND.pattern}"
"""What `visible` removes, as a regular expression; the pages have it from here."""
_UNSEEN_IN_JSON = re.compile(f"{UNSEEN}|[\x85\u2028\u2029]")
# Joiners write Persian, Hindi, Khmer and families of emoji; after anything else they are nothing.
_JOINED = "\u0600-\u08ff\u0900-\u0dff\u0e80-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc"
_STRAY_JOINER = re.compile(f"(?<![{_JOINED}\u2190-\u2bff\U0001f000-\U0001faff])[\u200c\u200d]+")
_JOINERS = re.compile("[\u200c\u200d]")
# Vowel points of Arabic and Hebrew, and the stroke that only lengthens a word.
_SEMITIC = re.compile("[\u0591-\u0670]")
_POINTS = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]"
)

_EDGE = " []()<>{}*_.:;!?-\"'\u2013\u2014\u2018\u2019\u201c\u201d\u2026\xab\xbb"
_PLACEHOLDER_LENGTH = 40
_RECURRING_LENGTH = 60  # characters of names, types, triggers: remembered
# What stands where no text is; compared by `matching`, without the signs around it.
_PLACEHOLDERS = frozenset(
    placeholder.strip()
    for line in """
        untitled; untitled document; untitled article; untitled post; untitled page
        no title; no title available; no title found; title unavailable; title not available
        title missing; missing title; without title; no headline
        no text; no content; no description; no data
        content removed; article removed; article deleted; removed by author; deleted by author
        page not found; 404 not found; 404; 403 forbidden; access denied; just a moment
        attention required | cloudflare; are you a robot; subscribe to read
        n/a; null; none; nil; nan; undefined; tbd; lorem ipsum; auto draft
        ohne titel; kein titel; sans titre; sin título; sem título; senza titolo; zonder titel
        uden titel; utan titel; uten tittel; bez tytułu; bez názvu; fără titlu; başliksiz
        başlik yok; tanpa judul; không có tiêu đề; χωρίσ τίτλο
        без названия; без заголовка; без назви; بدون عنوان; بلا عنوان; ללא כותרת
        शीर्षकहीन; बिना शीर्षक; 無題; 无标题; 無標題; タイトルなし; 제목 없음; ไม่มีชื่อ
    """.strip().splitlines()
    for placeholder in line.split(";")
)
_STARTS = frozenset(placeholder[:2] for placeholder in _PLACEHOLDERS)
_IN_BRACKETS = frozenset(
    {"removed", "deleted", "redacted", "title", "headline", "unknown", "blank", "empty", "missing"}
    | {"unavailable", "not available", "withheld", "object object", "supprimé", "gelöscht"}
    | {"eliminado", "удалено", "已删除", "削除済み"}
)


def clean(text: str) -> str:
    """Make one line of plain text for people.

    Tags and entities of HTML become what they stand for; what nobody sees is removed, also what
    changes the direction of the text around it; every blank is one blank. A text of nothing that
    is seen is "".
    """
    if text.isascii():
        plain = text.isprintable() and "&" not in text and "<" not in text
    else:
        plain = _UNUSUAL.search(text) is None
    if plain:
        return (" ".join(text.split()) if "  " in text else text).strip()
    if _C1.search(text):
        text = _C1.sub(_as_windows, _MOJIBAKE.sub(_as_utf8, text))
    if "<" in text or "&" in text:
        text = _without_markup(text)
    text = visible(text)
    if not is_normalized("NFC", text):
        text = normalize("NFC", text)
    text = " ".join(text.split())
    return text if text.isascii() or _is_seen(text) else ""


def visible(text: str) -> str:
    """Return a text without what nobody sees, and what moves a cursor or turns the line round.

    Its letters, blanks and lines stay as they are, so it is for whatever a person reads: `clean`
    uses it for labels and keywords, terminals and messages for ids and for others' words.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_END.sub("\n", _INVISIBLE.sub("", _TERMINAL.sub("", text)))
    text = _HALF_A_PAIR.sub("\ufffd", text)
    return _STRAY_JOINER.sub("", _INVISIBLE_BEYOND.sub("", text))


def one_line(text: str) -> str:
    """Return a text as `visible`, each run of blanks and line ends as one blank."""
    return " ".join(visible(text).split())


def cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters; the last one marks what is left out."""
    if len(text) <= most:
        return text
    end = most - 1
    while end > 0 and category(text[end])[0] == "M":  # a mark stays with its letter
        end -= 1
    return text[:end] + "…"


def escape_unseen(text: str) -> str:
    """Return a text of JSON that is equal as JSON: what nobody sees is written out (`\\u202e`)."""
    return text if text.isascii() and "\x7f" not in text else _UNSEEN_IN_JSON.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def readable(text: str) -> str:
    """Clean a text; "" for what stands where no text is: `[Removed]`, `Untitled`, `--`."""
    return _known(text) if len(text) <= _RECURRING_LENGTH else _readable(text)


# Items in the order of their ids: what recurs is near. 16,384 texts no longer fit into the
# processor's cache beside the rows, and where nothing recurs took a sixth more.
@lru_cache(1 << 11)
def _known(text: str) -> str:
    return _readable(text)


def _readable(text: str) -> str:
    text = clean(text)
    if len(text) > _PLACEHOLDER_LENGTH or (text[:2].lower() not in _STARTS and text[:1].isalnum()):
        return text  # nearly always
    return "" if _is_placeholder(text) else text


def matching(text: str) -> str:
    """Return what a clean text is compared by: no case, width, vowel point or dot of an i."""
    if text.isascii():
        return text.lower()
    folded = normalize("NFKC", _JOINERS.sub("", text)).casefold()
    return unpointed(normalize("NFC", folded.replace("i\u0307", "i").replace("\u0131", "i")))


def has_points(text: str) -> bool:
    """Whether a text has Arabic or Hebrew vowel points."""
    return not text.isascii() and _SEMITIC.search(text) is not None and unpointed(text) != text


def unpointed(word: str) -> str:
    """Return a word without Arabic and Hebrew vowel points, as most texts write it."""
    return word if word.isascii() else _POINTS.sub("", word)


def _without_markup(text: str) -> str:
    for _ in range(_ROUNDS):
        before = text
        if "<" in text:
            text = _UNREAD.sub(" ", _CDATA.sub(r"\1", text))
            text = _INLINE_TAG.sub("", _BLOCK_TAG.sub(" ", text))
        if "&" in text:
            text = _ENTITY.sub(lambda entity: unescape(entity[0]), text)
        if text == before:
            break
    return text


def _as_utf8(found: re.Match[str]) -> str:
    """Return what bytes of UTF-8 say that were read as Latin-1, else the same."""
    try:
        return found[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        return found[0]


def _as_windows(found: re.Match[str]) -> str:
    """Return the quote or dash that Windows has where Latin-1 has a control character."""
    return found[0].encode("latin-1").decode("cp1252", "ignore")


def _is_seen(text: str) -> bool:
    return any(character.isalnum() or category(character)[0] in "PS" for character in text)


def _is_placeholder(text: str) -> bool:
    bare = matching(text.strip(_EDGE))
    if not bare:
        return not any(category(character)[0] == "S" for character in text)
    return bare in _PLACEHOLDERS or (bare in _IN_BRACKETS and text[0] in "[(<{")
