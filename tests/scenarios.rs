//! Stories of a ward, told as text: `tests/scenarios/*.txt`, in the words of `scenarios/story.rs`. What a camera would show
//! goes in, what the domain reports is compared.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::fs;
use std::path::Path;

#[path = "scenarios/story.rs"]
mod story;

use story::Story;

#[test]
fn every_story_ends_as_it_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut stories: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    stories.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    stories.sort();
    assert!(stories.len() >= 70, "stories are missing");
    let mut complaints = Vec::new();
    for path in &stories {
        let mut story = Story::new();
        let mut expectations = 0;
        for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let line = line.split('#').next().unwrap().trim();
            if line.is_empty() {
                continue;
            }
            expectations += usize::from(line.starts_with("expect"));
            if let Err(complaint) = story.tell(line) {
                complaints.push(format!("{}:{}: {line}: {complaint}", path.display(), number + 1));
            }
        }
        assert!(expectations > 0, "{} expects nothing", path.display());
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_false_expectation_is_noticed() {
    let mut story = Story::new();
    for line in ["bed 01 stay S1", "run 6h"] {
        story.tell(line).unwrap();
    }
    assert!(story.tell("expect check 01 Verified").is_ok());
    assert!(story.tell("expect check 01 Absent").is_err());
    assert!(story.tell("expect exception 01 hanging_bed raised").is_err());
}

#[test]
fn the_same_inputs_give_the_same_effects() {
    let replay = || {
        let mut story = Story::new();
        for line in ["bed 01 stay S1", "bed 02 stay S2", "shows 02 empty", "run 30h"] {
            story.tell(line).unwrap();
        }
        (story.checks, story.changes)
    };
    assert_eq!(replay(), replay());
}
