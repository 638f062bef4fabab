//! What the server says about itself (OpenID Connect Discovery §3, RFC 8414 §2, CIBA Core §4).

use std::sync::Arc;

use axum::{Router, extract::State, response::Response, routing::get};
use serde_json::{Value, json};

use super::{answer::json_answer, clients, details, preset::Preset, scopes, world::World};

pub(super) fn router(world: &World) -> Router<Arc<World>> {
    let mut router = Router::new().route(world.paths().jwks, get(jwks));
    for path in world.paths().discovery {
        router = router.route(path, get(discovery));
    }
    router
}

async fn discovery(State(world): State<Arc<World>>) -> Response {
    json_answer(200, &document(&world))
}

async fn jwks(State(world): State<Arc<World>>) -> Response {
    json_answer(200, &world.keys.jwks())
}

fn document(world: &World) -> Value {
    let paths = world.paths();
    let mut document = json!({
        "issuer": world.issuer,
        // The specification demands the member; this tenant has no such grant, and the address says so.
        "authorization_endpoint": world.url("/authorize"),
        "response_types_supported": ["code"],
        "token_endpoint": world.url(paths.token),
        "jwks_uri": world.url(paths.jwks),
        "userinfo_endpoint": world.url(paths.userinfo),
        "revocation_endpoint": world.url(paths.revoke),
        "introspection_endpoint": world.url(paths.introspect),
        "device_authorization_endpoint": world.url(paths.device),
        "backchannel_authentication_endpoint": world.url(paths.backchannel),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_user_code_parameter_supported": false,
        "grant_types_supported": [clients::DEVICE_GRANT, "refresh_token", clients::CIBA_GRANT],
        "scopes_supported": scopes::OIDC,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "name", "email", "email_verified"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256", "PS256", "EdDSA"],
    });
    // Auth0 advertises neither its types of details nor the grant of its vault.
    if world.preset != Preset::Auth0 {
        if let Some(grants) = document["grant_types_supported"].as_array_mut() {
            grants.push(clients::EXCHANGE_GRANT.into());
        }
        document["authorization_details_types_supported"] = json!(details::TYPES);
    }
    document
}
