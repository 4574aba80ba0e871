//! The words of the page, Chinese first: terms, claims a supervisor can act on, times and numbers.

use crate::base::clock::Wall;
use crate::domain::effort::{Burden, Eased};
use crate::domain::facts::Excuse;
use crate::domain::liveness::Cue;
use crate::platform::dashboard::contradictions;
use crate::platform::view::ExceptionRow;

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    Zh,
    En,
}

impl Lang {
    /// Picks one of two texts.
    pub fn t<'a>(&self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    pub fn tag(&self) -> &'static str {
        self.t("zh-CN", "en")
    }
}

/// A term in both languages, with its mark and colour; neither stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub zh: &'static str,
    pub en: &'static str,
    /// Name of the symbol and of the style.
    pub mark: &'static str,
}

impl Term {
    /// The word of the page's language, and the other one.
    pub fn main(&self, l: &Lang) -> &'static str {
        l.t(self.zh, self.en)
    }

    pub fn other(&self, l: &Lang) -> &'static str {
        l.t(self.en, self.zh)
    }
}

const fn term(zh: &'static str, en: &'static str, mark: &'static str) -> Term {
    Term { zh, en, mark }
}

/// A device that watches fewer beds at once than it may; no fault, but a round takes longer.
pub fn eased(l: Lang, Eased { beds_at_once, of, by }: Eased) -> String {
    let why = match by {
        Burden::Heat => l.t("主板过热", "the board is hot"),
        Burden::Load => l.t("负荷过高", "the board is busy"),
    };
    match l {
        Lang::Zh => format!("{why}，同时核查减为 {beds_at_once}/{of} 床，时限内仍会查完"),
        Lang::En => format!("{why}: {beds_at_once} of {of} beds watched at once; deadlines are kept"),
    }
}

pub fn verdict(name: Option<&str>) -> Term {
    match name {
        Some("Verified") => term("已核实", "Verified", "verified"),
        Some("Absent") => term("不在床", "Absent", "absent"),
        Some("Excused") => term("有据离床", "Excused", "verified"),
        Some("FaceHidden") => term("在床未露脸", "Face hidden", "hidden"),
        Some("Mismatch") => term("人证不符", "Mismatch", "mismatch"),
        Some("WrongBed") => term("床位不符", "Wrong bed", "wrongbed"),
        Some("NotLive") => term("疑似假体", "Not live", "mismatch"),
        Some("Inconclusive") => term("无法判定", "Inconclusive", "unclear"),
        Some("NotDone") => term("未执行", "Not done", "notdone"),
        // A word of a newer agent is better shown as unknown than hidden.
        Some(_) => term("未知结论", "Unknown", "unclear"),
        None => term("待首查", "Not yet", "waiting"),
    }
}

pub fn reason(name: &str) -> Term {
    match name {
        "dark" => term("光线太暗", "too dark", ""),
        "blurred" => term("画面模糊", "blurred", ""),
        "too_small" => term("人脸太小", "face too small", ""),
        "turned_away" => term("人脸偏转", "face turned away", ""),
        "cut_off" => term("人脸不完整", "face cut off", ""),
        "covered" => term("口鼻被遮挡", "mouth covered", ""),
        "weak_detection" => term("检测不可靠", "weak detection", ""),
        "several_faces" => term("多人入镜", "several faces", ""),
        "uncertain_match" => term("相似度在两阈值之间", "between the thresholds", ""),
        "not_enrolled" => term("未登记人脸", "not enrolled", ""),
        "no_empty_reference" => term("没有空床参考图", "no picture of the empty bed", ""),
        "tampered" => term("摄像头异常", "camera tampered with", ""),
        "no_picture" => term("摄像头无画面", "no picture from the camera", ""),
        "life_unproven" => term("活体证据不足", "sign of life not yet seen", ""),
        "not_reached" => term("本轮未轮到", "not reached in this round", ""),
        "contradictory" => term("各次结果不一致", "looks contradict", ""),
        // As above.
        _ => term("原因未知", "unknown reason", ""),
    }
}

/// What decided whether the face belongs to a living person.
pub fn cue(cue: Cue) -> Term {
    let en = match cue {
        Cue::Breathing => "breathes",
        Cue::Movement => "moves",
        Cue::Passive => "passive liveness",
        Cue::Challenge => "challenge",
        Cue::Flash => "colour flash",
        Cue::Still => "no breath in all the time",
        Cue::NoBlink => "eyes open, never blinks",
    };
    term(cue.chinese(), en, "")
}

/// Why an empty bed accuses nobody.
pub fn excuse(excuse: Excuse) -> Term {
    match excuse {
        Excuse::Leave => term("请假", "on leave", ""),
        Excuse::Examination => term("外出检查", "at an examination", ""),
        Excuse::Surgery => term("手术", "in surgery", ""),
        Excuse::Isolation => term("隔离", "isolated", ""),
    }
}

pub fn kind(name: &str) -> Term {
    match name {
        "hanging_bed" => term("疑似挂床住院", "Hanging bed suspected", "absent"),
        "impersonation" => term("疑似冒名住院", "Impersonation suspected", "mismatch"),
        "wrong_bed" => term("床位不符", "Wrong bed", "wrongbed"),
        "presentation_attack" => term("疑似照片或假体冒充", "Presentation attack suspected", "mismatch"),
        "retroactive_leave" => term("事后补假", "Leave reported afterwards", "absent"),
        "not_verified" => term("多轮未能核实", "Not verified", "unclear"),
        "silence" => term("设备失联", "Device silent", "notdone"),
        "no_round" => term("未按时巡查", "Round missing", "notdone"),
        "chain_gap" => term("数据链缺口", "Chain gap", "chain"),
        "chain_fork" => term("数据链分叉", "Chain fork", "chain"),
        "chain_new_epoch" => term("数据链重启", "Chain restarted", "chain"),
        "tampered" => term("上报内容被改", "Report altered", "mismatch"),
        "camera_tampered" => term("摄像头异常", "Camera tampered", "unclear"),
        "clock_stepped" => term("时钟异常", "Clock set", "chain"),
        "clock_off" => term("时钟偏差", "Clock off", "chain"),
        "two_in_bed" => term("一床多人", "Two on one bed", "wrongbed"),
        "two_beds" => term("一人多床", "One person in two beds", "wrongbed"),
        "taken_back" => term("巡查前后撤销", "Taken back after a round", "absent"),
        "retroactive_departure" => term("事后补办离床", "Departure reported afterwards", "absent"),
        "insurer_mismatch" => term("与医保在院名单不符", "Not as the insurer's list", "mismatch"),
        "draw_forged" => term("抽签不符", "Draw forged", "mismatch"),
        "order_missed" => term("抽查未执行", "Spot check missed", "notdone"),
        "bundle_turned_back" => term("更新被退回", "Update turned back", "mismatch"),
        "bundle_given_up" => term("更新试用失败", "Update failed on trial", "unclear"),
        "unreadable" => term("上报无法解读", "Report unreadable", "unclear"),
        "pruned" => term("上报内容缺失", "Report without its content", "chain"),
        "store_full" => term("设备存储已满", "Device's storage full", "unclear"),
        // As above.
        _ => term("未知异常", "Unknown exception", "unclear"),
    }
}

pub fn state(name: &str) -> Term {
    match name {
        "raised" => term("新发现", "Raised", "raised"),
        "confirmed" => term("已复现", "Confirmed", "confirmed"),
        // Only `ended` is left.
        _ => term("已解除", "Ended", "ended"),
    }
}

pub fn chain(state: &str) -> Term {
    match state {
        "ok" => term("链完整", "chain ok", "ok"),
        "gap" => term("链缺口", "chain gap", "bad"),
        "fork" => term("链分叉", "chain fork", "bad"),
        "tampered" => term("内容被改", "altered", "bad"),
        // Only `none` is left.
        _ => term("尚无数据", "no data yet", "none"),
    }
}

/// One sentence that says what was seen, how often and when.
pub fn claim(l: Lang, row: &ExceptionRow) -> String {
    if let Some(what) = &row.detail {
        return contradictions::claim(l, what);
    }
    let (n, first, last) = (row.rounds, moment(row.first), moment(row.last));
    let rounds = rounds(l, n);
    let span = match l {
        Lang::Zh => format!("（首次 {first}，最近 {last}）"),
        Lang::En => format!(" (first {first}, latest {last})"),
    };
    let bed = bed(l, row.bed.as_deref().unwrap_or("?"));
    let device = &row.device;
    match (row.kind.as_str(), l) {
        ("hanging_bed", Lang::Zh) => format!("{bed} 连续{n}轮不在床{span}"),
        ("hanging_bed", Lang::En) => format!("{bed}: absent, {rounds} in a row{span}"),
        ("impersonation", Lang::Zh) => format!("{bed} {n}轮人证不符，床上疑为他人{span}"),
        ("impersonation", Lang::En) => format!("{bed}: another face, {rounds}{span}"),
        ("wrong_bed", Lang::Zh) => format!("{bed} {n}轮看到本病区另一名患者{span}"),
        ("wrong_bed", Lang::En) => format!("{bed}: another patient of this ward, {rounds}{span}"),
        ("presentation_attack", Lang::Zh) => format!("{bed} {n}轮见到本人面孔但无生命迹象{span}"),
        ("presentation_attack", Lang::En) => {
            format!("{bed}: the patient's face without a sign of life, {rounds}{span}")
        }
        ("not_verified", Lang::Zh) => format!("{bed} 连续{n}轮未能核实{span}"),
        ("not_verified", Lang::En) => format!("{bed}: not verified, {rounds} in a row{span}"),
        ("silence", Lang::Zh) => format!("设备 {device} 自 {first} 起应报未报"),
        ("silence", Lang::En) => format!("Device {device}: nothing came when it was due, since {first}"),
        ("no_round", Lang::Zh) => format!("设备 {device} 在线，但自 {first} 起未按时开始巡查"),
        ("no_round", Lang::En) => format!("Device {device} speaks but began no round since {first}"),
        ("chain_gap", Lang::Zh) => format!("设备 {device} 的上报缺少中间记录{span}"),
        ("chain_gap", Lang::En) => format!("Device {device}: records are missing in between{span}"),
        ("chain_fork", Lang::Zh) => format!("设备 {device} 同一序号出现两份不同记录{span}"),
        ("chain_fork", Lang::En) => format!("Device {device}: two different records under one number{span}"),
        ("chain_new_epoch", Lang::Zh) => format!("设备 {device} 丢失状态后另起新链{span}"),
        ("chain_new_epoch", Lang::En) => {
            format!("Device {device} lost its state and began a new chain{span}")
        }
        ("tampered", Lang::Zh) => format!("设备 {device} 的上报与签名不符，已拒收 {n} 次{span}"),
        ("tampered", Lang::En) => {
            format!("Device {device}: report does not fit its signature, refused {n} times{span}")
        }
        ("retroactive_leave", Lang::Zh) => format!("{bed} 巡查见空床{n}轮后才补登请假{span}"),
        ("retroactive_leave", Lang::En) => format!("{bed}: leave reported after {rounds} of absence{span}"),
        ("draw_forged", Lang::Zh) => format!("设备 {device} 的巡查时间或顺序与事先承诺的抽签不符{span}"),
        ("draw_forged", Lang::En) => format!("Device {device}: a round was not drawn as committed{span}"),
        ("order_missed", Lang::Zh) => format!("设备 {device} 未在期限内执行抽查，共 {n} 次{span}"),
        ("order_missed", Lang::En) => {
            format!("Device {device}: spot check not carried out in time, {n}{span}")
        }
        ("bundle_turned_back" | "bundle_given_up", _) => of_updates(l, row, &span),
        (_, Lang::Zh) => format!("设备 {device} 的已签名上报无法解读，共 {n} 次{span}"),
        (_, Lang::En) => format!("Device {device}: signed report not understood, {n} times{span}"),
    }
}

fn of_updates(l: Lang, row: &ExceptionRow, span: &str) -> String {
    let device = &row.device;
    match (l, row.kind == "bundle_given_up") {
        (Lang::Zh, true) => format!("设备 {device} 的更新包试用失败，已自动退回{span}"),
        (Lang::En, true) => format!("Device {device}: a bundle failed there, it went back by itself{span}"),
        (Lang::Zh, false) => format!("设备 {device} 的更新版本或信任的根被退回{span}"),
        (Lang::En, false) => format!("Device {device} fell behind the models, policy or root it had{span}"),
    }
}

/// What a supervisor may do next.
pub fn next_step(kind: &str) -> Term {
    match kind {
        "hanging_bed" => term(
            "电话抽查，要求床旁视频；核对请假与外出检查",
            "Call the ward for a bedside video; check leave and examinations",
            "",
        ),
        "impersonation" => term("现场核对身份证件与腕带", "Check identity card and wristband on site", ""),
        "presentation_attack" => term(
            "立即派人到床旁，查看是否为照片、平板或面具",
            "Send somebody to the bedside now: photo, tablet or mask?",
            "",
        ),
        "wrong_bed" => {
            term("请病区确认换床并更新名册", "Ask the ward to confirm a bed change and update the roster", "")
        }
        "not_verified" => term(
            "检查摄像头视角与光线，安排床旁核查",
            "Check view and light of the camera; verify at the bedside",
            "",
        ),
        "camera_tampered" => {
            term("派人查看摄像头：镜头、位置、接线", "Send somebody to the camera: lens, position, cable", "")
        }
        "clock_stepped" | "clock_off" => {
            term("核对设备时间来源（NTP）", "Check where the device has its time from (NTP)", "")
        }
        "two_in_bed" | "two_beds" => {
            term("请病区核对床位登记", "Ask the ward to correct its bed register", "")
        }
        "retroactive_leave" | "taken_back" | "retroactive_departure" => term(
            "请病区说明补登或撤销原因并提供凭据",
            "Ask the ward why it was written afterwards or taken back, with proof",
            "",
        ),
        "insurer_mismatch" => {
            term("与医院核对在院登记与医保登记", "Compare the hospital's and the insurer's registers", "")
        }
        "pruned" | "store_full" => term(
            "恢复设备网络；核对其离线时间与存储空间",
            "Get the device back on line; compare how long it was cut off with the room it has",
            "",
        ),
        "order_missed" => term("电话联系病区，改为现场抽查", "Call the ward; check on site instead", ""),
        "silence" | "no_round" => {
            term("联系医院信息科，检查供电与网络", "Call the hospital's IT: power and network", "")
        }
        "chain_gap" | "chain_new_epoch" => term(
            "要求医院说明设备重装或更换经过",
            "Ask the hospital about a reinstalled or exchanged box",
            "",
        ),
        "bundle_given_up" => {
            term("查看原因并发布更高版本", "Ask for the reason; publish a higher version", "")
        }
        "chain_fork" | "tampered" | "draw_forged" | "bundle_turned_back" => {
            term("停用设备并封存，启动调查", "Revoke and seal the device; open an inquiry", "")
        }
        // `unreadable`, and whatever a newer agent reports.
        _ => term("核对设备程序版本", "Check the version of the device's program", ""),
    }
}

pub fn rounds(l: Lang, count: i64) -> String {
    match (l, count) {
        (Lang::Zh, _) => format!("{count}轮"),
        (Lang::En, 1) => "1 round".to_owned(),
        (Lang::En, _) => format!("{count} rounds"),
    }
}

/// `12` and `12床` are both written in hospitals.
pub fn bed(l: Lang, bed: &str) -> String {
    match l {
        Lang::Zh if bed.ends_with('床') => bed.to_owned(),
        Lang::Zh => format!("{bed}床"),
        Lang::En => format!("Bed {bed}"),
    }
}

/// People choose and read an operating point as "1 in 1,000", never as a cosine.
pub fn fmr(text: &str) -> Option<String> {
    let rate: f64 = text.parse().ok()?;
    if !(1e-12..=1.0).contains(&rate) {
        return None;
    }
    let digits = format!("{:.0}", 1.0 / rate);
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    Some(format!("1/{grouped}"))
}

/// Day and time in China, where every hospital and supervisor is.
pub fn moment(ms: i64) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| "?".to_owned(), |time| time.to_zoned(zone).strftime("%m-%d %H:%M:%S").to_string())
}

/// How long ago, in one unit.
pub fn age(l: Lang, seconds: i64) -> String {
    let (count, zh, en) = match seconds {
        ..60 => (seconds, "秒", "s"),
        60..3600 => (seconds / 60, "分钟", "min"),
        3600..86400 => (seconds / 3600, "小时", "h"),
        86400.. => (seconds / 86400, "天", "d"),
    };
    match l {
        Lang::Zh => format!("{count}{zh}"),
        Lang::En => format!("{count} {en}"),
    }
}

/// Seconds from `then` to `now`, never below 0.
pub fn since(now: Wall, then: i64) -> i64 {
    i64::try_from(now.since(Wall(then)).as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_says_what_how_often_and_when() {
        let row = ExceptionRow {
            institution: "示范医院".into(),
            device: "d".into(),
            ward: "w".into(),
            id: "x".into(),
            kind: "hanging_bed".into(),
            state: "confirmed".into(),
            origin: "device".into(),
            bed: Some("04".into()),
            stay: None,
            masked_name: None,
            verdict: None,
            rounds: 3,
            first: 1_790_000_000_000,
            last: 1_790_003_600_000,
            ended: None,
            age_s: 0,
            detail: None,
        };
        assert_eq!(claim(Lang::Zh, &row), "04床 连续3轮不在床（首次 09-21 22:13:20，最近 09-21 23:13:20）");
        assert!(claim(Lang::En, &row).starts_with("Bed 04: absent, 3 rounds in a row"));
    }

    #[test]
    fn rates_read_as_one_in_so_many() {
        assert_eq!(fmr("1e-3").as_deref(), Some("1/1,000"));
        assert_eq!(fmr("0.00001").as_deref(), Some("1/100,000"));
        assert_eq!(fmr("never"), None);
        assert_eq!(bed(Lang::Zh, "12床"), "12床");
    }
}
