//! Numbers and times.

use std::time::Duration;

use crate::config::OperatorConfig;
use crate::config::reading::Findings;

/// The bounds of instances leave something between them.
pub(super) fn instances(config: &OperatorConfig, findings: &mut Findings) {
    if let (Some(min), Some(max)) = (config.general.min_instances, config.general.max_instances)
        && min > max
    {
        findings.error("min_instances", format!("is {min}, more than max_instances ({max})"));
    }
}

/// What is waited for has time to be looked at once.
pub(super) fn times(config: &OperatorConfig, findings: &mut Findings) {
    let (general, timeouts) = (&config.general, &config.timeouts);
    for (leaf, duration) in [
        ("resync_period", general.resync_period),
        ("repair_period", general.repair_period),
        ("resource_check_interval", timeouts.resource_check_interval),
        ("patroni_api_check_interval", timeouts.patroni_api_check_interval),
        ("pod_label_wait_timeout", timeouts.pod_label_wait_timeout),
        ("pod_deletion_wait_timeout", timeouts.pod_deletion_wait_timeout),
        ("master_pod_move_timeout", config.kubernetes.master_pod_move_timeout),
        ("pod_terminate_grace_period", config.kubernetes.pod_terminate_grace_period),
    ] {
        if duration < Duration::from_millis(1) {
            findings.error(leaf, "is no time at all; write a duration like 30s or 10m");
        }
    }
    for (leaf, interval, timeout) in [
        ("resource_check_timeout", timeouts.resource_check_interval, timeouts.resource_check_timeout),
        (
            "patroni_api_check_timeout",
            timeouts.patroni_api_check_interval,
            timeouts.patroni_api_check_timeout,
        ),
    ] {
        if timeout < interval {
            let of = leaf.replace("timeout", "interval");
            findings.error(leaf, format!("is shorter than {of}; nothing would be looked at in time"));
        }
    }
    if general.repair_period > general.resync_period {
        findings
            .warn("repair_period", "is longer than resync_period; failed clusters wait longer than others");
    }
}

/// Every pod of a pooler gets a connection.
pub(super) fn pooler_connections(config: &OperatorConfig, findings: &mut Findings) {
    let pooler = &config.connection_pooler;
    let (most, pods) = (pooler.max_db_connections, pooler.number_of_instances);
    if (1..pods).contains(&most) {
        let message =
            format!("is {most}, which leaves no connection for each of {pods} pods; write at least {pods}");
        findings.error("connection_pooler_max_db_connections", message);
    }
}

/// Upgrades go upwards.
pub(super) fn versions(config: &OperatorConfig, findings: &mut Findings) {
    let upgrade = &config.major_version_upgrade;
    if upgrade.minimal_major_version > upgrade.target_major_version {
        let target = upgrade.target_major_version;
        let message =
            format!("is newer than target_major_version ({target}), to which older clusters are upgraded");
        findings.error("minimal_major_version", message);
    }
}

/// Numbers that must count something. (`workers` and others have their least value in the schema.)
pub(super) fn numbers(config: &OperatorConfig, findings: &mut Findings) {
    for (leaf, number) in [
        ("password_rotation_interval", i64::from(config.users.password_rotation_interval)),
        ("api_port", i64::from(config.logging_rest_api.api_port)),
        ("connection_pooler_max_db_connections", i64::from(config.connection_pooler.max_db_connections)),
    ] {
        if number < 1 {
            findings.error(leaf, format!("is {number}; write at least 1"));
        }
    }
    for (leaf, id) in [
        ("spilo_runasuser", config.kubernetes.spilo_runasuser),
        ("spilo_runasgroup", config.kubernetes.spilo_runasgroup),
        ("spilo_fsgroup", config.kubernetes.spilo_fsgroup),
    ] {
        if id.is_some_and(|id| id < 0) {
            findings.error(leaf, "is negative; write a user or group id");
        }
    }
}
