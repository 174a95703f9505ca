"""The words of Latin texts as numbers: what recurs between blanks is cut into words once.

The rest is arithmetic. Hardly any text is in another language than most, and none is asked for its
language that has fewer words of others than show one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.stage3.words import TURKIC, words_in
from clustering_tasks.steps.label.stop_words import LEAD, Listed, language_of

END = -1  # of a text
# Letters beyond Latin, and those by which a text may be Turkish, whose small letters are others.
_OTHERS = "[^\\x{0}-\\x{2ff}]|[\u0130\u0131\u011e\u011f\u015e\u015f\u018f\u0259]"


@dataclass(frozen=True)
class Latin:
    """Words of texts, but for stop words.

    Attributes:
        words: numbers, `END` behind each text.
        bounds: (c + 1,) where those of each cluster begin; others have none.
        found: (c,) which clusters have Latin texts alone, all in the usual language.
    """

    words: I32
    bounds: I64
    found: Mask


def number_latin(texts: pa.Array, bounds: I64, vocabulary: dict[str, int], usual: str) -> Latin:
    """Number the words of clusters in the usual language.

    Args:
        texts: (n,) clean; null or empty for none.
        bounds: (c + 1,) where those of each cluster begin.
        vocabulary: numbers of words; new ones are entered, stop words among them.
        usual: language of a text that does not show its own.
    """
    others = pc.match_substring_regex(texts, _OTHERS).fill_null(fill_value=False)
    strange = _sums(others.to_numpy(zero_copy_only=False), bounds) > 0
    if usual in TURKIC:
        strange[:] = True
    there = pc.greater(pc.binary_length(texts), 0).fill_null(fill_value=False)
    rows = np.flatnonzero(there.to_numpy(zero_copy_only=False) & ~_each(strange, bounds))
    words, ends = _words(texts.take(pa.array(rows)), vocabulary)
    behind = np.append(0, ends)[np.searchsorted(rows, bounds)]

    names = [*vocabulary, ""]  # the last as `END`
    listed = Listed.among(names, usual)
    foreign = listed.foreign[words]
    text_bounds = np.append(0, ends)
    for some in (behind, text_bounds):
        for at in np.flatnonzero(_sums(foreign, some) >= LEAD).tolist():
            start, stop = some[at : at + 2]
            cluster = int(np.searchsorted(behind, start, side="right")) - 1
            said = {names[number] for number in set(words[start:stop].tolist())}
            if not strange[cluster] and language_of(said, usual) != usual:
                strange[cluster] = True
    kept = ~listed.stops[words] & ~_each(strange, behind)
    return Latin(words[kept], np.append(0, np.cumsum(kept))[behind], ~strange)


def _sums(values: I32 | Mask, bounds: I64) -> I64:
    """Sum values between bounds: (c,)."""
    summed = np.append(0, np.cumsum(values))[bounds]
    return np.asarray(np.diff(summed))


def _each(of_cluster: Mask, bounds: I64) -> Mask:
    """Repeat what a cluster has for each of what is between its bounds."""
    return np.repeat(of_cluster, np.diff(bounds))


def _words(texts: pa.Array, vocabulary: dict[str, int]) -> tuple[I32, I64]:
    """Return the words of texts, `END` behind each, and where those of a text end."""
    pieces = pc.split_pattern(texts, " ")
    encoded = pieces.flatten().dictionary_encode()
    words, last = _words_of(encoded.dictionary.to_pylist(), vocabulary)
    many = np.diff(last, prepend=0)
    sizes = np.diff(pieces.offsets.to_numpy())
    places = np.arange(sizes.sum()) + np.repeat(np.arange(len(sizes)), sizes)
    found = np.full(len(places) + len(sizes), len(last) - 1)  # `END`
    found[places] = encoded.indices.to_numpy()
    behind = np.append(0, np.cumsum(many[found]))
    at = np.repeat((last - many)[found] - behind[:-1], many[found]) + np.arange(behind[-1])
    return words[at], behind[np.cumsum(sizes + 1)]


def _words_of(pieces: Sequence[str], vocabulary: dict[str, int]) -> tuple[I32, I64]:
    """Return the words in each piece, and where they end; behind all pieces stands `END`."""
    number, words, ends = vocabulary.__getitem__, list[int](), list[int]()
    for piece in map(str.lower, pieces):
        if piece.isalpha() and len(piece) > 1:  # most are a word
            words.append(number(piece))
        else:
            words += map(number, words_in(piece))
        ends.append(len(words))
    words.append(END)
    return np.array(words, dtype=np.int32), np.array([*ends, len(words)], dtype=np.int64)
