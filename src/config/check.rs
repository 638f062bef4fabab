//! Whether a value can be what it is set to. Each check gives the value back as it is kept, or says what is wrong with it.

use url::{Host, Url};

use crate::secret::shown_url;

/// An issuer is compared byte by byte, so it is kept as it was written.
pub(super) fn issuer(text: String) -> Result<String, String> {
    let url = secure_url(&text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an issuer has no query and no fragment".to_owned());
    }
    Ok(text)
}

pub(super) fn url(text: String) -> Result<String, String> {
    secure_url(&text)?;
    Ok(text.trim_end_matches('/').to_owned())
}

pub(super) fn resource(text: String) -> Result<String, String> {
    match Url::parse(&text) {
        Ok(url) if url.fragment().is_none() => Ok(text),
        Ok(_) => Err("a resource has no fragment".to_owned()),
        Err(error) => Err(format!("it has to be an absolute URI ({error})")),
    }
}

pub(super) fn origin(text: &str) -> Result<String, String> {
    let url = secure_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{:?} is more than an origin", shown_url(text)));
    }
    Ok(url.origin().ascii_serialization())
}

/// The name of a model, as somebody types it.
pub(super) fn model(name: String) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/-@+".contains(c);
    match !name.is_empty() && name.chars().all(fits) {
        true => Ok(name),
        false => Err(format!("{name:?} cannot be one: letters, digits and . _ : / - @ + are what it may have")),
    }
}

fn secure_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{:?} is not a URL ({error})", shown_url(text)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL must not hold a name or password".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_on_this_machine(&url) => Ok(url),
        _ => Err(format!("{:?} has to be https (http only on loopback)", shown_url(text))),
    }
}

pub(super) fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn within(count: u32, min: u32, max: u32) -> Result<u32, String> {
    if (min..=max).contains(&count) { Ok(count) } else { Err(format!("{count} is not between {min} and {max}")) }
}
