//! Where a PostgreSQL database is, and the password for it, which is never part of the address.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::base::files::{credential, read_at_most};

/// An address is one line, a list of passwords a page.
const MOST_BYTES: u64 = 64 * 1024;
/// Until somebody answers.
const CONNECT: Duration = Duration::from_secs(10);
/// Without an answer of the other machine the connection is lost.
const SILENT: Duration = Duration::from_secs(15);
/// The name under which systemd hands the password over.
const CREDENTIAL: &str = "bedcheck-database-password";

/// Why an address is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    #[error(
        "{0} is no address of a database: write postgres://USER@HOST/DATABASE, or postgres:///DATABASE?host=/run/postgresql for a socket"
    )]
    Form(String),
    #[error(
        "a password does not belong into the address, where others can read it: put it into ~/.pgpass, a file that PGPASSFILE names, or the credential {CREDENTIAL}"
    )]
    Password,
    #[error(
        "{0} is another machine, and without TLS everybody between can read: add ?sslmode=require, and its CA as database-ca.pem"
    )]
    InTheClear(String),
    #[error("name one server, not several: two of them would be two truths")]
    Several,
    #[error("{path} cannot be read: {cause}")]
    Passwords { path: PathBuf, cause: crate::base::files::FileError },
}

/// The database named by `text`, with its password from where passwords are.
///
/// # Errors
/// [`BadAddress`].
pub fn parse(text: &str) -> Result<Config, BadAddress> {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let config: Option<Config> = text.parse().ok().filter(|_| is_url);
    let mut config = config.ok_or_else(|| BadAddress::Form(without_password(text)))?;
    if config.get_password().is_some() {
        return Err(BadAddress::Password);
    }
    if config.get_dbname().is_none_or(str::is_empty) {
        return Err(BadAddress::Form(text.to_owned()));
    }
    match config.get_hosts() {
        [Host::Unix(_)] => {}
        [Host::Tcp(host)] if is_loopback(host) => {}
        [Host::Tcp(host)] if config.get_ssl_mode() != SslMode::Require => {
            return Err(BadAddress::InTheClear(host.clone()));
        }
        [Host::Tcp(_)] => {}
        [] => return Err(BadAddress::Form(text.to_owned())),
        [_, ..] => return Err(BadAddress::Several),
    }
    if config.get_ssl_mode() != SslMode::Require {
        config.ssl_mode(SslMode::Disable);
    }
    config.connect_timeout(CONNECT).tcp_user_timeout(SILENT).keepalives_idle(SILENT);
    config.application_name("bedcheck-platform");
    if let Some(password) = password(&config)? {
        config.password(password);
    }
    Ok(config)
}

/// The address for people.
pub fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().map_or_else(String::new, |user| format!("{user}@"));
    format!("postgres://{user}{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://...@{host}"),
        _ => text.to_owned(),
    }
}

/// From the credential, else from the file of passwords, else none: a socket often needs none.
fn password(config: &Config) -> Result<Option<String>, BadAddress> {
    let read = |path: &Path| {
        let bytes = read_at_most(path, MOST_BYTES);
        let bytes = bytes.map_err(|cause| BadAddress::Passwords { path: path.to_owned(), cause })?;
        Ok::<_, BadAddress>(String::from_utf8_lossy(&bytes).into_owned())
    };
    if let Some(path) = credential(CREDENTIAL) {
        return Ok(Some(read(&path)?.trim_end_matches(['\r', '\n']).to_owned()));
    }
    let path = match std::env::var_os("PGPASSFILE") {
        Some(named) => PathBuf::from(named),
        None => match std::env::var_os("HOME").map(|home| Path::new(&home).join(".pgpass")) {
            Some(usual) if usual.is_file() => usual,
            _ => return Ok(None),
        },
    };
    Ok(listed(&read(&path)?, config))
}

/// The first line HOST:PORT:DATABASE:USER:PASSWORD that fits; `*` fits everything, `\` makes a colon a letter.
fn listed(text: &str, config: &Config) -> Option<String> {
    let host = match config.get_hosts().first()? {
        Host::Tcp(host) => host.clone(),
        // As libpq has it.
        Host::Unix(_) => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let wanted = [&host, &port, config.get_dbname()?, config.get_user().unwrap_or_default()];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [known @ .., password] = fields.as_slice() else { return None };
        let fits =
            known.len() == 4 && known.iter().zip(wanted).all(|(known, own)| known == "*" || known == own);
        fits.then(|| password.clone())
    })
}

/// Four colons part a line; what follows the last is the password, colons and all.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut letters) = (Vec::new(), String::new(), line.chars());
    while let Some(letter) = letters.next() {
        match letter {
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(letters.next()),
            letter => field.push(letter),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        assert!(matches!(parse("postgres://u:secret@localhost/d"), Err(BadAddress::Password)));
        assert!(matches!(parse("postgres://u@localhost/d?password=x"), Err(BadAddress::Password)));
        let said = parse("mysql://u:secret@localhost/d").unwrap_err().to_string();
        assert!(!said.contains("secret"), "{said}");
        assert!(parse("postgres://u@localhost").is_err() && parse("host=localhost dbname=d").is_err());
    }

    #[test]
    fn another_machine_is_reached_over_tls_only() {
        assert!(matches!(parse("postgres://u@db.example/d"), Err(BadAddress::InTheClear(_))));
        assert!(matches!(parse("postgres://u@db.example/d?sslmode=prefer"), Err(BadAddress::InTheClear(_))));
        assert!(parse("postgres://u@db.example/d?sslmode=require").is_ok());
        assert!(matches!(parse("postgres://u@localhost,127.0.0.1/d"), Err(BadAddress::Several)));
        let socket = parse("postgres:///d?host=/run/postgresql&user=u").unwrap();
        assert_eq!(shown(&socket), "postgres://u@/run/postgresql:5432/d");
    }

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let config = parse("postgres://u@127.0.0.1:5433/d").unwrap();
        let text = "# all\n127.0.0.1:5432:*:u:no\n127.0.0.1:5433:d:*:a\\:b:c\n*:*:*:*:late";
        assert_eq!(listed(text, &config).as_deref(), Some("a:b:c"));
        assert_eq!(listed("other:*:*:*:no\nbroken", &config), None);
    }
}
