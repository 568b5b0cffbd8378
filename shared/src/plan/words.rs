//! What a change does, in sentences that a user reads in the terminal.
//!
//! `explain` asks. The effect was decided before (`facts`); here are only words. The surprise is their length: a line of
//! 120 characters fits most terminals, so what has no room gets a line of its own, and lists end with how many more there
//! are.

use crate::cluster::Windows;
use crate::config::{Disruption, MajorVersionUpgradeMode, OperatorConfig, StorageResizeMode};
use crate::roles::{ContentStatement, RoleName, Statement};

use super::facts::Facts;
use super::{Effect, ObjectName};

/// What the facts amount to, in lines of at most `room` bytes; none when nothing at all happens.
pub(super) fn sentences(facts: &Facts, config: &OperatorConfig, room: usize) -> Vec<String> {
    let parts = [
        promotion(facts),
        version(facts, config),
        members(facts),
        volumes(facts, config),
        disks(facts, config),
        pods(facts),
        set(facts),
        patroni(facts),
        perhaps(facts),
        sql(facts),
        objects(facts),
        waits(facts),
    ];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        parts.extend(idle(facts));
    }
    let mut lines: Vec<String> = Vec::new();
    for part in &parts {
        match lines.last_mut().filter(|line| line.len() + part.len() + 2 <= room) {
            Some(line) => line.extend(["; ", part]),
            None => lines.push(shortened(part, room)),
        }
    }
    lines
}

/// Why nothing happens where something might be expected.
fn idle(facts: &Facts) -> Option<String> {
    if !facts.kept.is_empty() {
        return Some(format!("nothing is dropped: {}", listed(&facts.kept)));
    }
    let bootstrap = "is read only when the cluster is created; this cluster stays as it is";
    let words = if facts.bootstrap_only { bootstrap } else { "objects are updated, no pod restarts" };
    (facts.bootstrap_only || facts.effect() > Effect::Ignored).then(|| words.to_owned())
}

fn promotion(facts: &Facts) -> Option<String> {
    facts
        .promoted
        .then(|| "the cluster is promoted: it stops following its source and takes writes".to_owned())
}

fn version(facts: &Facts, config: &OperatorConfig) -> Option<String> {
    let (from, to) = facts.version?;
    if from > to {
        return Some(format!("the data directory stays at {from}"));
    }
    let off = config.major_version_upgrade.major_version_upgrade_mode == MajorVersionUpgradeMode::Off;
    Some(if off {
        format!(
            "major upgrade from {from} to {to}, only for teams on the allow list: the operator's mode is off"
        )
    } else {
        format!("major upgrade from {from} to {to} once all pods are replaced; PostgreSQL is down meanwhile")
    })
}

fn members(facts: &Facts) -> Option<String> {
    let (before, after) = facts.members;
    let change = after.saturating_sub(before);
    let volumes = if facts.deletes_volumes { "their volumes are deleted" } else { "their volumes stay" };
    match (change, after) {
        (0, _) => None,
        (_, 0) => Some(format!("all members are removed, the database stops; {volumes}")),
        (1, _) => Some("one more member is added".to_owned()),
        (2.., _) => Some(format!("{} more members are added", number(change))),
        (-1, _) => Some(format!(
            "one member is removed; {}",
            volumes.replace("their volumes", "its volume").replace("are", "is").replace("stay", "stays")
        )),
        (_, _) => Some(format!("{} members are removed; {volumes}", number(change.saturating_neg()))),
    }
}

fn number(count: i32) -> String {
    match count {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        other => other.to_string(),
    }
}

fn volumes(facts: &Facts, config: &OperatorConfig) -> Option<String> {
    let (from, to) = facts.size.as_ref()?;
    match config.kubernetes.storage_resize_mode {
        StorageResizeMode::Off => {
            return Some(format!("only new volumes get {to}: storage_resize_mode of the operator is off"));
        }
        StorageResizeMode::Ebs => {
            return Some(format!(
                "EC2 enlarges the disks from {from} to {to}, if the operator is built with ec2"
            ));
        }
        StorageResizeMode::Pvc | StorageResizeMode::Mixed => {}
    }
    let restarts = if facts.pods.is_empty() { ", no pod restarts" } else { "" };
    Some(format!("each volume grows from {from} to {to}{restarts}"))
}

fn disks(facts: &Facts, config: &OperatorConfig) -> Option<String> {
    let mode = config.kubernetes.storage_resize_mode;
    Some(match (facts.disks?, mode) {
        (true, _) => "EC2 changes the members' disks, no pod restarts".to_owned(),
        (false, StorageResizeMode::Mixed) => return None, // less than a disk has anyway; a check says so
        (false, _) => {
            "has no effect: only with storage_resize_mode: mixed the operator asks EC2 for it".to_owned()
        }
    })
}

fn pods(facts: &Facts) -> Option<String> {
    if facts.pods.is_empty() {
        let waits = "a pod takes the new image when it is next recreated (enable_lazy_spilo_upgrade)";
        return facts.lazy_image.then(|| waits.to_owned());
    }
    let (before, after) = facts.update;
    Some(match (before.min(after), after) {
        (0, _) => return None,
        (1, 1) => "the only pod is recreated; the database is down meanwhile".to_owned(),
        (1, _) => "once a new member streams, a switchover, and the old pod is recreated".to_owned(),
        (pods, _) => format!("rolling update of {pods} pods, replicas first, then a switchover"),
    })
}

/// What the rollout holds back, and until when.
fn waits(facts: &Facts) -> Option<String> {
    let waits = facts.waits.as_ref()?;
    let windows = match &waits.windows {
        Windows::Only(all) if all.len() > 2 => {
            let first = all.first()?;
            format!("window {first} UTC, or one of {} more", all.len() - 1)
        }
        windows => format!("window {windows}"),
    };
    if !waits.others_do_not {
        return Some(format!("waits for the {windows}"));
    }
    let step = |step: &Disruption| match step {
        Disruption::Restart => "the restart",
        Disruption::RecreateReplica => "recreating replicas",
        Disruption::Switchover => "the switchover",
        Disruption::MajorUpgrade => "the upgrade",
    };
    let steps: Vec<&str> = waits.steps.iter().map(step).collect();
    let verb = if steps.len() == 1 { "waits" } else { "wait" };
    Some(format!("{} {verb} for the {windows}", steps.join(" and ")))
}

fn set(facts: &Facts) -> Option<String> {
    let replaced = facts.set == Some(Effect::ReplaceStatefulSet) && facts.size.is_none();
    let restarts = if facts.pods.is_empty() { ", no pod restarts" } else { "" };
    if replaced {
        return Some(format!("the StatefulSet is replaced under its pods{restarts}"));
    }
    let patched = facts.set.is_some() && !facts.bootstrap_only && facts.pods.is_empty();
    let told = facts.members.0 != facts.members.1
        || facts.size.is_some()
        || facts.lazy_image
        || facts.speaks_of_patroni()
        || !facts.objects.is_empty();
    (patched && !told).then(|| "the StatefulSet is updated, no pod restarts".to_owned())
}

fn patroni(facts: &Facts) -> Option<String> {
    // A new member starts before the others restart, and then waits for a restart as they do.
    let plural = facts.update.1 > 1;
    if facts.effect() >= Effect::RollingUpdate && !facts.pods.is_empty() {
        return None; // every pod restarts anyway
    }
    if facts.restarts() {
        return Some(match (plural, facts.lowered.is_empty()) {
            (false, _) => "PostgreSQL restarts in its only pod".to_owned(),
            (true, true) => "PostgreSQL restarts in every pod, replicas first".to_owned(),
            (true, false) => "PostgreSQL restarts in every pod, the primary first".to_owned(),
        });
    }
    if !facts.parameters.is_empty() {
        return Some("PostgreSQL reads its configuration again, nothing restarts".to_owned());
    }
    (!facts.options.is_empty()).then(|| "Patroni takes it over, nothing restarts".to_owned())
}

/// What keeps a restart from coming.
fn perhaps(facts: &Facts) -> Option<String> {
    let restarts = facts.restarts() && facts.pods.is_empty();
    (restarts && facts.perhaps_restarts).then(|| "nothing restarts if that is its value already".to_owned())
}

fn sql(facts: &Facts) -> Option<String> {
    let made = |name: &RoleName| {
        facts
            .statements
            .iter()
            .any(|other| matches!(other, Statement::CreateRole { name: made, .. } if made == name))
    };
    // What belongs to making a role is not told beside it.
    let belongs = |other: &&Statement| match other {
        Statement::GrantMembership { member: name, .. }
        | Statement::GrantAdmin { role: name, .. }
        | Statement::MarkRole { name }
        | Statement::SetParameter { role: name, .. } => made(name),
        Statement::Inside(inside) => is_a_part(inside),
        _ => false,
    };
    let mut done: Vec<String> =
        facts.statements.iter().filter(|other| !belongs(other)).map(statement).collect();
    done.dedup(); // the same in several databases
    (!done.is_empty()).then(|| format!("by SQL: {}", listed(&done)))
}

fn statement(statement: &Statement) -> String {
    match statement {
        Statement::CreateRole { name, .. } => format!("role {name} is made"),
        Statement::AlterRoleFlags { name, flags } => format!("role {name} gets {flags}"),
        Statement::AlterRolePassword { name, .. } => format!("role {name} gets a new password"),
        Statement::GrantMembership { role, member } => format!("{member} becomes a member of {role}"),
        Statement::GrantAdmin { role, admin } => format!("{admin} becomes admin of {role}"),
        Statement::RevokeMembership { role, member } => format!("{member} leaves {role}"),
        Statement::SetParameter { role, parameter, .. } => format!("{parameter} of role {role} is set"),
        Statement::CreateDatabase { name, owner } => format!("database {name} of {owner} is made"),
        Statement::AlterDatabaseOwner { name, owner } => format!("database {name} goes to {owner}"),
        Statement::DropRole { name } => format!("role {name} is dropped"),
        Statement::RenameRole { from, to } => format!("role {from} is renamed to {to}"),
        Statement::MarkRole { name } => format!("role {name} is marked as a team member's"),
        Statement::Inside(inside) => statement_inside(inside),
    }
}

/// Whether a statement only completes another one.
fn is_a_part(inside: &ContentStatement) -> bool {
    use ContentStatement as Inside;
    match inside {
        Inside::GrantUsage { .. }
        | Inside::GrantDefaults { .. }
        | Inside::AlterLookupOwner { .. }
        | Inside::CloseLookup { .. }
        | Inside::GrantLookup { .. } => true,
        Inside::CreateSchema { .. }
        | Inside::AlterSchemaOwner { .. }
        | Inside::CreateExtension { .. }
        | Inside::MoveExtension { .. }
        | Inside::PutLookup { .. }
        | Inside::CreatePublication { .. }
        | Inside::SetTables { .. }
        | Inside::DropPublication { .. } => false,
    }
}

fn statement_inside(inside: &ContentStatement) -> String {
    use ContentStatement as Inside;
    match inside {
        Inside::CreateSchema { name, .. } => format!("schema {name} is made"),
        Inside::AlterSchemaOwner { name, owner } => format!("schema {name} goes to {owner}"),
        Inside::GrantUsage { schema, role } => format!("{role} may use schema {schema}"),
        Inside::GrantDefaults { grantee, .. } => format!("{grantee} gets more privileges"),
        Inside::CreateExtension { name, .. } => format!("extension {name} is made"),
        Inside::MoveExtension { name, schema } => format!("extension {name} moves to schema {schema}"),
        Inside::PutLookup { .. } => "the pooler's lookup function is made".to_owned(),
        Inside::AlterLookupOwner { owner, .. } => format!("the pooler's lookup function goes to {owner}"),
        Inside::CloseLookup { .. } => "the pooler's lookup function is closed".to_owned(),
        Inside::GrantLookup { role, .. } => format!("{role} may call the lookup function"),
        Inside::CreatePublication { name, .. } => format!("publication {name} is made"),
        Inside::SetTables { name, .. } => format!("publication {name} gets other tables"),
        Inside::DropPublication { name } => format!("publication {name} is dropped"),
    }
}

/// Objects are named only where nothing larger happens: a rolling update tells enough.
fn objects(facts: &Facts) -> Option<String> {
    let names = |objects: &[ObjectName]| {
        let names: Vec<String> =
            objects.iter().map(|object| format!("{} {}", object.kind.as_str(), object.name)).collect();
        listed(&names)
    };
    let verb = |objects: &[ObjectName]| if objects.len() == 1 { "is" } else { "are" };
    let quiet = facts.effect() > Effect::Patch || facts.members.0 != facts.members.1;
    if quiet || (facts.objects.is_empty() && facts.removed.is_empty()) {
        return None;
    }
    let mut parts = Vec::new();
    if !facts.objects.is_empty() {
        parts.push(format!("{} {} updated", names(&facts.objects), verb(&facts.objects)));
    }
    if !facts.removed.is_empty() {
        parts.push(format!("{} {} no longer wanted", names(&facts.removed), verb(&facts.removed)));
    }
    parts.push("no pod restarts".to_owned());
    Some(parts.join(", "))
}

/// The first two and how many more there are.
fn listed(items: &[String]) -> String {
    let first: Vec<&str> = items.iter().take(2).map(String::as_str).collect();
    match items.len().saturating_sub(2) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// A text that fits.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(room.saturating_sub('…'.len_utf8()));
    text.get(..end).map(|start| format!("{start}…")).unwrap_or_default()
}

/// A text in as many parts as it takes, each of at most `room` bytes, cut between words. Only a word that is longer itself
/// loses its end.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match parts.last_mut().filter(|part| part.len() + 1 + word.len() <= room) {
            Some(part) => part.extend([" ", word]),
            None => parts.push(shortened(word, room)),
        }
    }
    parts
}
