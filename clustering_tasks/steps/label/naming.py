"""The label of each cluster and its key phrases: what best finds its members, in plain words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from clustering_tasks.arrays import I64
from clustering_tasks.language.english import DATES, NOUN_OF
from clustering_tasks.language.entity_names import (
    Entity,
    name_entity,
    names_in,
    stands_for_a_name,
)
from clustering_tasks.language.mending import mended
from clustering_tasks.stage3.words import pieces_of
from clustering_tasks.steps.label.clauses import LONGEST, clauses, head, subclauses, unattributed
from clustering_tasks.steps.label.copies import once_each, texts_of
from clustering_tasks.steps.label.members import Columns
from clustering_tasks.steps.label.phrases import Written, counted, names_of
from clustering_tasks.steps.label.plainness import plainness
from clustering_tasks.steps.label.sentences import sentences, split_before
from clustering_tasks.steps.label.titles import shorten
from clustering_tasks.steps.label.verbs import holds, is_verb
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
_LESS_CENTRAL = 0.99
_WITHOUT_TRIGGER = 0.6
_TEMPLATE = 0.3
_SHORTENED = 0.9
_UNATTRIBUTED = 0.6  # of what somebody says, where there is no room for who does
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
    counts = counted(short)
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
    untold = list[tuple[int, str]]()  # sentences that leave no room for who says them
    # what is short first: to shorten a sentence takes most of the time
    for rank, sentence in sorted(split, key=lambda each: len(each[1]) > LONGEST):
        if len(sentence) > LONGEST and len(worth) >= _ENOUGH:
            break
        within = subclauses(sentence) if triggers and len(sentence) > LONGEST else []
        told = [*clauses(sentence), *within]
        untold += [] if told else [(rank, sentence)]
        for clause in told:
            value = _value(clause, rank, words, triggers)
            if len(clause) < len(sentence):
                value *= 0.5 + (_SHORTENED - 0.5) * len(clause) / min(len(sentence), LONGEST)
            worth[clause] = max(value, worth.get(clause, 0.0))
    if triggers and not _any_tells(worth, triggers):
        beginnings = ((rank, head(sentence)) for rank, sentence in split)
        found = (each for each in beginnings if _tells(each[1], triggers))
        worth |= {text: _SHORTENED * _value(text, rank, words, triggers) for rank, text in found}
        untold = untold if _any_tells(worth, triggers) else split
    for rank, sentence in untold:
        for clause in unattributed(sentence):
            value = _UNATTRIBUTED * _value(clause, rank, words, triggers)
            worth[clause] = max(value, worth.get(clause, 0.0))
    return worth | _template_worth(worth, words, triggers, texts)


def _any_tells(worth: Iterable[str], triggers: list[str]) -> bool:
    return any(_tells(clause, triggers) for clause in worth)


def _template_worth(
    worth: dict[str, float], words: Words, triggers: list[str], texts: list[str]
) -> dict[str, float]:
    """Return the template of an event that has few candidates, and how good it would be."""
    template = _template(triggers[0], texts) if triggers and len(worth) < _ENOUGH else ""
    factor = _TEMPLATE * (_VERB if triggers and is_verb(triggers[0]) else 1)
    return {template: (words.fit(template)[0] + 1e-6) * factor} if template else {}


def _value(clause: str, rank: int, words: Words, triggers: list[str]) -> float:
    value = (words.fit(clause)[0] + 1e-6) * plainness(clause) * _LESS_CENTRAL**rank
    return value if _tells(clause, triggers) or not triggers else value * _WITHOUT_TRIGGER


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
    told = [name for name in names_of(texts[:_SHOWN]) if not holds(name, trigger)][:2]
    label = f"{act[:1].upper()}{act[1:]}: {', '.join(told)}"
    return label if told and len(label) <= LONGEST else ""


def _from_phrases(phrases: list[str]) -> str:
    label = ", ".join(phrases[:_PHRASES])
    return label[:1].upper() + label[1:] if len(label) <= LONGEST else ""


def _phrases(words: Words, texts: list[str]) -> list[str]:
    """Return the keywords that tell the cluster from its rivals best, as its texts write them."""
    written = Written.of([mended(text[:_READ]) for text in texts[:_SHOWN]])
    found, taken = list[str](), set[str]()
    terms = words.telling_first()
    for phrase in chain(map(written.phrase, terms), map(written.name_in, terms)):
        low = phrase.lower().split()
        tells = not DATES.issuperset(low)  # of no phrase nothing, and of a weekday little
        if tells and len(phrase) <= LONGEST // 2 and taken.isdisjoint(low):
            found.append(phrase)
            taken.update(low)
            if len(found) > _PHRASES:
                break
    return found


def _around(sentences_: Iterable[str | None], entity: Entity) -> list[str]:
    """Return the names that stand beside an entity most often."""
    own = pieces_of(" ".join([entity.name, *entity.counts]))
    counts = Counter[str]()
    for sentence in filter(None, sentences_):
        counts.update(set(names_in(mended(sentence[:_READ]))))
    beside = [name for name in counts if own.isdisjoint(pieces_of(name)) and len(name) < 40]
    return sorted(beside, key=lambda name: (-counts[name] * (1 + (" " in name)), name))[:6]
