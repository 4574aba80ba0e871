//! Bed zones into the files they stand in, comments and order kept. Checked as a whole before anything is written; the
//! former file stays as `NAME.toml.bak`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use crate::agent::config::bed::BedSettings;
use crate::agent::config::{Above, ConfigError, Settings, layers, read_below, source};
use crate::base::files::{FileError, read_at_most, replace};
use crate::base::frame::Head;

/// Why the files stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path}: {cause}")]
    Format { path: PathBuf, cause: Box<toml_edit::TomlError> },
    #[error(transparent)]
    Refused(#[from] ConfigError),
}

/// Makes `beds` the beds of the configuration: each is changed in the file in which it stands, new ones go to the end of
/// `config.toml`, those not named are taken out.
///
/// # Errors
/// [`EditError::Refused`] with every complaint the changed files would lead to.
pub fn put_beds(path: &Path, above: &Above, beds: &[BedSettings]) -> Result<Settings, EditError> {
    let mut left: Vec<&BedSettings> = beds.iter().collect();
    let mut documents = Vec::new();
    for file in layers::files(path) {
        let bytes = read_at_most(&file, source::MOST_BYTES)?;
        let before = String::from_utf8_lossy(&bytes).into_owned();
        let mut document: DocumentMut = before
            .parse()
            .map_err(|cause| EditError::Format { path: file.clone(), cause: Box::new(cause) })?;
        change(&mut document, &mut left);
        documents.push((file, before, document));
    }
    if let Some((_, _, main)) = documents.first_mut() {
        append(main, &left);
    }
    let changed = documents.into_iter().map(|(file, before, document)| (file, before, document.to_string()));
    let changed: Vec<(PathBuf, String, String)> =
        changed.filter(|(_, before, after)| before != after).collect();
    let drafts: BTreeMap<PathBuf, String> =
        changed.iter().map(|(file, _, after)| (file.clone(), after.clone())).collect();
    let settings = read_below(path, &Above { drafts, ..above.clone() })?;
    for (file, before, after) in &changed {
        let mut former = file.as_os_str().to_owned();
        former.push(".bak");
        replace(Path::new(&former), file, before.as_bytes())?;
        replace(file, file, after.as_bytes())?;
    }
    Ok(settings)
}

/// Changes the beds that stand in `document`; what was found leaves `left`.
fn change(document: &mut DocumentMut, left: &mut Vec<&BedSettings>) {
    let Some(tables) = tables(document) else { return };
    let mut at = 0;
    while at < tables.len() {
        let id = tables.get(at).and_then(|table| table.get("id")?.as_str().map(str::to_owned));
        let wanted = left.iter().position(|bed| Some(bed.id.as_str()) == id.as_deref());
        match (wanted, tables.get_mut(at)) {
            (Some(wanted), Some(table)) => {
                fill(table, left.remove(wanted));
                at += 1;
            }
            _ => {
                tables.remove(at);
            }
        }
    }
    if tables.is_empty() {
        document.remove("bed");
    }
}

/// `[[bed]]`, also where somebody wrote `bed = [{ … }]`.
fn tables(document: &mut DocumentMut) -> Option<&mut ArrayOfTables> {
    let item = document.get_mut("bed")?;
    if item.is_value() {
        let list = std::mem::take(item);
        *item = list.into_array_of_tables().map_or_else(|list| list, Item::ArrayOfTables);
    }
    item.as_array_of_tables_mut()
}

fn append(document: &mut DocumentMut, beds: &[&BedSettings]) {
    if beds.is_empty() {
        return;
    }
    let item = document.entry("bed").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(tables) = item.as_array_of_tables_mut() else { return };
    for bed in beds {
        let mut table = Table::new();
        table.insert("id", value(bed.id.as_str()));
        fill(&mut table, bed);
        tables.push(table);
    }
}

/// Only what differs is touched, so that the rest keeps its form.
fn fill(table: &mut Table, bed: &BedSettings) {
    put(table, "camera", bed.camera.as_str());
    let head = match bed.head {
        Head::Up => "up",
        Head::Right => "right",
        Head::Down => "down",
        Head::Left => "left",
    };
    let zone = table.entry("zone").or_insert_with(|| value(InlineTable::new()));
    if let Some(zone) = zone.as_table_like_mut() {
        let sides =
            [("x", bed.zone.x), ("y", bed.zone.y), ("width", bed.zone.width), ("height", bed.zone.height)];
        for (key, pixels) in sides {
            let pixels = i64::from(pixels);
            match zone.get_mut(key).and_then(Item::as_value_mut) {
                Some(old) if old.as_integer() == Some(pixels) => {}
                Some(old) => {
                    let form = old.decor().clone();
                    *old = toml_edit::Value::from(pixels);
                    *old.decor_mut() = form;
                }
                None => {
                    zone.insert(key, value(pixels));
                }
            }
        }
    }
    if bed.head != Head::Up || table.contains_key("head") {
        put(table, "head", head);
    }
}

fn put(table: &mut Table, key: &str, text: &str) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) if old.as_str() == Some(text) => {}
        Some(old) => {
            let form = old.decor().clone();
            *old = text.into();
            *old.decor_mut() = form;
        }
        None => {
            table.insert(key, value(text));
        }
    }
}
