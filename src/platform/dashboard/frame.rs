//! What is around every page: who is signed in, and the menu by function, of which everybody sees the own part.

use crate::platform::dashboard::words::{Lang, Term};
use crate::platform::rights;
use crate::platform::sessions::Visitor;

/// The frame of a page.
pub struct Frame {
    pub l: Lang,
    pub name: String,
    pub role: Term,
    pub institution: Option<String>,
    pub csrf: String,
    pub menu: Vec<Item>,
    /// The path of this page, for the switch of language.
    pub here: String,
}

pub struct Item {
    pub path: &'static str,
    pub label: Term,
    pub is_here: bool,
}

const fn label(zh: &'static str, en: &'static str) -> Term {
    Term { zh, en, mark: "" }
}

const MENU: [(&str, Term); 10] = [
    ("/", label("总览", "Overview")),
    ("/verification", label("智慧核查", "Verification")),
    ("/patrol", label("智慧巡查", "Patrol")),
    ("/screening", label("智慧筛查", "Screening")),
    ("/exceptions", label("异常", "Exceptions")),
    ("/orders", label("抽查", "Spot checks")),
    ("/score", label("评分", "Score")),
    ("/devices", label("设备", "Devices")),
    ("/audit", label("审计", "Audit")),
    ("/screen", label("大屏", "Big screen")),
];

impl Frame {
    /// The frame of a page under `section` of the menu, at `here`.
    pub fn new(l: Lang, visitor: &Visitor, section: &str, here: &str) -> Frame {
        let menu = MENU
            .into_iter()
            .filter(|(path, _)| rights::may_read(visitor.role, path))
            .map(|(path, label)| Item { path, label, is_here: path == section })
            .collect();
        Frame {
            l,
            name: visitor.name.clone(),
            role: Term { zh: visitor.role.chinese(), en: visitor.role.name(), mark: "" },
            institution: visitor.institution.clone(),
            csrf: visitor.form_token.clone().unwrap_or_default(),
            menu,
            here: here.to_owned(),
        }
    }
}
