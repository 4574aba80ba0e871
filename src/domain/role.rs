//! Who somebody is to the platform. What each may do is one table in `platform::rights`, and which steps of a case each
//! may take another in `domain::handling`.

use serde::{Deserialize, Serialize};

/// The part of a person in supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// 监管员: works the queue, asks for evidence, orders spot checks, decides.
    Supervisor,
    /// 复核员: the second person of an opening, and who decides an appeal.
    Reviewer,
    /// 医保员: sees and answers what concerns the own hospital, and nothing else.
    Officer,
    /// 审计员: reads everything and changes nothing.
    Auditor,
    /// 管理员: accounts and devices; decides no case.
    Administrator,
}

impl Role {
    pub const ALL: [Role; 5] =
        [Role::Supervisor, Role::Reviewer, Role::Officer, Role::Auditor, Role::Administrator];

    /// The name in tables, JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Supervisor => "supervisor",
            Role::Reviewer => "reviewer",
            Role::Officer => "officer",
            Role::Auditor => "auditor",
            Role::Administrator => "administrator",
        }
    }

    pub fn chinese(self) -> &'static str {
        match self {
            Role::Supervisor => "监管员",
            Role::Reviewer => "复核员",
            Role::Officer => "医保员",
            Role::Auditor => "审计员",
            Role::Administrator => "管理员",
        }
    }

    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}
