//! How all of it is protected, how often it errs, and what risk is left.

use crate::agent::config::Source;
use crate::agent::doctor::Grade;
use crate::agent::impact::Live;
use crate::agent::impact::document::{Block, Chapter, open};
use crate::domain::policy::Evidence;
use crate::vision::manifest::{Grade as PackGrade, Manifest, Metric};

pub fn measures(live: &Live) -> Chapter {
    let rows = live.findings.iter().map(|line| {
        vec![line.title.0.to_owned(), line.grade.chinese().to_owned(), line.found.clone(), line.next.clone()]
    });
    let blocks = vec![
        Block::List(vec![
            "模板、姓名和编号以 XChaCha20-Poly1305 密封存放；密钥所在见下表“密封密钥”。".to_owned(),
            "与平台之间为双向 TLS 1.3，证书 30 天，自动更换，可即时吊销。".to_owned(),
            "每条上报都编号、签名、前后相接；删改、缺失或重复在平台成为案件。".to_owned(),
            "日志不含姓名、编号、模板、图像和密钥；文件仅属主可读。".to_owned(),
            "运行时不下载任何东西；人脸模型逐个核对摘要并自检。".to_owned(),
        ]),
        Block::Text("生成本报告时的体检结果（bedcheck doctor）：".to_owned()),
        Block::Table { head: vec!["项目", "状态", "发现", "下一步"], rows: rows.collect() },
        Block::Text(format!("机房与终端的物理防护、账号与运维管理、应急预案：{}", open("信息科"))),
    ];
    Chapter { title: "已采取的安全措施", blocks }
}

pub fn accuracy(live: &Live) -> Chapter {
    let title = "准确性与误差";
    let pack = match &live.pack {
        Ok(pack) => pack,
        Err(error) => {
            let text = format!("人脸模型读不到，误差未知：{error}；{}", open("信息科"));
            return Chapter { title, blocks: vec![Block::Text(text)] };
        }
    };
    let embedder = &pack.embedder;
    let metric = match embedder.metric {
        Metric::Cosine => "余弦相似度不低于",
        Metric::Euclidean => "距离不高于",
    };
    let rows = embedder.operating_points.iter().map(|point| {
        let is_used = if point.fmr == live.settings.fmr { "使用中" } else { "" };
        vec![point.fmr.clone(), format!("{metric} {}", point.threshold), is_used.to_owned()]
    });
    let blocks = vec![
        Block::Text(format!("模型包 {} {}，来源：{}", pack.pack, pack.version, embedder.source)),
        Block::Table { head: vec!["误识率 FMR（模型卡实测）", "阈值", "状态"], rows: rows.collect() },
        Block::List(grades(pack)),
        Block::List(vec![
            format!("漏识率、误识率在本病区人群上的实测值（bedcheck eval faces）：{}", open("信息科")),
            "单次结果不构成指控：人证不符须至少两次明确不同；不在床须多轮、相隔数小时；画面不清、遮挡、昏暗一律“无法判定”。".to_owned(),
            format!("误报的人工复核流程与责任人：{}", open("医保办")),
        ]),
    ];
    Chapter { title, blocks }
}

fn grades(pack: &Manifest) -> Vec<String> {
    let grade = |name: &str, grade: PackGrade, reason: &str| match grade {
        PackGrade::Production => format!("{name}：正式级"),
        PackGrade::Pilot => format!("{name}：试用级，不得据以正式认定。{reason}"),
    };
    let mut items = vec![grade("人脸比对模型", pack.embedder.grade, &pack.embedder.pilot_reason)];
    items.push(match &pack.pad {
        Some(pad) => grade("活体模型", pad.grade, &pad.pilot_reason),
        None => "活体模型：此模型包没有".to_owned(),
    });
    items
}

pub fn risks(live: &Live) -> Chapter {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut risk = |what: &str, why: &str| rows.push([what.to_owned(), why.to_owned()]);
    risk("掌握终端最高权限的人可读取运行中的模板", "软件不能阻止，只能留痕；限制最高权限账号，使用全盘加密");
    if live.findings.iter().any(|line| line.what == "keys" && line.grade != Grade::Good) {
        risk("密封密钥以文件存放（弱）：整盘被复制即可打开", "改由 systemd 凭据（TPM）保管");
    }
    risk("删除后闪存旧块可能残留密封数据", "残留数据仍为密文；报废时销毁密钥和存储介质");
    risk("住院号、床位、时间在出院后仍保留于本机", "无姓名编号；用于核对事后改动；报废时清除");
    if live.pack.as_ref().is_ok_and(|pack| pack.embedder.grade == PackGrade::Pilot) {
        risk("人脸模型为试用级，对部分人群误识率偏高", "结论仅供线索，人工复核；换用正式级模型");
    }
    risk("活体判断可被动态面具等手段绕过；该项未经检测认证", "与多轮随机时刻核查并用，人工复核");
    if live.settings.evidence != Evidence::None {
        risk("床位截图离开本机，可能摄入床旁他人", "加密、双人开启、留痕；床位区域画得尽量小");
    }
    let is_plain = live.settings.cameras.iter().any(|camera| matches!(camera.source, Source::Rtsp { .. }));
    if is_plain {
        risk("RTSP 画面在院内网络明文传输", "摄像头置于隔离网段");
    }
    let is_open =
        [&live.settings.hl7, &live.settings.http].into_iter().flatten().any(|port| port.tls.is_none());
    if is_open {
        risk("医院接口未启用 TLS", "仅限本机或专用网段，或配置 tls");
    }
    if live.settings.legal.notice.is_none() {
        risk("配置未写明告知书版本", "填写 legal.notice，向患者出示");
    }
    risk("患者及家属感到被持续监视", "充分告知，提供替代方式，缩小查看范围，降低频次");
    let rows = rows.into_iter().map(|[what, how]| vec![what, how, open("个人信息保护负责人：等级与责任人")]);
    let head = vec!["风险", "现有和建议措施", "等级、责任人"];
    Chapter {
        title: "对个人权益的影响与残余风险", blocks: vec![Block::Table { head, rows: rows.collect() }]
    }
}
