//! What a key's value may be: from the value as written to the value as meant, or what is wrong with it.

use std::net::IpAddr;
use std::time::Duration;

use crate::agent::config::keys::Key;
use crate::agent::config::source::Place;
use crate::agent::config::syntax::half_width;
use crate::agent::config::tree::{Node, Value};
use crate::agent::config::walk::Meant;
use crate::domain::policy::Window;

/// A complaint without its place: Chinese, English.
pub type Wrong = (String, String);

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One line of text.
    Text,
    /// 1 to 64 letters of any script, digits, `.`, `_`, `-`.
    Id,
    /// A file or folder, relative to the folder of `config.toml`.
    File,
    /// One of these words, each with its explanation (Chinese, English).
    Word(&'static [(&'static str, &'static str, &'static str)]),
    /// `"90s"`, `"20m"`, `"4h"`.
    Span {
        least: Duration,
        most: Duration,
    },
    Whole {
        least: i64,
        most: i64,
    },
    Number {
        least: f64,
        most: f64,
    },
    Flag,
    /// `"127.0.0.1:2575"`.
    Socket,
    /// An address without a port.
    Ip,
    /// `"06:30-08:00"`, in China's time.
    Window,
    /// A false match rate as the face pack's card writes it: `"1e-3"`.
    Rate,
    /// Values of one kind, at most so many.
    List {
        of: &'static Kind,
        most: usize,
    },
    /// `[name]`, or `{ … }` within another table.
    Table(&'static [Key]),
    /// `[[name]]`, once for each thing, at most so many.
    Tables {
        keys: &'static [Key],
        most: usize,
    },
}

impl Kind {
    /// The value a bare text stands for: in the table of keys, in the environment, after `--set`.
    pub fn value_of(self, text: &str, place: &Place) -> Value {
        let literal = || Value::Text(text.to_owned());
        match self {
            Kind::Whole { .. } => text.trim().parse().map_or_else(|_| literal(), Value::Whole),
            Kind::Number { .. } => text.trim().parse().map_or_else(|_| literal(), Value::Number),
            Kind::Flag => text.trim().parse().map_or_else(|_| literal(), Value::Flag),
            Kind::List { of, .. } => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let node = |part| Node { place: place.clone(), value: of.value_of(part, place) };
                Value::List(parts.map(node).collect())
            }
            Kind::Text
            | Kind::Id
            | Kind::File
            | Kind::Word(_)
            | Kind::Span { .. }
            | Kind::Socket
            | Kind::Ip
            | Kind::Window
            | Kind::Rate
            | Kind::Table(_)
            | Kind::Tables { .. } => literal(),
        }
    }

    /// Whether one variable or flag can hold such a value.
    pub fn is_scalar(self) -> bool {
        match self {
            Kind::Table(_) | Kind::Tables { .. } => false,
            Kind::List { of, .. } => of.is_scalar(),
            Kind::Text
            | Kind::Id
            | Kind::File
            | Kind::Word(_)
            | Kind::Span { .. }
            | Kind::Whole { .. }
            | Kind::Number { .. }
            | Kind::Flag
            | Kind::Socket
            | Kind::Ip
            | Kind::Window
            | Kind::Rate => true,
        }
    }

    /// How such a value is written, in both languages, with its range.
    pub fn describe(self) -> Wrong {
        let both = |chinese: &str, english: &str| (chinese.to_owned(), english.to_owned());
        match self {
            Kind::Text => both("加引号的文字", "text in quotes"),
            Kind::Id => both(
                "加引号的编号：1 至 64 个字母、汉字、数字或 . _ -",
                "an id in quotes: 1 to 64 letters, digits, '.', '_' or '-'",
            ),
            Kind::File => both(
                "加引号的路径，相对于 config.toml 所在文件夹",
                "a path in quotes, relative to config.toml",
            ),
            Kind::Word(words) => {
                let words: Vec<String> = words.iter().map(|(word, ..)| format!("{word:?}")).collect();
                (format!("{} 之一", words.join("、")), format!("one of {}", words.join(", ")))
            }
            Kind::Span { least, most } => {
                let (least, most) = (written(least), written(most));
                (
                    format!("加引号的时长，\"{least}\" 至 \"{most}\""),
                    format!("a time in quotes, \"{least}\" to \"{most}\""),
                )
            }
            Kind::Whole { least, most } => {
                (format!("整数，{least} 至 {most}"), format!("a whole number from {least} to {most}"))
            }
            Kind::Number { least, most } => {
                (format!("数字，{least} 至 {most}"), format!("a number from {least} to {most}"))
            }
            Kind::Flag => both("true 或 false，不加引号", "true or false, without quotes"),
            Kind::Socket => both(
                "加引号的 地址:端口，例如 \"127.0.0.1:2575\"",
                "address:port in quotes, such as \"127.0.0.1:2575\"",
            ),
            Kind::Ip => {
                both("加引号的 IP 地址，例如 \"10.1.2.3\"", "an IP address in quotes, such as \"10.1.2.3\"")
            }
            Kind::Window => both(
                "加引号的时段，例如 \"06:30-08:00\"",
                "a time of the day in quotes, such as \"06:30-08:00\"",
            ),
            Kind::Rate => {
                both("加引号的误识率，例如 \"1e-3\"", "a false match rate in quotes, such as \"1e-3\"")
            }
            Kind::List { of, most } => {
                let (chinese, english) = of.describe();
                (
                    format!("列表 [ … ]，至多 {most} 项，每项为{chinese}"),
                    format!("a list of at most {most}, each {english}"),
                )
            }
            Kind::Table(_) => both("表", "a table"),
            Kind::Tables { most, .. } => (
                format!("双方括号的表，每个一段，至多 {most} 段"),
                format!("tables in double brackets, at most {most}"),
            ),
        }
    }

    /// What a single value means. Tables are [`crate::agent::config::walk`]'s.
    ///
    /// # Errors
    /// What is wrong and how it should be.
    pub fn meaning(self, node: &Node) -> Result<Meant, Wrong> {
        match (self, &node.value) {
            (Kind::Whole { least, most }, Value::Whole(whole)) if (least..=most).contains(whole) => {
                Ok(Meant::Whole(*whole))
            }
            (Kind::Number { least, most }, Value::Whole(whole))
                if (least..=most).contains(&(*whole as f64)) =>
            {
                Ok(Meant::Number(*whole as f64))
            }
            (Kind::Number { least, most }, Value::Number(number)) if (least..=most).contains(number) => {
                Ok(Meant::Number(*number))
            }
            (Kind::Flag, Value::Flag(flag)) => Ok(Meant::Flag(*flag)),
            (_, Value::Text(text)) if self.takes_text() => self.read(text),
            _ => Err(self.unlike(node)),
        }
    }

    /// Whether the value is written in quotes.
    pub fn takes_text(self) -> bool {
        !matches!(
            self,
            Kind::Whole { .. }
                | Kind::Number { .. }
                | Kind::Flag
                | Kind::List { .. }
                | Kind::Table(_)
                | Kind::Tables { .. }
        )
    }

    fn read(self, text: &str) -> Result<Meant, Wrong> {
        let meant = || Ok(Meant::Text(text.to_owned()));
        match self {
            Kind::Span { least, most } => {
                let time = text.parse::<jiff::SignedDuration>().ok();
                match time.and_then(|time| Duration::try_from(time).ok()) {
                    Some(time) if (least..=most).contains(&time) => Ok(Meant::Span(time)),
                    Some(_) => Err(self.unlike_text(text, "超出范围", "is out of range")),
                    None => Err(self.no_time(text)),
                }
            }
            Kind::Word(words) if words.iter().any(|(word, ..)| *word == text) => meant(),
            Kind::Word(words) => {
                let nearest = nearest(text, words.iter().map(|(word, ..)| *word));
                let (chinese, english) = self.unlike_text(text, "不是可选的值", "is none of the choices");
                Err(match nearest {
                    Some(word) => (
                        format!("{chinese}；是否想写 {word:?}？"),
                        format!("{english}; did you mean {word:?}?"),
                    ),
                    None => (chinese, english),
                })
            }
            Kind::Id if crate::base::ids::BedId::new(text).is_ok() => meant(),
            Kind::Id => Err(self.unlike_text(text, "不能用作编号", "cannot be an id")),
            Kind::Ip if text.parse::<IpAddr>().is_ok() => meant(),
            Kind::Ip => Err(self.unlike_text(text, "不是 IP 地址", "is no IP address")),
            Kind::Window if Window::parse(text).is_some() => meant(),
            Kind::Window => Err(self.unlike_text(text, "不是时段", "is no time of the day")),
            Kind::Socket if is_socket(text) => meant(),
            Kind::Socket => Err(self.unlike_text(text, "不是 地址:端口", "is not address:port")),
            Kind::Rate if text.parse().is_ok_and(|rate: f64| rate > 0.0 && rate <= 0.1) => meant(),
            Kind::Rate => Err(self.unlike_text(text, "不是误识率", "is no false match rate")),
            Kind::File => path(text).map_or_else(meant, Err),
            Kind::Text if text.trim().is_empty() => {
                Err(("不能为空".to_owned(), "must not be empty".to_owned()))
            }
            Kind::Text => meant(),
            Kind::Whole { .. }
            | Kind::Number { .. }
            | Kind::Flag
            | Kind::List { .. }
            | Kind::Table(_)
            | Kind::Tables { .. } => meant(),
        }
    }

    fn unlike_text(self, text: &str, chinese: &str, english: &str) -> Wrong {
        let (should, must) = self.describe();
        let half = half_width(text).map_or_else(Default::default, |half| {
            (format!("；请用半角输入：{half:?}"), format!("; type it in half-width: {half:?}"))
        });
        (
            format!("{text:?} {chinese}，应为{should}{}", half.0),
            format!("{text:?} {english}; it is {must}{}", half.1),
        )
    }

    fn no_time(self, text: &str) -> Wrong {
        let (chinese, english) = self.unlike_text(
            text,
            "不是时长",
            "is not a time; write for instance \"90s\", \"20m\" or \"4h\"",
        );
        let guess =
            [("小时", "h"), ("分钟", "m"), ("分", "m"), ("秒", "s"), ("时", "h"), ("hrs", "h"), ("M", "m")];
        let guess = guess.iter().fold(text.replace(' ', ""), |text, (from, to)| text.replace(from, to));
        if guess != text && guess.parse::<jiff::SignedDuration>().is_ok() {
            return (
                format!("{chinese}；是否想写 {guess:?}？"),
                format!("{english}; did you mean {guess:?}?"),
            );
        }
        (chinese, english)
    }

    /// The value is of another kind, or out of range.
    fn unlike(self, node: &Node) -> Wrong {
        let (should, must) = self.describe();
        let (found, seen) = match &node.value {
            Value::Whole(whole) => (format!("写的是 {whole}"), format!("found {whole}")),
            Value::Number(number) => (format!("写的是 {number}"), format!("found {number}")),
            Value::Text(text) if !self.takes_text() => (
                format!("写的是文字 {text:?}，请去掉引号"),
                format!("found the text {text:?}: take away the quotes"),
            ),
            Value::Text(_) | Value::Flag(_) | Value::Moment | Value::List(_) | Value::Table(_) => {
                let (chinese, english) = node.kind();
                (format!("写的是{chinese}"), format!("found {english}"))
            }
        };
        (format!("应为{should}，{found}"), format!("must be {must}, {seen}"))
    }
}

fn is_socket(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        port.parse::<u16>().is_ok() && !host.is_empty() && (host.parse::<IpAddr>().is_ok() || is_host(host))
    })
}

fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}

/// What is wrong with a path, if anything.
fn path(text: &str) -> Option<Wrong> {
    let drive = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && text[1..].starts_with(':');
    let wrong = if text.trim().is_empty() {
        ("路径不能为空", "the path is empty")
    } else if text.chars().any(char::is_control) {
        // "D:\temp" in double quotes is a D, a colon, a tab and "emp".
        (
            "路径中有控制字符：反斜杠在双引号里有特殊含义，请写 / 或用单引号 '…'",
            "the path has control characters: a backslash means something else within \"…\"; write / or put it into '…'",
        )
    } else if drive || text.contains('\\') {
        (
            "这是 Windows 路径，请写 Linux 路径，例如 /var/lib/bedcheck",
            "this is a Windows path; write one like /var/lib/bedcheck",
        )
    } else if text.starts_with('~') {
        ("~ 不会展开，请写完整路径", "~ is not expanded: write the whole path")
    } else if text.trim() != text {
        ("路径首尾有空格，请删除", "the path begins or ends with a blank: delete it")
    } else {
        return None;
    };
    Some((format!("{text:?} {}", wrong.0), format!("{text:?}: {}", wrong.1)))
}

/// A duration as people write it here: the largest unit that divides it.
pub fn written(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// Bytes of what might be a word with a mistake in it.
const MOST_OF_A_WORD: usize = 200;

/// The known word somebody probably meant.
pub fn nearest<'word>(text: &str, words: impl Iterator<Item = &'word str>) -> Option<&'word str> {
    // No word is nearly this long, and likeness costs the product of both lengths.
    if text.len() > MOST_OF_A_WORD {
        return None;
    }
    let text = half_width(text).unwrap_or_else(|| text.to_owned()).to_lowercase();
    words
        .map(|word| (strsim::jaro_winkler(&text, &word.to_lowercase()), word))
        .filter(|(likeness, word)| *likeness > 0.84 || strsim::damerau_levenshtein(&text, word) <= 1)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
