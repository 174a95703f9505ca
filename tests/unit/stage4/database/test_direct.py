"""Connections without the provider read what the provider's hook reads."""

from airflow.providers.postgres.hooks.postgres import PostgresHook

from stage4.database.direct import IGNORED_EXTRA


def test_what_the_hook_leaves_out_of_an_extra_is_left_out() -> None:
    assert {*PostgresHook.ignored_extra_options, "cursor"} == IGNORED_EXTRA
