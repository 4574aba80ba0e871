//! Where foreign bytes come in: one entry for each parser, given any bytes at all. Used by the fuzzer (`fuzz.rs`, a
//! million runs) and by `cargo test` (`tests/fuzz_corpus.rs`, seconds), so that both ask the same.
//!
//! An entry panics when what was promised of its parser is broken; not to panic by itself is only the first promise.

mod camera;
mod hospital;
mod platform;
mod settings;
mod spreadsheet;
mod wire;

/// A parser with what it promises.
pub struct Entry {
    /// Also the name of its folder in `corpus/`.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Longer inputs teach the fuzzer nothing and cost time.
    pub most_bytes: usize,
    /// So many mutations of the corpus are tried in `cargo test`: a second's worth, unoptimised.
    pub mutations: usize,
}

const fn entry(name: &'static str, most_bytes: usize, mutations: usize, run: fn(&[u8])) -> Entry {
    Entry { name, run, most_bytes, mutations }
}

/// The quick ones first.
pub const ENTRIES: [Entry; 30] = [
    entry("hl7_adt", 2048, 4000, hospital::hl7_adt),
    entry("mllp", 2048, 4000, hospital::mllp),
    entry("national_json", 2048, 4000, hospital::national_json),
    entry("fhir_bundle", 4096, 4000, hospital::fhir_bundle),
    entry("sheet_csv", 2048, 2000, hospital::sheet_csv),
    entry("sheet_xls", 8192, 2000, spreadsheet::sheet_xls),
    entry("sheet_xlsx", 4096, 800, spreadsheet::sheet_xlsx),
    entry("jpeg_frame", 2048, 4000, camera::jpeg_frame),
    entry("picture", 2048, 800, camera::picture),
    entry("h264", 4096, 100, camera::h264),
    entry("rtsp_request", 4096, 4000, camera::rtsp_request),
    entry("camera_address", 512, 4000, camera::camera_address),
    entry("camera_challenge", 512, 4000, camera::camera_challenge),
    entry("usb_frame", 2048, 4000, camera::usb_frame),
    entry("face_pack", 8192, 1000, settings::face_pack),
    entry("onnx_file", 4096, 4000, settings::onnx_file),
    entry("config_toml", 4096, 400, settings::config_toml),
    entry("config_flag", 256, 200, settings::config_flag),
    entry("envelope", 2048, 4000, wire::envelope),
    entry("statement", 2048, 500, wire::statement),
    entry("event", 4096, 4000, wire::event),
    entry("receipt", 2048, 500, wire::receipt),
    entry("spot_check", 1024, 4000, wire::spot_check),
    entry("seal", 1024, 200, wire::seal),
    entry("token", 512, 4000, wire::token),
    entry("batch", 4096, 4000, platform::batch),
    entry("reports", 4096, 200, platform::reports),
    entry("device_request", 2048, 200, platform::device_request),
    entry("enrolment", 4096, 200, platform::enrolment),
    entry("certificate", 2048, 400, platform::certificate),
];

/// The entry of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    const { &ENTRIES }.iter().find(|entry| entry.name == name)
}
