//! A real device for the browser's stories: it is admitted to the platform of a folder and delivers what it found, now.

use std::path::PathBuf;

use bedcheck::base::clock::{Clock, Now};
use bedcheck::domain::Finding;
use bedcheck::domain::verdict::Verdict;
use bedcheck::store::Commit;
use bedcheck::wire::event::Report;

use crate::world::*;

/// `tests/browser/run` calls it; by itself there is no browser to look.
#[tokio::test]
#[ignore = "delivers to the platform that tests/browser names in BEDCHECK_BROWSER_PLATFORM"]
async fn a_ward_tells_its_story_to_the_platform_a_browser_looks_at() {
    let folder = PathBuf::from(std::env::var_os("BEDCHECK_BROWSER_PLATFORM").unwrap());
    let addresses = std::fs::read_to_string(folder.join("addresses.json")).unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&addresses).unwrap();
    let port = addresses["devices"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let device = Device::admitted(&folder, "terminal-real", port);
    let now = Clock::system().now();
    let (mut journal, uplink) = (device.journal(), device.uplink());
    // Each has its own receipt, so that every statement but the first is anchored in one.
    for commit in [roster(), round(), check(Verdict::Mismatch), impersonation()] {
        journal.commit(vec![at(commit, now)]).unwrap();
        let answer = uplink.deliver(journal.unsent().unwrap().unwrap().items).await.unwrap();
        assert!(journal.acknowledge(&answer.receipt.head, &answer.digest, now.wall).unwrap());
    }
}

/// The same said at another time.
fn at(commit: Commit, now: Now) -> Commit {
    let report = match commit.report {
        Report::Finding(Finding::RoundBegun(mut plan)) => {
            let shift = now.wall.since(NOW);
            (plan.began, plan.until, plan.next_by) =
                (now.wall, plan.until.plus(shift), plan.next_by.plus(shift));
            Report::Finding(Finding::RoundBegun(plan))
        }
        Report::Finding(Finding::Checked(mut result)) => {
            (result.due, result.done) = (now.wall, now.wall);
            Report::Finding(Finding::Checked(result))
        }
        Report::Finding(Finding::Exception(mut change)) => {
            (change.first, change.last) = (now.wall, now.wall);
            Report::Finding(Finding::Exception(change))
        }
        Report::Roster(mut roster) => {
            roster.received = now.wall;
            Report::Roster(roster)
        }
        other @ (Report::Finding(_)
        | Report::Hello(_)
        | Report::Beat(_)
        | Report::Privacy(_)
        | Report::Verification(_)) => other,
    };
    Commit { at: now, report, ..commit }
}
