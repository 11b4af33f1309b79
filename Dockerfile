# The sidecar's image, for linux/amd64 and linux/arm64.
#
#   docker build --tag bizbasics-sidecar --build-arg REVISION="$(git rev-parse HEAD)" \
#     --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" .
#
# What is installed is in requirements/*.lock with its hashes (`make lock`), and pip takes nothing
# else. /opt/sidecar/share/sbom.cdx.json lists it (CycloneDX); the base's packages are not in it.
#
# BUILD says which build is installed: the one whose hot modules are compiled, or the pure one, which
# does the same, slower, and needs no compiler from Debian's mirror: --build-arg BUILD=pure
#
# EXTRA=envoy adds what `authz --grpc` needs (25 MB), for the chart's `authz.grpc.enabled`.
#
# BASE is pinned to a minor version of Python; pin it to a digest in production:
#   --build-arg BASE=docker.io/library/python:3.13-slim-trixie@sha256:...
# Behind an index of your own: --secret id=pip,src=pip.conf. Without any index, from a folder of
# wheels: --volume /path/to/wheels:/wheels:ro --build-arg PIP_NO_INDEX=1
#   --build-arg PIP_FIND_LINKS=/wheels (podman, buildah).
ARG BASE=docker.io/library/python:3.13-slim-trixie
ARG BUILD=compiled

# hadolint ignore=DL3006
FROM ${BASE} AS build
ARG BUILD
# The compiler is Debian's newest, and of this stage alone: nothing of it is copied. Python's headers
# are in the base.
# hadolint ignore=DL3008
RUN case "${BUILD}" in \
        compiled) \
            apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
            && rm -rf /var/lib/apt/lists/* && exit 0; \
            echo "BUILD=compiled: no gcc came from Debian's mirror; BUILD=pure needs none" ;; \
        pure) exit 0 ;; \
        *) echo "BUILD=${BUILD}: must be compiled or pure" ;; \
    esac >&2; \
    exit 1
ARG EXTRA=
ARG PIP_NO_INDEX=
ARG PIP_FIND_LINKS=
# Only wheels, also of what builds ours: what has none for this platform fails here, and the compiler
# is for our own modules.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all:
WORKDIR /src
COPY . .
# The tools of the build have an environment of their own, which is not copied. After the installation
# GCC's warnings about code that mypyc wrote would take more than half of the compiling.
# pip goes, with what compiled modules carry for debuggers and typists. What
# was installed must be what was asked for: looked for away from the sources (-I), leaving no
# bytecode that the last line would keep as it is (-B).
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python3 -m venv /build && python3 -m venv /opt/sidecar \
    && /build/bin/python -m pip install --require-hashes \
        --requirement requirements/image.lock --requirement requirements/build.lock \
    && /opt/sidecar/bin/python -m pip install --require-hashes --no-compile \
        --requirement requirements/image.lock ${EXTRA:+--requirement "requirements/${EXTRA}.lock"} \
    && if [ "${BUILD}" = compiled ]; then export HATCH_BUILD_HOOK_ENABLE_MYPYC=1 CFLAGS=-Wno-all; fi \
    && /build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/sidecar/bin/python -m pip install --no-deps --no-index --no-compile /dist/bizbasics_sidecar-*.whl \
    && file=$(/opt/sidecar/bin/python -IBc "import sidecar.proxy.gateway as g; print(g.__file__)") \
    && case "${BUILD} ${file}" in \
        compiled*.so | pure*.py) ;; \
        *) echo "BUILD=${BUILD} was asked for, and not installed: ${file}" >&2; exit 1 ;; \
    esac \
    && /opt/sidecar/bin/python -m pip uninstall --yes pip \
    && mkdir /opt/sidecar/share \
    && /build/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
        --output-file /opt/sidecar/share/sbom.cdx.json /opt/sidecar/bin/python \
    && find /opt/sidecar \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' \) -delete \
    && rm -f /opt/sidecar/bin/activate* /opt/sidecar/bin/Activate* \
    # Bytecode is made now, for the root is read-only then; by content, for a copy changes times.
    && /opt/sidecar/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/sidecar/lib

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=build /opt/sidecar /opt/sidecar
# The standard library comes without bytecode in slim images, and a read-only root keeps none:
# making that of what is imported, here, halves the start. What installs packages goes.
RUN find / -xdev \( -path '*/ensurepip' -o -path '*-packages/pip' -o -path '*/python-wheels' \) \
        -prune -exec rm -rf {} + \
    && rm -f /usr/local/bin/pip* /usr/bin/pip* \
    && /opt/sidecar/bin/python -c "import sidecar.app.process, sidecar.policy.load, sidecar.inject.server, jwt" \
    && /opt/sidecar/bin/bb-sidecar run --help >/dev/null
ENV PATH=/opt/sidecar/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
ARG BASE
ARG BUILD
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ENV BB_SIDECAR_REVISION=${REVISION}
LABEL org.opencontainers.image.title="bizbasics-sidecar" \
      org.opencontainers.image.description="Meters a product's AI calls in front of its HTTP routes" \
      org.opencontainers.image.authors="BizBasics" \
      org.opencontainers.image.vendor="BizBasics" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://github.com/bizbasics/bizbasics-sidecar" \
      org.opencontainers.image.documentation="https://github.com/bizbasics/bizbasics-sidecar/blob/main/README.md" \
      org.opencontainers.image.source="https://github.com/bizbasics/bizbasics-sidecar" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.ref.name="${VERSION}" \
      org.opencontainers.image.base.name="${BASE}" \
      ai.bizbasics.sidecar.build="${BUILD}"
USER 65532:65532
WORKDIR /
EXPOSE 8080 9901
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["bb-sidecar", "health"]
# No shell in between: the process is PID 1 and takes the signals itself.
ENTRYPOINT ["bb-sidecar"]
CMD ["run"]
