# The agent of a node, one file. It runs as nobody in particular; at run time it is given the group that may use the engine's socket, and
# a volume for its state. BASE needs Node.js 24 or newer, as `node`, and a /bin/sh for the dead-man.
ARG BASE=node:24-slim
FROM ${BASE}
COPY berth-agent.cjs /opt/berth/berth-agent.cjs
USER 65532:65532
ENV NODE_ENV=production BERTH_STATE_DIR=/var/lib/berth-agent
ENTRYPOINT ["node", "/opt/berth/berth-agent.cjs"]
