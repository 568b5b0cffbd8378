//! What carrying out a change costs.
//!
//! Admission prints [`Change`]s as warnings; the operator acts on the same effects.

pub mod adopted;
mod contains;
mod difference;
mod disks;
pub(crate) mod encoded;
mod explain;
mod facts;
mod fields;
mod forecast;
mod inventory;
pub mod object;
mod orphans;
pub mod ownership;
pub mod pod_annotations;
pub mod pod_template;
mod rendered;
mod storage;
pub(crate) mod told;
mod words;

use std::borrow::Cow;
use std::fmt;

pub use difference::{Difference, between};
pub use disks::{
    Bound, ChangeState, Disk, DiskChange, DiskStep, DiskWish, LastChange, bound, disk_of, disk_wish,
    is_behind, next as next_of_disk,
};
pub(crate) use disks::{LEAST_IOPS, LEAST_THROUGHPUT};
pub use explain::plan;
pub(crate) use explain::{Touched, touched};
pub use forecast::{Accuracy, Disturbance};
pub use inventory::{Kind, ObjectName, objects};
pub use orphans::{Orphan, orphans};
pub use rendered::rendered;
pub use storage::{Growth, Storage, storage};

use crate::field::FieldPath;

/// What a change does to a running cluster. Worst last, so the maximum is the headline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Nothing happens, or something else than what was asked for.
    Ignored,
    /// Kubernetes objects change, no pod is disturbed.
    Patch,
    /// SQL is run.
    Sql,
    /// `PostgreSQL` re-reads its configuration.
    Reload,
    /// `PostgreSQL` restarts in every pod.
    Restart,
    /// Every pod is recreated, the primary last.
    RollingUpdate,
    /// The `StatefulSet` is replaced under its pods.
    ReplaceStatefulSet,
    /// The data directory is upgraded to another major version.
    MajorUpgrade,
    /// Data is lost.
    LosesData,
    /// It will not be done at all.
    Forbidden,
}

/// A change of a manifest's field, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub field: FieldPath,
    /// What carrying it out costs.
    pub effect: Effect,
    /// The sentence a user reads, without the path.
    pub message: String,
}

impl Change {
    /// The change with a message that fits its line.
    pub(crate) fn fitting(self) -> Self {
        let message = words::shortened(&self.message, room_beside(&self.field));
        Self { message, ..self }
    }
}

/// What is told of a place, in lines of at most [`LONGEST_LINE`] bytes, each with its path: kubectl and the API server cut
/// longer ones.
pub fn lines(path: &FieldPath, message: &str) -> Vec<String> {
    if path.as_str().len() + ": ".len() + message.len() <= LONGEST_LINE {
        return vec![format!("{path}: {message}")];
    }
    let (room, shown) = (room_beside(path), shown(path));
    words::wrapped(message, room).iter().map(|part| format!("{shown}: {part}")).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.field.as_str().len() + ": ".len() + self.message.len() <= LONGEST_LINE;
        let path = if whole { Cow::Borrowed(self.field.as_str()) } else { shown(&self.field) };
        write!(f, "{path}: {}", self.message)
    }
}

/// The longest line of a plan, in bytes.
pub const LONGEST_LINE: usize = 120;

/// The longest path that is shown whole where the line would be too long. The names of settings and roles have 63
/// characters at most.
const LONGEST_PATH: usize = 58;

/// A path without its middle, when it is long.
fn shown(path: &FieldPath) -> Cow<'_, str> {
    let path = path.as_str();
    if path.len() <= LONGEST_PATH {
        return Cow::Borrowed(path);
    }
    let half = (LONGEST_PATH - '…'.len_utf8()) / 2;
    let start = path.get(..path.floor_char_boundary(half)).unwrap_or_default();
    let end = path.get(path.ceil_char_boundary(path.len() - half)..).unwrap_or_default();
    Cow::Owned(format!("{start}…{end}"))
}

/// How many bytes a line leaves for what stands behind the path.
fn room_beside(path: &FieldPath) -> usize {
    LONGEST_LINE - ": ".len() - shown(path).len()
}
