#!/bin/sh
# Puts the server and its model into target/peers/llama-cpp.
set -eu
cd "$(dirname "$0")/../../.."
place=target/peers/llama-cpp
want=tests/peers/llama-cpp/requirements.txt
# The copy is written last, so half an installation is not taken for a whole one.
if cmp -s "$want" "$place/requirements.txt"; then exit 0; fi
rm -rf "$place"
python3 -m venv "$place"
"$place/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r "$want"
cp "$want" "$place/requirements.txt"
