//! Where configuration comes from, lowest first: what is built in, `config.toml`, `conf.d/*.toml` beside it by name,
//! variables `BEDCHECK_…`, `--set KEY=VALUE`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::agent::config::check::Complaints;
use crate::agent::config::keys;
use crate::agent::config::kinds::nearest;
use crate::agent::config::source::{Place, Source, SourceKind};
use crate::agent::config::syntax;
use crate::agent::config::tree::{Node, Table};
use crate::agent::update::Active;
use crate::base::files::FileError;

/// More files in `conf.d` than this are somebody's accident.
const MOST_FILES: usize = 64;

/// Variables of ours that are no keys.
const OTHER_VARIABLES: [&str; 2] = ["BEDCHECK_LOG", "BEDCHECK_SOAK"];

/// What lies above the file.
#[derive(Clone, Debug, Default)]
pub struct Above {
    /// Name and value of each variable that begins with `BEDCHECK_`.
    pub variables: Vec<(String, String)>,
    /// Key and value of each `--set`.
    pub flags: Vec<(String, String)>,
    /// What a file would hold that is checked before it is written.
    pub drafts: BTreeMap<PathBuf, String>,
    /// The bundle that would be in use, checked before it is.
    pub bundle: Option<Active>,
}

impl Above {
    /// The variables of this process.
    pub fn environment() -> Above {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("BEDCHECK_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Above { variables: ours.collect(), ..Above::default() }
    }
}

/// Everything laid over each other, and whether all of it could be read.
///
/// # Errors
/// [`FileError`] when a file cannot be read at all.
pub fn load(path: &Path, above: &Above, complaints: &mut Complaints) -> Result<(Table, bool), FileError> {
    let read = |file: &Path, complaints: &mut Complaints| match above.drafts.get(file) {
        Some(text) => {
            Ok(complaints.add_source(Source { kind: SourceKind::File(file.to_owned()), text: text.clone() }))
        }
        None => Source::file(file, complaints),
    };
    let source = read(path, complaints)?;
    let before = complaints.len();
    let mut tree = syntax::parse(source, complaints);
    for file in files(path).iter().skip(1) {
        let source = read(file, complaints)?;
        tree.overlay(syntax::parse(source, complaints));
    }
    let is_partial = complaints.len() > before;
    let variables = above.variables.iter().filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str()));
    for (name, value) in variables {
        let found = keys::all()
            .into_iter()
            .find(|(path, key)| keys::is_settable(path, key) && keys::variable(path) == *name);
        put(&mut tree, SourceKind::Environment(name.clone()), value, found.map(|(path, _)| path), complaints);
    }
    for (wanted, value) in &above.flags {
        let found =
            keys::all().into_iter().find(|(path, key)| keys::is_settable(path, key) && path == wanted);
        put(&mut tree, SourceKind::Flag(wanted.clone()), value, found.map(|(path, _)| path), complaints);
    }
    Ok((tree, is_partial))
}

/// The file, then `conf.d/*.toml` beside it, by name.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let folder = path.with_file_name("conf.d");
    let Ok(entries) = std::fs::read_dir(&folder) else { return vec![path.to_owned()] };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        // Editors leave .name.toml and name.toml~ behind.
        .filter(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")))
        .take(MOST_FILES)
        .collect();
    files.sort();
    files.insert(0, path.to_owned());
    files
}

fn put(tree: &mut Table, kind: SourceKind, text: &str, key: Option<String>, complaints: &mut Complaints) {
    let name = match &kind {
        SourceKind::Environment(name) | SourceKind::Flag(name) => name.clone(),
        SourceKind::File(_) => String::new(),
    };
    let source = complaints.add_source(Source { kind: kind.clone(), text: text.to_owned() });
    let place = Place::new(source, 0..text.len());
    let known = key.and_then(|path| keys::all().into_iter().find(|(known, _)| *known == path));
    let Some((path, key)) = known else {
        let settable = keys::all().into_iter().filter(|(path, key)| keys::is_settable(path, key));
        let names: Vec<String> = settable
            .map(|(path, _)| if matches!(kind, SourceKind::Flag(_)) { path } else { keys::variable(&path) })
            .collect();
        let guess = nearest(&name, names.iter().map(String::as_str));
        complaints.add(
            place,
            format!(
                "没有可以这样设置的配置项{}",
                guess.map_or(String::new(), |name| format!("；是否想写 {name}？"))
            ),
            format!(
                "no key is set this way{}",
                guess.map_or(String::new(), |name| format!("; did you mean {name}?"))
            ),
        );
        return;
    };
    tree.put(&path, Node { place: place.clone(), value: key.kind.value_of(text, &place) });
}
