//! Files that look as if they held secrets. They are protected like all others; a user should know that a copy of
//! them lies in the store.

use super::Candidate;
use crate::manifest::{FileKind, RootedPath};
use crate::path::RelPath;

/// Whole names, in lower case.
const NAMES: [&str; 33] = [
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
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "secret.json",
    "secret.toml",
    "secret.yaml",
    "secret.yml",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "service-account.json",
    "kubeconfig",
    "secring.gpg",
    "terraform.tfvars",
    "terraform.tfstate",
    ".dockercfg",
    ".pgpass",
    ".s3cfg",
    ".vault_pass",
];
/// Ends of names, in lower case.
const ENDS: [&str; 10] =
    [".key", ".pem", ".p8", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk", ".env"];
/// An `.env.…` for others to copy holds none.
const TEMPLATES: [&str; 7] = ["example", "sample", "template", "dist", "default", "defaults", "schema"];

/// The files among `entries` whose names are those of secrets.
pub(super) fn among(entries: &[Candidate]) -> Vec<RootedPath> {
    let files = entries.iter().filter(|e| e.kind == FileKind::File);
    files.filter(|e| looks_secret(&e.path)).map(|e| RootedPath::new(&e.root, &e.path)).collect()
}

fn looks_secret(path: &RelPath) -> bool {
    let name = path.file_name().to_string_lossy().to_ascii_lowercase();
    let environment =
        name.strip_prefix(".env.").is_some_and(|rest| !rest.split('.').any(|part| TEMPLATES.contains(&part)));
    environment || NAMES.contains(&&*name) || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognised_and_templates_are_not() {
        let secret = |path: &str| looks_secret(&RelPath::new(path).unwrap());
        for path in [
            ".env",
            "app/.env.local",
            "prod.env",
            "certs/Server.KEY",
            "deploy/id_ed25519_sk",
            "x/credentials.toml",
            "k8s/secret.yaml",
        ] {
            assert!(secret(path), "{path}");
        }
        for path in [
            ".env.example",
            ".env.production.example",
            ".env.example.local",
            "src/key.rs",
            "environment",
            "id_ed25519.pub",
            "src/credentials.rs",
        ] {
            assert!(!secret(path), "{path}");
        }
    }
}
