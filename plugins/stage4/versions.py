"""Versions of other products that Stage 4 works with; `python -m stage4.setup` refuses others."""

from dataclasses import dataclass

from packaging.specifiers import SpecifierSet


@dataclass(frozen=True)
class Product:
    """A product of which not every version will do.

    Attributes:
        name: of the product.
        accepted: its versions, as a specifier of Python packages (PEP 440).
        reason: why others will not do.
        remedy: what to do where another is found.
    """

    name: str
    accepted: str
    reason: str
    remedy: str

    def refusal(self, version: str, where: str) -> str | None:
        """Explain why a version will not do; None: it will.

        Args:
            version: that was found, like `0.7.4`.
            where: it was found, for the message.
        """
        if SpecifierSet(self.accepted).contains(version, prereleases=True):
            return None
        return (
            f"{where} has {self.name} {version}, and {self.accepted} is needed: {self.reason}. "
            f"{self.remedy}"
        )


AIRFLOW = Product(
    "Airflow",
    ">=3.3,<3.4",
    "the REST API uses parts of Airflow that change between minor versions, and is tested with 3.3",
    "Install this Airflow, or the version of Stage 4 that is made for yours.",
)
POSTGRES_PROVIDER = Product(
    "apache-airflow-providers-postgres",
    ">=6.3",
    "before, its hook connects with psycopg 2, and runs are loaded with psycopg 3",
    'Run pip install "apache-airflow-providers-postgres>=6.3".',
)
POSTGRESQL = Product(
    "PostgreSQL",
    ">=15",
    "a load compares a file's header with the columns (COPY with HEADER match)",
    "Move the results database to a newer server.",
)
PGVECTOR = Product(
    "pgvector",
    ">=0.8",
    "a search goes on while filters leave too few clusters (hnsw.iterative_scan)",
    "Install it on the server, and run there ALTER EXTENSION vector UPDATE;",
)
PRODUCTS = (AIRFLOW, POSTGRES_PROVIDER, POSTGRESQL, PGVECTOR)
