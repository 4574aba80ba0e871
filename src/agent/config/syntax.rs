//! Text to tree. What the parser says about broken TOML is put into words for somebody who never heard of TOML, with the
//! mistakes hospitals really make recognised: full-width punctuation, quotes from a word processor, Windows paths.

use toml::de::DeTable;

use crate::agent::config::check::Complaints;
use crate::agent::config::source::Place;
use crate::agent::config::tree::Table;

/// What could be read of a source; what could not is complained of.
pub fn parse(source: usize, complaints: &mut Complaints) -> Table {
    let text = complaints.sources[source].text.clone();
    let (parsed, errors) = DeTable::parse_recoverable(&text);
    // The end of a table that stands here twice: that all its keys do is the same mistake.
    let mut doubled_until = 0;
    for error in errors {
        if complaints.is_full() {
            break;
        }
        let span = error.span().unwrap_or(0..0);
        let place = Place::new(source, span.clone());
        if complaints.has_on_line(&place) || span.start < doubled_until {
            continue;
        }
        if error.message() == "duplicate key" && line_around(&text, span.start).1.starts_with('[') {
            doubled_until = text[span.start..].find("\n[").map_or(text.len(), |next| span.start + next + 1);
        }
        let (place, (chinese, english)) = match foreign_character(&text, span.start) {
            Some((at, found)) => (Place::new(source, at..at + found.len_utf8()), foreign_remedy(found)),
            None => (place, remedy(&text, span.start, error.message())),
        };
        complaints.add(place, chinese, english);
    }
    Table::read(source, &parsed)
}

fn line_around(text: &str, at: usize) -> (usize, &str) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let from = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let to = text[at..].find('\n').map_or(text.len(), |end| at + end);
    (from, &text[from..to])
}

/// The first character of the line that is no part of a value or comment and cannot be TOML.
fn foreign_character(text: &str, at: usize) -> Option<(usize, char)> {
    let (from, line) = line_around(text, at);
    let mut quote = None;
    for (offset, found) in line.char_indices() {
        match (quote, found) {
            (None, '#') => return None,
            (None, '"' | '\'') => quote = Some(found),
            (Some(open), close) if open == close => quote = None,
            (None, _) if is_foreign(found) => return Some((from + offset, found)),
            _ => {}
        }
    }
    None
}

fn is_foreign(found: char) -> bool {
    // General punctuation (curly quotes, dashes), CJK punctuation, full-width forms, no-break space.
    matches!(found, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' | '\u{a0}' | '\u{feff}')
}

/// What to type instead of a full-width or word processor's character.
fn foreign_remedy(found: char) -> (String, String) {
    if let Some(plain) = plain(found) {
        return (
            format!("“{found}”是全角或中文标点，请改成半角 {plain}"),
            format!("{found:?} is a full-width character: type {plain} with the keyboard set to English"),
        );
    }
    let code = u32::from(found);
    (
        format!("此处有看不见或不认识的字符 (U+{code:04X})，请删除"),
        format!("there is a character U+{code:04X} that does not belong here: delete it"),
    )
}

fn plain(found: char) -> Option<char> {
    match found {
        '“' | '”' | '„' => Some('"'),
        '‘' | '’' => Some('\''),
        '。' => Some('.'),
        '、' => Some(','),
        '【' | '「' => Some('['),
        '】' | '」' => Some(']'),
        '–' | '—' => Some('-'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(found) - 0xfee0),
        _ => None,
    }
}

/// What the parser's sentence means for this line.
fn remedy(text: &str, at: usize, message: &str) -> (String, String) {
    let (_, line) = line_around(text, at);
    let said = message.split(", expected").next().unwrap_or(message);
    let is_windows_path = line.contains('\\') && line.contains('"');
    let (chinese, english): (&str, &str) = if is_windows_path && is_escape(said) {
        (
            "反斜杠在双引号里有特殊含义；路径请用单引号 '…'，或把 \\ 换成 /",
            "a backslash means something else within \"…\": put the path into '…' or write / instead",
        )
    } else if line.trim_end().ends_with('=') {
        ("等号后面没有值", "there is no value after the equals sign")
    } else if line.contains(':') && !line.contains('=') {
        ("这里要用等号，不是冒号：名称 = 值", "write an equals sign, not a colon: key = value")
    } else {
        match said {
            "duplicate key" => {
                ("同一个名称写了两次，请删除一处", "this stands here twice: delete one of them")
            }
            "string values must be quoted" => ("文字要加英文双引号，例如 \"…\"", "text needs quotes: \"…\""),
            "key with no value" => ("缺少等号和值，应写成 名称 = 值", "a key needs a value: key = value"),
            "missing assignment between key-value pairs" | "extra `=`" => {
                ("应写成 名称 = 值，一行一个等号", "write key = value, with one equals sign")
            }
            "invalid basic string" | "invalid literal string" | "missing opening quote" => {
                ("引号没有成对", "a quote is missing at the beginning or the end")
            }
            "unclosed array" | "missing comma between array elements" | "missing array opening" => {
                ("列表应写成 [\"甲\", \"乙\"]，方括号成对，逗号分隔", "write a list as [\"a\", \"b\"]")
            }
            "unclosed table" | "unclosed array table" | "missing table open" => {
                ("表头的方括号没有成对，例如 [ward] 或 [[bed]]", "a bracket is missing: [ward] or [[bed]]")
            }
            "unclosed inline table"
            | "missing comma between key-value pairs"
            | "extra assignment between key-value pairs"
            | "missing inline table opening" => (
                "花括号里的各项用逗号分隔，例如 { x = 0, y = 0, width = 600, height = 600 }",
                "separate what is in the braces by commas: { x = 0, y = 0, width = 600, height = 600 }",
            ),
            "invalid unquoted key" => (
                "名称只能用英文字母、数字、下划线和连字符",
                "a key is made of letters a to z, digits, '_' and '-'",
            ),
            "unexpected leading zero" => (
                "数字不能以 0 开头；编号请加引号，例如 \"01\"",
                "a number must not begin with 0: put an id into quotes, \"01\"",
            ),
            _ => ("这一行不符合 TOML 语法", "this line is not TOML"),
        }
    };
    (chinese.to_owned(), format!("{english} ({message})"))
}

fn is_escape(said: &str) -> bool {
    ["escape", "unicode", "basic string"].iter().any(|word| said.contains(word))
}

/// The text with full-width characters replaced; `None` when there are none.
pub fn half_width(text: &str) -> Option<String> {
    let half: String = text.chars().map(|found| plain(found).unwrap_or(found)).collect();
    (half != text).then_some(half)
}
