//! The demo's IP camera: one of the recordings, served as H.264 over RTSP with a login, as a camera on the wall would be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::base::exit::Ending;
use crate::base::files::write_owner_only;
use crate::base::login::Login;
use crate::base::supervise::{self, Stopping};
use crate::capture::broadcast::{Clip, Program, serve};
use crate::capture::recorded::Recorded;

/// Which camera of the ward it is.
pub const CAMERA: &str = "cam-1";
const USER: &str = "ward";
/// As the recordings were made; a keyframe every second.
const FPS: f32 = 4.0;
const KEYFRAME_EVERY: u32 = 4;

/// Where it is and who may see it.
pub struct IpCamera {
    pub url: String,
    pub user: &'static str,
    pub password_file: PathBuf,
}

impl IpCamera {
    /// Begins to serve on a port that is free now.
    pub async fn start(assets: &Path, home: &Path, stopping: Stopping) -> anyhow::Result<IpCamera> {
        let recorded = Recorded::open(&assets.join("ward").join(CAMERA), FPS).map_err(Ending::failed)?;
        let pictures = (0..recorded.len()).map(|at| recorded.picture(at)).collect::<Result<Vec<_>, _>>()?;
        let clip = Arc::new(Clip::encode(&pictures, FPS, KEYFRAME_EVERY)?);
        let mut password = [0; 12];
        getrandom::fill(&mut password).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let (password, password_file) = (hex::encode(password), home.join("cam-1.password"));
        write_owner_only(&password_file, password.as_bytes()).map_err(Ending::failed)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port for the IP camera")?;
        let url = format!("rtsp://{}/{CAMERA}", listener.local_addr()?);
        let program = Program { clip, login: Some(Login::new(USER, password)), fault: None };
        supervise::task("ip-camera", serve(listener, program, stopping));
        Ok(IpCamera { url, user: USER, password_file })
    }
}
