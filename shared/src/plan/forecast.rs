//! How far what was told of a change came true: the worst that was told against the worst that was done.
//!
//! The operator asks when a changed manifest has been carried out, and counts the answers. Deliberately coarse: a
//! switchover counts for nothing, because the words about a change do not know which pod leads, and a StatefulSet that is
//! replaced under its pods disturbs none.

use super::{Change, Effect};

/// What a running PostgreSQL notices of a change. Worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disturbance {
    /// Nothing, or statements beside others.
    #[default]
    Nothing,
    /// Its configuration is read again.
    Reload,
    /// It restarts.
    Restart,
    /// Its pods are recreated.
    RollingUpdate,
    /// Its data directory is upgraded.
    MajorUpgrade,
}

impl Disturbance {
    /// The worst that was told of a manifest's change.
    pub fn told(changes: &[Change]) -> Self {
        changes.iter().map(|change| Self::of(change.effect)).max().unwrap_or_default()
    }

    fn of(effect: Effect) -> Self {
        match effect {
            Effect::Ignored
            | Effect::Patch
            | Effect::Sql
            | Effect::ReplaceStatefulSet
            | Effect::LosesData
            | Effect::Forbidden => Self::Nothing,
            Effect::Reload => Self::Reload,
            Effect::Restart => Self::Restart,
            Effect::RollingUpdate => Self::RollingUpdate,
            Effect::MajorUpgrade => Self::MajorUpgrade,
        }
    }
}

/// What was done, measured by what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accuracy {
    /// The same.
    AsTold,
    /// Something milder.
    Less,
    /// Something worse: what nobody was warned of, or what else befell the cluster meanwhile.
    More,
}

impl Accuracy {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::AsTold, Self::Less, Self::More];

    /// How far `told` came true.
    pub fn of(told: Disturbance, done: Disturbance) -> Self {
        match done.cmp(&told) {
            std::cmp::Ordering::Equal => Self::AsTold,
            std::cmp::Ordering::Less => Self::Less,
            std::cmp::Ordering::Greater => Self::More,
        }
    }

    /// The answer as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsTold => "as_told",
            Self::Less => "less",
            Self::More => "more",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldPath;

    fn change(effect: Effect) -> Change {
        Change { field: FieldPath::spec(), effect, message: String::new() }
    }

    #[test]
    fn the_worst_that_was_told_counts() {
        assert_eq!(Disturbance::told(&[]), Disturbance::Nothing);
        let told = [Effect::Reload, Effect::RollingUpdate, Effect::ReplaceStatefulSet].map(change);
        assert_eq!(Disturbance::told(&told), Disturbance::RollingUpdate);
    }

    #[test]
    fn what_was_done_is_as_told_or_less_or_more() {
        let (restart, reload) = (Disturbance::Restart, Disturbance::Reload);
        assert_eq!(Accuracy::of(restart, restart), Accuracy::AsTold);
        assert_eq!(Accuracy::of(restart, reload), Accuracy::Less);
        assert_eq!(Accuracy::of(reload, restart), Accuracy::More);
    }
}
