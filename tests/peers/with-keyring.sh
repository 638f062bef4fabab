#!/bin/bash
# Runs a command on a session bus of its own, with a fresh gnome-keyring that is unlocked.
#
#   with-keyring.sh COMMAND [ARGUMENT...]
#
# Nothing of the person's own session is touched: home, runtime folder and bus are new and go away with the command,
# whose exit code is passed on. Needs the Debian packages gnome-keyring, dbus-daemon and dbus-bin.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
    fresh=$(mktemp -d)
    mkdir -p -m 700 "$fresh/run" "$fresh/data/keyrings" "$fresh/config"
    status=0
    env -u DISPLAY -u WAYLAND_DISPLAY -u DBUS_SESSION_BUS_ADDRESS \
        HOME="$fresh" XDG_RUNTIME_DIR="$fresh/run" XDG_DATA_HOME="$fresh/data" XDG_CONFIG_HOME="$fresh/config" \
        dbus-run-session -- "${BASH_SOURCE[0]}" --inside "$@" || status=$?
    rm -rf "$fresh"
    exit "$status"
fi
shift

# A keyring that does not exist yet is made with the password that comes in here; a newline would be part of it.
printf %s "only for tests" | gnome-keyring-daemon --unlock --components=secrets > /dev/null

# The daemon answers on the bus a moment later. A client that is faster makes the bus start a second daemon, locked.
for _ in $(seq 200); do
    if dbus-send --session --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus \
        org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets 2> /dev/null | grep -q "boolean true"; then
        status=0
        "$@" || status=$?
        exit "$status"
    fi
    sleep 0.05
done
echo "gnome-keyring did not come up within 10 seconds" >&2
exit 1
