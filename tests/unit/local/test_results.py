"""The demo's tables show labels of others as text for people."""

from rich.console import Console

from local.results import table_of


def test_a_label_neither_colours_nor_moves_nor_turns_the_line() -> None:
    cluster = {
        "cluster_id": "event_000000000001",
        "label": "[red]x[/red] \x1b[2J\u202egnp.exe\r\nsecond \x9b31m",
        "size": 3,
        "start_time": None,
        "end_time": None,
        "similarity": 0.5,
    }
    console = Console(width=200, record=True, color_system=None)
    console.print(table_of({"clusters": 1}, [cluster]))
    shown = console.export_text()
    assert "[red]x[/red] gnp.exe second 31m" in shown
    assert not {"\x1b", "\u202e", "\r", "\x9b"} & set(shown)
