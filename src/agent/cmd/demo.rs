#[derive(clap::Args)]
pub struct Demo {}
impl Demo { pub fn run(self) -> anyhow::Result<crate::base::exit::Code> { Ok(crate::base::exit::Code::Failed) } }
