# Two stages: pip and the build backend stay in the first, the second holds Python, the environment and nothing else.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md requirements.lock ./
COPY deploy/install-runtime deploy/install-runtime
COPY app app
RUN deploy/install-runtime /opt/gateway python3 && /opt/gateway/bin/python -m pip uninstall --quiet --yes pip setuptools

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
ENTRYPOINT ["audit-gateway"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
