"""Serves an application the way each of them is served, ours too: uvloop, httptools, one process, no access log."""

import json
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI


def options() -> dict[str, Any]:
    """What we were started with."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def serve(app: FastAPI, port: int) -> None:
    """Until SIGTERM."""

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
