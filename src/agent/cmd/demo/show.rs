//! What a person at the terminal sees; machines get JSON on standard output and nothing else there.

use comfy_table::{Cell, Color, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::agent::cmd::demo::platform::{Row, reached};
use crate::agent::cmd::demo::ward::Found;
use crate::agent::cmd::{say, say_json};
use crate::domain::liveness::Cue;

pub struct Show {
    json: bool,
    bar: ProgressBar,
}

const STEPS: u32 = 6;

impl Show {
    pub fn new(json: bool) -> Show {
        let bar = ProgressBar::new(1);
        if let Ok(style) = ProgressStyle::with_template("      {bar:32} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Show { json, bar }
    }

    pub fn step(&self, number: u32, text: &str) {
        self.note(&format!("[{number}/{STEPS}] {text}"));
    }

    /// A line for people: standard error when standard output is for machines.
    #[expect(clippy::print_stderr, reason = "progress for people must not spoil the JSON")]
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| if self.json { eprintln!("{text}") } else { say(text) });
    }

    pub fn tick(&self) {
        self.bar.tick();
    }

    pub fn progress(&self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message("次核查 checks");
    }

    /// Prints the table or the JSON; whether everything is as expected and reached the dashboard.
    pub fn table(&self, found: &mut [Found], rows: &[Row]) -> anyhow::Result<bool> {
        self.bar.finish_and_clear();
        for bed in found.iter_mut() {
            bed.exceptions.sort();
        }
        let is_good = |bed: &Found| bed.story.expectation() == bed.finding();
        let all_good = found.iter().all(|bed| is_good(bed) && reached(bed, rows));
        if self.json {
            let rows: Vec<Value> = found
                .iter()
                .map(|bed| {
                    json!({
                        "bed": bed.story.bed,
                        "story": bed.story.story.1,
                        "expected": bed.story.expectation(),
                        "found": bed.finding(),
                        "cue": bed.cue.map(Cue::name),
                        "reason": bed.reason(),
                        "as_expected": is_good(bed),
                        "reached_dashboard": reached(bed, rows),
                    })
                })
                .collect();
            say_json(&json!({ "ok": all_good, "rows": rows }))?;
            return Ok(all_good);
        }
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        let header =
            ["床 bed", "情景 story", "预期 expected", "结果 found", "线索 cue", "", "平台 dashboard"];
        table.set_header(header);
        for bed in found.iter() {
            let mark = |good| {
                if good { Cell::new("✓").fg(Color::Green) } else { Cell::new("✗").fg(Color::Red) }
            };
            table.add_row([
                Cell::new(bed.story.bed),
                Cell::new(format!("{} · {}", bed.story.story.0, bed.story.story.1)),
                Cell::new(bed.story.expectation()),
                Cell::new(bed.finding()),
                Cell::new(bed.cue.map_or("", Cue::chinese)),
                mark(is_good(bed)),
                mark(reached(bed, rows)),
            ]);
        }
        say(table);
        say(if all_good {
            "全部符合预期 · everything as expected"
        } else {
            "与预期不符 · NOT as expected"
        });
        Ok(all_good)
    }

    /// `links` sign one person each in, once; `people` are the lines with their passphrases.
    pub fn serving(&self, dashboard: &str, links: &[String], people: &[String]) {
        self.note(&format!(
            "\n监管平台 · dashboard   {dashboard}\n\n登录链接（十分钟内一次有效）· sign in, once, within ten minutes\n  {}\n\n口令 · passphrases\n  {}\n\nCtrl-C 结束 · ends\n",
            links.join("\n  "),
            people.join("\n  ")
        ));
    }
}
