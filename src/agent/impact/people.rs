//! What is kept of whom, how long, who receives it, and what people can ask for.

use crate::agent::impact::document::{Block, Chapter, open};
use crate::agent::impact::{FILING, Live};
use crate::domain::policy::Evidence;
use crate::wire::privacy::Why;

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

pub fn kept(live: &Live) -> Chapter {
    let state = live.settings.state.display().to_string();
    let megabytes = live.settings.outbox_bytes / 1024 / 1024;
    let crops = |which: &str| {
        row(&[
            "床位截图",
            which,
            "以平台公钥加密（HPKE），本机不能打开",
            &format!(
                "平台确认后至多 7 天（本机记录共占 {megabytes} MiB，满时先删）；平台端期限：{}",
                open("医保部门")
            ),
        ])
    };
    let evidence = match live.settings.evidence {
        Evidence::None => row(&["异常截图", "不采集、不上传（evidence = \"none\"）", "无", "不保存"]),
        Evidence::Exception => crops("异常时的床位截图（evidence = \"exception\"）"),
        Evidence::OnRequest => crops("仅平台抽查要求图像的床位截图（evidence = \"on_request\"）"),
    };
    let rows = vec![
        row(&[
            "人脸模板（敏感个人信息）",
            "由参考照片计算的数值，不能直接还原照片，仍按人脸信息保护",
            &format!("{state}/journal.db，XChaCha20-Poly1305 密封"),
            "收到出院后 24 小时删除；本人请求或撤回同意时立即删除；更换模型后 24 小时内删除旧模板",
        ]),
        row(&["摄像头画面", "床位区域内的画面", "仅内存", "比对后即弃，不录像"]),
        evidence,
        row(&[
            "名册事实",
            "姓名、人员编号、住院号、床位、请假检查等及收到时间",
            &format!("{state}/facts.db，姓名和编号密封"),
            "姓名和编号：收到出院后 24 小时删除（医保在院名单仍列名的，至其除名）；住院号、床位、时间：为核对事后改动保留，无自动删除期限",
        ]),
        row(&[
            "核查记录",
            "住院号、床号、只留姓的姓名、结论和相似度",
            &format!("{state}/journal.db，签名成链"),
            &format!("平台确认后 7 天，至多 {megabytes} MiB"),
        ]),
        row(&[
            "依据台账和删除记录",
            "住院号的加盐摘要、依据、时间、记录科室",
            &format!("{state}/journal.db"),
            "长期（处理情况记录至少三年）",
        ]),
        vec![
            "参考照片".to_owned(),
            "名册 enrol 列所指的文件夹，本程序只读".to_owned(),
            "由医院保管".to_owned(),
            open("护理部：登记后删除的办法"),
        ],
    ];
    let head = vec!["信息", "内容", "存放与形式", "保存期限"];
    let blocks = vec![Block::Table { head, rows }];
    Chapter { title: "处理的个人信息、存放与保存期限", blocks }
}

pub fn count(live: &Live) -> Chapter {
    let share = live.faces as f64 * 100.0 / FILING as f64;
    let state = if live.faces >= FILING {
        "已达到备案数量：须自达到之日起 30 个工作日内向所在地省级以上网信部门备案"
    } else {
        "本机未达到备案数量"
    };
    let rows = vec![
        row(&["本机存储的人脸", &format!("{} 人", live.faces)]),
        row(&["其中等待到期删除", &format!("{} 项", live.leaving)]),
        row(&["备案数量", &format!("{FILING} 人（本机占 {share:.3}%）")]),
        row(&["状态", state]),
        vec!["本处理者全部终端合计（备案按处理者计算）".to_owned(), open("信息科，各终端数量见平台")],
    ];
    let blocks = vec![Block::Table { head: vec!["项目", "内容"], rows }];
    Chapter { title: "存储数量与备案", blocks }
}

pub fn receivers(live: &Live) -> Chapter {
    let settings = &live.settings;
    let platform = live.platform.as_ref().map_or_else(
        || "尚未接入平台：不向任何人提供".to_owned(),
        |(url, device)| format!("监管平台 {url}，设备 {device}，双向 TLS 1.3"),
    );
    let what = match settings.evidence {
        Evidence::None => "核查结论、床号、住院号、只留姓的姓名、存储人脸的数量；不含人脸图像和模板",
        Evidence::Exception => {
            "核查结论、床号、住院号、只留姓的姓名、存储人脸的数量；异常时另有加密的床位截图；不含模板"
        }
        Evidence::OnRequest => {
            "核查结论、床号、住院号、只留姓的姓名、存储人脸的数量；平台抽查要求时另有加密的床位截图；不含模板"
        }
    };
    let mut rows = vec![vec![platform, what.to_owned(), "对外提供".to_owned()]];
    let port = |name: &str, port: &Option<crate::agent::config::Port>| {
        port.as_ref().map(|port| {
            let tls = if port.tls.is_some() { "双向 TLS" } else { "不加密" };
            vec![
                format!("{name}，{}，{tls}", port.listen),
                "名册与变动".to_owned(),
                "由医院系统接收".to_owned(),
            ]
        })
    };
    rows.extend(port("HL7 接口", &settings.hl7));
    rows.extend(port("国家接口副本", &settings.http));
    rows.extend(settings.fhir.as_ref().map(|fhir| {
        let host = fhir.url.host_str().unwrap_or_default();
        vec![format!("FHIR 服务器 {host}"), "在院名单".to_owned(), "由医院系统接收".to_owned()]
    }));
    if settings.roster.is_some() {
        rows.push(row(&["名册文件", "在院名单", "由医院系统接收"]));
    }
    let blocks = vec![
        Block::Table { head: vec!["对方", "内容", "方向"], rows },
        Block::List(vec![
            format!("平台运营者名称、联系方式，提供行为的法律依据：{}", open("医保部门、法务")),
            format!("受托运维单位及其保密义务：{}", open("信息科")),
            "向境外提供：程序不含任何境外地址；是否另有安排由信息科确认。".to_owned(),
        ]),
    ];
    Chapter { title: "接收方与对外提供", blocks }
}

pub fn alternatives() -> Chapter {
    let items = vec![
        "人脸不是唯一的核实方式：腕带、身份证件或两名工作人员当面核实，均可代替。".to_owned(),
        "未登记、撤回同意或不愿登记的住院人员按“无法判定”处理，不因此产生任何异常指控。".to_owned(),
        "面部遮挡、伤病不能露脸的，只得出“在床未露脸”，不作其他推断。".to_owned(),
        format!("本病区替代方式的具体流程、责任岗位：{}", open("护理部")),
    ];
    Chapter { title: "人脸以外的替代方式", blocks: vec![Block::List(items)] }
}

pub fn rights(live: &Live) -> Chapter {
    let rows = Why::ALL
        .into_iter()
        .map(|why| {
            let all = live.erasures.iter().filter(|erased| erased.why == why);
            let (times, templates, facts) =
                all.fold((0, 0, 0), |(n, t, f), erased| (n + 1, t + erased.templates, f + erased.facts));
            vec![why.chinese().to_owned(), format!("{times}"), format!("{templates}"), format!("{facts}")]
        })
        .collect();
    let blocks = vec![
        Block::List(vec![
            "删除：bedcheck privacy erase，立即生效，此后不再登记，直至本人要求恢复（bedcheck enrol --again）。".to_owned(),
            "撤回同意：bedcheck privacy consent withdraw，立即删除模板，停止人脸比对；不影响就医和待遇。".to_owned(),
            "删除时覆写数据并截断数据库日志；每次删除都是签名记录中的一条，平台可见次数和原因，看不到是谁。".to_owned(),
            format!("受理请求的窗口、电话和答复时限：{}", open("医务处")),
        ]),
        Block::Table { head: vec!["删除原因", "次数", "模板数", "去除姓名编号的事实数"], rows },
    ];
    Chapter { title: "个人权利与删除情况", blocks }
}
