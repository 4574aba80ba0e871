//! `bedcheck zones`: a link to the page on which bed zones are drawn.

use std::net::TcpStream;
use std::time::Duration;

use crate::agent::cmd::config::Which;
use crate::agent::cmd::{interrupted, say, tokio};
use crate::agent::config::Settings;
use crate::agent::enrol_desk::Sittings;
use crate::agent::health::Health;
use crate::agent::tasks;
use crate::agent::zones::{USUAL_ADDRESS, ZoneDesk, folder, note_address, noted_address};
use crate::base::clock::Clock;
use crate::base::exit::{Code, Ending};
use crate::base::supervise::{self, Stopping};
use crate::kiosk::{self, session};
use crate::net::server;

#[derive(clap::Args)]
pub struct Zones {
    #[command(flatten)]
    which: Which,
    /// Where the page is served when no agent serves it (default: page.listen, else 127.0.0.1:8470).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Zones {
    pub fn run(self) -> anyhow::Result<Code> {
        let settings = self.which.read().map_err(Ending::config)?;
        if let Some(address) = noted_address(&settings.state).filter(|address| is_served(address)) {
            say(invitation(&settings, &address)?);
            return Ok(Code::Fine);
        }
        tokio()?.block_on(self.serve(settings))?;
        Ok(Code::Fine)
    }

    /// No agent serves the page: this program opens the cameras and does, until it is ended.
    async fn serve(self, settings: Settings) -> anyhow::Result<()> {
        let clock = Clock::system();
        let health = Health::new(clock.clone());
        let (_stop, stopping) = supervise::shutdown();
        let slots = tasks::start_cameras(&settings, &clock, &stopping)?;
        health.begun(&settings, &slots);
        let address = self.listen.clone().or_else(|| settings.page.clone());
        let address = address.unwrap_or_else(|| USUAL_ADDRESS.to_owned());
        let above = self.which.above();
        let sittings = Sittings::default();
        let desk = ZoneDesk { config: self.which.config, above, health, clock, sittings };
        let address = serve_page(desk, &settings, &address, stopping).await?;
        say(invitation(&settings, &address)?);
        say("画完后按 Ctrl-C 结束 · Ctrl-C ends it when everything is drawn");
        interrupted().await;
        Ok(())
    }
}

/// Serves the page until `stopping`; the address it got.
///
/// # Errors
/// Exit 78 when the address is no loopback address or taken.
pub(crate) async fn serve_page(
    desk: ZoneDesk,
    settings: &Settings,
    address: &str,
    stopping: Stopping,
) -> anyhow::Result<String> {
    let listener = server::listen(address).await.map_err(Ending::config)?;
    let taken = listener.local_addr()?;
    if !taken.ip().is_loopback() {
        let text = format!(
            "{taken} 不是本机回环地址 · is no loopback address: the page shows patients; reach it through an SSH tunnel"
        );
        return Err(Ending::config(text).into());
    }
    note_address(&settings.state, &taken.to_string()).map_err(Ending::config)?;
    let clock = desk.clock.clone();
    let router = kiosk::router(desk, folder(&settings.state), clock);
    supervise::task("page", server::serve(listener, None, router, stopping));
    Ok(taken.to_string())
}

fn invitation(settings: &Settings, address: &str) -> anyhow::Result<String> {
    let token = session::invite(&folder(&settings.state)).map_err(Ending::config)?;
    Ok(format!(
        "在本机浏览器打开（一次有效，十分钟内）· open in a browser on this machine (once, within ten minutes):\n\
         http://{address}/enter?token={token}\n\
         远程 from elsewhere: ssh -L 8470:{address} 本机 this-machine，再打开 then http://127.0.0.1:8470/enter?token=…"
    ))
}

fn is_served(address: &str) -> bool {
    let wait = Duration::from_secs(2);
    address.parse().is_ok_and(|address| TcpStream::connect_timeout(&address, wait).is_ok())
}
