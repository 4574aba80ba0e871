//! The article of the regulation an exception may fall under. It is a pointer for counsel and decides nothing.

/// An article in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Article {
    pub zh: &'static str,
    pub en: &'static str,
}

/// 《医疗保障基金使用监督管理条例》, by the kind of an exception; devices and chains are no matter of that regulation.
pub fn of(kind: &str) -> Option<Article> {
    match kind {
        "impersonation" | "presentation_attack" => Some(Article {
            zh: "《医疗保障基金使用监督管理条例》第四十条（冒名就医等骗取基金行为），须由法务核对",
            en: "Regulation on the Supervision of the Use of Medical Insurance Funds, art. 40; counsel must check",
        }),
        "hanging_bed"
        | "retroactive_leave"
        | "taken_back"
        | "retroactive_departure"
        | "two_beds"
        | "two_in_bed"
        | "insurer_mismatch" => Some(Article {
            zh: "《医疗保障基金使用监督管理条例》第三十八条（分解住院、挂床住院等），须由法务核对",
            en: "Regulation on the Supervision of the Use of Medical Insurance Funds, art. 38; counsel must check",
        }),
        _ => None,
    }
}
