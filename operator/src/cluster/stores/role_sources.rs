//! The objects outside any cluster that give every cluster roles: infrastructure Secrets, ConfigMaps, PostgresTeams.
//!
//! A change of one of them is a look at every cluster. Surprising: these stores may stay empty for ever, because a Secret
//! may not be readable and the kind `PostgresTeam` not be installed. That blocks nothing; what is not read is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use shared::api::PostgresTeam;
use shared::roles::infrastructure::Sources;
use shared::roles::team::Directory;

use super::follow::{Follow, Owner, Watches};
use super::kept::Form;
use super::scope::listing;
use super::store::Store;
use super::{Changes, Manifest, Scope, trim, unwatched};
use crate::rights::Way;

/// How long the start waits for them.
const PATIENCE: Duration = Duration::from_secs(5);

/// A `PostgresTeam` as it is watched: one that cannot be decoded stops no watch.
type Team = DeserializeGuard<PostgresTeam>;

/// A namespace and a name.
type Place = (String, String);

/// The stores.
#[derive(Clone)]
pub struct RoleSources {
    infrastructure: BTreeMap<Place, (Store<Secret>, Store<ConfigMap>)>,
    teams: Option<Store<Team>>,
}

impl RoleSources {
    pub(super) fn start(
        client: &Client,
        scope: &Scope,
        manifests: &Store<Manifest>,
        changes: &Changes,
        watches: &mut Watches,
    ) -> Self {
        let owner = || Owner::Everyone(manifests.clone());
        let mut infrastructure = BTreeMap::new();
        for (namespace, name) in &scope.infrastructure {
            let config = || watcher::Config::default().fields(&format!("metadata.name={name}"));
            let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let secrets = match scope.rights.way::<Secret>() {
                Way::Watch => watcher(secrets, config()).default_backoff().boxed(),
                // Upstream may get them and no more.
                Way::List | Way::Get | Way::Never => unwatched::one(secrets, name.clone()),
            };
            let maps = watcher(Api::namespaced(client.clone(), namespace), config()).default_backoff();
            let secrets =
                Follow::new(Form::whole(), trim::nothing_more, trim::digest, owner(), changes.clone())
                    .optional()
                    .spawn(secrets, watches);
            let maps = Follow::new(Form::whole(), trim::nothing_more, trim::digest, owner(), changes.clone())
                .optional()
                .spawn(maps, watches);
            infrastructure.insert((namespace.clone(), name.clone()), (secrets, maps));
        }
        let teams = scope.teams.then(|| {
            let teams = watcher(scope.api(client), listing()).default_backoff();
            Follow::<Team>::new(Form::whole(), trim::nothing_more, trim::written, owner(), changes.clone())
                .optional()
                .spawn(teams, watches)
        });
        Self { infrastructure, teams }
    }

    /// Waits until they hold what the API server holds, but not for long.
    pub(super) async fn wait_a_little(&self) {
        let ready = async {
            for (secrets, maps) in self.infrastructure.values() {
                let _ = futures::join!(secrets.wait_until_ready(), maps.wait_until_ready());
            }
            if let Some(teams) = &self.teams {
                let _ = teams.wait_until_ready().await;
            }
        };
        if tokio::time::timeout(PATIENCE, ready).await.is_err() {
            tracing::warn!("infrastructure roles or PostgresTeams cannot be read yet; going on without them");
        }
    }

    /// The Secret of that name and the ConfigMap beside it. A value that is no text counts as absent.
    pub(crate) fn infrastructure(&self, namespace: &str, name: &str) -> Sources {
        let place = (namespace.to_owned(), name.to_owned());
        let Some((secrets, maps)) = self.infrastructure.get(&place) else { return Sources::default() };
        let text = |(key, value): (&String, &ByteString)| {
            Some((key.clone(), String::from_utf8(value.0.clone()).ok()?))
        };
        let secret = secrets.get(&ObjectRef::new(name).within(namespace));
        let map = maps.get(&ObjectRef::new(name).within(namespace));
        Sources {
            secret: secret.map(|secret| secret.data.iter().flatten().filter_map(text).collect()),
            config_map: map.and_then(|map| map.data.clone()).unwrap_or_default(),
        }
    }

    /// What the `PostgresTeam` resources say; `None` while they are not read.
    pub(crate) fn directory(&self) -> Option<Readable> {
        let teams = self.teams.as_ref()?;
        teams.wait_until_ready().now_or_never()?.ok()?;
        let all: Vec<Arc<Team>> = teams.all().collect();
        let specs = all.iter().filter_map(|team| team.0.as_ref().ok()).map(|team| &team.spec);
        let unreadable = all.iter().filter(|team| team.0.is_err());
        let place =
            |team: &Arc<Team>| format!("{}/{}", team.namespace().unwrap_or_default(), team.name_any());
        Some(Readable { directory: Directory::of(specs), unreadable: unreadable.map(place).collect() })
    }
}

/// What the `PostgresTeam` resources say, and the places of those that cannot be decoded.
pub(crate) struct Readable {
    pub(crate) directory: Directory,
    pub(crate) unreadable: Vec<String>,
}

/// The Secrets that a configuration names, each with its namespace.
pub fn infrastructure_places(config: &shared::config::OperatorConfig, own: &str) -> BTreeSet<Place> {
    let definitions = shared::roles::infrastructure::definitions(config);
    let place = |definition: &shared::config::InfrastructureRole| {
        let secret = &definition.secretname;
        (secret.namespace_or(own).to_owned(), secret.name.clone())
    };
    definitions.iter().map(place).collect()
}
