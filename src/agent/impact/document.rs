//! The document as chapters, and the two forms in which it is written. Both say the same: neither has text of its own.

use askama::Template;

/// What nobody but the hospital can say.
const OPEN: &str = "待填写";

/// A place that somebody must fill in.
pub fn open(who: &str) -> String {
    format!("{OPEN}（填写人：{who}）")
}

/// One numbered chapter.
pub struct Chapter {
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

pub enum Block {
    Text(String),
    List(Vec<String>),
    Table { head: Vec<&'static str>, rows: Vec<Vec<String>> },
}

/// The whole document.
pub struct Document {
    pub title: &'static str,
    pub subtitle: String,
    pub chapters: Vec<Chapter>,
}

#[derive(Template)]
#[template(path = "report.md", config = "src/agent/impact/askama.toml")]
struct Markdown<'a> {
    title: &'a str,
    subtitle: &'a str,
    chapters: &'a [Chapter],
}

#[derive(Template)]
#[template(path = "report.html", config = "src/agent/impact/askama.toml")]
struct Html<'a> {
    title: &'a str,
    subtitle: &'a str,
    chapters: &'a [Chapter],
}

impl Document {
    /// # Errors
    /// Never in practice.
    pub fn markdown(&self) -> askama::Result<String> {
        let Document { title, subtitle, chapters } = self;
        Markdown { title, subtitle, chapters }.render()
    }

    /// One file without anything from elsewhere, made for A4.
    ///
    /// # Errors
    /// Never in practice.
    pub fn html(&self) -> askama::Result<String> {
        let Document { title, subtitle, chapters } = self;
        Html { title, subtitle, chapters }.render()
    }

    /// How many places must be filled in.
    pub fn open_places(&self) -> usize {
        let places = |text: &String| usize::from(is_open(text));
        let blocks = self.chapters.iter().flat_map(|chapter| &chapter.blocks);
        blocks
            .map(|block| match block {
                Block::Text(text) => places(text),
                Block::List(items) => items.iter().map(places).sum(),
                Block::Table { rows, .. } => rows.iter().flatten().map(places).sum(),
            })
            .sum()
    }
}

fn is_open(text: &str) -> bool {
    text.contains(OPEN)
}

/// Text as it stands in a cell of Markdown: what came from a configuration makes neither tables nor tags.
fn markdown(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => written.push_str("<br>"),
            '<' => written.push_str("&lt;"),
            '&' => written.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                written.push('\\');
                written.push(character);
            }
            other => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_a_configuration_makes_neither_tags_nor_columns() {
        let text = "a|b <script>x</script> & *c*\nd".to_owned();
        let rows = vec![vec![text.clone(), open("法务")]];
        let blocks = vec![Block::Text(text), Block::Table { head: vec!["甲", "乙"], rows }];
        let chapters = vec![Chapter { title: "一", blocks }];
        let document = Document { title: "题", subtitle: String::new(), chapters };
        let (html, markdown) = (document.html().unwrap(), document.markdown().unwrap());
        assert!(!html.contains("<script>") && html.contains("&#60;script"), "{html}");
        assert!(!markdown.contains("<script>"), "{markdown}");
        assert!(
            markdown
                .contains("| a\\|b &lt;script>x&lt;/script> &amp; \\*c\\*<br>d | 待填写（填写人：法务） |"),
            "{markdown}"
        );
        assert!(html.contains("<td class=\"open\">待填写（填写人：法务）</td>"), "{html}");
        assert_eq!(document.open_places(), 1);
    }
}
