//! JSON in the journal that holds values which must not lie on the disk in clear: the text as a whole, sealed, and beside it
//! what may be shown.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::seal::{DataKey, Error};

/// What stands in the place of a sealed value, and of what could be made from it.
pub const HIDDEN: &str = "(sealed)";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sealed: String,
    shown: Value,
}

impl DataKey {
    /// Seals a text for the place that `label` names.
    ///
    /// # Errors
    /// If it cannot be sealed.
    pub fn seal_text(&self, label: &str, text: &str, shown: Value) -> Result<String, Error> {
        let sealed = URL_SAFE_NO_PAD.encode(self.seal(label, text.as_bytes())?);
        serde_json::to_string(&Sealed { sealed, shown }).map_err(|_| Error::CannotSeal)
    }

    /// The text in clear; none if it is not sealed, or not with this key for this place.
    #[must_use]
    pub fn open_text(&self, label: &str, kept: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(read(kept)?.sealed).ok()?;
        String::from_utf8(self.open(label, &sealed).ok()?.to_vec()).ok()
    }
}

fn read(kept: &str) -> Option<Sealed> {
    serde_json::from_str(kept).ok()
}

/// Whether a text looks sealed.
#[must_use]
pub fn is_sealed(kept: &str) -> bool {
    read(kept).is_some()
}

/// What may be shown of JSON that may be sealed; null if it is no JSON.
#[must_use]
pub fn shown(kept: &str) -> Value {
    match read(kept) {
        Some(sealed) => sealed.shown,
        None => serde_json::from_str(kept).unwrap_or_default(),
    }
}

/// Whether any of these arguments is sensitive.
#[must_use]
pub fn any(arguments: &Map<String, Value>, sensitive: &[String]) -> bool {
    sensitive.iter().any(|name| arguments.contains_key(name))
}

/// The arguments without the values of those that are sensitive.
#[must_use]
pub fn masked(arguments: &Map<String, Value>, sensitive: &[String]) -> Map<String, Value> {
    let mask = |(name, value): (&String, &Value)| {
        (name.clone(), if sensitive.contains(name) { HIDDEN.into() } else { value.clone() })
    };
    arguments.iter().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sealed_is_shown_without_its_secrets() {
        let key = DataKey::from_bytes(&[7; 32]).unwrap();
        let Value::Object(arguments) = json!({ "pin": "1234", "door": "front" }) else { unreachable!() };
        let sensitive = ["pin".to_owned(), "other".to_owned()];
        assert!(any(&arguments, &sensitive) && !any(&arguments, &sensitive[1..]));
        let text = Value::Object(arguments.clone()).to_string();
        let kept = key.seal_text("here", &text, masked(&arguments, &sensitive).into()).unwrap();
        assert!(!kept.contains("1234") && is_sealed(&kept), "{kept}");
        assert_eq!(shown(&kept), json!({ "pin": HIDDEN, "door": "front" }));
        assert_eq!(key.open_text("here", &kept).as_deref(), Some(text.as_str()));
        assert_eq!(key.open_text("there", &kept), None);
        assert_eq!(DataKey::from_bytes(&[8; 32]).unwrap().open_text("here", &kept), None);
        // What anybody could write is not taken for sealed.
        for plain in [text.as_str(), "", "{}", r#"{"sealed":"x"}"#] {
            assert!(!is_sealed(plain), "{plain}");
            assert_eq!(key.open_text("here", plain), None);
        }
        assert_eq!(key.open_text("here", r#"{"sealed":"x","shown":null}"#), None);
        assert_eq!(shown(&text), Value::Object(arguments));
    }
}
