# One image for every role: consumer, worker, beat, API. Build: docker build -t notifier .
ARG PYTHON=python:3.12.12-slim-bookworm

# Everything that builds stays in this stage.
FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Which of requirements/: service; history, which adds psycopg; or ops, which adds Flower.
ARG LOCK=service
WORKDIR /src
COPY requirements/build.txt requirements/service.txt requirements/history.txt requirements/ops.txt requirements/
# Hashes are checked here, where files come from outside; the install below takes nothing but the checked files.
RUN python -m pip install --require-hashes -r requirements/build.txt \
    && python -m pip wheel --no-build-isolation --require-hashes -r "requirements/${LOCK}.txt" --wheel-dir /wheels
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY notifier notifier
COPY consumers consumers
COPY templates templates
RUN python -m pip wheel --no-build-isolation --no-deps . --wheel-dir /wheels \
    && python -m venv --without-pip /opt/notifier \
    && python -m pip --python /opt/notifier/bin/python install --no-index /wheels/*.whl \
    && /opt/notifier/bin/python -m compileall -q /opt/notifier

FROM ${PYTHON}
LABEL org.opencontainers.image.title="notifier" \
      org.opencontainers.image.description="Domain events in, emails and signed webhooks out" \
      org.opencontainers.image.licenses="Apache-2.0"
# Inside a container 127.0.0.1 is reachable by nobody else, so the roles listen on every address; compose and Kubernetes
# decide what is published.
ENV PATH=/opt/notifier/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NOTIFIER_HTTP_HOST=0.0.0.0 \
    NOTIFIER_TEMPLATES=/srv/notifier/templates
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /srv/notifier notifier
COPY scripts/container-health /usr/local/bin/container-health
COPY --from=build /opt/notifier /opt/notifier
COPY templates /srv/notifier/templates
WORKDIR /srv/notifier
USER 10001:10001
# 9108: health and metrics of every role. 8080: the API and the console.
EXPOSE 9108 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["container-health"]
ENTRYPOINT ["notifier"]
CMD ["--help"]
