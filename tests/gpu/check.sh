#!/bin/sh
# Runs the check for GPUs on a machine that has nothing but them. Argument: the folder that `npm run gpu:pack` has made.
set -eu
packed=$(cd "$1" && pwd)
work=$(mktemp -d /tmp/berth-gpu-check.XXXXXX)
trap 'rm -rf "$work"' EXIT
# Tasks run under users of their own, and have to get in.
chmod 711 "$work"
gzip -dc "$packed/node.gz" > "$work/node"
chmod 755 "$work/node"
"$work/node" "$packed/check.cjs" "$packed/berth-agent.cjs" "$work"
