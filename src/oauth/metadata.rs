//! Discovery: what an issuer says about itself (OpenID Connect Discovery 1.0, RFC 8414).

use serde::Deserialize;
use url::Url;

use super::{Error, Provider};
use crate::{
    escape,
    http::{self, Http, Request},
};

/// An authorization server's endpoints and abilities.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The issuer, to the letter (RFC 8414 §2).
    pub issuer: String,
    /// Token endpoint.
    pub token_endpoint: Url,
    /// The keys that sign ID tokens.
    pub jwks_uri: Url,
    /// RFC 8628 §4.
    pub device_authorization_endpoint: Option<Url>,
    /// CIBA Core §4.
    pub backchannel_authentication_endpoint: Option<Url>,
    /// RFC 7009.
    pub revocation_endpoint: Option<Url>,
    /// OpenID Connect Core §5.3.
    pub userinfo_endpoint: Option<Url>,
    /// RFC 9396 §10; empty if the server does not say.
    pub authorization_details_types_supported: Vec<String>,
    /// How clients may prove who they are; empty if the server does not say. Some servers leave out `none`.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// `poll`, `ping`, `push` (CIBA Core §4); empty if the server does not say.
    pub backchannel_token_delivery_modes_supported: Vec<String>,
    /// `public`, `pairwise`; empty if the server does not say.
    pub subject_types_supported: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    device_authorization_endpoint: Option<String>,
    backchannel_authentication_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    authorization_details_types_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    backchannel_token_delivery_modes_supported: Vec<String>,
    #[serde(default)]
    subject_types_supported: Vec<String>,
}

impl Metadata {
    /// Asks the issuer.
    ///
    /// # Errors
    /// If it does not answer, not with its configuration, with another issuer's, or with endpoints that a credential may
    /// not be sent to.
    pub async fn discover(http: &Http, issuer: &str, provider: Provider) -> Result<Self, Error> {
        let base = parse_issuer(issuer)?;
        let path = format!("{}/.well-known/openid-configuration", base.path().trim_end_matches('/'));
        let mut url = base.clone();
        url.set_path(&path);
        let response = http.send(Request::get(url)).await?;
        match response.json() {
            Ok(document) if response.status == 200 => {
                Self::read(document, issuer, &base, provider).map_err(|error| match error {
                    Error::OtherIssuer { expected, found } => {
                        Error::OtherIssuer { expected, found: response.said(&found) }
                    }
                    other => other,
                })
            }
            _ => Err(Error::malformed("issuer's configuration", &response)),
        }
    }

    /// What the document of an issuer says, if it may say so.
    fn read(document: Document, issuer: &str, base: &Url, provider: Provider) -> Result<Self, Error> {
        if document.issuer != issuer {
            let found = escape::shortened(&document.issuer, 400).into_owned();
            return Err(Error::OtherIssuer { expected: issuer.to_owned(), found });
        }
        let endpoint = |name: &'static str, value: Option<String>| -> Result<Option<Url>, Error> {
            if let Some(value) = value {
                return parse_endpoint(base, name, &value).map(Some);
            }
            Ok(provider.usual_path(name).and_then(|path| base.join(path).ok()))
        };
        Ok(Self {
            token_endpoint: endpoint("token_endpoint", document.token_endpoint)?
                .ok_or(Error::Unsupported { what: "token endpoint" })?,
            jwks_uri: endpoint("jwks_uri", document.jwks_uri)?.ok_or(Error::Unsupported { what: "published keys" })?,
            device_authorization_endpoint: endpoint(
                "device_authorization_endpoint",
                document.device_authorization_endpoint,
            )?,
            backchannel_authentication_endpoint: endpoint(
                "backchannel_authentication_endpoint",
                document.backchannel_authentication_endpoint,
            )?,
            revocation_endpoint: endpoint("revocation_endpoint", document.revocation_endpoint)?,
            userinfo_endpoint: endpoint("userinfo_endpoint", document.userinfo_endpoint)?,
            issuer: document.issuer,
            authorization_details_types_supported: document.authorization_details_types_supported,
            token_endpoint_auth_methods_supported: document.token_endpoint_auth_methods_supported,
            backchannel_token_delivery_modes_supported: document.backchannel_token_delivery_modes_supported,
            subject_types_supported: document.subject_types_supported,
        })
    }

    /// For the fuzz target: a document as if it had been fetched.
    #[cfg(feature = "fuzzing")]
    #[must_use]
    pub fn of(document: &[u8], issuer: &str, provider: Provider) -> Option<Self> {
        Self::read(serde_json::from_slice(document).ok()?, issuer, &parse_issuer(issuer).ok()?, provider).ok()
    }
}

/// An issuer is a URL without query and fragment (RFC 8414 §2).
pub(super) fn parse_issuer(issuer: &str) -> Result<Url, Error> {
    let bad = |why| Error::BadIssuer { issuer: issuer.to_owned(), why };
    let url = Url::parse(issuer).map_err(|_| bad("it is not a URL"))?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it has a query, a fragment or a user name"));
    }
    http::check_url(&url)?;
    Ok(url)
}

/// An endpoint must be fit for credentials: https, or the very origin of an issuer on this machine. A user name in it would
/// be one more credential.
fn parse_endpoint(issuer: &Url, name: &'static str, value: &str) -> Result<Url, Error> {
    let unusable = |why: String| Error::Unusable { what: "issuer's configuration", why };
    let url = Url::parse(value).map_err(|_| unusable(format!("its {name} is not a URL")))?;
    // Over TLS an endpoint may be on another host (RFC 8414 §2), as it is at large providers. Without it, who else serves a
    // port of this machine is not known.
    let fit = http::check_url(&url).is_ok() && (url.scheme() == "https" || url.origin() == issuer.origin());
    let named = !url.username().is_empty() || url.password().is_some();
    if !fit || named || url.fragment().is_some() {
        return Err(unusable(format!("its {name} is not a place for credentials")));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header::CONTENT_TYPE};
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::{Script, serve};

    #[tokio::test]
    async fn reads_what_there_is() {
        let server = serve().await;
        let issuer = server.issuer();
        server.answer(
            "/.well-known/openid-configuration",
            Script::json(
                200,
                json!({
                    "issuer": issuer, "token_endpoint": format!("{issuer}/t"), "jwks_uri": format!("{issuer}/j"),
                    "authorization_details_types_supported": ["purchase"], "something_new": 1,
                }),
            ),
        );
        let metadata = Metadata::discover(&Http::default(), &issuer, Provider::Oidc).await.unwrap();
        assert_eq!(metadata.token_endpoint.as_str(), format!("{issuer}/t"));
        assert_eq!(metadata.device_authorization_endpoint, None);
        assert!(Provider::Oidc.may_send_details(&metadata, "purchase", None, &[]));
        assert!(!Provider::Oidc.may_send_details(&metadata, "payment", None, &[]));

        let metadata = Metadata::discover(&Http::default(), &issuer, Provider::Auth0).await.unwrap();
        assert_eq!(metadata.backchannel_authentication_endpoint.unwrap().path(), "/bc-authorize");
    }

    #[tokio::test]
    async fn what_the_document_names_is_where_it_goes() {
        let server = serve().await;
        let issuer = server.issuer();
        let at = |name: &str| format!("{issuer}/elsewhere/{name}");
        let names =
            ["token_endpoint", "jwks_uri", "device_authorization_endpoint", "backchannel_authentication_endpoint"];
        let mut document = json!({ "issuer": issuer });
        for name in names.into_iter().chain(["userinfo_endpoint", "revocation_endpoint"]) {
            document[name] = json!(at(name));
        }
        // Also where the provider has places of its own.
        for provider in [Provider::Oidc, Provider::Auth0, Provider::Keycloak] {
            server.answer("/.well-known/openid-configuration", Script::json(200, document.clone()));
            let found = Metadata::discover(&Http::default(), &issuer, provider).await.unwrap();
            assert_eq!(found.token_endpoint.as_str(), at("token_endpoint"));
            assert_eq!(found.jwks_uri.as_str(), at("jwks_uri"));
            for (name, endpoint) in [
                ("device_authorization_endpoint", found.device_authorization_endpoint),
                ("backchannel_authentication_endpoint", found.backchannel_authentication_endpoint),
                ("userinfo_endpoint", found.userinfo_endpoint),
                ("revocation_endpoint", found.revocation_endpoint),
            ] {
                assert_eq!(endpoint.unwrap().as_str(), at(name), "{provider}");
            }
        }
    }

    #[tokio::test]
    async fn a_trailing_slash_or_a_path_belongs_to_the_issuer() {
        let server = serve().await;
        for suffix in ["/", "/realms/x", "/realms/x/"] {
            let issuer = format!("{}{suffix}", server.issuer());
            let path = format!("{}/.well-known/openid-configuration", suffix.trim_end_matches('/'));
            server.answer(
                &path,
                Script::json(
                    200,
                    json!({
                        "issuer": issuer, "token_endpoint": format!("{issuer}t"), "jwks_uri": format!("{issuer}j"),
                    }),
                ),
            );
            let metadata = Metadata::discover(&Http::default(), &issuer, Provider::Oidc).await.unwrap();
            assert_eq!(metadata.issuer, issuer);
        }
    }

    #[tokio::test]
    async fn what_is_not_the_issuer_is_refused() {
        let server = serve().await;
        let issuer = server.issuer();
        let good =
            json!({"issuer": issuer, "token_endpoint": format!("{issuer}/t"), "jwks_uri": format!("{issuer}/j")});
        let with = |name: &str, value: serde_json::Value| {
            let mut document = good.clone();
            document[name] = value;
            Script::json(200, document)
        };
        for (answer, expected) in [
            (
                Script::text(200, "<html>hotel Wi-Fi</html>").header(CONTENT_TYPE, "text/html"),
                "status 200, \"text/html\"",
            ),
            (
                Script::text(502, "<html>bad gateway</html>").header(CONTENT_TYPE, "text/html"),
                "status 502, \"text/html\"",
            ),
            (Script::json(404, json!({"issuer": issuer})), "status 404"),
            (Script::json(200, json!({"no": "issuer"})), "cannot be understood"),
            (Script::text(302, "").header(axum::http::header::LOCATION, "/elsewhere"), "status 302"),
            (with("issuer", json!(format!("{issuer}/"))), "calls itself"),
            (with("issuer", json!("https://other.example")), "calls itself \"https://other.example\""),
            (with("token_endpoint", json!(null)), "no token endpoint"),
            (with("token_endpoint", json!("http://tokens.example/t")), "its token_endpoint is not a place"),
            (with("device_authorization_endpoint", json!("file:///x")), "its device_authorization_endpoint is not"),
            (with("revocation_endpoint", json!("not a url")), "its revocation_endpoint is not a URL"),
        ] {
            assert!(answer.status != StatusCode::OK || !answer.body.is_empty());
            server.answer("/.well-known/openid-configuration", answer);
            let error = Metadata::discover(&Http::default(), &issuer, Provider::Oidc).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error} should say {expected}");
        }
    }

    #[tokio::test]
    async fn issuers_that_cannot_be() {
        for (issuer, expected) in [
            ("acme", "not a URL"),
            ("http://acme.example", "only https"),
            ("https://acme.example/?x=1", "has a query"),
            ("https://user@acme.example/", "has a query, a fragment or a user name"),
        ] {
            let error = Metadata::discover(&Http::default(), issuer, Provider::Oidc).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_server_elsewhere_gets_nothing_sent_to_this_machine() {
        let issuer = Url::parse("https://acme.example/").unwrap();
        let may = |issuer: &Url, endpoint: &str| parse_endpoint(issuer, "token_endpoint", endpoint).is_ok();
        assert!(!may(&issuer, "http://127.0.0.1:80/t"));
        assert!(may(&issuer, "https://login.acme.example/t"));
        // A name and a password in it would be sent along.
        assert!(!may(&issuer, "https://user@acme.example/t") && !may(&issuer, "https://:pw@acme.example/t"));
        // Who serves another port of this machine is not known.
        let here = Url::parse("http://127.0.0.1:8080/realms/x").unwrap();
        assert!(may(&here, "http://127.0.0.1:8080/t") && may(&here, "https://login.acme.example/t"));
        for elsewhere in ["http://127.0.0.1:8081/t", "http://localhost:8080/t", "http://[::1]:8080/t"] {
            assert!(!may(&here, elsewhere), "{elsewhere}");
        }
    }
}
