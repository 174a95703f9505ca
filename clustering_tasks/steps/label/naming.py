"""The label of each cluster and its key phrases: what best finds its members, in plain words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from clustering_tasks.arrays import I64
from clustering_tasks.language.english import DATES, NOUN_OF, OPENS_NOUN
from clustering_tasks.language.entity_names import (
    Entity,
    name_entity,
    names_in,
    stands_for_a_name,
)
from clustering_tasks.language.mending import mended
from clustering_tasks.stage3.words import has_runs, parts_of, pieces_of
from clustering_tasks.steps.label.clauses import LONGEST, clauses, head, subclauses
from clustering_tasks.steps.label.copies import once_each, texts_of
from clustering_tasks.steps.label.members import Columns
from clustering_tasks.steps.label.plainness import plainness
from clustering_tasks.steps.label.sentences import sentences, split_before
from clustering_tasks.steps.label.titles import shorten
from clustering_tasks.steps.label.verbs import WORD, holds, is_verb
from clustering_tasks.steps.label.words import Words

CENTRAL = 10  # members whose texts are considered: the most central say what a cluster is about
MOST_CENTRAL = 2 * CENTRAL  # of mentions, whose sentences show what stands beside them
_ENOUGH = 6  # candidates, beyond which no sentence is shortened
_CUT_UP = 6  # of their texts
_SENTENCES = 3  # of a text
_PHRASES = 3
_DAYS = 3
_SHOWN = 3  # texts that show how phrases are written
_READ = 400  # characters of such a text
_BETWEEN, _SMALL_WORD = 2, 3  # words between the two of a pair, and their letters
_LESS_CENTRAL = 0.99
_WITHOUT_TRIGGER = 0.6
_TEMPLATE = 0.3
_SHORTENED = 0.9
_SAME = 40  # characters with which two texts begin that are one
_VERB = 0.3  # of a template that a verb would lead
_EDGES = " .,;:!?\"'()[]\u201c\u201d\u2018\u2019\u2026\u00ab\u00bb-\u2013\u2014"
_UNNAMED = {"PER": "person", "ORG": "organisation", "GPE": "place", "LOC": "place", "DATE": "time"}


@dataclass(frozen=True)
class Proposal:
    """What a cluster may be called.

    Attributes:
        ranked: labels of one line, the best first; none where its members have no text.
        tellers: what may stand behind one in brackets, where another cluster has the same; then
            `days_of`.
        phrases: up to three, the best first.
        entity: at the level of entities.
    """

    ranked: list[str]
    tellers: list[str]
    phrases: list[str]
    entity: Entity | None = None


@dataclass(frozen=True)
class Namer:
    """Proposes labels of the clusters of a level, each by itself.

    Attributes:
        level: its name.
        common: of entities, what is no name, from `common_nouns`.
    """

    level: str
    common: frozenset[str] = frozenset()

    def propose(self, members: Columns, central: I64, words: Words) -> Proposal:
        """Propose labels of a cluster.

        Args:
            members: its items.
            central: up to `MOST_CENTRAL` of their rows, the most central first; from `different`.
            words: of their texts.
        """
        if self.level == "entities":
            return self._entity(members, central)
        texts = _texts(members, central, self.level)
        if not texts:
            return Proposal([], [], [])
        phrases = _phrases(words, texts)
        triggers = _triggers(members) if self.level == "events" else []
        ranked = _ranked(texts, words, triggers)
        tellers = [*triggers[:1], *phrases, *words.keywords]
        if not ranked:
            whole = _from_phrases(phrases) or shorten(texts[0]) or texts[0].strip()[:LONGEST]
            ranked, tellers = [whole] if whole else [], []
        return Proposal(ranked, tellers, phrases[:_PHRASES])

    def _entity(self, members: Columns, central: I64) -> Proposal:
        entity = name_entity(members["title"].tolist(), self.common)
        named = name_entity(once_each(members), self.common)
        if entity is None or named is None:
            return Proposal([], [], [])
        entity = replace(entity, name=named.name)
        around = _around(members["sentence"][central].tolist(), entity)
        label = shorten(entity.name)
        if entity.kind == "pronoun":
            kind = next(filter(None, members["entity_type"].tolist()), "")
            label = f"unnamed {_UNNAMED.get(kind, 'entity')}"
        day = [str(t)[:10] for t in members["start_time"][central].tolist() if t][:1]
        tellers = [*day, *around] if kind_of_time(members) else [*around, *day]
        ranked = [label]
        if entity.kind != "name" and tellers:
            known = [f"{label} ({teller})" for teller in tellers[:3] if len(teller) < LONGEST // 2]
            ranked = known or ranked
        return Proposal(ranked, tellers, around[:_PHRASES], entity)


def days_of(members: Columns) -> list[str]:
    """Return the first days of a cluster, which tell it from others at the last."""
    return sorted({str(t)[:10] for t in members["start_time"].tolist() if t is not None})[:_DAYS]


def kind_of_time(members: Columns) -> bool:
    """Whether the members are dates or times."""
    return next(filter(None, members["entity_type"].tolist()), "") in ("DATE", "TIME")


def _texts(members: Columns, central: I64, level: str) -> list[str]:
    """Return the different texts of the most central members, most central first."""
    return list(filter(None, texts_of(members, central[:CENTRAL], level)))


def _triggers(members: Columns) -> list[str]:
    """Return the words that the events have for what happens, the most frequent first."""
    short = (m for m in members["mention"].tolist() if m and len(m) <= LONGEST // 3)
    counts = _counted(short)
    named = {m: n for m, n in counts.items() if not stands_for_a_name(m)} or counts
    return sorted(named, key=lambda m: (-named[m], -len(m), m))


def _ranked(texts: list[str], words: Words, triggers: list[str]) -> list[str]:
    """Return the labels that may be given, the best first."""
    best = texts
    if len(texts) > _CUT_UP:
        chosen = sorted(texts, key=lambda text: -words.fit(text)[0])[:_CUT_UP]
        best = [text for text in texts if text in chosen]
    worth = _worth(best, words, triggers)
    if not worth and best is not texts:
        worth = _worth(texts, words, triggers)
    # rounded: the last bits depend on the processor's logarithm
    return sorted(worth, key=lambda label: (-round(worth[label], 5), len(label), label))


def _worth(texts: list[str], words: Words, triggers: list[str]) -> dict[str, float]:
    """Return what of the texts may be a label, and how good it would be."""
    worth: dict[str, float] = {}
    split = list(enumerate(_split(texts)))
    # what is short first: to shorten a sentence takes most of the time
    for rank, sentence in sorted(split, key=lambda each: len(each[1]) > LONGEST):
        if len(sentence) > LONGEST and len(worth) >= _ENOUGH:
            break
        within = subclauses(sentence) if triggers and len(sentence) > LONGEST else []
        for clause in [*clauses(sentence), *within]:
            value = (words.fit(clause)[0] + 1e-6) * plainness(clause) * _LESS_CENTRAL**rank
            if len(clause) < len(sentence):
                value *= 0.5 + (_SHORTENED - 0.5) * len(clause) / min(len(sentence), LONGEST)
            if triggers and not _tells(clause, triggers):
                value *= _WITHOUT_TRIGGER
            worth[clause] = max(value, worth.get(clause, 0.0))
    if triggers and not any(_tells(clause, triggers) for clause in worth):
        for rank, sentence in split:
            if _tells(beginning := head(sentence), triggers):
                value = words.fit(beginning)[0] * plainness(beginning) * _LESS_CENTRAL**rank
                worth[beginning] = _SHORTENED * value
    if triggers and len(worth) < _ENOUGH and (template := _template(triggers[0], texts)):
        verb = is_verb(triggers[0])
        worth[template] = (words.fit(template)[0] + 1e-6) * _TEMPLATE * (_VERB if verb else 1)
    return worth


def _tells(text: str, triggers: list[str]) -> bool:
    return any(holds(text, trigger) for trigger in triggers)


def _split(texts: list[str]) -> list[str]:
    """Cut texts into sentences, also where one text begins within another one."""
    found = list(dict.fromkeys(s for text in texts for s in sentences(text)[:_SENTENCES]))
    starts = [s[:_SAME] for s in found if len(s) >= _SAME]
    cut = list[str]()
    for sentence in found:
        later = sentence[16:]
        within = [s for s in starts if s in later]
        cut += split_before(sentence, within[0]) if within else [sentence]
    return list(dict.fromkeys(cut))


def _template(trigger: str, texts: list[str]) -> str:
    """Say what happens, and of whom or where, of an event whose sentences cannot be shortened."""
    act = NOUN_OF.get(trigger.lower(), trigger)
    told = [name for name in _names(texts[:_SHOWN]) if not holds(name, trigger)][:2]
    label = f"{act[:1].upper()}{act[1:]}: {', '.join(told)}"
    return label if told and len(label) <= LONGEST else ""


def _from_phrases(phrases: list[str]) -> str:
    label = ", ".join(phrases[:_PHRASES])
    return label[:1].upper() + label[1:] if len(label) <= LONGEST else ""


def _phrases(words: Words, texts: list[str]) -> list[str]:
    """Return the keywords that tell the cluster from its rivals best, as its texts write them."""
    shown = [mended(text[:_READ]) for text in texts[:_SHOWN]]
    names = {name: name.lower().split() for name in _names(shown)}
    tokens = [parts_of(text, WORD) for text in shown]
    said_in = [list(map(str.lower, each)) for each in tokens]
    found, taken = list[str](), set[str]()
    for term in words.telling_first():
        phrase = _as_written(term, tokens, said_in, names)
        low = phrase.lower().split()
        tells = not DATES.issuperset(low)  # of no phrase nothing, and of a weekday little
        if tells and len(phrase) <= LONGEST // 2 and taken.isdisjoint(low):
            found.append(phrase)
            taken.update(low)
            if len(found) > _PHRASES:
                break
    return found


def _as_written(
    term: str, tokens: list[list[str]], said_in: list[list[str]], names: dict[str, list[str]]
) -> str:
    """Return a term as texts write it: a name whole, with the small words between its words."""
    first, _, second = term.partition(" ")
    if not second:
        whole = next((n for n, parts in names.items() if first in parts and len(parts) <= 3), "")
        if whole or has_runs(term):
            return whole or term
    found: dict[str, int] = {}
    for own, low in zip(tokens, said_in, strict=True):
        if first in low:
            at = low.index(first)
            end = _end(low, at, second) if second else at + 1
            if end:
                form = " ".join(own[at:end])
                found[form] = found.get(form, 0) + 1
    if len(found) == 1:
        return next(iter(found))
    # of equals the one with fewer capitals: a headline has them on every word
    written = min(found, key=lambda f: (-found[f], sum(map(str.isupper, f)), f), default="")
    return written or ("" if second else term)


def _end(low: list[str], at: int, second: str) -> int:
    """Find where a pair of words ends that begins at a word; 0 where more is between them.

    With "the" right behind the first word, the second begins a phrase of its own.
    """
    if not OPENS_NOUN.isdisjoint(low[at + 1 : at + 2]):
        return 0
    for end in range(at + 1, min(at + 2 + _BETWEEN, len(low))):
        if low[end] == second:
            return end + 1
        if len(low[end]) > _SMALL_WORD:
            break
    return 0


def _names(texts: Iterable[str]) -> list[str]:
    """Return the names in texts, the most frequent first; headlines in capitals have none."""
    counts = _counted(name for text in texts for name in dict.fromkeys(names_in(text)))
    return sorted(counts, key=lambda name: (-counts[name] * (1 + (" " in name)), name))


def _counted(said: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}  # a `Counter` of so few takes three times as long
    for each in said:
        counts[each] = counts.get(each, 0) + 1
    return counts


def _around(sentences_: Iterable[str | None], entity: Entity) -> list[str]:
    """Return the names that stand beside an entity most often."""
    own = pieces_of(" ".join([entity.name, *entity.counts]))
    counts = Counter[str]()
    for sentence in filter(None, sentences_):
        counts.update(set(names_in(mended(sentence[:_READ]))))
    beside = [name for name in counts if own.isdisjoint(pieces_of(name)) and len(name) < 40]
    return sorted(beside, key=lambda name: (-counts[name] * (1 + (" " in name)), name))[:6]
