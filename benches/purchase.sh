#!/bin/bash
# A purchase with approval by curl, for benches/purchase.py: model, discovery, push, polls, keys, order, model.
set -euo pipefail

tools='[{"type":"function","function":{"name":"search_products","description":"x","parameters":{"type":"object","properties":{"query":{"type":"string"},"max_price":{"type":"number"}}}}},
{"type":"function","function":{"name":"buy_product","description":"x","parameters":{"type":"object","required":["product","qty"],"properties":{"product":{"type":"string"},"qty":{"type":"integer"},"price_limit":{"type":"number"}}}}}]'

model() { # model MESSAGES
    curl -sSfN -H "Authorization: Bearer $OPENAI_API_KEY" -H 'Content-Type: application/json' \
        -d "{\"model\":\"$AGENTCTL_MODEL\",\"stream\":true,\"tools\":$tools,\"messages\":$1}" "$OPENAI_BASE_URL/chat/completions"
}
called() { # called PROMPT TOOL ARGUMENTS RESULT: the conversation after one tool call
    printf '[{"role":"user","content":"%s"},{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"%s","arguments":"%s"}}]},{"role":"tool","tool_call_id":"c","content":"%s"}]' "$@"
}
shown() { # shown NAME VALUE PLACE: one line on the phone, in Auth0's Guardian schema
    printf '"%s":{"display":true,"name":"%s","value":"%s","display_order":%s}' "$1" "$@"
}
quoted() { sed 's/\\/\\\\/g; s/"/\\"/g'; }

model '[{"role":"user","content":"buy 2 phones"}]' > /dev/null
curl -sSf "${AGENTCTL_ISSUER}.well-known/openid-configuration" > /dev/null
client=(-d "client_id=$AGENTCTL_APPROVAL_CLIENT_ID" --data-urlencode "client_secret=$AGENTCTL_APPROVAL_CLIENT_SECRET")
origin=${SHOP_API_URL%/shop/orders}
asked=$(curl -sSf "${client[@]}" -d 'scope=openid product:buy' -d "audience=$SHOP_API_AUDIENCE" -d requested_expiry=300 \
    --data-urlencode "login_hint={\"format\":\"iss_sub\",\"iss\":\"$AGENTCTL_ISSUER\",\"sub\":\"$BENCH_SUB\"}" \
    -d binding_message=BUY-2-phones.00000000 \
    --data-urlencode "authorization_details=[{\"type\":\"urn:auth0:schemas:authorization-details:v1:purchase\",\"instruction\":\"Buy in the shop\",\"properties\":{$(shown product phones 1),$(shown qty 2 2),$(shown origin "$origin" 3)}}]" \
    "${AGENTCTL_ISSUER}bc-authorize")
id=$(sed 's/.*"auth_req_id":"\([^"]*\)".*/\1/' <<< "$asked")
while sleep 1; do
    answer=$(curl -sS "${client[@]}" -d grant_type=urn:openid:params:grant-type:ciba -d "auth_req_id=$id" "${AGENTCTL_ISSUER}oauth/token")
    case $answer in *'"access_token"'*) break ;; *authorization_pending*) ;; *) echo "$answer" >&2; exit 1 ;; esac
done
token=$(sed 's/.*"access_token":"\([^"]*\)".*/\1/' <<< "$answer")
curl -sSf "${AGENTCTL_ISSUER}.well-known/jwks.json" > /dev/null
ordered=$(curl -sSf -H "Authorization: Bearer $token" -H "Idempotency-Key: $RANDOM$RANDOM" -H 'Content-Type: application/json' \
    -d '{"product":"phones","qty":2}' "$SHOP_API_URL" | quoted)
model "$(called 'buy 2 phones' buy_product '{\"product\":\"phones\",\"qty\":2}' "{\\\"outcome\\\":\\\"done\\\",\\\"result\\\":$ordered}")"
