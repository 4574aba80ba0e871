//! Complaints about a configuration: all of them at once, each with its place and what to do about it.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::agent::config::source::{Place, Source};

/// More complaints than this help nobody; the file is something else altogether.
const MOST: usize = 200;

/// One thing that is wrong and what to do about it, in both languages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    pub place: Place,
    pub chinese: String,
    pub english: String,
}

/// What is wrong with a configuration, and the texts it was read from.
#[derive(Clone, Debug, Default)]
pub struct Complaints {
    pub sources: Vec<Source>,
    /// Where the lines of each source end: a broken file has as many mistakes as lines, and each asks for its line.
    line_ends: Vec<Vec<usize>>,
    list: Vec<Complaint>,
}

impl Complaints {
    /// Takes a source; its number goes into each [`Place`].
    pub fn add_source(&mut self, source: Source) -> usize {
        self.line_ends.push(source.text.match_indices('\n').map(|(at, _)| at).collect());
        self.sources.push(source);
        self.sources.len() - 1
    }

    pub fn add(&mut self, place: Place, chinese: impl Into<String>, english: impl Into<String>) {
        let complaint = Complaint { place, chinese: chinese.into(), english: english.into() };
        if !self.is_full() && !self.list.contains(&complaint) {
            self.list.push(complaint);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether whatever follows is no longer taken.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// In the order in which they stand in the files.
    pub fn in_order(&self) -> Vec<&Complaint> {
        let mut list: Vec<&Complaint> = self.list.iter().collect();
        list.sort();
        list
    }

    /// Whether something was already said about the line of `place`: one mistake makes one complaint.
    pub fn has_on_line(&self, place: &Place) -> bool {
        let line = |place: &Place| {
            (place.source, self.line_ends[place.source].partition_point(|end| *end < place.start))
        };
        self.list.iter().any(|complaint| line(&complaint.place) == line(place))
    }

    /// `file:line:column: what, and the remedy`, one line.
    pub fn line(&self, complaint: &Complaint) -> String {
        let source = &self.sources[complaint.place.source];
        let place = if source.is_file() {
            let (line, column) = source.line_and_column(complaint.place.start);
            format!("{}:{line}:{column}", source.name())
        } else {
            source.name()
        };
        format!("{place}: {} · {}", complaint.chinese, complaint.english)
    }

    /// The same with the line of the file and a caret under the place, for a terminal.
    pub fn picture(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let pictures: Vec<String> = self
            .in_order()
            .into_iter()
            .map(|complaint| {
                let source = &self.sources[complaint.place.source];
                let end = complaint.place.end.max(complaint.place.start).min(source.text.len());
                let annotation = AnnotationKind::Primary
                    .span(complaint.place.start.min(end)..end)
                    .label(complaint.english.as_str());
                let snippet =
                    Snippet::source(source.text.as_str()).path(source.name()).annotation(annotation);
                let report = Level::ERROR.with_name("错误 error").primary_title(complaint.chinese.as_str());
                renderer.render(&[report.element(snippet)])
            })
            .collect();
        pictures.join("\n\n")
    }
}

/// One line for each complaint.
impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, complaint) in self.in_order().into_iter().enumerate() {
            let line_end = if number == 0 { "" } else { "\n" };
            write!(f, "{line_end}{}", self.line(complaint))?;
        }
        Ok(())
    }
}
