//! The reference supervision platform.

pub mod cmd {
    use std::ffi::OsString;
    pub fn main(_args: impl Iterator<Item = OsString>) -> crate::base::exit::Code {
        crate::base::exit::Code::Failed
    }
}
