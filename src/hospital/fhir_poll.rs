//! Asks a FHIR server again and again for the inpatients of the ward.

use std::time::Duration;

use reqwest::Url;
use tracing::{info, warn};

use crate::base::backoff::{Backoff, draw};
use crate::base::ids::WardId;
use crate::base::supervise::Stopping;
use crate::hospital::fhir::{Encounters, MOST_BYTES, MOST_ENCOUNTERS, MOST_PAGES, read};
use crate::net::client::ClientError;
use crate::net::fetch::Fetcher;

/// Where and how often.
pub struct Poll {
    /// The search, such as `https://his.example/fhir/Encounter?class=IMP&_count=200`.
    pub url: Url,
    pub every: Duration,
    pub ward: WardId,
    pub fetcher: Fetcher,
}

/// Why there is no list this time; the former belief stays.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{url} is not understood: {cause}")]
    Content { url: Url, cause: String },
    #[error("the list has more than {MOST_PAGES} pages or {MOST_ENCOUNTERS} encounters; narrow the search")]
    TooMuch,
    #[error("the next page is on another server: {0}")]
    Elsewhere(Url),
}

impl Poll {
    /// Hands every whole list to `take` until shutdown.
    pub async fn run(self, mut take: impl FnMut(Encounters) + Send, mut stopping: Stopping) {
        let mut backoff = Backoff::new(Duration::from_secs(5), self.every.max(Duration::from_secs(300)));
        let mut failing = false;
        loop {
            let listed = tokio::select! {
                listed = self.list() => listed,
                () = stopping.begun() => return,
            };
            let wait = match listed {
                Ok(list) => {
                    if std::mem::take(&mut failing) {
                        info!("The FHIR server answers again.");
                    }
                    backoff.reset();
                    take(list);
                    self.every
                }
                Err(error) => {
                    failing = true;
                    warn!(%error, "The FHIR server gave no list; the former belief stays.");
                    backoff.next(draw())
                }
            };
            if stopping.begun_within(wait).await {
                return;
            }
        }
    }

    /// All pages of the search.
    ///
    /// # Errors
    /// [`PollError`]; half a list is none, because whoever is missing in it has left.
    pub async fn list(&self) -> Result<Encounters, PollError> {
        let mut list = Vec::new();
        let mut next = Some(self.url.clone());
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { return Ok(Encounters { list }) };
            let bytes = self.fetcher.fetch(&url, MOST_BYTES).await?;
            let wrong = |cause| PollError::Content { url: url.clone(), cause };
            let page = read(&bytes, &self.ward).map_err(wrong)?;
            list.extend(page.encounters);
            if list.len() > MOST_ENCOUNTERS {
                return Err(PollError::TooMuch);
            }
            if let Some(link) = page.next {
                let link = url.join(&link).map_err(|error| wrong(error.to_string()))?;
                // The token goes to nobody else.
                if link.origin() != self.url.origin() {
                    return Err(PollError::Elsewhere(link));
                }
                next = Some(link);
            }
        }
        if next.is_none() { Ok(Encounters { list }) } else { Err(PollError::TooMuch) }
    }
}
