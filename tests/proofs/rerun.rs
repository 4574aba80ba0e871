//! Starts this program again as the writer, and what all of its lives have in common.

use std::path::Path;
use std::process::{Command, Stdio};

use bedcheck::base::clock::Wall;
use bedcheck::base::ids::DeviceId;
use bedcheck::wire::batch::Item;
use bedcheck::wire::event::Event;
use bedcheck::wire::statement;
use ed25519_dalek::SigningKey;

use crate::weak::base::sqlite::VARIABLE;

pub const BEGAN: Wall = Wall(1_790_000_000_000);

/// What changes a database or its folder. Whatever else of these a database file meets is refused by `trace`.
const CALLS: &str = "trace=open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,fsync,\
                     fdatasync,sync_file_range,msync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,copy_file_range";

pub fn device() -> DeviceId {
    DeviceId::new("ward-3a").unwrap()
}

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Nothing sealed is opened here; any point of the curve serves.
pub fn evidence_key() -> [u8; 32] {
    [9; 32]
}

/// An event and its place in the chain, as it is said.
pub fn place(item: &Item) -> Result<String, Box<dyn std::error::Error>> {
    let event: Event = serde_json::from_str(&item.body)?;
    let checked = statement::check(&item.envelope, &key().verifying_key())?;
    Ok(format!("{} {} {} {}", event.id, checked.statement.epoch, checked.statement.seq, checked.link))
}

/// The writer under strace, which writes everything that reaches a disk to `log`; `control` is the level of syncing that
/// is too weak.
pub fn traced(folder: &Path, events: usize, seed: u64, control: Option<&str>, log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-xx", "-s", "1048576", "-e", CALLS]).arg("-o").arg(log);
    command.arg(std::env::current_exe().unwrap());
    arguments(&mut command, folder, events, seed, control);
    command
}

/// The writer with one fault injected into `call`; ended if it hangs.
pub fn injected(
    folder: &Path,
    events: usize,
    seed: u64,
    control: Option<&str>,
    log: &Path,
    call: &str,
    inject: &str,
) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-s", "QUIT", "60", "strace", "-f", "-y", "-s", "0"]);
    command.arg("-e").arg(format!("trace={call}")).arg("-e").arg(inject).arg("-o").arg(log);
    command.arg(std::env::current_exe().unwrap());
    arguments(&mut command, folder, events, seed, control);
    command
}

fn arguments(command: &mut Command, folder: &Path, events: usize, seed: u64, control: Option<&str>) {
    command.arg("write").arg(folder).arg(events.to_string()).arg(seed.to_string()).stdin(Stdio::null());
    command.env_remove(VARIABLE);
    if let Some(level) = control {
        command.env(VARIABLE, level.to_uppercase());
    }
}

/// Why nothing can be traced here; `None` where it can.
pub fn cannot_trace() -> Option<String> {
    match Command::new("strace").args(["-o", "/dev/null", "true"]).output() {
        Err(_) => Some("strace is missing: apt-get install strace".to_owned()),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Some(format!("strace may not trace here: {said}"))
        }
        Ok(_) => None,
    }
}

/// Memory where there is some: fifty thousand databases wear out no disk, and nothing here is really cut off.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
