//! What the writer promised so far, read from what it said.

use std::collections::{BTreeMap, BTreeSet};

/// Where an event stands in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub epoch: String,
    pub seq: u64,
    pub link: String,
}

/// Everything promised up to one moment.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    /// Event id → its place in the agent's journal.
    pub said: BTreeMap<String, Place>,
    pub acked: BTreeSet<String>,
    /// The platform's receipts.
    pub received: Vec<Place>,
    /// A new chain is being begun: what is not acknowledged may already stand in it.
    pub is_renewing: bool,
    pub is_admitted: bool,
    /// Beginning a chain failed: the next promise says that nothing of it was done.
    has_failed: bool,
}

impl Promises {
    pub fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = |epoch: &str, seq: &str, link: &str| Place {
            epoch: epoch.to_owned(),
            seq: seq.parse().unwrap(),
            link: link.to_owned(),
        };
        match words.as_slice() {
            ["admitted"] => self.is_admitted = true,
            ["failed", ..] => self.has_failed = self.is_renewing,
            ["said", id, epoch, seq, link] => {
                self.is_settled();
                self.said.insert((*id).to_owned(), place(epoch, seq, link));
            }
            ["acked", epoch, seq] => {
                self.is_settled();
                let seq: u64 = seq.parse().unwrap();
                let acked = self.said.iter().filter(|(_, at)| at.epoch == *epoch && at.seq <= seq);
                self.acked.extend(acked.map(|(id, _)| id.clone()));
            }
            ["received", epoch, seq, link] => self.received.push(place(epoch, seq, link)),
            ["renewing"] => (self.is_renewing, self.has_failed) = (true, false),
            ["renewed"] => self.is_renewing = false,
            _ => panic!("the writer said {line:?}"),
        }
    }

    fn is_settled(&mut self) {
        self.is_renewing &= !std::mem::take(&mut self.has_failed);
    }
}

/// All that a whole run ever said, to know a number that was used for something else.
#[derive(Debug, Default)]
pub struct Ever {
    links: BTreeMap<(String, u64), String>,
    places: BTreeMap<String, Vec<Place>>,
}

impl Ever {
    pub fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Ever {
        let mut ever = Ever::default();
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["said", id, epoch, seq, link] = words.as_slice() {
                let place =
                    Place { epoch: (*epoch).to_owned(), seq: seq.parse().unwrap(), link: (*link).to_owned() };
                ever.links.insert((place.epoch.clone(), place.seq), place.link.clone());
                ever.places.entry((*id).to_owned()).or_default().push(place);
            }
        }
        ever
    }

    /// Whether the run ever put this link under this number.
    pub fn knows(&self, epoch: &str, seq: u64, link: &str) -> bool {
        self.links.get(&(epoch.to_owned(), seq)).is_some_and(|known| known == link)
    }

    /// Whether `event` went from `from` straight to `to`.
    pub fn follows(&self, event: &str, from: &Place, to: &Place) -> bool {
        let places = self.places.get(event).map_or(&[][..], Vec::as_slice);
        places.windows(2).any(|two| two[0] == *from && two[1] == *to)
    }
}
