//! Files that look as if they held secrets. They are protected like all others; a user should know that a copy of
//! them lies in the store.

use super::{Candidate, CandidateKind};
use crate::manifest::RootName;
use crate::path::RelPath;

/// Whole names, in lower case.
const NAMES: [&str; 17] = [
    ".env",
    ".envrc",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".htpasswd",
    ".git-credentials",
    "credentials",
    "credentials.json",
    "credentials.toml",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
];
/// Ends of names, in lower case.
const ENDS: [&str; 8] = [".key", ".pem", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk"];
/// An `.env.…` for others to copy holds none.
const TEMPLATES: [&str; 5] = ["example", "sample", "template", "dist", "default"];

/// The files among `entries` whose names are those of secrets.
pub(super) fn among(entries: &[Candidate]) -> Vec<(RootName, RelPath)> {
    let files = entries.iter().filter(|e| e.kind == CandidateKind::File);
    files.filter(|e| looks_secret(&e.path)).map(|e| (e.root.clone(), e.path.clone())).collect()
}

fn looks_secret(path: &RelPath) -> bool {
    let name = path.file_name().to_string_lossy().to_ascii_lowercase();
    let environment = name.strip_prefix(".env.").is_some_and(|rest| !TEMPLATES.contains(&rest));
    environment || NAMES.contains(&&*name) || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognised_and_templates_are_not() {
        let secret = |path: &str| looks_secret(&RelPath::new(path).unwrap());
        for path in [".env", "app/.env.local", "certs/Server.KEY", "deploy/id_ed25519", "x/credentials.toml"]
        {
            assert!(secret(path), "{path}");
        }
        for path in [".env.example", "src/key.rs", "environment", "id_ed25519.pub", "src/credentials.rs"] {
            assert!(!secret(path), "{path}");
        }
    }
}
