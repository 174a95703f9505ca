"""Digests of texts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.engine.text_digests import digest_texts


@given(st.lists(st.text(max_size=6), max_size=20))
def test_equal_texts_have_equal_digests_and_others_do_not(texts: list[str]) -> None:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)])
    found = digest_texts(offsets, b"".join(encoded)).tolist()
    assert len({*found}) == len({*texts})
    of = dict(zip(texts, found, strict=True))
    assert [of[text] for text in texts] == found


def test_no_text_has_no_digest() -> None:
    assert digest_texts(np.zeros(1, np.int32), b"").tolist() == []
