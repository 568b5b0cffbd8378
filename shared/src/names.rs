//! The name of every object that is made for a cluster, in one place.
//!
//! Builders make objects by these names, admission checks their length and clashes, and deletion looks only for
//! them. Upstream's names, so that a cluster it made is found again.

use crate::api::GROUP;

/// Which of the two kinds of member a Service, a pooler or a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberRole {
    /// The one that takes writes. Its label value stays `master`, as upstream and Spilo have it.
    Primary,
    /// Any other.
    Replica,
}

impl MemberRole {
    /// Both roles, the primary first.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Replica];

    /// The value of the role label on a pod or a Service of this role.
    pub fn label_value(self) -> &'static str {
        match self {
            Self::Primary => "master",
            Self::Replica => "replica",
        }
    }
}

/// The Service (and in Endpoints mode the Endpoints) of a role.
pub fn service(cluster: &str, role: MemberRole) -> String {
    match role {
        MemberRole::Primary => cluster.to_owned(),
        MemberRole::Replica => format!("{cluster}-repl"),
    }
}

/// The pooler's Deployment and Service of a role.
pub fn pooler(cluster: &str, role: MemberRole) -> String {
    match role {
        MemberRole::Primary => format!("{cluster}-pooler"),
        MemberRole::Replica => format!("{cluster}-pooler-repl"),
    }
}

/// The Secret with the list of users that a pooler admits.
pub fn user_list(pooler: &str) -> String {
    format!("{pooler}-u")
}

/// The `FabricEventStream` of an application. Upstream draws a random suffix; its documentation promises this one.
pub fn event_stream(cluster: &str, application: &str) -> String {
    format!("{cluster}-{application}")
}

/// The replication slot, and the publication, of an application's streams from one database.
pub fn stream_slot(database: &str, application: &str) -> String {
    format!("fes_{database}_{}", application.replace('-', "_"))
}

/// The pod with a given ordinal; also Patroni's name of the member.
pub fn member(cluster: &str, ordinal: i32) -> String {
    format!("{cluster}-{ordinal}")
}

/// The ordinal of a member of this cluster, `None` for any other name.
pub fn ordinal(cluster: &str, member: &str) -> Option<i32> {
    member.strip_prefix(cluster)?.strip_prefix('-')?.parse().ok()
}

/// The template of the data volume's claims, and the volume's name in the pod.
pub const DATA_VOLUME: &str = "pgdata";

/// The claim of a member's data volume, as the StatefulSet controller names it.
pub fn data_claim(cluster: &str, ordinal: i32) -> String {
    format!("{DATA_VOLUME}-{cluster}-{ordinal}")
}

/// The budget that keeps the primary, from the configured format (`postgres-{cluster}-pdb`).
pub fn primary_budget(format: &str, cluster: &str) -> String {
    format.replace("{cluster}", cluster)
}

/// The budget that keeps every pod during a critical operation.
pub fn critical_budget(cluster: &str) -> String {
    format!("postgres-{cluster}-critical-op-pdb")
}

/// The Secret of a role, from the configured template. `_` becomes `-`, which object names may not hold.
pub fn secret(template: &str, user: &str, cluster: &str) -> String {
    let user = user.replace('_', "-");
    let values =
        [("username", user.as_str()), ("cluster", cluster), ("tprkind", "postgresql"), ("tprgroup", GROUP)];
    fill(template, &values)
}

/// Whether a Secret's name can be that of some role of this cluster.
pub fn is_secret_of(name: &str, template: &str, cluster: &str) -> bool {
    const USER: char = '\u{1}'; // in no name
    let shape = secret(template, &USER.to_string(), cluster);
    match shape.split_once(USER) {
        Some((before, behind)) => {
            name.len() > before.len() + behind.len() && name.starts_with(before) && name.ends_with(behind)
        }
        None => name == shape,
    }
}

/// The CronJob of the logical backups. Kubernetes adds 11 characters to a Job's name, so 52 are left.
pub fn logical_backup(prefix: &str, cluster: &str) -> String {
    let name: String = format!("{prefix}{cluster}").chars().take(LONGEST_CRON_JOB).collect();
    name.trim_end_matches('-').to_owned()
}

/// The longest CronJob name that still leaves room for the Job's suffix.
const LONGEST_CRON_JOB: usize = 52;

/// What Patroni itself makes beside a cluster, as ConfigMaps or Endpoints.
pub const PATRONI_SUFFIXES: &[&str] = &["config", "failover", "leader", "sync"];

/// The names of Patroni's own objects.
pub fn patroni_objects(cluster: &str) -> impl Iterator<Item = String> {
    PATRONI_SUFFIXES.iter().map(move |suffix| format!("{cluster}-{suffix}"))
}

/// `text` with each `{placeholder}` filled in, as configured names have them. What is filled in is not looked at again,
/// and a placeholder without a value stays.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(2 * text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let named = values
            .iter()
            .find_map(|(key, value)| Some((value, behind.strip_prefix(key)?.strip_prefix('}')?)));
        rest = match named {
            Some((value, behind)) => {
                filled.push_str(value);
                behind
            }
            None => {
                filled.push('{');
                behind
            }
        };
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams() {
        let template = "{username}.{cluster}.credentials.{tprkind}.{tprgroup}";
        assert_eq!(
            secret(template, "foo_user", "acid-minimal-cluster"),
            "foo-user.acid-minimal-cluster.credentials.postgresql.acid.zalan.do"
        );
        assert_eq!(service("acid", MemberRole::Replica), "acid-repl");
        assert_eq!(primary_budget("postgres-{cluster}-pdb", "acid"), "postgres-acid-pdb");
        assert_eq!(data_claim("acid", 1), "pgdata-acid-1");
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again_and_what_is_unknown_stays() {
        let values = [("cluster", "{team}"), ("team", "acid")];
        assert_eq!(fill("{cluster}-{team}.{zone}{", &values), "{team}-acid.{zone}{");
    }

    #[test]
    fn a_backup_job_is_cut_to_what_kubernetes_can_name() {
        let name = logical_backup("logical-backup-", &format!("{}-{}", "a".repeat(36), "b".repeat(20)));
        assert_eq!(name, format!("logical-backup-{}", "a".repeat(36)));
    }

    #[test]
    fn only_members_of_the_cluster_have_an_ordinal() {
        assert_eq!(ordinal("demo", "demo-12"), Some(12));
        assert_eq!(ordinal("demo", "demo-pooler-1"), None);
        assert_eq!(ordinal("demo", "other-1"), None);
    }
}
