//! The `oauth2` crate over our own client. The crate builds requests and reads answers; what its errors hold of an answer's
//! body never gets further than here, because that may be a token.

use std::{cell::RefCell, fmt, future::Future, pin::Pin};

use bytes::Bytes;
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RequestTokenError,
    StandardRevocableToken,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use url::Url;

use super::{Client, ClientAuth, Error, Refusal, send, token::Wire};
use crate::http::{self, Http, Request, Response};

/// The crate's client, reading token answers in our lenient way.
pub(super) type Crate = oauth2::Client<
    BasicErrorResponse,
    Wire,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// Our client in the crate's words. `private_key_jwt` is unknown to the crate; its fields go along as extra parameters.
pub(super) fn client(client: &Client) -> Crate {
    let bare = Crate::new(ClientId::new(client.id.clone()));
    let secret = |secret: &crate::secret::ClientSecret| ClientSecret::new(secret.expose().to_owned());
    match &client.auth {
        ClientAuth::None | ClientAuth::PrivateKeyJwt { .. } => bare.set_auth_type(AuthType::RequestBody),
        ClientAuth::SecretBasic(value) => bare.set_auth_type(AuthType::BasicAuth).set_client_secret(secret(value)),
        ClientAuth::SecretPost(value) => bare.set_auth_type(AuthType::RequestBody).set_client_secret(secret(value)),
    }
}

/// Carries the crate's requests and remembers what the crate forgets: the last answer.
pub(super) struct Through<'a> {
    http: &'a Http,
    last: RefCell<Option<Response>>,
}

impl<'a> Through<'a> {
    pub(super) fn new(http: &'a Http) -> Self {
        Self { http, last: RefCell::default() }
    }

    /// Turns the crate's error into ours, and leaves the body behind.
    pub(super) fn error<T: oauth2::ErrorResponseType + fmt::Display + 'static>(
        &self,
        what: &'static str,
        error: RequestTokenError<http::Error, oauth2::StandardErrorResponse<T>>,
    ) -> Error {
        match (error, &*self.last.borrow()) {
            (RequestTokenError::Request(error), _) => Error::Http(error),
            (RequestTokenError::ServerResponse(answer), Some(response)) => {
                let description = answer.error_description().map(String::as_str);
                Error::Refused(Refusal::of(response, &answer.error().to_string(), description))
            }
            (_, Some(response)) => Error::malformed(what, response),
            (_, None) => Error::Malformed { what, status: 0, content_type: String::new() },
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Through<'_> {
    type Error = http::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, http::Error>> + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let unsent = |why: &str| http::Error::Client { why: why.to_owned() };
            let (head, body) = request.into_parts();
            let url = Url::parse(&head.uri.to_string()).map_err(|_| unsent("the endpoint is not a URL"))?;
            let mut request = Request::new(head.method, url);
            request.headers.extend(head.headers);
            request.body = Some(Bytes::from(body));
            let response = send(self.http, request).await?;
            self.last.replace(Some(response.clone()));
            let mut answer = HttpResponse::new(response.body.to_vec());
            *answer.status_mut() =
                oauth2::http::StatusCode::from_u16(response.status).map_err(|_| unsent("the status is no status"))?;
            *answer.headers_mut() = response.headers;
            Ok(answer)
        })
    }
}
