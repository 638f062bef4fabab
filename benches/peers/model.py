#!/usr/bin/env python3
"""A model that says at once what it is asked to say, for benches/peers/run.py.

    model.py            prints its port, and serves until its stdin ends

It speaks OpenAI's chat completions and responses, streamed and not. "say N words" gets N tokens, each in an event of its own;
"which phones are there" gets a call of whichever tool the client offers, and 50 tokens once the tool's result came back;
"buy 2 phones" the same with `buy_product`. An answer is made once, before it is timed, and is sent by as few system calls as the
client allows, so that the client is what is measured.
"""

import functools
import json
import re
import socket
import sys
import threading

# Held by the results of the tools that the contestants are given.
RESULT = "phone-7"
# Names of tools, with the arguments for a call. The last two belong to coding agents, which bring a shell of their own.
CALLS = {
    "search_phones": {"query": "phones"},
    "exec_command": {"cmd": f"echo {RESULT}"},
    "shell_command": {"command": f"echo {RESULT}"},
    "shell": {"command": ["echo", RESULT]},
    "bash": {"command": f"echo {RESULT}", "description": "Lists phones"},
}
BUY = {"buy_product": {"product": "phones", "qty": 2}}


def tokens(count):
    """Numbered words, so that a missing one is found, in sentences of 12 and paragraphs of 60."""
    for at in range(1, count + 1):
        end = "." if at % 12 == 0 or at == count else ""
        yield f"w{at}{end}" + ("\n\n" if at % 60 == 0 and at != count else " " if at != count else "")


def dumped(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def response(status, kind, body):
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def streamed(events):
    """Each event is a chunk of the transfer encoding, as servers send them."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in (text.encode() for text in events)]
    return head + b"".join(chunks) + b"0\r\n\r\n"


def usage(count):
    return {"prompt_tokens": 10, "completion_tokens": count, "total_tokens": count + 10}


def chat_events(count, call, with_usage):
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}

    def event(delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {dumped({**common, 'choices': [choice]})}\n\n"

    if call:
        name, arguments = call
        function = {"name": name, "arguments": arguments}
        yield event({"role": "assistant", "content": None,
                     "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})
        yield event({}, "tool_calls")
    else:
        yield event({"role": "assistant", "content": ""})
        for token in tokens(count):
            yield event({"content": token})
        yield event({}, "stop")
    if with_usage:
        yield f"data: {dumped({**common, 'choices': [], 'usage': usage(count)})}\n\n"
    yield "data: [DONE]\n\n"


def responses_events(count, call):
    number = 0

    def event(kind, **fields):
        nonlocal number
        number += 1
        return f"event: {kind}\ndata: {dumped({'type': kind, 'sequence_number': number, **fields})}\n\n"

    base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "bench", "output": []}
    yield event("response.created", response={**base, "status": "in_progress"})
    at = {"output_index": 0}
    if call:
        name, arguments = call
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": name, "arguments": arguments}
        yield event("response.output_item.added", **at, item={**item, "status": "in_progress", "arguments": ""})
        yield event("response.function_call_arguments.delta", **at, item_id="fc_1", delta=arguments)
        yield event("response.function_call_arguments.done", **at, item_id="fc_1", arguments=arguments)
        item["status"] = "completed"
    else:
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        part = {**at, "item_id": "msg_1", "content_index": 0}
        yield event("response.output_item.added", **at, item=item)
        yield event("response.content_part.added", **part, part={"type": "output_text", "text": "", "annotations": []})
        for token in tokens(count):
            yield event("response.output_text.delta", **part, delta=token)
        text = "".join(tokens(count))
        content = {"type": "output_text", "text": text, "annotations": []}
        yield event("response.output_text.done", **part, text=text)
        yield event("response.content_part.done", **part, part=content)
        item = {**item, "status": "completed", "content": [content]}
    yield event("response.output_item.done", **at, item=item)
    total = {"input_tokens": 10, "output_tokens": count, "total_tokens": count + 10}
    yield event("response.completed", response={**base, "status": "completed", "output": [item], "usage": total})


@functools.cache
def answer(api, count, call, stream, with_usage):
    if api == "responses":
        return streamed(responses_events(count, call))
    if stream:
        return streamed(chat_events(count, call, with_usage))
    message = {"role": "assistant", "content": "".join(tokens(count))}
    if call:
        function = {"name": call[0], "arguments": call[1]}
        message = {"role": "assistant", "content": None,
                   "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "bench",
            "choices": [choice], "usage": usage(count)}
    return response(200, "application/json", dumped(body).encode())


def asked(messages):
    """The text after the last message of a person that holds a task of ours: (task, what came after it)."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].get("role") == "user":
            text = dumped(messages[at].get("content"))
            found = re.findall(r"say \d+ words|which phones are there|buy \d+ phones", text)
            if found:
                return found[-1], dumped(messages[at + 1:])
    return "", ""


def reply(api, body):
    request = json.loads(body)
    task, after = asked(request.get("messages") or request.get("input") or [])
    count, call = 3, None
    if task.startswith("say"):
        count = int(task.split()[1])
    elif task:
        known = BUY if task.startswith("buy") else CALLS
        offered = [tool.get("name") or tool.get("function", {}).get("name") for tool in request.get("tools") or []]
        if "tool_call_id" in after or "function_call_output" in after:
            # Without the result in its hands the model has nothing to say, and the harness misses the 50 words.
            count = 50 if known is BUY or RESULT in re.sub(r'"arguments":".*?[^\\]"', "", after) else 3
        else:
            name = next((name for name in known if name in offered), None)
            call = (name, dumped(known[name])) if name else None
    options = request.get("stream_options") or {}
    return answer(api, count, call, bool(request.get("stream")), bool(options.get("include_usage")))


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in held:
                got = connection.recv(1 << 16)
                if not got:
                    return
                held += got
            head, held = held.split(b"\r\n\r\n", 1)
            method, path, _ = head.decode("latin-1").split("\r\n")[0].split(" ", 2)
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            length = int(length.group(1)) if length else 0
            if b"100-continue" in head:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while len(held) < length:
                got = connection.recv(1 << 16)
                if not got:
                    return
                held += got
            body, held = held[:length], held[length:]
            if method == "POST" and path.endswith("/chat/completions"):
                connection.sendall(reply("chat", body))
            elif method == "POST" and path.endswith("/responses"):
                connection.sendall(reply("responses", body))
            elif path.startswith("/phones"):
                connection.sendall(response(200, "application/json", dumped({"items": [RESULT]}).encode()))
            elif path.endswith("/models"):
                models = {"object": "list", "data": [{"id": "bench", "object": "model"}], "models": []}
                connection.sendall(response(200, "application/json", dumped(models).encode()))
            else:
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def guarded(connection):
    try:
        serve(connection)
    except OSError:
        pass  # a client that goes away


def main():
    for count in (50, 20_000):
        answer("chat", count, None, True, True)
        answer("chat", count, None, True, False)
        answer("responses", count, None, True, False)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)

    def accept():
        while True:
            threading.Thread(target=guarded, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
