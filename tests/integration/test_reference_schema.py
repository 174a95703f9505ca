"""docs/reference/schema.md: generated from the database's catalogue."""

from pathlib import Path

from stage4.database.connection import database
from tests.integration.conftest import Results
from tools.docs import schema

REPO = Path(__file__).parents[2]


def test_the_page_is_up_to_date(results: Results) -> None:
    with database() as connection:
        found = schema.schema_page(connection)
    assert (REPO / schema.PAGE).read_text("utf-8") == found, "run `make docs`"
