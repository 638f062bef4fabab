//! The model over a real socket.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

async fn start(model: &Arc<Model>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Arc::clone(model));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What came over the wire, without the chunk lengths; `whole` tells whether the body was ended properly.
struct Answered {
    status: u16,
    head: String,
    body: String,
    whole: bool,
}

async fn send(address: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> Answered {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let _ = socket.read_to_end(&mut raw).await;
    let raw = String::from_utf8(raw).unwrap();
    let (head, rest) = raw.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.contains("transfer-encoding: chunked");
    let body = if chunked {
        // The line before each chunk is its length; the chunks themselves hold no CR.
        rest.split("\r\n").skip(1).step_by(2).collect()
    } else {
        rest.to_owned()
    };
    Answered { status, head: head.to_owned(), body, whole: !chunked || rest.ends_with("0\r\n\r\n") }
}

async fn ask(address: SocketAddr, request: &Value) -> Answered {
    send(address, "POST", "/v1/chat/completions", "dev", &request.to_string()).await
}

fn request(text: &str, stream: bool) -> Value {
    json!({
        "model": "dev-planner",
        "stream": stream,
        "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": text }],
    })
}

/// The events of a stream, parsed; `[DONE]` is left as a string.
fn parse(body: &str) -> Vec<Value> {
    let data = body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data))).collect()
}

#[tokio::test]
async fn words_are_streamed_with_usage_and_an_end() {
    let address = start(&Arc::new(Model::new(7))).await;
    let answer = ask(address, &request("say 50 words", true)).await;
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    let events = parse(&answer.body);
    let words =
        events.iter().filter(|event| event["choices"][0]["delta"]["content"].as_str().is_some_and(|t| !t.is_empty()));
    assert_eq!(words.count(), 50);
    let [.., finish, usage, done] = &events[..] else { panic!("{}", answer.body) };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["usage"]["completion_tokens"], 50);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(done, "[DONE]");
    assert!(answer.whole);
}

#[tokio::test]
async fn without_a_stream_the_answer_is_one_object() {
    let address = start(&Arc::new(Model::new(7))).await;
    let answer = ask(address, &request("say 3 words", false)).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap().split(' ').count(), 3);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn a_scripted_call_comes_in_pieces_of_each_call_in_turn() {
    let model = Arc::new(Model::new(7));
    let script = json!({ "turns": [{ "interleave": true, "tool_calls": [
        { "name": "a", "arguments": { "x": 1 }, "pieces": 2 },
        { "id": "mine", "name": "b", "arguments": "{\"y\":", "pieces": 2 },
    ]}]});
    model.set_script(script).unwrap();
    let address = start(&model).await;
    let events = parse(&ask(address, &request("go", true)).await.body);
    let calls: Vec<&Value> = events
        .iter()
        .map(|event| &event["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    let order: Vec<u64> = calls.iter().map(|call| call["index"].as_u64().unwrap()).collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    assert_eq!(calls[1]["id"], "mine");
    let arguments = |index: usize| -> String {
        let of = calls.iter().filter(|call| call["index"] == index);
        of.map(|call| call["function"]["arguments"].as_str().unwrap()).collect()
    };
    assert_eq!(arguments(0), r#"{"x":1}"#);
    assert_eq!(arguments(1), r#"{"y":"#);
}

#[tokio::test]
async fn a_cut_breaks_the_connection_ends_it_early_or_sends_an_error() {
    let model = Arc::new(Model::new(7));
    let script = json!({ "turns": [
        { "text": "one two three four", "cut": { "after": 3 } },
        { "text": "one two three four", "cut": { "after": 3, "how": "end" } },
        { "text": "one two three four", "cut": { "after": 3, "how": "error" } },
        { "text": "one two three four", "omit": ["ids", "usage", "finish_reason", "done"] },
    ]});
    model.set_script(script).unwrap();
    let address = start(&model).await;
    let abort = ask(address, &request("go", true)).await;
    assert!(!abort.whole);
    assert_eq!(parse(&abort.body).len(), 3);
    let end = ask(address, &request("go", true)).await;
    assert!(end.whole && !end.body.contains("[DONE]"));
    let error = ask(address, &request("go", true)).await;
    assert_eq!(parse(&error.body)[3]["error"]["code"], "scripted");
    let careless = ask(address, &request("go", true)).await.body;
    assert!(!careless.contains("\"id\"") && !careless.contains("usage") && !careless.contains("[DONE]"), "{careless}");
    assert!(!careless.contains("\"stop\""), "{careless}");
    let ended = ask(address, &request("go", true)).await;
    assert_eq!(ended.status, 500);
    assert!(ended.body.contains("script_ended"), "{}", ended.body);
    model.set_script(Value::Null).unwrap();
    assert_eq!(ask(address, &request("say 2 words", true)).await.status, 200);
    assert!(model.set_script(json!({ "turns": 1 })).is_err());
}

#[tokio::test]
async fn scripted_errors_keep_their_status_and_headers() {
    let model = Arc::new(Model::new(7));
    let script = json!({ "turns": [
        { "error": { "status": 429, "headers": [["Retry-After", "2"]] } },
        { "error": { "status": 502, "body": "<html>no</html>" } },
    ]});
    model.set_script(script).unwrap();
    let address = start(&model).await;
    let answer = ask(address, &request("go", true)).await;
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after: 2"), "{}", answer.head);
    let answer = ask(address, &request("go", true)).await;
    assert!(answer.head.contains("text/html") && answer.body == "<html>no</html>", "{}", answer.head);
}

#[tokio::test]
async fn requests_that_the_real_service_refuses_are_refused() {
    let address = start(&Arc::new(Model::new(7))).await;
    assert_eq!(send(address, "GET", "/v1/models", "", "").await.status, 401);
    assert!(send(address, "GET", "/v1/models", "dev", "").await.body.contains(NAME));
    let with = |member: &str, value: Value| {
        let mut request = request("hello", false);
        request[member] = value;
        request
    };
    let call = json!({ "role": "assistant", "tool_calls": [{ "id": "c1", "function": { "name": "a" } }] });
    let answer = json!({ "role": "tool", "tool_call_id": "c1", "content": "{}" });
    let user = json!({ "role": "user", "content": "hello" });
    let table = [
        (404, with("model", json!("gpt-9"))),
        (400, with("model", Value::Null)),
        (400, with("messages", json!([]))),
        (400, with("messages", json!([{ "role": "model", "content": "" }]))),
        (400, with("messages", json!([user, call]))),
        (400, with("messages", json!([user, call, user]))),
        (400, with("messages", json!([user, answer]))),
        (200, with("messages", json!([user, call, answer]))),
        (400, with("tools", json!([]))),
        (400, with("tools", json!([{ "type": "function", "function": { "name": "a b" } }]))),
        (200, with("tools", json!([{ "type": "function", "function": { "name": "a_b" } }]))),
    ];
    for (status, request) in table {
        let answer = ask(address, &request).await;
        assert_eq!(answer.status, status, "{request}\n{}", answer.body);
        serde_json::from_str::<Value>(&answer.body).unwrap();
    }
    let broken = send(address, "POST", "/v1/chat/completions", "dev", "{").await;
    assert_eq!(broken.status, 400);
}
