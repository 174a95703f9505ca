"""The figures of the history as tables, in Markdown."""

from collections.abc import Callable, Iterable
from statistics import fmean

from tests.benchmarks.history import Figure

Tree = dict[str, Figure]
Lines = list[str]

# Each with one setting for all rows; the one of average linkage is the best on average over the
# real collections.
SHOWN_PEERS = (
    "hdbscan (5, 3)",
    "hdbscan leaf (2, 1)",
    "average linkage 0.5",
    "EVoC",
    "Leiden modularity 1",
)
MEASURES = {
    "f1": "B-cubed",
    "pairwise": "pairwise",
    "muc": "MUC",
    "ceaf_e": "CEAFe",
    "conll": "CoNLL",
    "v_measure": "V-measure",
    "purity": "purity",
    "coverage": "coverage",
}
STEPS = ("snapshot", "plan", "cluster", "merge", "label")


def quality(tree: Tree) -> Lines:
    """Clusters against gold, beside peers."""
    head = ["collection", "level", "items", "ours: F1 (P / R)", *SHOWN_PEERS, "best of all peers"]
    return _table(head, (_quality_row(tree, path) for path in _paths(tree, "items")))


def _quality_row(tree: Tree, path: str) -> Lines:
    peers = _below(tree, f"{path}/peer")
    best = max(peers, key=lambda name: _float(peers[name]), default=None)
    own = _below(tree, f"{path}/ours")
    spread = f"{_number(own['precision'], 2)} / {_number(own['recall'], 2)}"
    return [
        *path.split("/"),
        _number(tree[f"{path}/items"], 0),
        f"**{_number(own['f1'])}** ({spread})",
        *(_number(peers.get(name)) for name in SHOWN_PEERS),
        f"{_number(peers[best])} ({best})" if best else "-",
    ]


def measures(tree: Tree) -> Lines:
    """The same clusters by all measures."""
    rows = [
        [*path.split("/"), *(_number(tree.get(f"{path}/ours/{name}")) for name in MEASURES)]
        for path in _paths(tree, "items")
    ]
    return _table(["collection", "level", *MEASURES.values()], rows)


def bootstraps(tree: Tree) -> Lines:
    """Gains in paired draws of topics."""
    head = ["level", *_GAINS]
    rows = ([level, *_gain_cells(_below(tree, level))] for level in _paths(tree, "peer"))
    return _table(head, rows)


def thinned(tree: Tree) -> Lines:
    """Gains where a share of the stories has one item."""
    rows = []
    for path in _paths(tree, "peer"):
        (name, fraction), own = path.split("/"), _below(tree, path)
        shown = [name, f"{float(fraction):.0%}", _whole(own["items"])]
        rows.append([*shown, *_gain_cells(own)])
    return _table(["level", "stories thinned", "items", *_GAINS], rows)


_GAINS = ("ours", "best peer setting", "gain, mean", "middle 95 %", "draws won", *SHOWN_PEERS)


def _gain_cells(own: Tree) -> Lines:
    gains = own["gains"] if isinstance(own["gains"], list) else []
    return [
        _number(own["ours/f1"]),
        f"{_number(own['peer_f1'])} ({own['peer']})",
        f"**{_signed(own['ours/gain'])}**",
        f"{_signed(own['ours/low'])} to {_signed(own['ours/high'])}",
        f"{sum(gain > 0 for gain in gains)} of {len(gains)}",
        *(_number(own.get(f"peers/{name}")) for name in SHOWN_PEERS),
    ]


def time(tree: Tree) -> Lines:
    """Settings of time against collections that were given dates."""
    rows = []
    for path in sorted(_paths(tree, "off/f1"), key=lambda path: path.replace("/0/", "/0.0/")):
        level, share, dates = path.split("/")
        values = [_number(tree.get(f"{path}/{name}/f1")) for name in _TIMES]
        rows.append([level, f"{float(share):.0%}", dates, *values])
    return _table(["level", "stories thinned", "dates", *_TIMES], rows)


_DECAYS = tuple(f"decay {days}" for days in (7, 30, 90, 365))
_TIMES = ("off", "learned", *_DECAYS, *(f"window {days}" for days in (14, 30, 90)))


def generated(tree: Tree) -> Lines:
    """Generated news: what it consists of, and what is found in it."""
    head = ["news", "level", "items", "clusters", "lone", "largest", "ours: F1 (P / R)", "coverage"]
    head += ["without the documents' evidence", "ours, HDBSCAN", *SHOWN_PEERS, "best of all peers"]
    return _table(
        head, (_generated_row(_below(tree, name), name) for name in _paths(tree, "level"))
    )


def _generated_row(own: Tree, name: str) -> Lines:
    peers = _below(own, "peers")
    best = max(peers, key=lambda peer: _float(peers[peer]), default=None)
    spread = f"{_number(own['ours/precision'], 2)} / {_number(own['ours/recall'], 2)}"
    return [
        "as it is" if name == own["level"] else name,
        str(own["level"]),
        *(_whole(own[figure]) for figure in ("items", "clusters")),
        f"{_float(own['lone']):.0%}",
        _whole(own["largest"]),
        f"**{_number(own['ours/f1'])}** ({spread})",
        _number(own["ours/coverage"]),
        *(_number(own[f"{kind}/f1"]) for kind in ("ours without documents", "ours hdbscan")),
        *(_number(peers.get(peer)) for peer in SHOWN_PEERS),
        f"{_number(peers[best])} ({best})" if best else "-",
    ]


def robustness(tree: Tree) -> Lines:
    """Variants of collections, averaged over their draws, and how they do on the whole."""
    groups: dict[str, list[Tree]] = {}
    for path in _paths(tree, "items"):
        groups.setdefault(path.rpartition("/")[0], []).append(_below(tree, path))
    head = ["variant", "draws", "items", "ours", "best peer there", "difference", "worst draw"]
    head += SHOWN_PEERS
    rows = [_variant_row(name, draws) for name, draws in groups.items()]
    real = [draws for name, draws in groups.items() if not name.startswith("sample")]
    samples = [draws for name, draws in groups.items() if name.startswith("sample")]
    return [
        *_table(head, rows),
        "",
        *_on_the_whole("variants of the real collections", real),
        *_on_the_whole("samples", samples),
    ]


def _variant_row(name: str, draws: list[Tree]) -> Lines:
    gains = _gains(draws)
    peers = ", ".join(sorted({str(draw["peer"]) for draw in draws if draw["peer"]}))
    return [
        name,
        str(len(draws)),
        _number(_mean(draws, "items"), 0),
        _number(_mean(draws, "ours/f1")),
        f"{_number(_mean(draws, 'peer_f1'))} ({peers})" if peers else "-",
        _signed(fmean(gains)) if gains else "-",
        _signed(min(gains)) if gains else "-",
        *(_number(_mean(draws, f"peers/{name}")) for name in SHOWN_PEERS),
    ]


def _on_the_whole(what: str, groups: list[list[Tree]]) -> Lines:
    known = [draws for draws in groups if _gains(draws)]
    if not known:
        return []
    ours = fmean(_mean(draws, "ours/f1") or 0 for draws in known)
    peers = fmean(_mean(draws, "peer_f1") or 0 for draws in known)
    worst = min(gain for draws in known for gain in _gains(draws))
    text = f"Mean over {len(known)} {what}: **{_number(ours)}**, of the best peer settings there "
    return [f"{text}{_number(peers)}; in the worst draw the difference is {_signed(worst)}.", ""]


def _gains(draws: list[Tree]) -> list[float]:
    return [_float(d["ours/f1"]) - _float(d["peer_f1"]) for d in draws if d["peer_f1"] is not None]


def _mean(draws: list[Tree], name: str) -> float | None:
    known = [_float(draw[name]) for draw in draws if draw.get(name) is not None]
    return fmean(known) if known else None


def speed(tree: Tree) -> Lines:
    """Times and memory of all contenders, and how good the answers were that took them."""
    head = ["items", "contender", "seconds", "processor", "memory", "runs", "by ours"]
    head += ["B-cubed F1", "P / R", "coverage", "recall@16"]
    return _table(head, (_speed_row(tree, path) for path in _by_items(tree, "seconds")))


def _speed_row(tree: Tree, path: str) -> Lines:
    n, name = path.split("/")
    own, ours = _below(tree, path), tree.get(f"{n}/ours/seconds")
    return [
        f"{int(n):,}",
        name,
        _number(own["seconds"], 1),
        _number(own["cpu_seconds"], 1),
        f"{_number(own['peak_mb'], 0)} MB",
        _number(own["runs"], 0),
        _number(_float(own["seconds"]) / _float(ours), 1) if ours else "-",
        _number(own.get("f1")),
        f"{_number(own['precision'], 2)} / {_number(own['recall'], 2)}" if "f1" in own else "-",
        _number(own.get("coverage")),
        _number(own.get("recall16")),
    ]


def steps(tree: Tree) -> Lines:
    """Where ours spends its time, and what its labels agree with."""
    agreements = {"hdbscan_ari": "hdbscan", "exact_ari": "exact graph", "permuted_ari": "permuted"}
    aris = [f"ARI: {name}" for name in agreements.values()]
    rows = []
    for path in _by_items(tree, "merge_seconds"):
        n, name = path.split("/")
        own = _below(tree, path)
        seconds = [_number(own[f"{step}_seconds"], 1) for step in STEPS]
        cold = _number(own.get("cold_seconds"), 1)
        found = [_number(own.get(each)) for each in ("f1", "coverage", *agreements)]
        rows.append([f"{int(n):,}", name, *seconds, cold, *found])
    floors = [
        f"- The package `hdbscan` agrees with itself when its rows are permuted: {_number(value)} "
        f"({int(path.partition('/')[0]):,} items)."
        for path, value in tree.items()
        if path.endswith("/hdbscan/permuted_ari")
    ]
    head = ["items", "settings", *STEPS, "cold command", "B-cubed F1", "coverage", *aris]
    return [*_table(head, rows), "", *floors]


def _by_items(tree: Tree, last: str) -> list[str]:
    def key(path: str) -> tuple[int, bool]:
        n, name = path.split("/")
        return int(n), not name.startswith("ours")

    return sorted(_paths(tree, last), key=key)


def store(tree: Tree) -> Lines:
    """Load times by phase and sizes of the results database."""
    phases = ("copy", "check", "index", "graph", "attach")
    seconds = [f"{name}, s" for name in ("load", *phases)]
    head = ["members", "clusters", *seconds, "tables, MB", "indexes, MB", "differences, s"]
    head += ["planning: view, ms", "own table, ms"]
    rows = []
    for members in _paths(tree, "clusters"):
        own = _below(tree, members)
        sizes = {kind: _below(own, kind) for kind in ("table", "index")}
        rows.append(
            [
                f"{int(members):,}",
                _number(own["clusters"], 0),
                *(_number(own.get(f"load/{name}_seconds"), 1) for name in ("all", *phases)),
                *(_whole(sum(map(_float, each.values()))) for each in sizes.values()),
                _number(own.get("differences/summary_seconds"), 1),
                *(_number(own.get(f"planning/{name}_ms"), 1) for name in ("view", "partition")),
            ]
        )
    return _table(head, rows)


def graphs(tree: Tree) -> Lines:
    """The graph of the centroids over two kinds of vectors, beside comparing with all."""
    searches = (40, 100, 200)
    head = ["clusters", "vectors", "MB", *(f"recall@10, ef {ef}" for ef in searches)]
    rows = []
    for members in _paths(tree, "clusters"):
        own = _below(tree, members)
        for kind, size in (("halfvec", "index/clusters_neighbours/mb"), ("vector", "vector/mb")):
            found = [_search(_below(own, f"{kind}/ef{ef}")) for ef in searches]
            rows.append([_number(own["clusters"], 0), kind, _whole(own[size]), *found])
        exact = _search({"recall10": 1, "ms": own["exact/ms"]})
        rows.append([_number(own["clusters"], 0), "no graph", "-", *[exact] * len(searches)])
    return _table(head, rows)


def _search(own: Tree) -> str:
    return f"{_number(own['recall10'])} ({_number(own['ms'], 1)} ms)"


def indexes(tree: Tree) -> Lines:
    """The size of every table and index of a run."""
    rows = []
    for members in _paths(tree, "clusters"):
        for kind in ("table", "index"):
            for path, value in _below(tree, f"{members}/{kind}").items():
                rows.append(
                    [f"{int(members):,}", kind, f"`{path.removesuffix('/mb')}`", _whole(value)]
                )
    return _table(["members", "", "name", "MB"], rows)


def api(tree: Tree) -> Lines:
    """Each request of the REST API as its users see it, and inside the endpoint."""
    percentiles = ("p50", "p95", "p99")
    head = ["request", "answered with", *(f"client {p}, ms" for p in percentiles)]
    head += [f"endpoint {p}, ms" for p in percentiles]
    rows = []
    for path in _paths(tree, "p50_ms"):
        if path.endswith(_ENDPOINT):
            continue
        _, kept, request = path.split("/")
        times = [_below(tree, name) for name in (path, f"{path}{_ENDPOINT}")]
        shown = [_whole(each[f"{p}_ms"]) for each in times for p in percentiles]
        rows.append([request, _STORES[kept], *shown])
    return _table(head, sorted(rows))


def throughput(tree: Tree) -> Lines:
    """What one process of the API server answers at most."""
    rows = []
    for path in _paths(tree, "all_per_second"):
        own = _below(tree, path)
        rates = [_whole(own[f"{kind}_per_second"]) for kind in ("all", "empty")]
        rows.append([_STORES[path.split("/")[1]], *rates])
    return _table(["answered with", "look-ups a second", "empty route alone"], rows)


_ENDPOINT = " (endpoint)"
_STORES = {"postgres": "PostgreSQL", "redis": "PostgreSQL and Redis"}


def identity(tree: Tree) -> Lines:
    """How well ids follow stories in collections that grow."""
    head = [
        *("collection", "level", "IDF1", "of the best ids", "stories' days", "switches"),
        *("kept of those that go on", "moved", "merges and splits told", "labels changed"),
    ]
    return _table(head, (_identity_row(tree, path) for path in _paths(tree, "idf1")))


def _identity_row(tree: Tree, path: str) -> Lines:
    own = _below(tree, path)
    collection, _, level = path.rpartition(" ")
    return [
        collection,
        level,
        _number(own["idf1"]),
        f"**{_number(own['idf1_of_best'])}**",
        _whole(own["story_days"]),
        _whole(own["switches"]),
        f"**{_number(own['kept'])}** of {_whole(own['goes_on'])}",
        _whole(own["moved"]),
        f"{_number(own['told'])} of {_whole(own['merges_and_splits'])}",
        _number(own["relabelled"]),
    ]


TABLES: dict[str, tuple[str, Callable[[Tree], Lines]]] = {
    "quality": ("quality", quality),
    "measures": ("quality", measures),
    "bootstraps": ("bootstraps", bootstraps),
    "time": ("time", time),
    "thinned": ("thinned", thinned),
    "robustness": ("robustness", robustness),
    "generated": ("generated", generated),
    "speed": ("speed", speed),
    "steps": ("speed", steps),
    "store": ("store", store),
    "graphs": ("store", graphs),
    "store_sizes": ("store", indexes),
    "api": ("api", api),
    "throughput": ("api", throughput),
    "identity": ("identity", identity),
}


def _paths(tree: Tree, last: str) -> list[str]:
    """Paths that have a figure of this name, in the order in which they were measured."""
    return [name.removesuffix(f"/{last}") for name in tree if name.endswith(f"/{last}")]


def _below(tree: Tree, path: str) -> Tree:
    start = f"{path}/"
    return {name.removeprefix(start): v for name, v in tree.items() if name.startswith(start)}


def _float(value: Figure) -> float:
    return float(value) if isinstance(value, float | int) else float("nan")


def _number(value: Figure, digits: int = 3) -> str:
    number = _float(value)
    return f"{number:,.{digits}f}" if number == number else "-"


def _whole(value: Figure) -> str:
    return _number(value, 0)


def _signed(value: Figure) -> str:
    return f"{_float(value):+.3f}"


def _table(head: Lines, rows: Iterable[Lines]) -> Lines:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
