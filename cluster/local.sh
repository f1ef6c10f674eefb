#!/usr/bin/env bash
# A Ray cluster of separate processes on this machine: a head with the jobs server, and optional worker nodes.
#   cluster/local.sh start [WORKERS]     prints what to export
#   cluster/local.sh stop                ends what this script started, nothing else
# State (process ids, token, logs) is in $NRRAY_CLUSTER_DIR, default ./.nrray-cluster.
# Ports: NRRAY_GCS_PORT (6379), NRRAY_DASHBOARD_PORT (8265); the others are free ones. All are on loopback.
set -euo pipefail
umask 077
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${NRRAY_CLUSTER_DIR:-$PWD/.nrray-cluster}
gcs_port=${NRRAY_GCS_PORT:-6379}
dashboard_port=${NRRAY_DASHBOARD_PORT:-8265}
python=${NRRAY_PYTHON:-python}
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$dir/token
# `ray job submit` runs its entry point with the `python` of PATH: make that this one.
PATH=$(dirname "$("$python" -c 'import sys; print(sys.executable)')"):$PATH
export PATH

launch() { # NAME ARGS...: one node in the foreground of its own session, its process id noted
    local name=$1; shift
    # Two clusters of one machine cannot have the same port for their agents, which Ray would give them: 0 is any free one.
    setsid "$python" "$here/ray_on_loopback.py" start --block --temp-dir "$tmp" --dashboard-agent-listen-port 0 "$@" \
        >"$dir/$name.log" 2>&1 </dev/null &
    echo $! >"$dir/$name.pid"
}

case ${1:-} in
start)
    workers=${2:-0}
    mkdir -p "$dir"
    if compgen -G "$dir/*.pid" >/dev/null; then
        echo "a cluster of $dir is running: stop it first with $0 stop" >&2
        exit 1
    fi
    # A short path of our own: Ray keeps unix sockets there, and their names may have 107 characters only.
    tmp=$(mktemp -d /tmp/nrr.XXXX)
    echo "$tmp" >"$dir/tmp"
    python -c 'import secrets; print(secrets.token_hex(32))' >"$dir/token"
    launch head --head --node-ip-address 127.0.0.1 --port "$gcs_port" --dashboard-host 127.0.0.1 \
        --dashboard-port "$dashboard_port" ${NRRAY_NODE_CPUS:+--num-cpus "$NRRAY_NODE_CPUS"} --disable-usage-stats
    # Up is a head that takes a job: its agent comes up some seconds after its port.
    for _ in $(seq 120); do
        kill -0 "$(cat "$dir/head.pid")" 2>/dev/null || break
        if RAY_ADDRESS= python -c "
from ray.job_submission import JobSubmissionClient
JobSubmissionClient('http://127.0.0.1:$dashboard_port').submit_job(entrypoint='true')" >/dev/null 2>&1; then
            for index in $(seq "$workers"); do
                launch "worker-$index" --address "127.0.0.1:$gcs_port" ${NRRAY_NODE_CPUS:+--num-cpus "$NRRAY_NODE_CPUS"}
            done
            echo "export RAY_API_SERVER_ADDRESS=http://127.0.0.1:$dashboard_port RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$dir/token RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0"
            exit 0
        fi
        sleep 1
    done
    echo "the head did not come up; its log: $dir/head.log" >&2
    "$0" stop
    exit 1
    ;;
stop)
    groups=$(cat "$dir"/*.pid 2>/dev/null || true)
    for group in $groups; do kill -TERM -- "-$group" 2>/dev/null || true; done
    for _ in $(seq 20); do # all of them have the same 10 s
        alive=
        for group in $groups; do ! kill -0 -- "-$group" 2>/dev/null || alive=yes; done
        [ -n "$alive" ] || break
        sleep 0.5
    done
    for group in $groups; do kill -KILL -- "-$group" 2>/dev/null || true; done
    rm -f "$dir"/*.pid
    if [ -e "$dir/tmp" ]; then rm -rf "$(cat "$dir/tmp")"; fi
    rm -f "$dir/tmp" "$dir/token"
    ;;
*)
    sed -n '2,7p' "$0" >&2
    exit 2
    ;;
esac
