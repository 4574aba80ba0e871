//! HTTP server with limits, over TLS for devices and in the clear on loopback for people.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::base::supervise::{self, Stopping};

/// Connections served at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 2048;
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
const HEADER_WAIT: Duration = Duration::from_secs(10);

/// The certificate of the client, put into every request of its connection.
#[derive(Clone)]
pub struct PeerCertificate(pub CertificateDer<'static>);

/// Where a request comes from, in its canonical form, put into every request too.
#[derive(Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// Whether a peer (in its canonical form) may speak: this machine itself always may.
pub fn may_speak(from: IpAddr, allowed: &[IpAddr]) -> bool {
    from.is_loopback() || allowed.contains(&from)
}

/// Takes a port, with a message that says what to do when another program has it.
///
/// # Errors
/// When the address cannot be bound.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the forty kinds only these have a remedy of their own"
)]
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another program uses this port: stop it or choose another",
            io::ErrorKind::PermissionDenied => "ports below 1024 need root: choose another",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => "check the address",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {remedy}"))
    })
}

/// The next connection, as soon as one of `places` is free, which it holds; `None` at shutdown.
pub async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stopping: &mut Stopping,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.begun() => return None,
        };
        match accepted {
            Ok((stream, peer)) => return Some((stream, peer, place)),
            // Out of file handles: waiting is the only thing that helps.
            Err(error) => warn!(%error, "Cannot accept a connection; will try again."),
        }
        if stopping.begun_within(Duration::from_millis(200)).await {
            return None;
        }
    }
}

/// Serves `router` until shutdown; with `tls`, only to clients that pass its handshake.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stopping: Stopping,
) {
    serve_at_most(MOST_CONNECTIONS, listener, tls, router, stopping).await;
}

/// As [`serve`], with at most so many connections at once.
pub async fn serve_at_most(
    connections: usize,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    mut stopping: Stopping,
) {
    let places = Arc::new(Semaphore::new(connections));
    while let Some((stream, from, place)) = accept(&listener, &places, &mut stopping).await {
        let (tls, stopping) = (tls.clone(), stopping.clone());
        let router = router.clone().layer(axum::Extension(PeerAddress(from.ip().to_canonical())));
        supervise::task("connection", async move {
            let _place = place;
            let Some(tls) = tls else { return converse(stream, router, None, stopping).await };
            if let Some(stream) = shake_hands(tls, stream).await {
                let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
                converse(stream, router, peer.map(CertificateDer::into_owned), stopping).await;
            }
        });
    }
}

/// Lets a page of ours be neither framed, guessed at, kept nor read by other sites; `policy` is its content policy. What
/// the page says of caching stays.
pub fn close_to_others(answer: &mut Response, policy: &'static str) {
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The server's part of the handshake; `None` where the client does not pass it in time.
pub async fn shake_hands(tls: Arc<ServerConfig>, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let handshake = tokio_rustls::TlsAcceptor::from(tls).accept(stream);
    match tokio::time::timeout(HANDSHAKE_WAIT, handshake).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => debug!(%error, "A client did not pass the handshake."),
        Err(_) => debug!("A client was too slow in the handshake."),
    }
    None
}

async fn converse<S>(stream: S, router: Router, peer: Option<CertificateDer<'static>>, mut stopping: Stopping)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(PeerCertificate(peer.clone()));
        }
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        // Only for the one route that asks for it: the kiosk's preview.
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                debug!(%error, "A connection ended early.");
            }
        }
        // Live pages never end by themselves: cut after the current answer, at the latest after a second.
        () = stopping.begun() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
        }
    }
}
