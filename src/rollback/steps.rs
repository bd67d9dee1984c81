//! What a transaction does, step by step. Steps follow from the journal alone: [`Transaction::forward`] carries them
//! out in this order, [`Transaction::backward`] takes them back in the reverse one.
//!
//! [`Transaction::forward`]: super::apply::Transaction::forward
//! [`Transaction::backward`]: super::apply::Transaction::backward

use super::journal::{Action, Journal, Verb};
use crate::live_tree::FileState;

/// What a step does at its path. In the order of these: no step needs one that comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    /// A file or a link makes way, and nothing takes its place, or a directory does.
    MoveOut,
    /// A directory goes that has become empty.
    RemoveDirectory,
    /// A directory appears.
    CreateDirectory,
    /// A staged file or link comes into place, and what stood there makes way.
    Place,
    /// Only the mode of a file changes; directories get theirs when nothing more is put into them.
    ChangeMode,
}

impl StepKind {
    const ALL: [StepKind; 5] = [
        StepKind::MoveOut,
        StepKind::RemoveDirectory,
        StepKind::CreateDirectory,
        StepKind::Place,
        StepKind::ChangeMode,
    ];

    fn is_of(self, action: &Action) -> bool {
        let is_directory = |state: &Option<FileState>| state.as_ref().is_some_and(FileState::is_directory);
        let (before, after) = (is_directory(&action.before), is_directory(&action.after));
        match self {
            StepKind::MoveOut => action.displaces() && !action.places(),
            StepKind::RemoveDirectory => before && !after,
            StepKind::CreateDirectory => after && !before,
            StepKind::Place => action.places(),
            StepKind::ChangeMode => action.verb() == Verb::ChangeMode,
        }
    }
}

/// One step of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) kind: StepKind,
    /// The action that it is a part of, and its index in the journal.
    pub(super) action: &'a Action,
    pub(super) index: usize,
}

impl Step<'_> {
    /// Whether its action is done with it: where a file takes a directory's place, or the other way round, the first
    /// step only makes room.
    pub(super) fn is_last(&self) -> bool {
        let makes_room = matches!(self.kind, StepKind::MoveOut | StepKind::RemoveDirectory);
        !makes_room || self.action.after.is_none()
    }
}

impl Journal {
    /// The steps, in the order in which they are carried out.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::with_capacity(self.actions.len());
        for kind in StepKind::ALL {
            let first = steps.len();
            let of_kind = self.actions.iter().enumerate().filter(|(_, action)| kind.is_of(action));
            steps.extend(of_kind.map(|(index, action)| Step { kind, action, index }));
            // What is in a directory goes before it.
            if kind == StepKind::RemoveDirectory {
                steps[first..].reverse();
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Id, Mode, RootName};
    use crate::path::{LinkTarget, RelPath};
    use crate::rollback::{Origin, Purpose};

    #[test]
    fn room_is_made_before_anything_is_placed_and_each_action_ends_once() {
        let file = |text: &str| {
            let sha256 = Some(crate::digest::Digest::of(text.as_bytes()));
            Some(FileState::File { attributes: Mode::new(0o644).into(), size: text.len() as u64, sha256 })
        };
        let directory = || Some(FileState::Directory { mode: Mode::new(0o755) });
        let link = || Some(FileState::Symlink { target: LinkTarget::new("x") });
        let actions = [
            ("gone", directory(), None),
            ("gone/file", file("a"), None),
            ("gone/inner", directory(), None),
            ("new", None, directory()),
            ("new/file", None, file("a")),
            ("was_directory", directory(), link()),
            ("was_file", file("a"), directory()),
            ("was_file/file", None, file("a")),
            ("written", file("a"), file("b")),
        ];
        let action = |(path, before, after): &(&str, _, _)| Action {
            root: RootName::Workspace,
            path: RelPath::new(path).unwrap(),
            before: Option::clone(before),
            after: Option::clone(after),
            origin: Origin::Session,
        };
        let id: Id = "20261123_054000".parse().unwrap();
        let journal = Journal {
            id: id.next(),
            purpose: Purpose::Rollback { to: id },
            pre_rollback: None,
            created: "2026-11-23T05:40:01Z".into(),
            roots: Vec::new(),
            unlock: Vec::new(),
            touch: Vec::new(),
            actions: actions.iter().map(action).collect(),
        };
        let steps = journal.steps();
        let shown: Vec<String> = steps.iter().map(|s| format!("{:?} {}", s.kind, s.action.path)).collect();
        let wanted = [
            "MoveOut gone/file",
            "MoveOut was_file",
            "RemoveDirectory was_directory",
            "RemoveDirectory gone/inner",
            "RemoveDirectory gone",
            "CreateDirectory new",
            "CreateDirectory was_file",
            "Place new/file",
            "Place was_directory",
            "Place was_file/file",
            "Place written",
        ];
        assert_eq!(shown, wanted);
        let mut ended: Vec<usize> = steps.iter().filter(|s| s.is_last()).map(|s| s.index).collect();
        ended.sort_unstable();
        assert_eq!(ended, (0..journal.actions.len()).collect::<Vec<_>>());
    }
}
