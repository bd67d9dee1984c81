//! `members` and `exclude` of a root manifest, as written there. Cargo tells which packages the workspace has, not by
//! which patterns it found them; who rolls back without cargo needs those: a directory that appeared since may be a
//! member by one of them.

use serde::{Deserialize, Serialize};

use crate::toml::scalars;

/// `workspace.members` and `workspace.exclude`, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemberGlobs {
    /// `workspace.members`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// `workspace.exclude`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl MemberGlobs {
    /// Reads them from the text of a root manifest. `None` where it is no TOML; what cargo would refuse for another
    /// reason may pass.
    pub(crate) fn read(toml: &[u8]) -> Option<Self> {
        let mut out = Self::default();
        for scalar in scalars(toml)?.into_iter().filter(|scalar| scalar.is_string) {
            if scalar.is_at(&["workspace", "members", ""]) {
                out.members.push(scalar.text);
            } else if scalar.is_at(&["workspace", "exclude", ""]) {
                out.exclude.push(scalar.text);
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Vec<String>, Vec<String>)> {
        MemberGlobs::read(text.as_bytes()).map(|g| (g.members, g.exclude))
    }

    /// Every shape in which a root manifest may say it.
    const SHAPES: [(&str, &[&str], &[&str]); 12] = [
        ("", &[], &[]),
        ("[package]\nname = \"a\"\n", &[], &[]),
        ("[workspace]\nmembers = [\"a\", 'b/*',]\nexclude = [\"c\"]", &["a", "b/*"], &["c"]),
        ("[workspace]\r\nmembers = [ # ]\r\n  \"a\",\r\n # \"z\"\r\n 'b' ]\r\n", &["a", "b"], &[]),
        ("workspace.members = [\"a\"]\nworkspace . exclude = []\n[package]\nmembers = [\"z\"]", &["a"], &[]),
        ("workspace = { members = [\"a\"], exclude = ['c'], x = { members = [\"z\"] } }", &["a"], &["c"]),
        ("[\"workspace\"]\n'members' = [\"\"\"\na\\\n   b\"\"\", '''c''']\n", &["ab", "c"], &[]),
        ("[workspace]\nmembers = [\"a\\u0062\\\"\\\\\"]\n", &["ab\"\\"], &[]),
        ("[workspace.metadata.x]\nmembers = [\"z\"]\n[[bin]]\nmembers = [\"z\"]\n", &[], &[]),
        ("[workspace]\ndefault-members = [\"z\"]\nmembers = [\"a\"]\n", &["a"], &[]),
        ("t = \"\"\"\n[workspace]\nmembers = ['z']\n\"\"\"\"\"\nd = 1979-05-27 07:32:00\n", &[], &[]),
        ("[x]\ny = [[\"z\"], { workspace.members = [\"z\"] }, 1]\n[workspace]\nmembers = ['a']", &["a"], &[]),
    ];

    #[test]
    fn the_globs_are_read_as_written_in_every_shape() {
        for (text, members, exclude) in SHAPES {
            let wanted = [members, exclude].map(|l| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
            assert_eq!(read(text), Some(wanted.into()), "{text}");
        }
    }

    /// Another reader of TOML agrees that each shape is TOML, and about what stands in it.
    #[cfg(feature = "install")]
    #[test]
    fn the_globs_are_what_a_whole_reader_of_toml_finds() {
        for (text, ..) in SHAPES {
            let document = toml_edit::Document::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let list = |key: &str| -> Vec<String> {
                let found = document.get("workspace").and_then(|w| w.get(key)).and_then(|l| l.as_array());
                found.map_or_else(Vec::new, |l| {
                    l.iter().map(|v| v.as_str().unwrap_or_default().into()).collect()
                })
            };
            assert_eq!(read(text), Some((list("members"), list("exclude"))), "{text}");
        }
    }

    #[test]
    fn what_is_no_toml_gives_nothing_and_never_panics() {
        for text in
            ["[workspace", "members = [\"a\"", "a = \"b", "= 1", "a = \"\\q\"", "a = 1 b = 2\n[[", "\"\\u12"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(MemberGlobs::read(b"\xff"), None);
        assert_eq!(read(&format!("a = {}", "[".repeat(1_000_000))), None);
        for (text, ..) in SHAPES {
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                let _ = read(&text[..end]);
            }
        }
    }
}
