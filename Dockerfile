# Build with everything:            docker build -t phone-bridge .
# or for a speech service, many nodes and traces, without local models and converters of sound (220 MB on the base, not 550):
#                                   docker build --build-arg EXTRAS=speed,postgres,nats,encryption,otel -t phone-bridge .
# Where builds must be repeatable, name the base by its digest: --build-arg BASE=python@sha256:…
#
# Run for simulated calls:   docker run --rm -p 8080:8080 -e BRIDGE_TWILIO__AUTH_TOKEN=… phone-bridge
# with a read-only root:     docker run --rm --read-only --tmpfs /tmp -v calls:/data -p 8080:8080 … phone-bridge

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ARG EXTRAS=local,speed,postgres,nats,encryption,formats
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Without pip: what runs installs nothing. What is installed is this very project, so it has no version to name.
RUN python -m venv --without-pip /opt/phone-bridge
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
COPY config/flows ./config/flows
# hadolint ignore=DL3013
RUN pip --python /opt/phone-bridge install ".[${EXTRAS}]"

FROM ${BASE}
# A fixed number, so that volumes and Kubernetes' runAsUser can name it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin bridge \
    && install --directory --owner=bridge --group=bridge /data
COPY --from=build /opt/phone-bridge /opt/phone-bridge
# In a container the outside is reached through all addresses. Whatever is written goes to the volume.
ENV PATH=/opt/phone-bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRIDGE_SERVER__HOST=0.0.0.0 \
    BRIDGE_STORE__RECORDINGS=/data/calls \
    BRIDGE_LOG__FORMAT=json \
    XDG_STATE_HOME=/data/state
# By its number: Kubernetes' runAsNonRoot cannot look a name up.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Goes by the bridge's settings: port, TLS. (A file that `serve --config` names must be named here, too.)
# The local speech models take some seconds to load.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-P", "-m", "bridge.alive"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["phone-bridge"]
CMD ["serve"]
