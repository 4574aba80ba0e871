//! Where a network camera is, apart from who may see it: an address can be printed, a login never.

use std::fmt;

use reqwest::Url;

use crate::base::login::Login;

/// Address and login of a network camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    url: Url,
    login: Option<Login>,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    #[error("{0:?} is no address of a camera; write for instance rtsp://192.0.2.10:554/stream1")]
    Unreadable(String),
    #[error("the scheme {found:?} is not possible here; use {wanted}")]
    Scheme { found: String, wanted: &'static str },
    #[error(
        "there is a password in the address; put it into a file of its own and name that as password_file"
    )]
    Password,
    #[error("there is a user name but no password; name its file as password_file")]
    NoPassword,
    #[error("there is a password but no user name; write it as user")]
    NoUser,
}

impl Address {
    /// Takes an address with one of `schemes`. The user name may stand in it (`rtsp://admin@…`) or come beside it.
    ///
    /// # Errors
    /// [`BadAddress`], without any password in it.
    pub fn new(
        text: &str,
        schemes: &'static [&'static str],
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<Address, BadAddress> {
        // What follows an @ is printable, what stands before it may be a password.
        let printable = || text.rsplit('@').next().unwrap_or_default().to_owned();
        let mut url = Url::parse(text).map_err(|_| BadAddress::Unreadable(printable()))?;
        if !schemes.contains(&url.scheme()) {
            let wanted = schemes.first().copied().unwrap_or_default();
            return Err(BadAddress::Scheme { found: url.scheme().to_owned(), wanted });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadAddress::Unreadable(printable()));
        }
        if url.password().is_some() {
            return Err(BadAddress::Password);
        }
        let in_url = (!url.username().is_empty()).then(|| url.username().to_owned());
        // Cannot fail for an address with a host.
        let _ = url.set_username("");
        let login = match (user.map(str::to_owned).or(in_url), password) {
            (Some(user), Some(password)) => Some(Login::new(user, password)),
            (None, None) => None,
            (Some(_), None) => return Err(BadAddress::NoPassword),
            (None, Some(_)) => return Err(BadAddress::NoUser),
        };
        Ok(Address { url, login })
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Scheme, host, port and path: a query may hold a token and is left out.
    pub fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// Host and port.
    pub fn host(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or(554);
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_in_what_is_printed() {
        let address =
            Address::new("rtsp://admin@192.0.2.1/live?token=abc", &["rtsp"], None, Some("s3cret")).unwrap();
        assert_eq!(address.to_string(), "rtsp://192.0.2.1/live");
        assert_eq!(address.login().unwrap().user(), "admin");
        let debug = format!("{address:?}");
        assert!(!debug.contains("s3cret") && !debug.contains("admin"), "{debug}");
        for bad in ["rtsp://admin:s3cret@192.0.2.1/", "admin:s3cret@camera", "http://a:s3cret@b/"] {
            let error = Address::new(bad, &["rtsp"], None, None).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
