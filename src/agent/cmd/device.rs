//! `bedcheck device request | accept`.

use std::path::PathBuf;

use crate::agent::cmd::say;
use crate::agent::identity;
use crate::base::exit::{Code, Ending};
use crate::base::files::write_owner_only;
use crate::base::ids::{DeviceId, WardId};

#[derive(clap::Args)]
pub struct Device {
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(clap::Subcommand)]
enum DeviceCommand {
    /// Makes this device's keys and writes the request for the platform's administrator.
    Request {
        /// State directory of the agent.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bedcheck")]
        state: PathBuf,
        /// Name of this device.
        #[arg(long)]
        device: DeviceId,
        /// Ward it stands in.
        #[arg(long)]
        ward: WardId,
        /// Where to write the request.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Takes the bundle the platform's administrator sent back.
    Accept {
        /// State directory of the agent.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bedcheck")]
        state: PathBuf,
        /// The bundle.
        #[arg(value_name = "FILE")]
        bundle: PathBuf,
    },
}

impl Device {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.command {
            DeviceCommand::Request { state, device, ward, out } => {
                let request = identity::request(&state, &device, &ward).map_err(Ending::config)?;
                write_owner_only(&out, &serde_json::to_vec_pretty(&request)?).map_err(Ending::failed)?;
                say(format!(
                    "请求文件 · request: {} (send it to the platform's administrator)",
                    out.display()
                ));
            }
            DeviceCommand::Accept { state, bundle } => {
                let bundle = identity::accept(&state, &bundle).map_err(Ending::config)?;
                say(format!("设备 {} 已接入 · joins {}", bundle.device, bundle.platform_url));
            }
        }
        Ok(Code::Fine)
    }
}
