//! Users: names, flags, reserved names, Secrets that would be one, and the lists about password rotation.
//!
//! Upstream skips *all* users, Secrets and databases when one name or flag is bad. A Secret's name turns `_` into
//! `-`, so `a_b` and `a-b` are two roles with one Secret.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use kube::ResourceExt;
use serde_json::Value;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::names;
use crate::plan::{Change, Effect};
use crate::roles::RoleFlags;

use super::{prepared, text};

/// What a login role's name grows by when its password is rotated: the day, `YYMMDD`.
const ROTATION_SUFFIX: usize = 6;

/// Where `kubectl apply` keeps what it was given. Argo CD applies by the same code.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The longest name of most objects.
const LONGEST_OBJECT: usize = 253;

fn path() -> FieldPath {
    FieldPath::spec().field("users")
}

fn user_names(manifest: &Postgresql) -> impl Iterator<Item = &str> {
    manifest.spec.users.iter().flat_map(BTreeMap::keys).map(String::as_str)
}

/// A user without a value: a client-side apply leaves out every null, so nobody would learn that there is no such role.
pub(super) fn left_out_by_apply(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let Some(applied) = manifest.annotations().get(LAST_APPLIED).filter(|text| text.contains(":null")) else {
        return;
    };
    let applied: Value = serde_json::from_str(applied).unwrap_or_default();
    let users = applied.pointer("/spec/users").and_then(Value::as_object);
    for (name, _) in users.into_iter().flatten().filter(|(_, flags)| flags.is_null()) {
        if user_names(manifest).all(|user| user != name) {
            changes.push(Change {
                field: path().key(name),
                effect: Effect::Ignored,
                message: "has no value and is left out by a client-side apply, so it is not made; write [] after it"
                    .to_owned(),
            });
        }
    }
}

/// A user's name becomes a role, and part of a Secret's name.
pub(super) fn shapes(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    for name in user_names(manifest) {
        let path = path().key(name);
        let parts = name.split('.');
        if !parts.clone().all(|part| text::is_dns_1123_label(&part.replace('_', "-"))) {
            errors.invalid(
                path.clone(),
                format!(
                    "\"{name}\" cannot name a user; use lower-case letters, digits, dashes and underscores, beginning \
                     and ending with a letter or digit"
                ),
            );
        }
        if name.len() > text::LONGEST_NAME {
            errors.too_long(path.clone(), format!("has {} bytes; PostgreSQL keeps 63 of a name", name.len()));
        }
        let namespace = name.split_once('.').map(|(namespace, _)| namespace);
        if let Some(namespace) = namespace.filter(|namespace| {
            config.kubernetes.enable_cross_namespace_secret && !text::is_dns_1123_label(namespace)
        }) {
            errors.invalid(
                path,
                format!("\"{namespace}\" cannot be a namespace, where the Secret of this user would be"),
            );
        }
    }
}

/// Every flag is known, and none contradicts another.
pub(super) fn known_flags(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (name, flags) in manifest.spec.users.iter().flatten() {
        let (empty, flags): (Vec<_>, Vec<_>) =
            flags.iter().flatten().enumerate().partition(|(_, flag)| flag.is_empty());
        for (index, _) in empty {
            errors.invalid(path().key(name).index(index), "is empty; write a flag or remove the line");
        }
        let flags: Vec<&String> = flags.into_iter().map(|(_, flag)| flag).collect();
        for error in RoleFlags::parse(&flags).err().into_iter().flatten() {
            errors.invalid(path().key(name), error.to_string());
        }
    }
}

/// Names that PostgreSQL, the operator or an admin keeps for itself.
pub(super) fn reserved(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let system = system_roles(manifest, config);
    for name in user_names(manifest) {
        let path = path().key(name);
        if let Some((_, owner)) = system.iter().find(|(role, _)| *role == name) {
            errors
                .forbidden(path, format!("is {owner}, which the operator makes itself; choose another name"));
        } else if config.teams_api.protected_role_names.iter().any(|role| role == name) {
            errors
                .forbidden(path, "is protected (protected_role_names of the operator); choose another name");
        } else if text::is_reserved_by_postgres(name) || ["public", "none"].contains(&name) {
            errors.forbidden(path, "is reserved by PostgreSQL; choose another name");
        }
    }
}

/// The roles that the operator makes whatever the users are, and what each is for.
pub(super) fn system_roles<'a>(
    manifest: &'a Postgresql,
    config: &'a OperatorConfig,
) -> Vec<(&'a str, &'static str)> {
    let spec = &manifest.spec;
    let mut roles = vec![
        (config.users.super_username.as_str(), "the superuser"),
        (config.users.replication_username.as_str(), "the replication user"),
    ];
    if super::pooler::wanted(spec) {
        let user = spec.connection_pooler.as_ref().and_then(|pooler| pooler.user.as_deref());
        roles.push((user.unwrap_or(&config.connection_pooler.user), "the connection pooler's user"));
    }
    if spec.streams.as_ref().is_some_and(|streams| !streams.is_empty()) {
        roles.push(("fes_user", "the event streams' user"));
    }
    roles
}

/// Whether roles may exist that only the operator can know: from Secrets, or members of teams.
pub(super) fn others_possible(config: &OperatorConfig) -> bool {
    let teams = &config.teams_api;
    let default_url = crate::config::TeamsApi::default().teams_api_url;
    config.kubernetes.infrastructure_roles_secret_name.is_some()
        || !config.kubernetes.infrastructure_roles_secrets.is_empty()
        || (teams.enable_teams_api && teams.teams_api_url != default_url)
        || teams.enable_postgres_team_crd
}

/// Two roles must not share a Secret, nor two sources one role.
pub(super) fn one_secret_each(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let mut taken: BTreeMap<String, Cow<'_, str>> = BTreeMap::new();
    let mut roles: Vec<(FieldPath, Cow<'_, str>)> = Vec::new();
    for role in prepared::roles(manifest) {
        if user_names(manifest).any(|name| name == role.name) {
            let message =
                format!("is also a role of the prepared database at {}; choose another name", role.path);
            errors.duplicate(path().key(&role.name), message);
        } else if role.login {
            roles.push((role.path, role.name.into()));
        }
    }
    roles.extend(user_names(manifest).map(|name| (path().key(name), name.into())));
    let cluster = manifest.name_any();
    let secret = |role: &str| names::secret(&config.kubernetes.secret_name_template, role, &cluster);
    for (role, _) in system_roles(manifest, config) {
        taken.insert(secret(role), role.into());
    }
    for (path, name) in roles {
        match taken.entry(secret(&name)) {
            Entry::Occupied(other) if *other.get() != name => errors.duplicate(
                path,
                format!(
                    "\"{name}\" would share its Secret with \"{}\" (underscores become dashes); rename one",
                    other.get()
                ),
            ),
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(name);
            }
        }
    }
}

/// The three lists about rotation name users that exist, each at most once.
pub(super) fn rotation_lists(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let lists = [
        ("usersWithSecretRotation", &spec.users_with_secret_rotation),
        ("usersWithInPlaceSecretRotation", &spec.users_with_in_place_secret_rotation),
        ("usersIgnoringSecretRotation", &spec.users_ignoring_secret_rotation),
    ];
    let known = |name: &str| {
        user_names(manifest).any(|user| user == name)
            || system_roles(manifest, config).iter().any(|(role, _)| *role == name)
            || prepared::roles(manifest).iter().any(|role| role.login && role.name == name)
    };
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (list, entries) in lists {
        for (index, name) in entries.iter().flatten().enumerate() {
            let path = FieldPath::spec().field(list).index(index);
            if !known(name) && !others_possible(config) {
                errors.invalid(
                    path.clone(),
                    format!("\"{name}\" is no user of this cluster; add it to spec.users"),
                );
            }
            match seen.insert(name, list) {
                Some(other) if other == list => {
                    errors.duplicate(path, format!("\"{name}\" stands here twice; remove one"))
                }
                Some(other) => {
                    errors.duplicate(path, format!("\"{name}\" is in {other} too; keep it in one list"));
                }
                None => {}
            }
        }
    }
}

/// Rotation with new login roles is not for roles that something else logs in as by name.
pub(super) fn rotation_of_system_roles(
    manifest: &Postgresql,
    config: &OperatorConfig,
    errors: &mut FieldErrors,
) {
    let system = system_roles(manifest, config);
    for (index, name) in manifest.spec.users_with_secret_rotation.iter().flatten().enumerate() {
        if let Some((_, owner)) = system.iter().find(|(role, _)| role == name) {
            let message = format!(
                "\"{name}\" is {owner}, and nobody would log in as its successor; use usersWithInPlaceSecretRotation"
            );
            errors.forbidden(FieldPath::spec().field("usersWithSecretRotation").index(index), message);
        }
    }
}

/// The name of a user's Secret is a name.
pub(super) fn secrets_fit(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let cluster = manifest.name_any();
    for name in user_names(manifest) {
        let secret = names::secret(&config.kubernetes.secret_name_template, name, &cluster);
        if secret.len() > LONGEST_OBJECT {
            let message = format!(
                "its Secret's name would have {} characters (secret_name_template of the operator); {LONGEST_OBJECT} are \
                 the most, so shorten it",
                secret.len()
            );
            errors.too_long(path().key(name), message);
        }
    }
}

/// A rotated login role is the name and six digits, which must still be a name.
pub(super) fn room_for_rotation(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (index, name) in manifest.spec.users_with_secret_rotation.iter().flatten().enumerate() {
        if name.len() + ROTATION_SUFFIX > text::LONGEST_NAME {
            errors.too_long(
                FieldPath::spec().field("usersWithSecretRotation").index(index),
                format!(
                    "has {} bytes; rotation appends the day (YYMMDD), which leaves room for {}",
                    name.len(),
                    text::LONGEST_NAME - ROTATION_SUFFIX
                ),
            );
        }
    }
}
