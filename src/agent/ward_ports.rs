//! Starts what brings news of the ward: its thread, the ports for hospital systems, and the FHIR poll.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::Context;
use rustls::ServerConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::info;

use crate::agent::config::{FhirSettings, Port, Settings, TlsFiles};
use crate::agent::ward_thread::{Belief, Letter, Postbox, WardThread};
use crate::base::exit::Ending;
use crate::base::files::read_at_most;
use crate::base::ids::WardId;
use crate::base::redact::Private;
use crate::base::supervise::{self, Stopping};
use crate::hospital::fhir_poll::Poll;
use crate::hospital::{http, mllp};
use crate::net::fetch::Fetcher;
use crate::net::server::{self, listen};
use crate::net::tls::{self, Identity};

/// Letters that wait for the thread, and beliefs that wait for `decide`.
const LETTERS: usize = 64;
const BELIEFS: usize = 4;
/// Certificates and tokens are small.
const MOST_SECRET: u64 = 1024 * 1024;

/// Starts everything; where new beliefs come from, and the tasks that hold ports until they end.
///
/// # Errors
/// A port that cannot be bound, certificates that cannot be used: exit 78.
pub async fn start(
    thread: WardThread,
    settings: &Settings,
    stopping: &Stopping,
) -> anyhow::Result<(mpsc::Receiver<Belief>, Vec<JoinHandle<()>>)> {
    let (letters, messages) = sync_channel(LETTERS);
    let (changed, beliefs) = mpsc::channel(BELIEFS);
    let mut ports = Vec::new();
    if let Some(port) = &settings.hl7 {
        let listener = listen(&port.listen).await.map_err(Ending::config)?;
        info!(address = port.listen, tls = port.tls.is_some(), "HL7 messages are taken here.");
        let (allow, postbox) = (port.allow.clone(), Postbox(letters.clone()));
        let serve = mllp::serve(listener, server_config(port)?, allow, postbox, stopping.clone());
        ports.push(supervise::task("hl7", serve));
    }
    if let Some(port) = &settings.http {
        let listener = listen(&port.listen).await.map_err(Ending::config)?;
        info!(address = port.listen, tls = port.tls.is_some(), "National messages are taken here.");
        let router = http::router(Postbox(letters.clone()), port.allow.clone());
        let serve = server::serve(listener, server_config(port)?, router, stopping.clone());
        ports.push(supervise::task("national", serve));
    }
    if let Some(fhir) = &settings.fhir {
        start_poll(fhir, &settings.ward, letters.clone(), stopping)?;
    }
    let stopping = stopping.clone();
    supervise::thread("ward", move || {
        // Held, so that a ward without ports waits for letters all the same.
        let _letters = letters;
        thread.run(&messages, &changed, &stopping);
    })
    .context("cannot start the ward's thread")?;
    Ok((beliefs, ports))
}

fn server_config(port: &Port) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let Some(TlsFiles { cert, key, ca }) = &port.tls else { return Ok(None) };
    let identity = Identity { ca_pem: secret(ca)?, cert_pem: secret(cert)?, key_pem: secret(key)? };
    Ok(Some(tls::server(&identity).map_err(Ending::config)?))
}

/// A certificate, key or token.
fn secret(path: &Path) -> anyhow::Result<String> {
    let bytes = read_at_most(path, MOST_SECRET).map_err(Ending::config)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn start_poll(
    fhir: &FhirSettings,
    ward: &WardId,
    letters: SyncSender<Letter>,
    stopping: &Stopping,
) -> anyhow::Result<()> {
    let ca = fhir.ca.as_deref().map(secret).transpose()?;
    let token = fhir.token_file.as_deref().map(secret).transpose()?;
    let fetcher = Fetcher::new(ca.as_deref(), token.map(Private::new), "application/fhir+json")
        .map_err(Ending::config)?;
    let poll = Poll { url: fhir.url.clone(), every: fhir.every, ward: ward.clone(), fetcher };
    let post = move |encounters| {
        // With a full queue this list is dropped; the next one says the same.
        let _ = letters.try_send(Letter::Fhir(encounters));
    };
    supervise::task("fhir", poll.run(post, stopping.clone()));
    Ok(())
}
