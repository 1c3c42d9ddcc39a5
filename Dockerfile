# One image; the role is its command: `docker run crossdock api`, `… relay`, `… consumer`, `… worker`, `… migrate`.
FROM python:3.13-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/uv.txt requirements/run.txt requirements/build.txt requirements/
# As `make` does it: from the locks, by their hashes.
RUN python -m venv /tool \
    && /tool/bin/pip install --quiet --require-hashes --no-deps -r requirements/uv.txt \
    && python -m venv --without-pip /app \
    && /tool/bin/uv pip install --no-cache --python /app/bin/python --compile-bytecode --require-hashes -r requirements/run.txt \
    && python -m venv /packager \
    && /tool/bin/uv pip install --no-cache --python /packager/bin/python --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /packager/bin/python -m hatchling build --target wheel \
    && /tool/bin/uv pip install --no-cache --python /app/bin/python --compile-bytecode --no-deps dist/*.whl

FROM python:3.13-slim-bookworm

LABEL org.opencontainers.image.title="crossdock" org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --no-create-home --home-dir /data crossdock && install --directory --owner=crossdock /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 CROSSDOCK_PROBE_PORT=8001
USER 10001
# The SQLite file of `up`, the only role that keeps anything.
WORKDIR /data
VOLUME /data
EXPOSE 8000 8001
# Each role drains at it.
STOPSIGNAL SIGTERM
# Each role is asked where it answers. HEALTH_PATH=/readyz asks whether it gets on, for who does not restart it for that.
ENV HEALTH_PATH=/livez
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "import os, pathlib, urllib.request as web\nanswers = {'api', 'up'} & set(pathlib.Path('/proc/1/cmdline').read_text().split('\\0'))\nport = os.environ['PORT' if answers else 'CROSSDOCK_PROBE_PORT']\nweb.urlopen(f\"http://127.0.0.1:{port}{os.environ['HEALTH_PATH']}\", timeout=4)"]
ENTRYPOINT ["crossdock"]
CMD ["up"]
