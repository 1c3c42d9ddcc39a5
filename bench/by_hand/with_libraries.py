"""The hand-written orders, unstored, in a process that has the libraries of a usual service loaded."""

import httpx
import sqlalchemy
from fastapi import FastAPI

from bench.by_hand.orders import unstored


def create_app() -> FastAPI:
    """Needs no database."""
    app = unstored()
    app.state.libraries = (httpx, sqlalchemy)
    return app
