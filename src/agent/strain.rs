//! Feels how hot and how busy the device is, and tells the task that decides: it then watches fewer beds at once.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::agent::board::Board;
use crate::agent::health::Health;
use crate::base::supervise::Stopping;
use crate::domain::Input;
use crate::domain::effort::Strain;
use crate::vision::kept::Kept;

/// Two of these lie within the shortest watch of a bed.
const EVERY: Duration = Duration::from_secs(5);

/// Until shutdown, or until nobody decides any more.
pub async fn feel(
    board: Board,
    kept: Kept,
    health: Health,
    told: mpsc::Sender<Input>,
    mut stopping: Stopping,
) {
    loop {
        tokio::select! {
            () = stopping.begun() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let here = board.clone();
        // The kernel may ask a sensor on a slow bus.
        let celsius = tokio::task::spawn_blocking(move || here.heat()).await.ok().flatten();
        let strain = Strain { heat: board.thermal.grade(celsius), kept: kept.share() };
        health.strained(celsius, strain.kept);
        if told.send(Input::Strain(strain)).await.is_err() {
            return;
        }
    }
}
