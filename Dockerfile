# Two stages: pip and the build backend stay in the first; the second contains only Python and the environment.
# deploy/install-runtime uses only wheels, so neither stage has a compiler.
#
# Pin BASE for production:
#   docker build --build-arg BASE=python:3.11-slim@sha256:... .
# EXTRAS adds optional parts, space-separated: otel (traces), subnoto-tunnel (the vendor's SDK in place of its proxy):
#   docker build --build-arg EXTRAS="otel subnoto-tunnel" .
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements.lock ./
COPY deploy/install-runtime deploy/requirements-*.lock deploy/
COPY app app
COPY sandbox sandbox
RUN deploy/install-runtime /opt/gateway python3 ${EXTRAS} \
    && /opt/gateway/bin/python -m pip uninstall --quiet --yes pip setuptools

FROM ${BASE}
RUN groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent gateway \
    && install -d -o gateway -g gateway /var/lib/audit-gateway
COPY --from=build /opt/gateway /opt/gateway
# Only several workers write, to /tmp: the root file system can be read-only. `forward` writes to /var/lib/audit-gateway:
# a new volume there gets the folder's owner.
# The server and the health check use GATEWAY_PORT.
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GATEWAY_HOST=0.0.0.0 GATEWAY_PORT=8000
WORKDIR /opt/gateway
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"GATEWAY_PORT\"]}/health/ready', timeout=2)"]
ENTRYPOINT ["audit-gateway"]
CMD ["serve"]
