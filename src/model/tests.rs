//! What the client makes of bytes that come in pieces, late, or wrong.

use super::*;

fn assemble(chunks: &[Value]) -> Result<Completion, Error> {
    let mut assembly = Assembly::default();
    for chunk in chunks {
        assembly.add(serde_json::from_value(chunk.clone()).unwrap(), &|_| {})?;
    }
    assembly.finish()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn end(reason: &str) -> Value {
    json!({"choices": [{"delta": {}, "finish_reason": reason}]})
}

#[test]
fn interleaved_pieces_become_two_calls() {
    let call = |index: u64, id: Value, name: Value, arguments: &str| {
        delta(json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}))
    };
    let completion = assemble(&[
        call(0, json!("a"), json!("buy_product"), ""),
        call(1, json!("b"), json!("search_products"), "{}"),
        call(0, json!(null), json!(null), "{\"qty\""),
        call(0, json!(null), json!(null), ":2}"),
        json!({"choices": [], "usage": {"prompt_tokens": 3}}),
        end("tool_calls"),
    ])
    .unwrap();
    assert_eq!(completion.tool_calls[0].arguments, "{\"qty\":2}");
    assert_eq!(completion.tool_calls[1].name, "search_products");
}

#[test]
fn quirks_of_other_servers_are_understood() {
    let no_index = |function: Value| delta(json!({"tool_calls": [{"function": function}]}));
    let completion = assemble(&[
        delta(json!({"content": "Hi", "reasoning_content": "x", "role": "model"})),
        no_index(json!({"name": "a", "arguments": {"qty": 1}})),
        no_index(json!({"name": "b", "arguments": "{}"})),
        end("eos_token"),
    ])
    .unwrap();
    assert_eq!(completion.text, "Hi");
    assert_eq!(completion.tool_calls.len(), 2);
    assert_eq!(completion.tool_calls[0].arguments, "{\"qty\":1}");
    assert!(completion.tool_calls.iter().all(|call| call.id.starts_with("call_")));
    let whole = json!({"id": "x", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]});
    assert_eq!(assemble(&[whole]).unwrap().text, "Hello");
}

#[test]
fn an_absurd_index_is_no_crash() {
    let last = delta(json!({"tool_calls": [{"index": u64::MAX, "function": {"name": "a", "arguments": "{}"}}]}));
    let next = delta(json!({"tool_calls": [{"function": {"name": "b", "arguments": "{}"}}]}));
    assert_eq!(assemble(&[last, next, end("stop")]).unwrap().tool_calls.len(), 1);
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let answer = |bytes: usize| reqwest::Response::from(::http::Response::new(vec![b'x'; bytes]));
    assert_eq!(limited(answer(100), 100).bytes().await.unwrap().len(), 100);
    let error = limited(answer(101), 100).bytes().await.unwrap_err();
    assert_eq!(root_cause(&error), "the answer is too long");
}

#[test]
fn half_an_answer_is_none() {
    let call = delta(json!({"tool_calls": [{"index": 0, "function": {"name": "a", "arguments": "{\"q\":"}}]}));
    assert!(matches!(assemble(std::slice::from_ref(&call)), Err(Error::Cut(_))));
    assert!(matches!(assemble(&[call, end("length")]), Err(Error::Cut(_))));
    assert!(matches!(assemble(&[delta(json!({"content": "Hel"}))]), Err(Error::Cut(_))));
    assert!(assemble(&[delta(json!({"content": "Hel"})), end("length")]).unwrap().truncated);
    let inside = json!({"error": {"message": "overloaded"}});
    assert_eq!(
        assemble(&[inside]).unwrap_err().to_string(),
        "the model's server sent something that is not a completion: overloaded"
    );
}

#[test]
fn an_error_body_is_reduced_to_its_sentence() {
    assert_eq!(said(br#"{"error":{"message":"no credit","code":1}}"#, ""), "no credit");
    assert_eq!(said(br#"{"error":"invalid token"}"#, ""), "invalid token");
    assert_eq!(said(b"<html>..", "text/html; charset=utf-8"), "a web page");
    assert_eq!(said(b"", ""), "no explanation");
}
