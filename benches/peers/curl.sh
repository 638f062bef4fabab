#!/bin/bash
# The same requests as a client makes, by curl, for benches/peers/run.py: what the wire itself costs.
#   curl.sh BASE say TASK     one streamed answer
#   curl.sh BASE tool TASK    model, tool, model
set -euo pipefail
base=$1 kind=$2 task=$3

tools='[{"type":"function","function":{"name":"search_phones","description":"Lists phones","parameters":{"type":"object","properties":{"query":{"type":"string"}}}}}]'

model() { # model MESSAGES
    exec curl -sSfN -H "Authorization: Bearer $OPENAI_API_KEY" -H 'Content-Type: application/json' \
        -d "{\"model\":\"bench\",\"stream\":true,\"tools\":$tools,\"messages\":$1}" "$base/chat/completions"
}
asked="{\"role\":\"user\",\"content\":\"$task\"}"

if [ "$kind" = tool ]; then
    (model "[$asked]") > /dev/null
    found=$(curl -sSf "${base%/v1}/phones?query=phones" | sed 's/\\/\\\\/g; s/"/\\"/g')
    called='{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"search_phones","arguments":"{\"query\":\"phones\"}"}}]}'
    asked="$asked,$called,{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"$found\"}"
fi
model "[$asked]"
