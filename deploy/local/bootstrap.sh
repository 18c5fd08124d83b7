#!/bin/sh
# Makes .venv from requirements.lock; says nothing and takes no time when that is done already.
set -eu
cd "$(dirname "$0")/../.."

if [ -x .venv/bin/python ] && [ -r .venv/.lock.sha256 ] &&
    sha256sum --check --status .venv/.lock.sha256 2>/dev/null; then
    exit 0
fi

# Of several on PATH the first that really runs: a version manager's shim may stand before the system's.
IFS=:
for folder in $PATH; do
    for name in python3.11 python3; do
        python="$folder/$name"
        if [ -x "$python" ] && "$python" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            exec "$python" -B -m deploy.local.bootstrap
        fi
    done
done
echo "Python 3.11 is missing: install it (on Debian 12: apt-get install python3.11) and run again." >&2
exit 1
