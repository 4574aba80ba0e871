//! Where a page of a list ended, as text that a program hands back and need not understand.
//!
//! A page begins after the last row of the one before, so that it costs the same however far back it is and no row is
//! shown twice or left out while others arrive. A cursor holds that row's key and the name of its list: one of another
//! list is refused instead of meaning something else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer than any that is given out.
const MOST_BYTES: usize = 512;

/// Some rows of a list, and where the next page begins.
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

/// The cursor after a row with this key.
pub fn after(list: &str, key: &impl Serialize) -> Option<String> {
    let bytes = serde_json::to_vec(&(list, key)).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// The key in a cursor of this list; `None` for one that was never given out for it.
pub fn key<K: DeserializeOwned>(list: &str, text: &str) -> Option<K> {
    if text.len() > MOST_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (of, key): (String, K) = serde_json::from_slice(&bytes).ok()?;
    (of == list).then_some(key)
}

/// The first `most` of rows that were read with one more than that, each with its key.
pub fn cut<T, K: Serialize>(list: &str, mut rows: Vec<(T, K)>, most: usize) -> Page<T> {
    let has_more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| has_more).and_then(|(_, key)| after(list, key));
    Page { rows: rows.into_iter().map(|(row, _)| row).collect(), next }
}

/// Where a page of the dashboard ended: the time in milliseconds and the row's number, as `1790000000000.17`.
pub fn time_and_row(text: &str) -> Option<(i64, i64)> {
    let (time, row) = text.split_once('.')?;
    Some((time.parse().ok()?, row.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_its_own_list_and_by_no_other() {
        let text = after("ledger", &(7_i64, "床")).unwrap();
        assert_eq!(key::<(i64, String)>("ledger", &text), Some((7, "床".to_owned())));
        assert_eq!(key::<(i64, String)>("rows", &text), None);
        assert_eq!(key::<(String, i64)>("ledger", &text), None);
        for nonsense in ["", "{}", "7.8", "%%%", &"A".repeat(600)] {
            assert_eq!(key::<(i64, String)>("ledger", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next_one() {
        let rows = |count: i64| (0..count).map(|at| (at, at)).collect::<Vec<_>>();
        assert!(cut("x", rows(3), 3).next.is_none());
        let page = cut("x", rows(4), 3);
        assert_eq!((page.rows, page.next.and_then(|text| key::<i64>("x", &text))), (vec![0, 1, 2], Some(2)));
    }
}
