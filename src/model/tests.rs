//! The client against servers that are compatible in name: every file of tests/vectors/model, walked at run time. A case
//! says what a server sends, byte by byte, and what must come of it.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::clock::{Clock, ManualClock, Sleep, SystemClock};

/// One case. An unknown key is an error, so that no expectation is misspelt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    answers: Vec<Answer>,
    #[serde(default)]
    api_key: Option<String>,
    /// The server falls silent, and the wait for a sign of life ends.
    #[serde(default)]
    silence: bool,
    #[serde(default)]
    text: String,
    #[serde(default)]
    text_length: Option<usize>,
    /// Name, arguments, and the id if it is the server's own.
    #[serde(default)]
    calls: Vec<(String, String, Option<String>)>,
    #[serde(default)]
    truncated: bool,
    /// Tokens read and written.
    #[serde(default)]
    usage: Option<(u64, u64)>,
    #[serde(default)]
    error: Option<String>,
    /// Pauses between requests, in seconds.
    #[serde(default)]
    sleeps: Vec<f64>,
    /// What each request must hold.
    #[serde(default)]
    requests: Vec<Vec<String>>,
}

/// What a server does with one connection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Vec<Piece>,
    #[serde(default)]
    end: End,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Piece {
    Raw(String),
    Event { event: Value },
    Hex { hex: String },
    Repeat { repeat: String, times: usize },
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    #[default]
    Whole,
    /// The connection is closed before the body is over.
    Cut,
    /// Nothing more comes, and the connection stays open.
    Silent,
    /// The connection is closed without an answer.
    HungUp,
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(text) => text.clone().into_bytes(),
            Self::Event { event } => format!("data: {event}\n\n").into_bytes(),
            Self::Hex { hex } => hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
            Self::Repeat { repeat, times } => repeat.repeat(*times).into_bytes(),
        }
    }
}

/// A pause between two requests takes no time and is remembered. A wait for a sign of life lasts; in a case about silence,
/// until the text that comes before it has been told.
#[derive(Debug)]
struct TestClock {
    manual: ManualClock,
    /// Bytes of text, told and expected.
    told: AtomicUsize,
    silent_after: Option<usize>,
}

impl Clock for TestClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.manual.now()
    }

    fn elapsed(&self) -> Duration {
        self.manual.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        if duration <= PATIENCE {
            return self.manual.sleep(duration);
        }
        Box::pin(async move {
            match self.silent_after.filter(|_| duration == SILENCE) {
                None => std::future::pending().await,
                Some(length) => {
                    while self.told.load(Relaxed) < length {
                        tokio::task::yield_now().await;
                    }
                }
            }
            self.manual.advance(duration);
        })
    }
}

#[tokio::test]
async fn servers_differ_and_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/model");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let cases: Vec<Case> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in cases {
            let name = format!("{}: {}", path.file_name().unwrap().display(), case.name);
            tokio::time::timeout(Duration::from_secs(60), check(&name, case)).await.expect(&name);
            count += 1;
        }
    }
    assert!(count > 50, "only {count} cases were found");
}

async fn check(name: &str, case: Case) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = Arc::new(TestClock {
        manual: ManualClock::new(chrono::DateTime::UNIX_EPOCH),
        told: AtomicUsize::new(0),
        silent_after: case.silence.then_some(case.text.len()),
    });
    let options = ModelOptions {
        base_url: format!("http://{address}/v1"),
        api_key: case.api_key.clone().map(ApiKey::new),
        name: "m".to_owned(),
        max_tokens: 77,
    };
    let model = Model::new(Http::default(), options, Arc::clone(&clock) as SharedClock);
    let told = std::cell::RefCell::new((String::new(), None, 0));
    let tell = |event| match event {
        Event::Text { text } => {
            clock.told.fetch_add(text.len(), Relaxed);
            told.borrow_mut().0.push_str(&text);
        }
        Event::Usage { prompt_tokens, completion_tokens } => {
            assert_eq!(told.borrow_mut().1.replace((prompt_tokens, completion_tokens)), None, "{name}: told twice");
        }
        Event::ModelRetry { .. } => told.borrow_mut().2 += 1,
        other => panic!("{name}: {other:?}"),
    };
    let messages = [Message::User { content: "hi".to_owned() }];
    let server = tokio::spawn(serve(listener, case.answers));
    let result = model.complete(&messages, &[], &tell).await;
    drop(model);
    let requests = server.await.unwrap_or_else(|error| panic!("{name}: {error}; {result:?}"));
    let (text, usage, retries) = told.into_inner();
    match (&result, &case.error) {
        (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{name}: {error}"),
        (Ok(completion), None) => {
            assert_eq!(completion.text, text, "{name}: what is told is what is returned");
            assert_eq!(completion.truncated, case.truncated, "{name}");
            assert_eq!(completion.tool_calls.len(), case.calls.len(), "{name}: {:?}", completion.tool_calls);
            for (call, (tool, arguments, id)) in completion.tool_calls.iter().zip(&case.calls) {
                assert_eq!((&call.name, &call.arguments), (tool, arguments), "{name}");
                let known = id.as_ref().map_or(call.id.starts_with("call_"), |id| *id == call.id);
                assert!(known, "{name}: {}", call.id);
            }
        }
        (result, expected) => panic!("{name}: {result:?}, expected {expected:?}"),
    }
    match case.text_length {
        Some(length) => assert_eq!(text.chars().count(), length, "{name}"),
        None => assert_eq!(text, case.text, "{name}"),
    }
    assert_eq!(usage, case.usage, "{name}");
    let sleeps: Vec<f64> = clock.manual.sleeps().iter().map(Duration::as_secs_f64).collect();
    assert_eq!(sleeps, case.sleeps, "{name}");
    assert_eq!(retries, sleeps.len(), "{name}: each pause is announced");
    for (request, expected) in requests.iter().zip(&case.requests) {
        for part in expected {
            let (wanted, part) = part.strip_prefix('!').map_or((true, part.as_str()), |part| (false, part));
            assert_eq!(request.contains(part), wanted, "{name}: {part} in {request}");
        }
    }
}

/// Plays the answers, one for each connection, and returns the requests. One that nobody asks for fails.
async fn serve(listener: TcpListener, answers: Vec<Answer>) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        requests.push(read_request(&mut stream).await);
        if answer.end == End::HungUp {
            continue;
        }
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\ntransfer-encoding: chunked\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut sent = stream.write_all((head + "\r\n").as_bytes()).await;
        for piece in &answer.body {
            let bytes = piece.bytes();
            let frame = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
            // The client may have gone away, if the answer was too long.
            sent = sent.and(stream.write_all(&frame).await);
        }
        match answer.end {
            End::Whole => drop(stream.write_all(b"0\r\n\r\n").await),
            End::Silent => drop(stream.read(&mut [0]).await),
            End::Cut | End::HungUp => {}
        }
    }
    requests
}

#[tokio::test]
async fn the_end_behind_the_last_event_is_read_so_that_the_connection_can_be_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (answered, wait) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n")
            .await
            .unwrap();
        wait.await.unwrap();
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        stream
    });
    let options = ModelOptions { base_url, api_key: None, name: "m".into(), max_tokens: 1 };
    let model = Model::new(Http::default(), options, Arc::new(SystemClock::new()));
    model.complete(&[Message::User { content: "hi".into() }], &[], &|_| ()).await.unwrap();
    answered.send(()).unwrap();
    let mut closing = model.closing.take();
    assert!(closing.join_next().await.expect("the connection is still read").is_ok());
    drop(server.await.unwrap());
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "half a request");
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase().split_once("content-length: ").unwrap().1.to_owned();
        if body.len() >= length.lines().next().unwrap().parse().unwrap() {
            return text.into_owned();
        }
    }
}

#[test]
fn the_beginning_of_a_request_stays_the_same() {
    let options =
        ModelOptions { base_url: "http://127.0.0.1:1".into(), api_key: None, name: "m".into(), max_tokens: 1 };
    let clock = Arc::new(ManualClock::new(chrono::DateTime::UNIX_EPOCH));
    let model = Model::new(Http::default(), options, clock.clone());
    let tool = |name: &str| ToolDefinition {
        name: name.into(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    };
    let mut messages = vec![Message::System { content: "s".into() }, Message::User { content: "a".into() }];
    let first = model.request(&messages, &[tool("b"), tool("a")]).to_string();
    clock.advance(Duration::from_secs(90_000));
    messages.push(Message::answer(Some("b".into()), Vec::new()));
    let second = model.request(&messages, &[tool("a"), tool("b")]).to_string();
    let end_of_first = first.find("],\"stream\"").unwrap();
    assert_eq!(first[..end_of_first], second[..end_of_first]);
    assert!(first.find("\"name\":\"a\"").unwrap() < first.find("\"name\":\"b\"").unwrap());
}
