//! Who logs in with which password: what the Secrets say, and what rotation makes of it.
//!
//! Surprising is the order of a rotation: the database first, then the Secret. A login role that stands in for a user is
//! there before anyone can read its name, so a client that connects by the Secret never fails. If the Secret cannot be
//! written, the next look decides the same again, with another password.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use shared::build::{PASSWORD_KEY, USERNAME_KEY};
use shared::cluster::Cluster;
use shared::roles::infrastructure::GivenPassword;
use shared::roles::rotation::{self, Decision, Login, NEXT_ROTATION_KEY};
use shared::roles::{Role, RoleName};

use crate::context::Context;
use crate::database::Failure;

use super::apply::FIELD_MANAGER;
use super::observe::Seen;
use super::{Error, credentials};

/// The logins of a cluster, as they are to be from now on.
#[derive(Default)]
pub(super) struct Logins {
    /// Who logs in for each role whose Secret is there.
    pub(super) of: BTreeMap<RoleName, Login>,
    /// The password of each role that logs in.
    pub(super) passwords: BTreeMap<RoleName, String>,
    /// What is wrong with a Secret, told without its values.
    pub(super) problems: Vec<String>,
    /// Whether a role waits for its Secret: it was made in this look at the earliest.
    pub(super) awaited: bool,
    due: Vec<Due>,
}

/// A Secret to write once the database is ready for it.
struct Due {
    secret: String,
    namespace: String,
    /// The one that was seen: whoever changed it since is not overwritten.
    version: Option<String>,
    /// Who logs in with what is written.
    username: RoleName,
    data: BTreeMap<&'static str, ByteString>,
}

/// Reads the Secrets that were seen and decides what is due.
pub(super) fn read(cluster: &Cluster, seen: &Seen, ctx: &Context) -> Result<Logins, Error> {
    let mut logins = Logins::default();
    for role in cluster.roles().roles.iter().filter(|role| role.wants_password) {
        let name = cluster.secret_name(role.name.as_str());
        let Some(secret) = seen.secrets.get(&name) else {
            logins.awaited = true;
            continue;
        };
        if let Some(given) = seen.given.get(&role.name) {
            logins.given(role, secret, given);
            continue;
        }
        let Some((login, password)) = login(role, secret, &mut logins.problems) else { continue };
        let (rotation, mode) = (cluster.rotation(), cluster.rotation().mode(role));
        match rotation::decide(&role.name, mode, &login, rotation, ctx.now()) {
            Ok(decision) => logins.take(role, secret, (login, password), decision)?,
            Err(error) => {
                logins
                    .problems
                    .push(format!("the password of {} cannot be rotated: its name {error}", role.name));
                logins.keep(role, login, password);
            }
        }
    }
    Ok(logins)
}

/// Who logs in with a Secret. It may name the role itself or one that a rotation made for it; any other name is somebody
/// else's, and making that a login would hand it to whoever may write Secrets.
fn login(role: &Role, secret: &Secret, problems: &mut Vec<String>) -> Option<(Login, String)> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let Some(password) = text(secret, PASSWORD_KEY).filter(|password| !password.is_empty()) else {
        problems.push(format!("Secret {name} has no password; write one or delete it"));
        return None;
    };
    let username: Option<RoleName> = text(secret, USERNAME_KEY).and_then(|text| text.parse().ok());
    let ours = |name: &RoleName| *name == role.name || rotation::made_on(&role.name, name).is_some();
    let Some(username) = username.filter(ours) else {
        problems
            .push(format!("Secret {name} names another user than {0}; write {0} or delete it", role.name));
        return None;
    };
    let next = text(secret, NEXT_ROTATION_KEY);
    let login = Login {
        username,
        next: next.as_ref().and_then(|text| text.parse().ok()),
        rotated_once: next.is_some(),
    };
    Some((login, password))
}

impl Logins {
    fn keep(&mut self, role: &Role, login: Login, password: String) {
        self.passwords.insert(login.username.clone(), password);
        self.of.insert(role.name.clone(), login);
    }

    /// An infrastructure role: its password is chosen elsewhere, and its Secret here follows.
    fn given(&mut self, role: &Role, secret: &Secret, given: &GivenPassword) {
        let same = |key, wanted: &str| text(secret, key).as_deref() == Some(wanted);
        if !(same(USERNAME_KEY, role.name.as_str()) && same(PASSWORD_KEY, given.as_str())) {
            let value = |text: &str| ByteString(text.as_bytes().to_vec());
            self.due.push(Due {
                secret: secret.metadata.name.clone().unwrap_or_default(),
                namespace: secret.metadata.namespace.clone().unwrap_or_default(),
                version: secret.metadata.resource_version.clone(),
                username: role.name.clone(),
                data: [(USERNAME_KEY, value(role.name.as_str())), (PASSWORD_KEY, value(given.as_str()))]
                    .into(),
            });
        }
        let login = Login { username: role.name.clone(), next: None, rotated_once: false };
        self.keep(role, login, given.as_str().to_owned());
    }

    fn take(
        &mut self,
        role: &Role,
        secret: &Secret,
        (login, password): (Login, String),
        decision: Decision,
    ) -> Result<(), Error> {
        let mut data = BTreeMap::new();
        let mut put = |key, text: String| drop(data.insert(key, ByteString(text.into_bytes())));
        let (username, password) = match decision {
            Decision::Keep => (login.username.clone(), password),
            Decision::Date(next) => {
                put(NEXT_ROTATION_KEY, next.to_string());
                (login.username.clone(), password)
            }
            Decision::Rotate { username, next } => {
                put(NEXT_ROTATION_KEY, next.to_string());
                (username, credentials::password()?)
            }
            Decision::Return => {
                put(NEXT_ROTATION_KEY, String::new());
                (role.name.clone(), credentials::password()?)
            }
        };
        if !data.is_empty() {
            data.insert(USERNAME_KEY, ByteString(username.as_str().as_bytes().to_vec()));
            data.insert(PASSWORD_KEY, ByteString(password.clone().into_bytes()));
            self.due.push(Due {
                secret: secret.metadata.name.clone().unwrap_or_default(),
                namespace: secret.metadata.namespace.clone().unwrap_or_default(),
                version: secret.metadata.resource_version.clone(),
                username: username.clone(),
                data,
            });
        }
        self.keep(role, Login { username, ..login }, password);
        Ok(())
    }

    /// Writes the Secrets whose logins the database is ready for. What failed there is tried again at the next look.
    pub(super) async fn write(&self, failures: &[Failure], ctx: &Context) -> Result<(), Error> {
        for due in &self.due {
            if failures.iter().any(|failure| failure.statement.is_needed_to_log_in(&due.username)) {
                continue;
            }
            tracing::info!(secret = due.secret, "another password: writing the Secret");
            let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), &due.namespace);
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = json!({ "metadata": { "resourceVersion": due.version }, "data": due.data });
            match secrets.patch_metadata(&due.secret, &params, &Patch::Merge(&patch)).await {
                // Somebody else wrote it meanwhile; that brings the next look.
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                result => drop(result.map_err(Error::kubernetes(format!("write Secret {}", due.secret)))?),
            }
        }
        Ok(())
    }
}

/// A value of a Secret as text.
pub(super) fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

#[cfg(test)]
mod tests {
    use shared::roles::{Keeper, Origin, RoleFlags};

    use super::*;

    fn role() -> Role {
        Role {
            name: "app".parse().unwrap(),
            flags: RoleFlags::parse::<&str>(&[]).unwrap(),
            member_of: Vec::new(),
            admin: None,
            parameters: BTreeMap::new(),
            origin: Origin::Manifest,
            wants_password: true,
            keeper: Keeper::Operator,
            owns_databases: false,
            secret_namespace: None,
        }
    }

    fn secret(data: &[(&str, &str)]) -> Secret {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())));
        let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
        secret.metadata.name = Some("app.demo".to_owned());
        secret.metadata.resource_version = Some("7".to_owned());
        secret
    }

    fn read(data: &[(&str, &str)]) -> Result<(Login, String), Vec<String>> {
        let mut problems = Vec::new();
        login(&role(), &secret(data), &mut problems).ok_or(problems)
    }

    #[test]
    fn a_secret_names_its_role_or_one_that_a_rotation_made_for_it() {
        for username in ["app", "app261122"] {
            let (login, password) = read(&[(USERNAME_KEY, username), (PASSWORD_KEY, "x")]).unwrap();
            assert_eq!((login.username.as_str(), password.as_str()), (username, "x"));
            assert!(!login.rotated_once);
        }
        for username in ["postgres", "app2", "app\n", "app261399", ""] {
            let told = read(&[(USERNAME_KEY, username), (PASSWORD_KEY, "x")]).unwrap_err();
            let expected = "Secret app.demo names another user than app; write app or delete it";
            assert_eq!(told, [expected], "{username:?}");
        }
    }

    #[test]
    fn a_secret_without_a_password_is_told() {
        for data in [&[(USERNAME_KEY, "app")] as &[_], &[(USERNAME_KEY, "app"), (PASSWORD_KEY, "")]] {
            assert_eq!(read(data).unwrap_err(), ["Secret app.demo has no password; write one or delete it"]);
        }
    }

    #[test]
    fn a_date_is_read_and_its_absence_too() {
        let dated =
            |next| read(&[(USERNAME_KEY, "app"), (PASSWORD_KEY, "x"), (NEXT_ROTATION_KEY, next)]).unwrap().0;
        assert!(dated("2026-11-22T08:00:00Z").next.is_some());
        for next in ["", "soon"] {
            assert!(dated(next).next.is_none() && dated(next).rotated_once);
        }
    }

    #[test]
    fn a_rotation_changes_name_password_and_date_and_overwrites_nobody() {
        let (login, password) = read(&[(USERNAME_KEY, "app"), (PASSWORD_KEY, "old")]).unwrap();
        let next = "2027-02-20T08:00:00Z".parse().unwrap();
        let mut logins = Logins::default();
        let decision = Decision::Rotate { username: "app261122".parse().unwrap(), next };
        logins.take(&role(), &secret(&[]), (login, password), decision).unwrap();
        let due = &logins.due[0];
        assert_eq!((due.secret.as_str(), due.version.as_deref()), ("app.demo", Some("7")));
        let stand_in: RoleName = "app261122".parse().unwrap();
        assert_eq!(due.data[PASSWORD_KEY].0, logins.passwords[&stand_in].as_bytes());
        assert_eq!(due.data[NEXT_ROTATION_KEY].0, b"2027-02-20T08:00:00Z");
        assert_ne!(logins.passwords[&stand_in], "old");
        assert_eq!(logins.of[&role().name].username, stand_in);
    }
}
