//! Who does what with which cameras, why, and on which ground.

use crate::agent::config::{CameraMode, CameraSettings, Mode, Source};
use crate::agent::impact::Live;
use crate::agent::impact::document::{Block, Chapter, open};
use crate::wire::privacy::{Basis, Step};

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

pub fn basics(live: &Live) -> Chapter {
    let settings = &live.settings;
    let mode = match settings.mode {
        Mode::Production => "正式",
        Mode::Pilot => "试用：一切结果都标明试用",
        Mode::Demo => "演示",
    };
    let (platform, device) =
        live.platform.clone().unwrap_or_else(|| ("尚未接入平台".to_owned(), "尚未接入平台".to_owned()));
    let rows = vec![
        vec!["个人信息处理者（医疗机构全称）".to_owned(), open("医院办公室")],
        vec!["个人信息保护负责人及联系方式".to_owned(), open("医院办公室")],
        row(&["病区", settings.ward.as_str()]),
        row(&["设备编号", &device]),
        row(&["监管平台", &platform]),
        row(&["运行方式", mode]),
        row(&["程序版本", env!("CARGO_PKG_VERSION")]),
        vec!["评估人、评估日期".to_owned(), open("医务处")],
    ];
    Chapter { title: "基本情况", blocks: vec![Block::Table { head: vec!["项目", "内容"], rows }] }
}

pub fn purposes(live: &Live) -> Chapter {
    let mut items = vec![
        "处理目的：核实住院登记的参保人是否在其床位，以发现冒名住院、虚假住院和挂床住院。不作其他用途：没有情绪、行为、出勤分析，不检索名册以外的人。".to_owned(),
        "处理方式：在本机把床位画面中的人脸与该住院人员的模板作一对一比对，并与本病区已登记人员比对以发现错床；结论随签名记录上报。".to_owned(),
        "画面在内存中比对后即弃，不录像；床位区域以外的画面一律不看。".to_owned(),
    ];
    if let Ok(face) = live
        .pack
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|pack| pack.face_rule(&live.settings.fmr).map_err(|error| error.to_string()))
    {
        let policy = live.settings.policy(face);
        let minutes = policy.round_every.as_secs() / 60;
        items.push(match policy.windows.len() {
            0 => format!(
                "频次：平均每 {minutes} 分钟一轮，时刻随机；每轮查看约 {:.0}% 的床位，每床至多 {} 次。",
                policy.sample * 100.0,
                policy.looks_per_check
            ),
            windows => format!(
                "频次：每天 {windows} 个时段各一轮，时刻随机；每轮查看约 {:.0}% 的床位，每床至多 {} 次。",
                policy.sample * 100.0,
                policy.looks_per_check
            ),
        });
    }
    if live.settings.kiosk.is_some() {
        items.push("核查窗口（入院、结算、取药）：办理人看到告知并选择后才开始；预览只在办理期间显示在本机屏幕，不存储。与所报身份的模板作一对一比对并作活体检测；代办取药时拍看代办人本人，判断是否真人，并与本病区已登记人员比对以发现冒领；不为代办人建模板，其证件号只留本机才能算出的加盐摘要。购药金额和药品编码随结果上报，供购药规则使用。".to_owned());
        items.push("不愿或不能刷脸的，每一屏都可改由工作人员核对证件或腕带并签名（无代办人活体时须两人），结果同样有效。".to_owned());
    }
    items.push(format!(
        "必要性：为何其他对个人权益影响更小的方式不足以实现该目的——{}",
        open("医务处、医保办")
    ));
    Chapter { title: "处理目的、处理方式及其必要性", blocks: vec![Block::List(items)] }
}

pub fn legality(live: &Live) -> Chapter {
    let legal = &live.settings.legal;
    let notice = legal.notice.clone().unwrap_or_else(|| open("医务处：告知书版本，写入配置 legal.notice"));
    let rows = vec![
        row(&["默认合法性依据（配置 legal.basis）", &legal.basis]),
        row(&["决定日期、部门", &format!("{}，{}", legal.decided, legal.by)]),
        row(&["向患者出示的告知书", &notice]),
        vec!["所依据的法律条款原文及适用性意见".to_owned(), open("法务")],
        vec!["不满十四周岁患者的监护人同意如何取得".to_owned(), open("医务处")],
        vec!["老年人、残疾人的告知与无障碍安排".to_owned(), open("护理部")],
    ];
    let mut blocks = vec![Block::Table { head: vec!["项目", "内容"], rows }];
    match &live.grounds {
        Err(error) => blocks.push(Block::Text(format!("依据台账核验不通过，须先查明：{error}"))),
        Ok(grounds) => {
            let count = |step: Step| grounds.iter().filter(|found| **found == step).count().to_string();
            let mut rows: Vec<Vec<String>> = Basis::ALL
                .into_iter()
                .map(|basis| vec![basis.chinese().to_owned(), count(Step::Recorded { basis })])
                .collect();
            rows.push(vec!["已撤回（不比对人脸）".to_owned(), count(Step::Withdrawn)]);
            blocks.push(Block::Text(format!(
                "依据台账共 {} 条，逐条核验通过（只增不改，前后以摘要相接，摘要随签名记录上报平台）。台账只含住院号的加盐摘要。现行依据（按住院人次）：",
                live.entries
            )));
            blocks.push(Block::Table { head: vec!["依据", "人次"], rows });
            blocks.push(Block::Text("台账中没有记录的住院人员适用上表的默认依据。基于同意处理的，须取得单独同意并逐人记入台账（bedcheck privacy consent add）。".to_owned()));
        }
    }
    Chapter { title: "合法性依据、告知与同意", blocks }
}

pub fn cameras(live: &Live) -> Chapter {
    let rows = live.settings.cameras.iter().map(|camera| {
        let mode = match camera.mode {
            CameraMode::Bed => "固定看床，按时自动核查",
            CameraMode::Round => "巡查推车或床旁终端",
            CameraMode::Door => "病区出入口",
            CameraMode::Kiosk => "窗口核查",
        };
        let zones = match camera.mode {
            CameraMode::Kiosk => "整幅画面，仅在办理期间".to_owned(),
            CameraMode::Bed | CameraMode::Round | CameraMode::Door => zones(live, camera),
        };
        vec![camera.id.to_string(), mode.to_owned(), source(camera), zones]
    });
    let rows = rows.collect();
    let head = vec!["摄像头", "用途", "画面来源", "查看区域（像素：左、上、宽×高）"];
    let blocks = vec![
        Block::Table { head, rows },
        Block::List(vec![
            format!(
                "安装位置、朝向、是否可能摄入卫生间、更衣等私密空间（不得安装于私密空间内部）：{}",
                open("保卫处、护理部")
            ),
            format!("现场显著提示标识的位置和照片：{}", open("护理部")),
        ]),
    ];
    Chapter { title: "摄像头与查看范围", blocks }
}

fn source(camera: &CameraSettings) -> String {
    match &camera.source {
        Source::Recorded { .. } => "录制文件（非实时）".to_owned(),
        Source::Rtsp { address, .. } => format!("网络摄像头 RTSP，{}，明文传输", address.host()),
        Source::Snapshot { address, certificate, .. } => {
            let kind = if certificate.is_some() { "HTTPS，已核验证书" } else { "HTTP" };
            format!("网络摄像头 {kind}，{}", address.host())
        }
        Source::Usb { name } => format!("USB，{}", name.display()),
    }
}

fn zones(live: &Live, camera: &CameraSettings) -> String {
    let beds = live.settings.beds.iter().filter(|bed| bed.camera == camera.id);
    let zones: Vec<String> = beds
        .map(|bed| {
            let zone = bed.zone;
            format!("{} 床：{}、{}、{}×{}", bed.id, zone.x, zone.y, zone.width, zone.height)
        })
        .collect();
    if zones.is_empty() { "未画区域：不查看任何床位".to_owned() } else { zones.join("\n") }
}

pub fn conclusion() -> Chapter {
    let rows = vec![
        vec!["处理目的、处理方式是否合法、正当、必要".to_owned(), open("法务")],
        vec!["对个人权益的影响及安全风险是否可接受".to_owned(), open("个人信息保护负责人")],
        vec!["保护措施是否合法、有效并与风险程度相适应".to_owned(), open("个人信息保护负责人")],
        vec!["结论（同意 / 整改后同意 / 不同意）及签字、日期".to_owned(), open("医院负责人")],
    ];
    let keep =
        "本报告和处理情况记录至少保存三年；处理目的、方式、设备数量或模型发生变化时重新生成并重新评估。";
    let blocks = vec![Block::Table { head: vec!["评估事项", "意见"], rows }, Block::Text(keep.to_owned())];
    Chapter { title: "评估结论", blocks }
}
