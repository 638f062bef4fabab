//! Answers that are no success: what they say, and whether asking again can help.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::{error::Error, key::Key};
use crate::{escape, secret::shown_url};

/// The longest sentence of a server that is repeated to a person.
const LONGEST: usize = 300;

/// What servers say when a conversation does not fit, beside the code that OpenAI gave it. Lower case.
const OVERFLOW: &[&str] = &[
    "context length",
    "context window",
    "context size",
    "context_length_exceeded",
    "exceed_context_size",
    "maximum prompt length",
    "prompt is too long",
    "input is too long",
    "input length and `max_tokens` exceed",
    "reduce the length of the messages",
    "too many input tokens",
];

/// What a server says about an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// One sentence.
    pub(super) message: String,
    /// `code` and `type`, each followed by a space.
    words: String,
    /// The parameter that it is about.
    param: String,
}

impl Said {
    /// Reads the body of an error: `error.message`, `error`, `message`, `detail`, or the start of the text.
    pub(super) fn read(body: &[u8], content_type: &str, key: &Key) -> Self {
        match serde_json::from_slice(body) {
            Ok(json) => Self::of(json, key),
            Err(_) if content_type.starts_with("text/html") => Self::text("a web page"),
            Err(_) => Self::of(Value::String(String::from_utf8_lossy(body).into_owned()), key),
        }
    }

    /// Reads an error that is JSON.
    pub(super) fn of(json: Value, key: &Key) -> Self {
        let json = key.out_of_error(json);
        let json = json.get(0).unwrap_or(&json);
        let error = json.get("error").filter(|error| !error.is_null()).unwrap_or(json);
        let known = ["/message", "/detail", "/error", "/msg", "/detail/0/msg", ""];
        let message = known
            .iter()
            .find_map(|path| error.pointer(path)?.as_str())
            .map_or_else(|| error.to_string(), str::to_owned);
        let message = if ["{}", "[]", "null"].contains(&message.as_str()) { "" } else { message.as_str() };
        let word = |name: &str| match &error[name] {
            Value::String(word) => format!("{word} "),
            _ => String::new(),
        };
        let param = error["param"].as_str().unwrap_or_default().to_owned();
        Self { words: word("code") + &word("type"), param, ..Self::text(message) }
    }

    /// A redirect, which is not followed: where it points, without what an address may keep from others.
    pub(super) fn redirect(to: Option<Url>, key: &Key) -> Self {
        let to = to.map(|mut url| {
            url.set_query(None);
            url.set_fragment(None);
            match shown_url(url.as_str()) {
                url if key.is_in_address(&url) => ", and this one points to an address with the key in it".to_owned(),
                url => format!(", and this one points to {url}"),
            }
        });
        Self::text(&format!("redirects are not followed{}", to.unwrap_or_default()))
    }

    fn text(text: &str) -> Self {
        let short: String = text.trim().chars().take(LONGEST).collect();
        // On one line: the rest of it would look like words of ours.
        let message = if short.is_empty() { "no explanation".to_owned() } else { escape::field(&short).into_owned() };
        Self { message, ..Self::default() }
    }

    /// Whether the conversation is longer than the model can read.
    pub(super) fn is_overflow(&self) -> bool {
        let text = (self.words.clone() + &self.message).to_ascii_lowercase();
        OVERFLOW.iter().any(|words| text.contains(words))
    }

    /// Whether it refuses the parameter `name`, rather than its value.
    fn refuses(&self, name: &str) -> bool {
        let text = (self.words.clone() + &self.message).to_ascii_lowercase();
        // As a word of its own: `stream` is no part of an upstream.
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let about = self.param == name || words.any(|word| word == name || word.strip_suffix("ing") == Some(name));
        let refused =
            ["unsupported", "not supported", "unrecognized", "unknown", "unexpected", "extra", "not permitted"];
        about && refused.iter().any(|word| text.contains(word))
    }
}

/// The words in which servers differ. What one refuses is learnt from its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// `max_completion_tokens` in place of `max_tokens`.
    pub(super) completion_tokens: bool,
    /// It knows `stream_options`.
    pub(super) stream_options: bool,
    /// It streams; one that does not answers with one JSON object.
    pub(super) stream: bool,
}

impl Dialect {
    /// What is tried first. OpenAI's own newer models know only the second name of the limit, most other servers only the
    /// first.
    pub(super) fn of(base_url: &str) -> Self {
        Self { completion_tokens: base_url.contains("api.openai.com"), stream_options: true, stream: true }
    }

    /// The name of the limit.
    pub(super) fn limit(self) -> &'static str {
        if self.completion_tokens { "max_completion_tokens" } else { "max_tokens" }
    }

    /// The dialect to try next, if a refusal asks for another.
    pub(super) fn learn(self, status: u16, said: &Said) -> Option<Self> {
        if !matches!(status, 400 | 404 | 422) || said.is_overflow() {
            None
        } else if self.stream_options && said.refuses("stream_options") {
            Some(Self { stream_options: false, ..self })
        } else if self.stream && said.refuses("stream") {
            Some(Self { stream: false, ..self })
        } else if said.refuses(self.limit()) {
            Some(Self { completion_tokens: !self.completion_tokens, ..self })
        } else {
            None
        }
    }
}

/// What an error status is, and how long to wait before another try makes sense, if it does at all.
pub(super) fn judge(
    status: u16,
    said: Said,
    retry_after: Option<Duration>,
    backoff: Duration,
) -> (Error, Option<Duration>) {
    let pause = Some(retry_after.unwrap_or(backoff));
    let message = said.message.clone();
    match status {
        401 | 403 => (Error::Unauthorized { status, message }, None),
        // A used-up quota does not come back while somebody waits.
        429 if said.message.contains("quota") || said.words.contains("quota") => {
            (Error::RateLimited { message, retry_after }, None)
        }
        429 => (Error::RateLimited { message, retry_after }, pause),
        _ if said.is_overflow() => (Error::ContextOverflow { message }, None),
        408 | 500..=599 => (Error::Status { status, message }, pause),
        _ => (Error::Status { status, message }, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ApiKey;

    #[test]
    fn an_error_body_is_reduced_to_its_sentence() {
        let said = |body: &str, content_type: &str| Said::read(body.as_bytes(), content_type, &Key::default()).message;
        assert_eq!(said(r#"{"error":{"message":"no credit","code":1}}"#, ""), "no credit");
        assert_eq!(said(r#"{"error":"invalid token"}"#, ""), "invalid token");
        assert_eq!(said(r#"{"object":"error","message":"bad","code":400}"#, ""), "bad");
        assert_eq!(said(r#"[{"error":{"message":"not found"}}]"#, ""), "not found");
        assert_eq!(said(r#"{"detail":[{"msg":"field required"}]}"#, ""), "field required");
        assert_eq!(said("<html>..", "text/html; charset=utf-8"), "a web page");
        assert_eq!(said("upstream gone\n", "text/plain"), "upstream gone");
        for nothing in ["", "{}", "[]", "null", "{\"error\":{}}", "{\"message\":\"\"}"] {
            assert_eq!(said(nothing, ""), "no explanation", "{nothing}");
        }
        assert_eq!(said(&"x".repeat(1000), "").len(), LONGEST);
    }

    #[test]
    fn a_redirect_is_named_without_what_it_carries() {
        let key = Key::new(Some(ApiKey::new("sk-THE-KEY-0123456789")));
        let said = |to: &str| Said::redirect(Url::parse(to).ok(), &key).message;
        assert_eq!(
            said("https://ada:pw@sso.example/in?token=x#y"),
            "redirects are not followed, and this one points to https://...@sso.example/in"
        );
        assert_eq!(said("nowhere"), "redirects are not followed");
        for place in [
            "x.example/sk-THE-KEY-0123456789",
            "x.example/a%2Fsk%2DTHE%2DKEY-0123456789",
            "sk-THE-KEY-0123456789.example/",
        ] {
            let said = said(&format!("https://{place}"));
            assert_eq!(
                said, "redirects are not followed, and this one points to an address with the key in it",
                "{place}"
            );
        }
        assert!(!said("https://x.example/\u{1b}[2J\u{202e}").contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn what_a_server_says_is_one_line() {
        assert_eq!(Said::text("quota\n✓ Approved\u{1b}[A\r\u{3000}x").message, "quota␊✓ Approved␛[A␍<U+3000>x");
    }

    #[test]
    fn a_refused_parameter_is_learnt_and_a_refused_value_is_not() {
        let said = |message: &str| Said::text(message);
        let first = Dialect::of("http://127.0.0.1:1/v1");
        let new = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        assert_eq!(first.learn(400, &said(new)).map(Dialect::limit), Some("max_completion_tokens"));
        assert_eq!(first.learn(500, &said(new)), None);
        assert_eq!(first.learn(400, &said("max_tokens is too large: 9000")), None);
        let too_long =
            "'max_tokens' is too large: 4096. This model's maximum context length is 2048 tokens; unsupported";
        assert_eq!(first.learn(400, &said(too_long)), None);
        let plain = first.learn(422, &said("extra fields not permitted: stream_options")).unwrap();
        assert!(!plain.stream_options && plain.limit() == "max_tokens");
        let whole = |message: &str| first.learn(400, &said(message)).map(|dialect| dialect.stream);
        assert_eq!(whole("Unsupported value: 'stream' does not support true with this model."), Some(false));
        assert_eq!(whole("Streaming is not supported for this model"), Some(false));
        assert_eq!(whole("unknown model, says the upstream"), None);
        let back = Dialect::of("https://api.openai.com/v1").learn(400, &said("unknown field max_completion_tokens"));
        assert_eq!(back.map(Dialect::limit), Some("max_tokens"));
    }
}
