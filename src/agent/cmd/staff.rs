//! `bedcheck staff add | list | remove`: who may sign at the kiosk and open the device's pages.

use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;

use crate::agent::cmd::say;
use crate::agent::config::{self, Above};
use crate::base::exit::{Code, Ending};
use crate::store::staff::{Staff, StaffError};

/// A PIN and the end of its line.
const MOST_LINE: u64 = 64;

#[derive(clap::Args)]
pub struct Members {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Args)]
struct Which {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/bedcheck/config.toml")]
    config: PathBuf,
}

#[derive(clap::Subcommand)]
enum What {
    /// 增加一名工作人员，密码从标准输入读一行 · adds somebody; their PIN is one line of the input.
    Add {
        #[command(flatten)]
        which: Which,
        name: String,
    },
    List {
        #[command(flatten)]
        which: Which,
    },
    /// 删除 · removes somebody; what they signed stays.
    Remove {
        #[command(flatten)]
        which: Which,
        name: String,
    },
}

impl Members {
    pub fn run(self) -> anyhow::Result<Code> {
        match self.what {
            What::Add { which, name } => {
                staff(&which)?.add(&name, &pin()?).map_err(ending)?;
                say(format!("{name} 可以在核查窗口签名 · {name} may sign at the kiosk"));
            }
            What::List { which } => {
                for name in staff(&which)?.names().map_err(ending)? {
                    say(name);
                }
            }
            What::Remove { which, name } => {
                if !staff(&which)?.remove(&name).map_err(ending)? {
                    return Err(Ending::failed(format!("没有此人 · nobody is called {name}")).into());
                }
                say(format!("{name} 已删除 · {name} is removed"));
            }
        }
        Ok(Code::Fine)
    }
}

fn staff(which: &Which) -> anyhow::Result<Staff> {
    let state = config::state_folder(&which.config, &Above::environment()).map_err(Ending::config)?;
    let state = state.ok_or_else(|| Ending::config("配置里没有 state · the configuration names no state"))?;
    Ok(Staff::of(&state))
}

fn pin() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        say("请输入 6 至 12 位数字密码后回车 · type a PIN of 6 to 12 digits and Enter:");
    }
    let mut line = String::new();
    std::io::stdin().lock().take(MOST_LINE).read_line(&mut line).map_err(Ending::usage)?;
    Ok(line.trim().to_owned())
}

fn ending(error: StaffError) -> Ending {
    match error {
        StaffError::Name | StaffError::Pin | StaffError::Full => Ending::usage(error),
        StaffError::File(_) | StaffError::Format(..) | StaffError::Hash(_) => Ending::config(error),
    }
}
