//! Why a camera brings no picture: for the log in English, for the ward in both languages, never with a password.

use std::time::Duration;

use crate::base::files::FileError;
use crate::base::frame::Tamper;
use crate::base::health::Words;
use crate::base::picture::PictureError;

/// Why a camera brings no picture; retried with growing pauses.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    #[error("{0}")]
    Picture(#[from] PictureError),
    #[error("{0}")]
    File(#[from] FileError),
    #[error("{path}: {complaint}")]
    Source { path: String, complaint: String },
    /// The network or the camera is down.
    #[error("{place} cannot be reached: {cause}")]
    Unreachable { place: String, cause: String },
    /// User name or password.
    #[error("{place} refuses the user name or the password")]
    Refused { place: String },
    #[error("{place} offers no H.264 video (it offers {offered}); set its stream to H.264")]
    NoH264 { place: String, offered: String },
    #[error("{place} brought nothing for {} s", after.as_secs())]
    Stalled { place: String, after: Duration },
    #[error("{place} sent no keyframe for {} s; set its keyframe interval to 2 s", after.as_secs())]
    NoKeyframe { place: String, after: Duration },
    /// The camera answers, but not as the protocol wants.
    #[error("{place} does not follow the protocol: {cause}")]
    Protocol { place: String, cause: String },
    /// The pictures are damaged on the way, or too large.
    #[error("{place} sends pictures that cannot be decoded: {cause}")]
    Undecodable { place: String, cause: String },
    #[error("{place} is a virtual camera (driver {driver}) and is refused")]
    Virtual { place: String, driver: String },
    #[error("{place}: {cause}")]
    Device { place: String, cause: String },
}

impl CameraError {
    /// What to tell the ward.
    pub fn words(&self) -> Words {
        let chinese = match self {
            CameraError::Picture(_) | CameraError::File(_) | CameraError::Source { .. } => {
                "录像或图片无法读取".to_owned()
            }
            CameraError::Unreachable { .. } => "摄像头无法连接，请检查电源、网线和地址".to_owned(),
            CameraError::Refused { .. } => "摄像头拒绝登录，请检查用户名和密码".to_owned(),
            CameraError::NoH264 { .. } => "摄像头没有 H.264 码流，请在摄像头设置中改为 H.264".to_owned(),
            CameraError::Stalled { after, .. } => format!("摄像头已 {} 秒没有画面", after.as_secs()),
            CameraError::NoKeyframe { after, .. } => {
                format!("摄像头已 {} 秒没有关键帧，请将关键帧间隔设为 2 秒", after.as_secs())
            }
            CameraError::Protocol { .. } => "摄像头的应答不符合协议".to_owned(),
            CameraError::Undecodable { .. } => "摄像头的画面无法解码".to_owned(),
            CameraError::Virtual { driver, .. } => format!("拒绝使用虚拟摄像头（驱动 {driver}）"),
            CameraError::Device { .. } => "摄像头设备无法使用，请检查 USB 连接".to_owned(),
        };
        Words::new(chinese, self.to_string())
    }

    /// What this failure says about the camera's honesty.
    pub fn tamper(&self) -> Option<Tamper> {
        matches!(self, CameraError::Virtual { .. }).then_some(Tamper::Virtual)
    }
}
