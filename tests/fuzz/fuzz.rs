//! libFuzzer for the entry that `BEDCHECK_FUZZ` names; `tests/fuzz/run` builds and starts it.

#![no_main]

#[expect(dead_code, reason = "how many mutations `cargo test` tries is nothing to libFuzzer")]
mod entries;

use std::sync::OnceLock;

use entries::Entry;
use libfuzzer_sys::fuzz_target;

static ENTRY: OnceLock<&'static Entry> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("BEDCHECK_FUZZ").expect("BEDCHECK_FUZZ names an entry");
        ENTRY.get_or_init(|| entries::find(&name).expect("an entry of this name"));
        // libFuzzer's own hook ends the process at once. A panic that the product catches at a decoder's border is none:
        // only one that comes out of the entry ends the run, with these words above it.
        std::panic::set_hook(Box::new(|panic| {
            if panic.location().is_some_and(|place| !place.file().contains("calamine")) {
                eprintln!("{panic}");
            }
        }));
    },
    |data: &[u8]| {
        if let Some(entry) = ENTRY.get().filter(|entry| data.len() <= entry.most_bytes) {
            (entry.run)(data);
        }
    }
);
