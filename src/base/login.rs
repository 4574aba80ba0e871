//! A user name with its password.

use std::fmt;

use zeroize::Zeroizing;

/// What a camera asks for. Neither part is ever printed: with a default password the user name is half of the secret.
#[derive(Clone, PartialEq)]
pub struct Login {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Login {
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Login {
        Login { user: Zeroizing::new(user.into()), password: Zeroizing::new(password.into()) }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    /// Search for this name to see where passwords are read.
    pub fn reveal_password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}
