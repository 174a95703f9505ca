"""Every way in which Stage 3's folder may be wrong, and what is said of it."""

import gzip
import json
import shutil
from typing import Any

import numpy as np

from tests.stage3_folder import scattered
from tests.steps.broken_folders import (
    FIRST,
    LEVEL,
    SECOND,
    Break,
    another_index,
    content,
    cut,
    entry,
    folder_is_a_file,
    forget,
    gap,
    ids_twice,
    json_of,
    nested,
    other_levels_file,
    other_levels_pair,
    pickled,
    remove,
    rename,
    swap,
    text_of,
    times,
    value,
    with_vectors,
)

Case = tuple[Break, str]
INDEX, METADATA = r"events\.index", r"events_metadata\.json"
NOT_JSON = METADATA + r" is not valid JSON"
NOT_UNIT = INDEX + r": vectors that are not L2-normalised .*"

OTHER_FORMATS = {
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "UTF-16 text"),
    "UTF-16 without mark": ('{"a": 1}'.encode("utf-16-le"), "UTF-16 text"),
    "byte order mark": (b'\xef\xbb\xbf{"a": 1}', "text behind a byte order mark"),
    "gzip": (gzip.compress(b"{}"), "compressed by gzip"),
    "zip": (b"PK\x03\x04abc", "a zip archive"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
    "numpy": (b"\x93NUMPY\x01\x00v\x00", r"an array of numpy \(\.npy\)"),
    "Parquet": (b"PAR1\x15\x04", "a Parquet file"),
}
NO_IDS: dict[Any, str] = {
    "a\0b": "holds a control character",
    "a\nb": "holds a control character",
    "a\tb": "holds a control character",
    "a\n": "holds a control character",
    "x" * 513: "has 513 characters, and an id has 512 at most",
    " ": "is blank",
    "..": "is a step within a path",
    "\udce9": "holds half a surrogate pair",
    True: "is missing or no text",
    0.5: "is missing or no text",
}
CASES: dict[str, Case] = {
    # files
    "folder missing": (lambda f: shutil.rmtree(f.path), r"indices does not exist"),
    "folder is a file": (folder_is_a_file, r"indices does not exist"),
    "no index at all": (
        remove("events.index", "events_metadata.json", "documents.index"),
        rf"no {INDEX} and no {METADATA}; levels with an index there: none",
    ),
    "index missing": (remove("events.index"), rf"has no {INDEX}; levels .* there: documents\."),
    "metadata missing": (remove("events_metadata.json"), rf"has no {METADATA}"),
    "pair missing": (
        remove("events.index", "events_metadata.json"),
        rf"has no {INDEX} and no {METADATA}",
    ),
    "pickle beside": (
        pickled("events_metadata.pkl"),
        r"Pickles are refused \(events_metadata\.pkl",
    ),
    "pickle inside": (
        pickled("events_metadata.json"),
        rf"{METADATA} is a pickle, which is refused",
    ),
    # index
    **{
        f"index cut to {length}": (cut("events.index", length), rf"{INDEX} is no readable.*ends")
        for length in (0, 1, 20, 28, 40, 45, 500, -1)
    },
    "index is text": (content("events.index", b"hello"), rf"{INDEX} is no readable FAISS index"),
    "IVF": (another_index("IVF1,Flat"), rf"{INDEX} is of the kind IndexIVFFlat"),
    "HNSW": (another_index("HNSW4"), rf"{INDEX} is of the kind IndexHNSWFlat"),
    "dimension": (
        with_vectors(lambda vectors: scattered(len(vectors), dimension=8)),
        rf"{INDEX} holds vectors of dimension 8, input\.dimension is 16",
    ),
    "index ids twice": (ids_twice, rf"{INDEX} has ids twice: 3\."),
    "index of a shorter level": (
        with_vectors(lambda vectors: vectors[:4]),
        rf"in id_map \(values\) but not in {INDEX}: 4, 5, 6, 7, 8, \.\.\. \(11 in all\)",
    ),
    # vectors
    "vectors too long": (
        times(1.01),
        NOT_UNIT + r"doc_0000_event_0 \(norm 1\.01\), .*\(15 in all\)",
    ),
    "one vector too short": (
        times(0.99, 1),
        NOT_UNIT + rf"{SECOND} \(norm 0\.99\)\.",
    ),
    "zero vector": (value(0, 0.0), NOT_UNIT + rf"{FIRST} \(norm 0\)"),
    "NaN": (value(1, np.nan), NOT_UNIT + rf"{SECOND} \(norm nan\)"),
    "infinity": (value(0, np.inf), NOT_UNIT + rf"{FIRST} \(norm inf\)"),
    "minus infinity": (value(0, -np.inf), NOT_UNIT + rf"{FIRST} \(norm inf\)"),
    "one vector missing": (
        with_vectors(lambda vectors: vectors[:-1]),
        rf"{METADATA}: in id_map \(values\) but not in {INDEX}: 14\.",
    ),
    "one vector more": (
        with_vectors(lambda vectors: np.concatenate([vectors, vectors[:1]])),
        rf"{METADATA}: in {INDEX} but not in id_map \(values\): 15\.",
    ),
    # metadata as JSON
    **{
        f"metadata cut to {length}": (cut("events_metadata.json", length), NOT_JSON)
        for length in (1, 30, 1500, -1)
    },
    "metadata empty": (content("events_metadata.json", b""), rf"{METADATA} is empty"),
    "metadata blank": (content("events_metadata.json", b" \n"), NOT_JSON),
    "metadata plain text": (content("events_metadata.json", b"hello"), NOT_JSON),
    **{
        f"metadata {name}": (content("events_metadata.json", data), rf"{METADATA} is {named}")
        for name, (data, named) in OTHER_FORMATS.items()
    },
    **{
        f"index {name}": (content("events.index", data), rf"{INDEX} is {named}")
        for name, (data, named) in OTHER_FORMATS.items()
    },
    "index of plain numbers": (
        lambda f: f.index(LEVEL).write_bytes(scattered(15).astype("f8").tobytes()),
        rf"{INDEX} is no readable .* its size is that of rows of 16 numbers",
    ),
    "metadata JSON lines": (
        content("events_metadata.json", b'{"a": 1}\n{"a": 2}\n'),
        NOT_JSON + r" \(text behind its end, as JSON lines",
    ),
    "metadata with Python's NaN": (
        entry(lambda item: item["metadata"].update(confidence=float("nan"))),
        rf"{METADATA}, metadata_store, item '{FIRST}' is not valid JSON \(NaN is no number of JSON",
    ),
    "metadata not UTF-8": (
        lambda f: f.metadata(LEVEL).write_bytes(
            f.metadata(LEVEL).read_bytes().replace(b"Leaders", b"L\xe9aders")
        ),
        rf"{METADATA}, metadata_store, item '\S+' is not valid JSON \(bytes that are no UTF-8",
    ),
    "metadata with half a surrogate pair as bytes": (
        lambda f: f.metadata(LEVEL).write_bytes(
            f.metadata(LEVEL).read_bytes().replace(b"Leaders", b"L\xed\xa0\x80aders")
        ),
        rf"{METADATA}, metadata_store, item '\S+' is not valid JSON \(bytes that are no UTF-8",
    ),
    "metadata with a rest": (
        lambda f: f.metadata(LEVEL).write_text(f.metadata(LEVEL).read_text() + "]"),
        NOT_JSON,
    ),
    "metadata nested deep": (
        entry(lambda item: item["metadata"].update(x=nested(900))),
        rf"{METADATA}, .* '{FIRST}': its metadata is nested more than 250 levels deep",
    ),
    "metadata nested without end": (
        content("events_metadata.json", b'{"metadata_store": ' + b'{"a":' * 100_000),
        rf"{METADATA} is nested more than 1000 levels deep",
    ),
    "metadata with a number of 400 digits": (
        text_of('"confidence": 0.9', f'"confidence": {"1" * 400}'),
        rf"{METADATA}, metadata_store, item '{FIRST}' is not valid JSON \(a number of more than",
    ),
    "metadata is a list": (
        content("events_metadata.json", b"[]"),
        rf"{METADATA}: metadata_store is missing",
    ),
    # keys
    **{
        f"no {key}": (json_of(lambda m, key=key: m.pop(key)), rf"{METADATA}: {key} is missing")  # type: ignore[misc]
        for key in ("metadata_store", "id_map", "reverse_id_map")
    },
    **{
        f"{key} is a list": (
            json_of(lambda m, key=key: m.update({key: []})),  # type: ignore[misc]
            rf"{METADATA}: {key} is no object",
        )
        for key in ("metadata_store", "id_map", "reverse_id_map")
    },
    **{
        f"no {key}": (
            entry(lambda item, key=key: item.pop(key)),  # type: ignore[misc]
            rf"{METADATA}, .* '{FIRST}': the key {key} is missing",
        )
        for key in ("source_id", "metadata")
    },
    **{
        f"source_id {value!r:.20}": (
            entry(lambda item, value=value: item.update(source_id=value)),  # type: ignore[misc]
            rf"{METADATA}, .* '{FIRST}': the key source_id {why}",
        )
        for value, why in NO_IDS.items()
    },
    **{
        f"document_id {value!r:.20}": (
            entry(lambda item, value=value: item["metadata"].update(document_id=value)),  # type: ignore[misc]
            rf"{METADATA}, .* '{FIRST}': its document_id {why}",
        )
        for value, why in (NO_IDS | {("a",): "is missing or no text"}).items()
        if value not in (" ", "a\n")  # blanks around an id are none of it
    },
    "metadata of an item is a list": (
        entry(lambda item: item.update(metadata=[])),
        rf"{METADATA}, .* '{FIRST}': the key metadata is missing or no object",
    ),
    "an item is a text": (
        json_of(lambda m: m["metadata_store"].update({FIRST: "x"})),
        rf"{METADATA}, .* '{FIRST}': the entry is no object",
    ),
    "metadata of another level": (
        other_levels_file("_metadata.json"),
        rf"{METADATA}, .* 'doc_emb_doc_0000': a vector id of level events starts with 'event_emb_'",
    ),
    "pair of another level": (
        other_levels_pair,
        rf"{METADATA}, .* 'doc_emb_doc_0000': a vector id of level events starts with 'event_emb_'",
    ),
    "item of another type": (
        entry(lambda item: item.update(embedding_type="entity")),
        rf"{METADATA}, .* '{FIRST}': embedding_type is 'entity', expected 'event'",
    ),
    "vector id without prefix": (
        json_of(lambda m: rename(m, FIRST, "doc_1")),
        rf"{METADATA}, .* 'doc_1': a vector id of level events starts with",
    ),
    "vector id with NUL": (
        json_of(lambda m: rename(m, FIRST, "event_emb_\0")),
        rf"{METADATA}, .*: the vector id holds a control character",
    ),
    "vector id of 600 characters": (
        json_of(lambda m: rename(m, FIRST, "event_emb_" + "x" * 600)),
        rf"{METADATA}, .* 'event_emb_x{{50,70}}…: the vector id has 610 characters",
    ),
    # ids
    "item in no map": (
        json_of(forget("id_map", "reverse_id_map")),
        rf"{METADATA}: in metadata_store but not in id_map: {FIRST}\.",
    ),
    "item not in the store": (
        json_of(forget("metadata_store")),
        rf"{METADATA}: in id_map but not in metadata_store: {FIRST}\.",
    ),
    "item only in the index": (
        json_of(forget("metadata_store", "id_map", "reverse_id_map")),
        rf"{METADATA}: in {INDEX} but not in id_map \(values\): 0\.",
    ),
    "item not in the reverse map": (
        json_of(forget("reverse_id_map")),
        rf"{METADATA}: id_map and reverse_id_map disagree about {FIRST}; .* 15 items, .* 14",
    ),
    "reverse map has one more": (
        json_of(lambda m: m["reverse_id_map"].update({"99": FIRST})),
        rf"{METADATA}: id_map and reverse_id_map disagree about 99; .* 15 items, .* 16",
    ),
    "maps disagree": (
        json_of(swap),
        rf"{METADATA}: id_map and reverse_id_map disagree about {FIRST}, {SECOND};",
    ),
    "gap": (
        json_of(gap),
        rf"but not in {INDEX}: 15; in {INDEX} but not in id_map \(values\): 14\.",
    ),
    "one id for two items": (
        json_of(lambda m: m["id_map"].update({SECOND: 0})),
        rf"{METADATA}, id_map gives one id to several items: 0\.",
    ),
    "id is a text": (
        json_of(lambda m: m["id_map"].update({FIRST: "0"})),
        rf"{METADATA}, id_map, item '{FIRST}': '0' is no integer",
    ),
    "id is a fraction": (
        json_of(lambda m: m["id_map"].update({FIRST: 0.5})),
        rf"{METADATA}, id_map, item '{FIRST}': 0\.5 is no integer",
    ),
    "item twice in the store": (
        text_of(json.dumps(SECOND) + ": {", json.dumps(FIRST) + ": {"),
        rf"{METADATA}, metadata_store has '{FIRST}' twice",
    ),
    "item twice in the map": (
        text_of(f'"{SECOND}": 1', f'"{FIRST}": 1'),
        rf"{METADATA}, id_map has '{FIRST}' twice",
    ),
    "store twice": (
        text_of('"id_map": {', '"metadata_store": {'),
        rf"{METADATA}, the outermost object has 'metadata_store' twice",
    ),
    "number twice in the reverse map": (
        text_of('"1": ', '"0": '),
        rf"{METADATA}, reverse_id_map has '0' twice",
    ),
}
