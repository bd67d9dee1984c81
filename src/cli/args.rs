//! How a restore point is named on the command line.

use clap::Args;

/// Which restore point: `TS`, or `-t TS` as the scripts take it.
#[derive(Debug, Args)]
pub(super) struct Point {
    /// A restore point: an id, the start of one, or `latest`
    #[arg(value_name = "TS")]
    id: Option<String>,
    /// The same
    #[arg(short, long, value_name = "TS", conflicts_with = "id")]
    timestamp: Option<String>,
}

impl Point {
    /// The one that is named.
    pub(super) fn named(&self) -> Option<&str> {
        self.id.as_deref().or(self.timestamp.as_deref())
    }

    /// The one that is named, else the newest.
    pub(super) fn or_latest(&self) -> &str {
        self.named().unwrap_or("latest")
    }
}
