#!/bin/bash
# Installs one peer into a folder: install.sh FOLDER aichat|npm|llm VERSION...   (for npm: NAME@VERSION...)
# Nothing outside the folder is touched but the caches of cargo, npm and pip.
set -euo pipefail
folder=$1 kind=$2
shift 2
mkdir -p "$folder"
cd "$folder"
case $kind in
aichat) CARGO_TARGET_DIR=$folder/build nice -n 19 cargo install --quiet --locked --root "$folder/aichat" "aichat@$1" ;;
npm)
    [ -f package.json ] || echo '{"private":true}' > package.json
    npm install --no-audit --no-fund --save-exact "$@"
    ;;
llm) python3 -m venv llm && llm/bin/pip install --quiet "llm==$1" ;;
esac
