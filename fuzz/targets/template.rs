//! Templates filled with arguments of the model: a URL never leaves the place that the manifest wrote, and a header is one
//! line.

#![no_main]

use agentctl::tool::{Settings, template::Template};
use agentctl_fuzz::texts;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|data: &[u8]| {
    let [template, one, other] = texts(data);
    let settings = Settings::from([("HOST".to_owned(), "https://shop.example".to_owned())]);
    let arguments: Map<String, Value> = [
        ("a".to_owned(), Value::from(one.as_str())),
        ("b".to_owned(), serde_json::from_str(&other).unwrap_or(Value::from(other.as_str()))),
    ]
    .into_iter()
    .collect();
    let Ok(template) = Template::parse(&template) else { return };
    if let Ok(header) = template.header(&settings, &arguments) {
        assert!(!header.contains(['\r', '\n', '\0']), "{header:?}");
    }
    let _ = (template.text(&settings, &arguments), template.query(&settings, &arguments));
    if let Ok(id) = template.fga_id(&settings, &arguments) {
        assert!(!id.contains(char::is_whitespace), "{id:?}");
    }

    let places = ["https://shop.example/orders/{{ a }}", "{{ env.HOST }}/o/{{a}}/x/{{b}}?q={{a}}&r={{ b }}"];
    for text in places {
        let place = Template::parse(text).expect("a good template");
        let Ok(url) = place.url(&settings, &arguments) else { continue };
        assert_eq!(url.origin().ascii_serialization(), "https://shop.example", "{url}");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
        let shape = place.url_shape(&settings).expect("a good template");
        assert_eq!(url.path().split('/').count(), shape.path().split('/').count(), "{url}");
        assert_eq!(url.query_pairs().count(), shape.query_pairs().count(), "{url}");
    }
});
