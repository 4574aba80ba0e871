//! What everybody reads before the camera is used. The version goes with each result: a change of the text is a new one.

/// Version of the text below; `notice_text_and_version_change_together` holds them together.
pub const VERSION: &str = "2026-11-29";

/// Chinese and English, sentence by sentence.
pub const TEXT: [(&str, &str); 5] = [
    (
        "为防止冒用医保身份，本机将用摄像头把您的脸与住院登记时的照片比对。",
        "To keep others from using your insurance, this device compares your face with the pictures taken at registration.",
    ),
    (
        "比对只在本机进行，画面看完即删，不保存，也不上传。",
        "It is compared on this device only; pictures are forgotten at once, neither stored nor sent.",
    ),
    (
        "上传的只有文字结果：时间、就诊号、姓氏、通过与否和所用方式；取药另有金额和药品编码，代办另有代办人姓氏、关系和证件号的加密摘要。",
        "Only words leave: time, stay, first letter of the name, whether it passed and how; at the pharmacy also amount and drug codes, for a proxy also first letter, relation and a keyed digest of the number.",
    ),
    (
        "您可以不用摄像头：出示身份证、腕带或医保卡，由两名工作人员核对，待遇不受影响。",
        "You need not use the camera: two members of staff look at your card or wristband, and nothing else changes.",
    ),
    (
        "您可随时要求删除人脸信息，请向工作人员提出。",
        "You may have your face data erased at any time: ask the staff.",
    ),
];

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn notice_text_and_version_change_together() {
        let text: String = TEXT.iter().map(|(chinese, english)| format!("{chinese}\n{english}\n")).collect();
        let digest = hex::encode(Sha256::digest(format!("{VERSION}\n{text}")));
        assert_eq!(
            &digest[..16],
            "7c6b490cb15e2b68",
            "a new text wants a new version, and this digest of both"
        );
    }
}
