//! A JWT of somebody: nothing that the key did not sign is ever read as signed.

#![no_main]

use agentctl::oauth::id_token::kept_payload;
use agentctl_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let [jwt, key] = parts(data);
    let Ok(jwt) = std::str::from_utf8(jwt) else { return };
    // The public key of RFC 7515, appendix A.3. Its only signed text that is known here is the one there.
    let good = json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    if let Ok(payload) = kept_payload(jwt, &good) {
        assert_eq!(payload["iss"], "joe", "{jwt}");
    }
    let Ok(other) = serde_json::from_slice(key) else { return };
    let _ = kept_payload(jwt, &other);
});
