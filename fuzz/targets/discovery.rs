//! The configuration document of an issuer: no endpoint of it is a place where a credential would travel in clear, and no
//! server elsewhere names a port of this machine.

#![no_main]

use agentctl::oauth::{metadata::Metadata, provider::Provider};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    for provider in [Provider::Auth0, Provider::Keycloak, Provider::Oidc] {
        let Some(metadata) = Metadata::of(document, "https://id.example/", provider) else { continue };
        assert_eq!(metadata.issuer, "https://id.example/");
        let optional = [
            metadata.device_authorization_endpoint,
            metadata.backchannel_authentication_endpoint,
            metadata.revocation_endpoint,
            metadata.userinfo_endpoint,
        ];
        for url in optional.into_iter().flatten().chain([metadata.token_endpoint, metadata.jwks_uri]) {
            assert_eq!(url.scheme(), "https", "{url}");
            assert!(url.fragment().is_none(), "{url}");
        }
    }
});
