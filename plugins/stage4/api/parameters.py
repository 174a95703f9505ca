"""What may be asked: types of parameters, and the refusal of everything unknown."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, Self

from fastapi import Path, Request
from fastapi.dependencies.utils import get_flat_dependant
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from clustering_tasks.settings.levels import DOMAINS, LEVELS
from clustering_tasks.stage3.ids import ID_PATTERN, LONGEST_ID
from stage4.api.problems import ProblemError

MOST_ROWS = 200
DEFAULT_ROWS = 50
_CLUSTER_ID = r"^(document|event|entity|storyline)_[0-9a-f]{12}$"
_LARGEST_BIGINT = 2**63 - 1
_LARGEST_INT = 2**31 - 1

_PLURALS = {level.cluster_type: level.name for level in LEVELS.values()}
_OF_TYPE = {level.cluster_type: level for level in LEVELS.values()}

LevelName = Literal["documents", "events", "entities", "storylines"]


def plural(level: Any) -> Any:
    """Take a level's singular for its name."""
    return _PLURALS.get(level, level) if isinstance(level, str) else level


def long_domain(name: str) -> str:
    """Take a domain's short form for its long one, which is what is stored."""
    return DOMAINS.get(name, name)


Level = Annotated[
    LevelName,
    BeforeValidator(plural),
    WithJsonSchema(
        {
            "type": "string",
            "enum": [*LEVELS, *_PLURALS],
            "description": "Level, singular or plural.",
        }
    ),
]
LevelOrAll = Annotated[
    Literal["documents", "events", "entities", "storylines", "all"],
    BeforeValidator(plural),
    WithJsonSchema(
        {
            "type": "string",
            "enum": [*LEVELS, *_PLURALS, "all"],
            "description": "Level, singular or plural; or all of them.",
        }
    ),
]
# Text goes to PostgreSQL, which has no NUL, and into logs, where control characters forge lines.
Text = Annotated[str, Field(min_length=1, max_length=300, pattern=ID_PATTERN)]
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN)]
WORDS = (
    'Words of label, key phrases, keywords and entities: `summit "prime minister" -sports`. Of the '
    "last one the beginning is enough, unless it is in quotes."
)
Domain = Annotated[Text, AfterValidator(long_domain)]
LoadId = Annotated[int, Field(ge=1, le=_LARGEST_BIGINT)]
Size = Annotated[int, Field(ge=2, le=_LARGEST_INT)]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows of a page.")]
CursorText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=8192,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="`next_cursor` of the page before; with the same parameters.",
    ),
]


def _no_number(value: object) -> object:
    """Refuse the seconds of an epoch, which pydantic would take for a time."""
    try:
        float(str(value))
    except ValueError:
        return value
    raise ValueError("give a time in ISO 8601 with its zone, like 2026-01-31T18:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number)]

LevelPath = Annotated[Level, Path(description="Level, singular or plural.")]
ClusterIdPath = Annotated[
    str,
    Path(pattern=_CLUSTER_ID, max_length=40, description="For example `event_7f3a9c2e41b0`."),
]
LoadPath = Annotated[int, Path(ge=1, le=_LARGEST_BIGINT, description="Number of a load.")]
# Ids of Stage 3 are any text; a slash in them is part of the path.
ItemPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=LONGEST_ID,
        pattern=ID_PATTERN,
        description="As Stage 3 writes it, for example `doc_001_event_0`.",
    ),
]


class LoadParameters(BaseModel):
    """Of which load."""

    load_id: LoadId | None = Field(
        None, description="Number of a load; default: the published one."
    )
    run: LoadId | None = Field(None, description="Deprecated alias of `load_id`.", deprecated=True)
    published_at: Moment | None = Field(
        None,
        description="A moment, instead of `load_id`: the load that was the published one then; "
        "after a deletion, without the document.",
    )

    @model_validator(mode="after")
    def _take_alias(self) -> Self:
        """Keep the number under its name alone, so that the same question is always written alike.

        Raises:
            ValueError: the two names have two values, or a moment is given, too.
        """
        alias = vars(self)["run"]  # without the warning for readers of the field
        if alias is not None and self.load_id not in (None, alias):
            raise ValueError(
                "`run`, the deprecated alias of `load_id`, has another value: leave it out"
            )
        self.load_id, self.run = self.load_id or alias, None
        if self.load_id is not None and self.published_at is not None:
            raise ValueError("`load_id` and `published_at` both name a load: leave one out")
        return self

    @property
    def is_current(self) -> bool:
        """Whether the published load is asked for."""
        return self.load_id is None and self.published_at is None


def level_of(cluster_id: str) -> str:
    """Tell the level whose clusters have such ids."""
    return _OF_TYPE[cluster_id.rpartition("_")[0]].name


def known_parameters(request: Request) -> None:
    """Refuse parameters that the endpoint does not have, and those that are given twice.

    A filter with a typing error would otherwise be no filter, without a word.

    Raises:
        ProblemError: 422, naming them.
    """
    route = request.scope.get("route")
    known = _known(route) if isinstance(route, APIRoute) else frozenset[str]()
    names = [name for name, _ in request.query_params.multi_items()]
    if unknown := sorted({name for name in names if name not in known}):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"Unknown parameters: {_shown(unknown)}. Known here: {_shown(sorted(known))}.",
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"Given more than once: {_shown(twice)}."
        )


def _known(route: APIRoute) -> frozenset[str]:
    names = set[str]()
    for field in get_flat_dependant(route.dependant).query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update(kind.model_fields)
        else:
            names.add(field.alias)
    return frozenset(names)


def _shown(names: list[str]) -> str:
    return ", ".join(f"`{name[:40]}`" for name in names[:20]) or "none"
