//! The same from the supervisor's web server, over real TLS.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bedcheck::agent::update::UpdateError;
use bedcheck::agent::update::place::Place;
use bedcheck::agent::update::take::{Taken, take};
use bedcheck::base::supervise::{Stop, shutdown};
use bedcheck::net::server;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::Authority;
use crate::world::World;

/// Serves a folder below /ward; a file called `endless` never ends.
async fn serve(folder: PathBuf, authority: &Authority) -> (String, Stop) {
    let identity = authority.identity();
    let certificate = CertificateDer::from_pem_slice(identity.cert_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let answer = move |Path(path): Path<String>| async move { file(&folder.join(path)) };
    let router = Router::new().route("/ward/{*path}", get(answer));
    let listener = server::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopping) = shutdown();
    bedcheck::base::supervise::task("web", server::serve(listener, Some(Arc::new(config)), router, stopping));
    (format!("https://{address}/ward"), stop)
}

fn file(path: &std::path::Path) -> Response {
    match fs::read(path) {
        Ok(bytes) if bytes == b"endless" => {
            let block = vec![b' '; 1 << 20];
            let forever = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(block.clone()));
            Body::from_stream(forever).into_response()
        }
        Ok(bytes) => bytes.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_comes_from_a_server_that_the_right_authority_vouches_for() {
    // The helpers of the stick wait with a runtime of their own.
    let (world, stick) = tokio::task::spawn_blocking(|| {
        let world = World::settled();
        let stick = world.publish(2);
        (world, stick)
    })
    .await
    .unwrap();
    let (authority, another) = (Authority::new(), Authority::new());
    let (url, _stop) = serve(stick.clone(), &authority).await;
    let taken = async |ca_pem: &str| {
        let place = Place::new(&url, ca_pem).unwrap();
        take(&world.state(), &place, &|_| Ok(()), &mut |_| true).await
    };
    assert!(matches!(taken(&another.ca_pem).await, Err(UpdateError::Refused(_))), "nobody vouches for it");
    for odd in [url.replace("https", "http"), url.replace("https://", "https://user@"), format!("{url}?x=1")]
    {
        assert!(matches!(Place::new(&odd, &authority.ca_pem), Err(UpdateError::Refused(_))), "{odd}");
    }

    // A server that never stops, and one that lost a file.
    let snapshot = stick.join("metadata/2.snapshot.json");
    let good = fs::read(&snapshot).unwrap();
    for bad in [&b"endless"[..], b"{}"] {
        fs::write(&snapshot, bad).unwrap();
        assert!(matches!(taken(&authority.ca_pem).await, Err(UpdateError::Refused(_))));
    }
    fs::remove_file(&snapshot).unwrap();
    assert!(matches!(taken(&authority.ca_pem).await, Err(UpdateError::Refused(_))));
    assert_eq!(world.standing().highest, 1);

    fs::write(&snapshot, good).unwrap();
    assert_eq!(taken(&authority.ca_pem).await.unwrap(), Taken::Activated(2));
    assert_eq!(world.active().unwrap().version, 2);
}
