"""The pages and the API below a path of a real server, for a real browser."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page

from stage4_plugin import PAGES_PREFIX, URL_PREFIX, Stage4Plugin
from tests.browser import DESKTOP
from tests.integration.api.conftest import token

BELOW = "/airflow"
START_SECONDS = 30


def application() -> FastAPI:
    """Both, as Airflow mounts them when its address has a path."""
    from stage4.api.app import build as build_api
    from stage4.pages.app import build as build_pages

    api, pages = build_api(), build_pages()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(api.router.lifespan_context(api))
            yield

    outer = FastAPI(lifespan=lifespan, root_path=BELOW)
    outer.mount(URL_PREFIX, api)
    outer.mount(PAGES_PREFIX, pages)
    for each in Stage4Plugin().fastapi_root_middlewares:
        outer.add_middleware(each["middleware"])
    return outer


@contextmanager
def listening() -> Iterator[str]:
    """Serve on a free port; gives the address of the pages."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(application(), log_level="warning", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.started
        yield f"http://127.0.0.1:{free.getsockname()[1]}{BELOW}{PAGES_PREFIX}"
        server.should_exit = True
        thread.join(START_SECONDS)


@contextmanager
def logged_in(browser: Browser, address: str) -> Iterator[Page]:
    """A page of somebody who is logged in; every error in it fails the test."""
    context = browser.new_context(viewport=DESKTOP, base_url=f"{address}/")
    context.add_cookies([{"name": "_token", "value": token(), "url": address}])
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    context.close()
    assert wrong == []
