//! The words for what is suspicious without a look at a bed: cameras, clocks, rosters.

use crate::base::frame::Tamper;
use crate::base::ids::{BedId, StayId};
use crate::domain::irregular::{Departing, Escape, Irregularity, Side};
use crate::platform::dashboard::words::{Lang, bed, moment};

/// One sentence that says what contradicts what.
pub fn claim(l: Lang, what: &Irregularity) -> String {
    match what {
        Irregularity::CameraTampered { camera, tamper, beds } => {
            camera_claim(l, camera.as_str(), *tamper, beds)
        }
        Irregularity::ClockStepped { by_ms } => clock_claim(l, *by_ms),
        Irregularity::ClockOff { is_ahead } => clock_off(l, *is_ahead).to_owned(),
        Irregularity::StoreFull => store_full(l).to_owned(),
        Irregularity::TwoInBed { bed: in_bed, stays } => {
            let (bed, stays) = (bed(l, in_bed.as_str()), list(l, stays.iter().map(StayId::as_str)));
            match l {
                Lang::Zh => format!("{bed} 同时登记了 {stays}"),
                Lang::En => format!("{bed} is given to {stays} at the same time"),
            }
        }
        Irregularity::TwoBeds { masked_name, beds, .. } => {
            let beds = beds_of(l, beds);
            match l {
                Lang::Zh => format!("{masked_name} 同时占用 {beds}"),
                Lang::En => format!("{masked_name} is in {beds} at the same time"),
            }
        }
        Irregularity::TakenBack { what, bed: in_bed, masked_name, said, taken_back, .. } => {
            let (bed, said, back) = (bed(l, in_bed.as_str()), moment(said.0), moment(taken_back.0));
            let what = escape(l, *what);
            match l {
                Lang::Zh => format!("{bed} {masked_name}：{said} 登记{what}，巡查后于 {back} 撤销"),
                Lang::En => {
                    format!("{bed} {masked_name}: {what} said at {said}, taken back after a round at {back}")
                }
            }
        }
        Irregularity::RetroactiveDeparture { how, bed: in_bed, masked_name, at, heard, .. } => {
            let (bed, at, heard) = (bed(l, in_bed.as_str()), moment(at.0), moment(heard.0));
            let how = departing(l, *how);
            match l {
                Lang::Zh => format!("{bed} {masked_name}：巡查见空床后，于 {heard} 才补登 {at} 的{how}"),
                Lang::En => format!(
                    "{bed} {masked_name}: after the empty bed was seen, a {how} of {at} was reported at {heard}"
                ),
            }
        }
        Irregularity::InsurerMismatch { bed: in_bed, masked_name, side, .. } => {
            insurer_claim(l, in_bed.as_ref(), masked_name, *side)
        }
    }
}

fn insurer_claim(l: Lang, in_bed: Option<&BedId>, masked_name: &str, side: Side) -> String {
    let bed = in_bed.map_or(String::new(), |found| format!("{} ", bed(l, found.as_str())));
    match (side, l) {
        (Side::UnknownToHospital, Lang::Zh) => {
            format!("{masked_name} 在医保在院名单中，但不在本病区任何床位")
        }
        (Side::UnknownToHospital, Lang::En) => {
            format!("{masked_name} is an inpatient for the insurer and in no bed of this ward")
        }
        (Side::UnknownToInsurer, Lang::Zh) => {
            format!("{bed}{masked_name} 在床位上，但不在医保在院名单中")
        }
        (Side::UnknownToInsurer, Lang::En) => {
            format!("{bed}{masked_name} is in a bed and no inpatient for the insurer")
        }
    }
}

fn camera_claim(l: Lang, camera: &str, tamper: Tamper, beds: &[BedId]) -> String {
    let beds = beds_of(l, beds);
    match l {
        Lang::Zh => format!("摄像头 {camera} {}，{beds} 无法核实", tamper.chinese()),
        Lang::En => format!("Camera {camera} is {}: {beds} cannot be verified", tamper.name()),
    }
}

fn clock_off(l: Lang, is_ahead: bool) -> &'static str {
    if is_ahead {
        l.t(
            "设备时钟比平台快两分钟以上",
            "The device's clock is more than two minutes ahead of the platform's",
        )
    } else {
        l.t("设备时钟比平台慢两分钟以上", "The device's clock is more than two minutes behind the platform's")
    }
}

fn store_full(l: Lang) -> &'static str {
    l.t(
        "设备存储份额已满：不再保存截图，最旧的例行记录只留摘要",
        "The device's share of the disk is used up: no more pictures are kept, and of the oldest routine reports only digests",
    )
}

fn clock_claim(l: Lang, by_ms: i64) -> String {
    let seconds = by_ms.unsigned_abs() / 1000;
    let (zh, en) = if by_ms < 0 { ("拨回", "back") } else { ("拨快", "forward") };
    match l {
        Lang::Zh => format!("设备时钟被{zh} {seconds} 秒"),
        Lang::En => format!("The device's clock was set {en} by {seconds} s"),
    }
}

fn escape(l: Lang, what: Escape) -> &'static str {
    match (what, l) {
        (Escape::Discharge, Lang::Zh) => "出院",
        (Escape::Discharge, Lang::En) => "a discharge",
        (Escape::Transfer, Lang::Zh) => "转出",
        (Escape::Transfer, Lang::En) => "a transfer",
        (Escape::Leave, Lang::Zh) => "请假",
        (Escape::Leave, Lang::En) => "a leave",
    }
}

fn departing(l: Lang, how: Departing) -> &'static str {
    match (how, l) {
        (Departing::Discharge, Lang::Zh) => "出院",
        (Departing::Discharge, Lang::En) => "discharge",
        (Departing::Transfer, Lang::Zh) => "转床",
        (Departing::Transfer, Lang::En) => "transfer",
    }
}

fn beds_of(l: Lang, beds: &[BedId]) -> String {
    match (beds, l) {
        ([], Lang::Zh) => "无床位".to_owned(),
        ([], Lang::En) => "no bed".to_owned(),
        (_, Lang::Zh) => list(l, beds.iter().map(BedId::as_str)) + " 床",
        (_, Lang::En) => format!("bed {}", list(l, beds.iter().map(BedId::as_str))),
    }
}

fn list<'word>(l: Lang, words: impl Iterator<Item = &'word str>) -> String {
    words.collect::<Vec<_>>().join(l.t("、", ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_contradiction_is_one_plain_sentence() {
        let beds = vec![BedId::new("01").unwrap(), BedId::new("02").unwrap()];
        let camera = crate::base::ids::CameraId::new("cam-1").unwrap();
        let covered = Irregularity::CameraTampered { camera, tamper: Tamper::Covered, beds };
        assert_eq!(claim(Lang::Zh, &covered), "摄像头 cam-1 镜头被遮挡，01、02 床 无法核实");
        assert_eq!(claim(Lang::En, &covered), "Camera cam-1 is covered: bed 01, 02 cannot be verified");
        let step = Irregularity::ClockStepped { by_ms: -7_200_000 };
        assert_eq!(claim(Lang::Zh, &step), "设备时钟被拨回 7200 秒");
    }
}
