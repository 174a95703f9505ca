"""One request to a language model, at `<URL>/chat/completions` of an Airflow connection."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from clustering_tasks.workspace.storage import to_json

_ANSWER_TOKENS = 100  # a label has 100 characters
_FRAME_TOKENS = 64  # what a server writes around messages
_ANSWER_LIMITS = ("max_tokens", "max_completion_tokens")
_MOST_TOKENS = 10**12  # what a server may say that it has used
_LONGEST_ANSWER = 65_536
_LONGEST_WAIT = 60.0
_PARAMETERS: dict[str, JsonValue] = {
    "max_tokens": _ANSWER_TOKENS,
    "temperature": 0,
    "response_format": {"type": "json_object"},
}


class ModelError(ValueError):
    """A connection that names no model; the message says what to mend."""


class FailedError(Exception):
    """A request that was not answered.

    Attributes:
        may_pass: whether it is worth another try.
        wait: seconds for which the server takes no request, by its own words.
    """

    def __init__(self, why: str, *, may_pass: bool = False, wait: float = 0.0) -> None:
        super().__init__(why)
        self.may_pass = may_pass
        self.wait = wait


class TimedOutError(Exception):
    """A request without a complete answer in its time."""


class UnreadableError(Exception):
    """An answer that is not what was asked for.

    Attributes:
        tokens: used for it; None: not known.
    """

    def __init__(self, why: str, tokens: int | None = None) -> None:
        super().__init__(why)
        self.tokens = tokens


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        url: of its requests.
        name: of the model.
        key: bearer token; None: none is sent.
        parameters: of requests.
    """

    url: str
    name: str
    key: str | None = field(repr=False)
    parameters: Mapping[str, JsonValue]

    def request(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """Build the body of a request."""
        return {**self.parameters, "model": self.name, "messages": [*messages]}

    def most_tokens(self, request: Mapping[str, Any]) -> int:
        """Bound the tokens of a request and its answer: each of the question's is a byte or more.

        A server that takes neither limit of the answer is trusted to keep it short.
        """
        limits = (request.get(name) for name in _ANSWER_LIMITS)
        answer = next((limit for limit in limits if limit is not None), _ANSWER_TOKENS)
        return len(to_json(request["messages"])) + _FRAME_TOKENS + int(answer)


@dataclass(frozen=True)
class Reply:
    """What a model has answered.

    Attributes:
        label: as it wrote it.
        tokens: of question and answer; None: it does not say.
    """

    label: str
    tokens: int | None


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: JsonValue = None


class _Label(BaseModel):
    model_config = ConfigDict(strict=True)

    label: str


def read_model(conn_id: str) -> Model:
    """Read a model from an Airflow connection.

    Raises:
        ModelError: there is no such connection, or it names no model.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ModelError(
            f"Airflow has no connection `{conn_id}`: define it, for example by "
            f"AIRFLOW_CONN_{conn_id.upper()}, or name another in STAGE4_LLM_CONN_ID"
        ) from None
    extra = connection.extra_dejson
    name, parameters = extra.get("model"), extra.get("parameters", {})
    if not isinstance(name, str) or not name:
        raise ModelError(f"connection `{conn_id}`: its extra has no `model`")
    if not isinstance(parameters, dict):
        raise ModelError(f"connection `{conn_id}`: `parameters` of its extra is no object")
    key = connection.password or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ModelError(f"connection `{conn_id}`: the password is no key of visible ASCII")
    if not all(isinstance(parameters.get(each, 1), int | None) for each in _ANSWER_LIMITS):
        raise ModelError(f"connection `{conn_id}`: a limit of tokens in its extra is no integer")
    chosen = {k: v for k, v in (_PARAMETERS | parameters).items() if v is not None}
    return Model(_url(connection), name, key, chosen)


async def ask(
    client: httpx.AsyncClient, model: Model, request: Mapping[str, Any], seconds: float
) -> Reply:
    """Ask once.

    Args:
        client: that follows no redirect.
        model: that is asked.
        request: of `Model.request`.
        seconds: for all of it: an answer that drips ends it, too.

    Raises:
        FailedError: no answer, or a status that is no success.
        TimedOutError: no complete answer in this time.
        UnreadableError: a success without a label.
    """
    headers = {"authorization": f"Bearer {model.key}"} if model.key else {}
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream("POST", model.url, json=request, headers=headers) as answer,
        ):
            _require_success(answer)
            content = await _read(answer)
    except (TimeoutError, httpx.TimeoutException):
        raise TimedOutError(f"no answer in {seconds:g} s") from None
    # Its words may quote the URL, of which a part may be secret.
    except (httpx.HTTPError, OSError) as error:
        raise FailedError(f"no answer: {type(error).__name__}", may_pass=True) from None
    return _reply(content)


def new_client(connections: int) -> httpx.AsyncClient:
    """Make a client: nobody but the connection's host gets key and texts, so without redirects."""
    return httpx.AsyncClient(
        follow_redirects=False,
        timeout=None,  # noqa: S113 - each request has one as a whole
        limits=httpx.Limits(max_connections=connections),
        # What a compressed answer becomes cannot be bounded.
        headers={"accept-encoding": "identity"},
    )


def _url(connection: Connection) -> str:
    host = connection.host or ""
    if "://" not in host:
        port = f":{connection.port}" if connection.port else ""
        host = f"{connection.schema or 'https'}://{host}{port}"
    try:
        url = httpx.URL(host)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise ModelError(
            f"connection `{connection.conn_id}`: its host is no URL with http or https, without "
            "user and parameters, for example https://models.example.org/v1"
        )
    return f"{str(url).rstrip('/')}/chat/completions"


def _require_success(answer: httpx.Response) -> None:
    code = answer.status_code
    if code == HTTPStatus.OK:
        return
    may_pass = code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR
    raise FailedError(f"status {code}", may_pass=may_pass, wait=_wait(answer))


def _wait(answer: httpx.Response) -> float:
    """Read `Retry-After`, where it is a number of seconds."""
    asked = answer.headers.get("retry-after", "")
    return min(float(asked[:9]), _LONGEST_WAIT) if asked.isascii() and asked.isdigit() else 0.0


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > _LONGEST_ANSWER:
            raise UnreadableError(f"an answer of more than {_LONGEST_ANSWER} bytes")
    return bytes(content)


def _reply(content: bytes) -> Reply:
    try:
        completion = _Completion.model_validate_json(content)
    except ValidationError:
        raise UnreadableError("no completion of OpenAI's API") from None
    tokens = _tokens(completion.usage)
    try:
        label = _Label.model_validate_json(completion.choices[0].message.content).label
    except ValidationError:
        raise UnreadableError("no JSON object with a `label`", tokens) from None
    return Reply(label, tokens)


def _tokens(usage: JsonValue) -> int | None:
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        return None
    return min(total, _MOST_TOKENS)
