"""Asking for the weather as tutorials show it: a new client, and so a new connection, for each request."""

import os
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException


def create_app() -> FastAPI:
    """Asks the provider at ``OPEN_WEATHER_URL``."""
    app = FastAPI()
    url, key = os.environ["OPEN_WEATHER_URL"], os.environ["OPEN_WEATHER_API_KEY"]

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/weather/{city}")
    async def get_weather(city: str) -> Any:
        async with httpx.AsyncClient() as client:
            try:
                response = await client.get(url, params={"q": city, "appid": key, "units": "metric"})
                response.raise_for_status()
                return response.json()
            except httpx.HTTPStatusError as error:
                raise HTTPException(error.response.status_code, "error from the provider") from error
            except httpx.RequestError as error:
                raise HTTPException(503, "could not connect to the provider") from error

    return app
