//! The stories a user lives through, on a real Kubernetes: the one that `KUBECONFIG` names, with the operator in it.
//!
//! `cargo test -p tests --test e2e`, with parts of names to choose. Settings: `E2E_SIDE_BY_SIDE` (how many at once, 2),
//! `E2E_KEEP_FAILED` (keep the namespace of a failed story), `E2E_OPERATOR_NAMESPACE`, `E2E_CLIENT_IMAGE`.

// Stories are tests: they may be blunt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod admission;
mod new_cluster;

use std::process::ExitCode;

use tests::stage::{Story, perform};

/// A story of its function's name.
macro_rules! story {
    ($module:ident::$name:ident) => {
        Story { name: stringify!($name), is_alone: false, play: |stage| Box::pin($module::$name(stage)) }
    };
    (alone $module:ident::$name:ident) => {
        Story { name: stringify!($name), is_alone: true, play: |stage| Box::pin($module::$name(stage)) }
    };
}

fn main() -> ExitCode {
    perform(&[
        story!(admission::a_manifest_with_many_errors_is_refused_in_one_answer),
        story!(admission::every_golden_manifest_is_accepted),
        story!(new_cluster::a_new_cluster_of_two_answers_sql_and_streams),
    ])
}
