//! The demo's hospital system: says over HL7 that somebody is on leave, once in time and once afterwards.

use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::base::clock::Wall;

/// The agent loads its nets before it listens.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_ANSWER: usize = 4096;

/// Where the agent of this demo takes HL7 messages.
pub struct Hospital {
    pub address: String,
    sent: u32,
}

impl Hospital {
    /// Takes a port that is free now.
    pub async fn new() -> anyhow::Result<Hospital> {
        let free = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        Ok(Hospital { address: free.local_addr()?.to_string(), sent: 0 })
    }

    /// Sends a leave (A21) of a stay and waits until the agent has it.
    pub async fn leave(&mut self, stay: &str, from: Wall, to: Option<Wall>) -> anyhow::Result<()> {
        self.sent += 1;
        let back = to.map_or(String::new(), |to| format!("\rPV2|{}{}", "|".repeat(46), time(to)));
        let message = format!(
            "MSH|^~\\&|HIS|DEMO|bedcheck|3A|{from}||ADT^A21|{number}|P|2.5\rEVN|A21|{from}\rPID|1||\rPV1|1|I|3A{skip}{stay}{back}\r",
            from = time(from),
            number = self.sent,
            skip = "|".repeat(16),
        );
        let answer = tokio::time::timeout(PATIENCE, self.ask(&message))
            .await
            .context("the agent takes no HL7 message")??;
        anyhow::ensure!(answer.contains("MSA|AA|"), "the agent refused an HL7 message: {answer:?}");
        Ok(())
    }

    async fn ask(&self, message: &str) -> anyhow::Result<String> {
        let mut stream = loop {
            match TcpStream::connect(&self.address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        stream.write_all(&[b"\x0B", message.as_bytes(), b"\x1C\r"].concat()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\x1C\r") && answer.len() < MOST_ANSWER {
            anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the agent hung up");
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn time(at: Wall) -> String {
    let time = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    time.strftime("%Y%m%d%H%M%S.%3f+0000").to_string()
}
