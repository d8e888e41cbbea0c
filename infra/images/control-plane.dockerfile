# A replica of the control plane. It runs as nobody in particular and writes nothing, so it can be run with a read-only root file system
# and without any capability. BASE needs Node.js 24 or newer, as `node`, and nothing else.
ARG BASE=node:24-slim
FROM ${BASE}
COPY . /opt/berth
USER 65532:65532
WORKDIR /opt/berth
ENV NODE_ENV=production BERTH_LISTEN=0.0.0.0:7878
EXPOSE 7878
# Not by a shell, so that signals reach it.
ENTRYPOINT ["node", "/opt/berth/control-plane/main-node.ts"]
