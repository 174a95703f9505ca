"""Every version that the set-up accepts is one that works, and the documents name the same ones."""

import re
from pathlib import Path

import pytest

from stage4.versions import AIRFLOW, PGVECTOR, POSTGRES_PROVIDER, POSTGRESQL, PRODUCTS, Product

ROOT = Path(__file__).parents[3]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("product", "version", "lacks"),
    [
        (AIRFLOW, "2.11.0", "tested with 3.3"),
        (AIRFLOW, "3.2.2", "tested with 3.3"),
        (AIRFLOW, "3.3.0rc1", "tested with 3.3"),
        (AIRFLOW, "3.4.0", "made for yours"),
        (POSTGRES_PROVIDER, "6.2.0", "psycopg 2"),
        (POSTGRES_PROVIDER, "5.14.0", "psycopg 2"),
        (POSTGRESQL, "14.20", "HEADER match"),
        (POSTGRESQL, "9.624", "HEADER match"),
        (PGVECTOR, "0.7.4", "hnsw.iterative_scan"),
        (PGVECTOR, "0.7.4", "ALTER EXTENSION vector UPDATE;"),
        (PGVECTOR, "0.6.2", "hnsw.iterative_scan"),
    ],
)
def test_a_version_that_does_not_work_is_refused_by_name(
    product: Product, version: str, lacks: str
) -> None:
    refusal = product.refusal(version, "the server of database news") or ""
    assert f"the server of database news has {product.name} {version}" in refusal
    assert product.accepted in refusal
    assert lacks in refusal


@pytest.mark.parametrize(
    ("product", "version"),
    [
        (AIRFLOW, "3.3.0"),
        (AIRFLOW, "3.3.2+astro.1"),
        (POSTGRES_PROVIDER, "6.3.0"),
        (POSTGRES_PROVIDER, "7.1.1"),
        (POSTGRESQL, "15.0"),
        (POSTGRESQL, "18.1"),
        (PGVECTOR, "0.8.0"),
        (PGVECTOR, "0.10.1"),
    ],
)
def test_later_versions_are_accepted(product: Product, version: str) -> None:
    assert product.refusal(version, "here") is None


def test_the_lock_takes_what_the_set_up_accepts() -> None:
    wanted = text("requirements.in").splitlines()
    assert f"apache-airflow{AIRFLOW.accepted}" in wanted
    assert f"{POSTGRES_PROVIDER.name}{POSTGRES_PROVIDER.accepted}" in wanted


def test_the_image_of_compose_is_accepted() -> None:
    found = re.search(r"pgvector/pgvector:([\d.]+)-pg(\d+)", text("docker-compose.yaml"))
    assert found is not None
    assert PGVECTOR.refusal(found[1], "compose") is None
    assert POSTGRESQL.refusal(found[2], "compose") is None


def test_the_documents_name_the_same_versions() -> None:
    deployment, readme = text("docs/DEPLOYMENT.md"), text("README.md")
    for product in PRODUCTS:
        assert f"| {product.name} | `{product.accepted}` | {product.reason} |" in deployment
    oldest = {product.name: product.accepted.removeprefix(">=") for product in PRODUCTS}
    database = f"PostgreSQL {oldest['PostgreSQL']} or later with pgvector {oldest['pgvector']}"
    for page in (deployment, readme):
        assert f"{database} or later" in page
    assert f'"{POSTGRES_PROVIDER.name}{POSTGRES_PROVIDER.accepted}"' in readme
    assert POSTGRES_PROVIDER.accepted in POSTGRES_PROVIDER.remedy
    assert f"Airflow {oldest['Airflow'].partition(',')[0]} on Python" in readme
