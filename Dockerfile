# The sidecar's image, for linux/amd64 and linux/arm64.
#
#   docker build --tag bizbasics-sidecar --build-arg REVISION="$(git rev-parse HEAD)" .
#
# BASE is pinned to a minor version of Python; pin it to a digest in production:
#   --build-arg BASE=docker.io/library/python:3.13-slim-trixie@sha256:...
# Behind an index of your own: --secret id=pip,src=pip.conf. Without any index, from a folder of
# wheels: --volume /path/to/wheels:/wheels:ro --build-arg PIP_NO_INDEX=1
#   --build-arg PIP_FIND_LINKS=/wheels (podman, buildah).
ARG BASE=docker.io/library/python:3.13-slim-trixie

# hadolint ignore=DL3006
FROM ${BASE} AS build
ARG PIP_NO_INDEX=
ARG PIP_FIND_LINKS=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
# Only wheels: what has none for this platform fails here, and no compiler is asked for. Then pip
# goes, with what compiled modules carry for debuggers and typists.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /opt/sidecar \
    && /opt/sidecar/bin/python -m pip wheel --no-deps --wheel-dir /dist . \
    && wheel=$(echo /dist/bizbasics_sidecar-*.whl) \
    && /opt/sidecar/bin/python -m pip install --only-binary=:all: --no-compile "${wheel}[redis]" \
    && /opt/sidecar/bin/python -m pip uninstall --yes pip \
    && find /opt/sidecar \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' \) -delete \
    && rm -f /opt/sidecar/bin/activate* /opt/sidecar/bin/Activate* \
    # Compiled now, for the root is read-only then; by content, for a copy changes times.
    && /opt/sidecar/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/sidecar/lib

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=build /opt/sidecar /opt/sidecar
# The standard library comes without compiled modules in slim images, and a read-only root keeps
# none: compiling those that are imported, here, halves the start. What installs packages goes.
RUN find / -xdev \( -path '*/ensurepip' -o -path '*-packages/pip' -o -path '*/python-wheels' \) \
        -prune -exec rm -rf {} + \
    && rm -f /usr/local/bin/pip* /usr/bin/pip* \
    && /opt/sidecar/bin/python -c "import sidecar.app, sidecar.cli, sidecar.inject.server" \
    && /opt/sidecar/bin/bb-sidecar run --help >/dev/null
ENV PATH=/opt/sidecar/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bizbasics-sidecar" \
      org.opencontainers.image.description="Meters a product's AI calls in front of its HTTP routes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/bizbasics/bizbasics-sidecar" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
USER 65532:65532
WORKDIR /
EXPOSE 8080 9901
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bb-sidecar", "health"]
# No shell in between: the process is PID 1 and takes the signals itself.
ENTRYPOINT ["bb-sidecar"]
CMD ["run"]
