# Rotator's image. The base needs Python 3.11 or newer with venv, and glibc:
#   docker build -t rotator .
#   docker build -t rotator --build-arg BASE=my-hardened-python:3.12 .
# It runs as 65532:65532 on a read-only root; what it writes is /var/lib/rotator and /run/rotator (docs/container.md).
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/ requirements/
# The tools stay in a room of their own: the product's environment has no pip.
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --require-hashes -r requirements/build.txt \
 && python3 -m venv --without-pip /opt/rotator \
 && /opt/build/bin/pip --python /opt/rotator/bin/python install --quiet --require-hashes -r requirements/runtime.txt
COPY . .
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/rotator/bin/python install --quiet --no-deps --no-index /wheels/*.whl \
 && install -d -o 65532 -g 65532 -m 0700 /rootfs/var/lib/rotator /rootfs/run/rotator \
 && install -d -m 0755 /rootfs/etc/rotator

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rotator" \
      org.opencontainers.image.description="Rotates credentials and proves the old ones dead" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/rotator /opt/rotator
COPY --from=build /rootfs/ /
ENV PATH=/opt/rotator/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ROTATOR_CONFIG=/etc/rotator ROTATOR_SOCKET=/run/rotator/api.sock
USER 65532:65532
WORKDIR /var/lib/rotator
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["rotator", "health"]
ENTRYPOINT ["rotator"]
CMD ["serve"]
