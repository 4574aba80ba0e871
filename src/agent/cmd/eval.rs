#[derive(clap::Args)]
pub struct Eval {}
impl Eval { pub fn run(self) -> anyhow::Result<crate::base::exit::Code> { Ok(crate::base::exit::Code::Failed) } }
