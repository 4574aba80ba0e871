//! `bedcheck look IMG`.

use std::path::PathBuf;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::agent::cmd::{Pack, say, say_json};
use crate::base::exit::{Code, Ending};
use crate::base::picture;
use crate::vision::eyes::Face;

#[derive(clap::Args)]
pub struct Look {
    /// Picture (JPEG, PNG, BMP, WebP).
    image: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pack: Pack,
}

impl Look {
    pub fn run(self) -> anyhow::Result<Code> {
        let picture = picture::read(&self.image).map_err(Ending::failed)?;
        let faces = self.pack.open()?.faces(&picture)?;
        if self.json {
            let faces: Vec<Value> = faces.iter().map(describe).collect();
            say_json(&json!({ "width": picture.width(), "height": picture.height(), "faces": faces }))?;
            return Ok(Code::Fine);
        }
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "人脸 face",
            "x",
            "y",
            "宽 width",
            "高 height",
            "roll°",
            "yaw°",
            "pitch°",
            "置信 score",
            "清晰 sharp",
            "亮度 luma",
        ]);
        for (number, face) in faces.iter().enumerate() {
            let [left, top, right, bottom] = face.mesh.bounds();
            let (pose, q) = (face.mesh.pose(), face.quality);
            let cells =
                [left, top, right - left, bottom - top, pose.roll, q.yaw, q.pitch].map(|v| format!("{v:.0}"));
            let more = [format!("{:.2}", q.score), format!("{:.0}", q.sharpness), format!("{:.0}", q.luma)];
            table.add_row([(number + 1).to_string()].into_iter().chain(cells).chain(more));
        }
        if faces.is_empty() {
            say("未检测到人脸 · no face found");
        } else {
            say(table);
        }
        Ok(Code::Fine)
    }
}

/// One face as JSON; pixels of the picture, degrees.
pub fn describe(face: &Face) -> Value {
    let [left, top, right, bottom] = face.mesh.bounds();
    let pose = face.mesh.pose();
    let landmarks: Vec<[f32; 2]> = face.mesh.points.iter().map(|point| [point[0], point[1]]).collect();
    json!({
        "box": { "x": left, "y": top, "width": right - left, "height": bottom - top },
        "roll": pose.roll,
        "yaw": pose.yaw,
        "pitch": pose.pitch,
        "quality": face.quality,
        "landmarks": landmarks,
    })
}
