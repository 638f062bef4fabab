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

use super::{Client, ClientAuth, Error, Refusal, token::Wire};
use crate::http::{self, Http, Request};

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

/// Carries the crate's requests and remembers what the crate forgets: the status and type of the last answer.
pub(super) struct Through<'a> {
    http: &'a Http,
    last: RefCell<(u16, String)>,
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
        let (status, content_type) = self.last.borrow().clone();
        match error {
            RequestTokenError::Request(error) => Error::Http(error),
            RequestTokenError::ServerResponse(answer) => Error::Refused(Refusal {
                status,
                error: answer.error().to_string(),
                description: answer.error_description().cloned(),
            }),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                Error::Malformed { what, status, content_type }
            }
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
            let response = self.http.send(request).await?;
            self.last.replace((response.status, response.content_type().to_owned()));
            let mut answer = HttpResponse::new(response.body.to_vec());
            *answer.status_mut() =
                oauth2::http::StatusCode::from_u16(response.status).map_err(|_| unsent("the status is no status"))?;
            *answer.headers_mut() = response.headers;
            Ok(answer)
        })
    }
}
