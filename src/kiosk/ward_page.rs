//! The page `/ward` for hospital IT: how the cameras are, and what this device believes of each bed. It shows what the
//! roster shows and masks names; no picture, no number, no template.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::domain::effort::{Burden, Eased};
use crate::kiosk::Kiosk;
use crate::kiosk::pages::{blocking, closed, drawn, fixed, owner};
use crate::kiosk::ward_view::{BedNow, CameraNow, WardNow};

#[derive(Template)]
#[template(path = "ward.html", config = "src/kiosk/askama.toml")]
struct Page {
    ward: WardNow,
}

/// A sign, Chinese and English: never the colour alone.
type State3 = (&'static str, String, String);

impl Page {
    fn of_camera(&self, camera: &CameraNow) -> State3 {
        match (&camera.trouble, camera.tamper, camera.newest) {
            (Some(trouble), _, _) => ("✗", trouble.chinese.clone(), trouble.english.clone()),
            (None, Some(tamper), _) => ("!", tamper.chinese().to_owned(), tamper.name().to_owned()),
            (None, None, None) => ("…", "还没有画面".to_owned(), "no picture yet".to_owned()),
            (None, None, Some(_)) => ("✓", "正常".to_owned(), "well".to_owned()),
        }
    }

    fn newest(&self, camera: &CameraNow) -> String {
        camera.newest.map_or("—".to_owned(), |(age, width, height)| {
            format!("{:.1} s · {width} × {height}", age as f32 / 1000.0)
        })
    }

    fn of_bed(&self, bed: &BedNow) -> State3 {
        let said = |sign, chinese: &str, english: &str| (sign, chinese.to_owned(), english.to_owned());
        match bed {
            BedNow { masked_name: None, .. } => said("○", "空床", "nobody is admitted here"),
            BedNow { camera: None, .. } => said("!", "没有摄像头看此床", "no camera looks here"),
            BedNow { templates: 0, .. } => {
                said("!", "未登记人脸，无法核实", "not enrolled: cannot be verified")
            }
            BedNow { away: Some(excuse), .. } => {
                ("◌", format!("外出：{}", excuse.chinese()), format!("away: {}", excuse.name()))
            }
            BedNow { .. } => said("✓", "可核实", "can be verified"),
        }
    }

    fn unready(&self) -> usize {
        self.ward.beds.iter().filter(|bed| self.of_bed(bed).0 == "!").count()
    }

    fn eased(&self) -> Option<(String, String)> {
        let Eased { beds_at_once, of, by } = self.ward.eased?;
        let (why, because) = match by {
            Burden::Heat => ("主机过热", "it is too hot"),
            Burden::Load => ("主机繁忙", "it is too busy"),
        };
        Some((
            format!("{why}：同时只看 {beds_at_once} 张床（配置 {of} 张），仍按时完成"),
            format!("{because}: {beds_at_once} beds of {of} are watched at once, still in time"),
        ))
    }
}

/// `GET /ward`
pub async fn page(State(kiosk): State<Arc<Kiosk>>, headers: HeaderMap) -> Response {
    if owner(&kiosk, &headers).is_none() {
        return closed();
    }
    let ward = blocking(move || kiosk.desk.ward()).await.flatten().unwrap_or_default();
    drawn(&Page { ward })
}

/// `GET /ward.css`
pub async fn style() -> Response {
    fixed("text/css; charset=utf-8", include_str!("templates/ward.css"))
}
