"""Writes `.env.example` from the settings."""

from pathlib import Path

from entrypoints.settings_report import env_example

if __name__ == "__main__":
    Path(__file__).parents[1].joinpath(".env.example").write_text(env_example(), encoding="utf-8")
