//! The poolers: for each role a Deployment of PgBouncer, its Service, and the Secret with the users it admits.
//!
//! PgBouncer logs in as its own user and looks every other password up in the database. Its own console is no database, so
//! whoever may read its statistics, the infrastructure roles, stands in the list beside that user. The list needs
//! passwords: the operator's shell writes it, in the form of [`user_list`].

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, PodSpec, PodTemplateSpec, Probe, SecurityContext, Service, ServicePort,
    ServiceSpec, TCPSocketAction, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::network::Exposure;
use crate::cluster::{Cluster, PoolerSettings};
use crate::labels::{CONNECTION_POOLER, LabelMap};
use crate::names::{self, MemberRole};
use crate::roles::{Origin, RoleName};

use super::containers::{POSTGRES_PORT, tcp};
use super::env::{literal, secret_ref};
use super::meta::{meta, with_inherited};
use super::pod_template::{anti_affinity, selecting};
use super::security::{of_pod, restrained};
use super::services::expose;
use super::volumes::{mount, secret, tls_mounts, tls_volumes};
use super::{PASSWORD_KEY, USERNAME_KEY};

/// The key of the list in its Secret, and the file's name.
pub const USER_LIST_KEY: &str = "userlist.txt";
/// Where PgBouncer reads it.
const USER_LIST_PATH: &str = "/etc/pgbouncer/userlist.txt";
/// User and group of the image.
const RUN_AS: (i64, i64) = (100, 101);
/// Clients that one pod admits.
const MAX_CLIENTS: &str = "10000";

/// A pooler. A part that is absent is not there, or not wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pooler {
    /// Its pods.
    pub deployment: Option<Deployment>,
    /// How it is reached.
    pub service: Option<Service>,
    /// Whom it admits.
    pub users: Option<UserList>,
}

/// The Secret with the users that a pooler admits.
#[derive(Clone, Debug, PartialEq)]
pub struct UserList {
    /// The Secret's name, namespace, labels, annotations and owners.
    pub metadata: ObjectMeta,
    /// The user as whom PgBouncer logs in.
    pub user: RoleName,
    /// The Secret with its password.
    pub credential: String,
}

/// The list as PgBouncer reads it: each user with a password, or with what the database stores of it.
pub fn user_list<'a>(users: impl IntoIterator<Item = (&'a RoleName, &'a str)>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let line =
        |(user, password): (&RoleName, &str)| format!("{} {}\n", quoted(user.as_str()), quoted(password));
    users.into_iter().map(line).collect()
}

pub(super) fn poolers(cluster: &Cluster) -> Vec<Pooler> {
    let Some(settings) = &cluster.poolers.wanted else { return Vec::new() };
    let wanted = settings.roles.iter().map(|(role, exposure)| {
        let part =
            Part { cluster, settings, role: *role, name: names::pooler(&cluster.identity.name, *role) };
        Pooler {
            deployment: Some(part.deployment()),
            service: Some(part.service(exposure)),
            users: Some(part.users()),
        }
    });
    wanted.collect()
}

/// One pooler while it is built.
struct Part<'a> {
    cluster: &'a Cluster,
    settings: &'a PoolerSettings,
    role: MemberRole,
    name: String,
}

impl Part<'_> {
    fn selector(&self) -> LabelMap {
        self.cluster.labels.pooler_selector(&self.name)
    }

    fn full_labels(&self) -> LabelMap {
        self.cluster.labels.pooler_full(&self.name, self.role)
    }

    fn users(&self) -> UserList {
        let name = names::user_list(&self.name);
        UserList {
            metadata: meta(self.cluster, name, self.full_labels(), Default::default()),
            user: self.settings.user.clone(),
            credential: self.cluster.secret_name(self.settings.user.as_str()),
        }
    }

    fn service(&self, exposure: &Exposure) -> Service {
        let mut spec = ServiceSpec {
            ports: Some(vec![ServicePort {
                name: Some(self.name.clone()),
                port: POSTGRES_PORT,
                target_port: Some(IntOrString::Int(POSTGRES_PORT)),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            selector: Some([(CONNECTION_POOLER.to_owned(), self.name.clone())].into()),
            ..ServiceSpec::default()
        };
        expose(&mut spec, &exposure.kind);
        let metadata = meta(self.cluster, self.name.clone(), self.selector(), exposure.annotations.clone());
        Service { metadata, spec: Some(spec), status: None }
    }

    fn deployment(&self) -> Deployment {
        let annotations = self.cluster.downscaler.clone();
        Deployment {
            metadata: meta(self.cluster, self.name.clone(), self.full_labels(), annotations),
            spec: Some(DeploymentSpec {
                replicas: Some(self.settings.pods),
                selector: selecting(self.selector()),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(self.full_labels()),
                        annotations: with_inherited(self.cluster, self.settings.annotations.clone()),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod()),
                },
                ..DeploymentSpec::default()
            }),
            status: None,
        }
    }

    fn pod(&self) -> PodSpec {
        let pod = &self.cluster.pod;
        let mut volumes = tls_volumes(self.cluster);
        let list = names::user_list(&self.name);
        volumes.push(secret(&list, None));
        PodSpec {
            service_account_name: Some(pod.service_account.clone()),
            termination_grace_period_seconds: i64::try_from(pod.grace_period.as_secs()).ok(),
            security_context: Some(of_pod(&pod.security, Some(RUN_AS.0), Some(RUN_AS.1))),
            tolerations: Some(pod.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
            affinity: self.affinity(),
            containers: vec![restrained(&pod.security, self.container(list))],
            volumes: Some(volumes),
            ..PodSpec::default()
        }
    }

    fn affinity(&self) -> Option<Affinity> {
        let pod = &self.cluster.pod;
        let apart = pod.anti_affinity.as_ref().map(|wanted| anti_affinity(self.selector(), wanted));
        (pod.node_affinity.is_some() || apart.is_some()).then(|| Affinity {
            node_affinity: pod.node_affinity.clone(),
            pod_anti_affinity: apart,
            pod_affinity: None,
        })
    }

    fn container(&self, list: String) -> Container {
        let mut mounts = tls_mounts(self.cluster);
        mounts.push(VolumeMount {
            sub_path: Some(USER_LIST_KEY.to_owned()),
            read_only: Some(true),
            ..mount(&list, USER_LIST_PATH)
        });
        Container {
            name: "connection-pooler".to_owned(),
            image: Some(self.settings.image.clone()),
            image_pull_policy: Some("IfNotPresent".to_owned()),
            resources: Some(self.settings.resources.clone()),
            ports: Some(vec![tcp(POSTGRES_PORT)]),
            env: Some(self.env()),
            volume_mounts: Some(mounts),
            readiness_probe: Some(Probe {
                tcp_socket: Some(TCPSocketAction { port: IntOrString::Int(POSTGRES_PORT), host: None }),
                ..Probe::default()
            }),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }

    /// Where the database is, as whom to log in, and how many connections to keep.
    fn env(&self) -> Vec<EnvVar> {
        let (settings, port) = (self.settings, POSTGRES_PORT.to_string());
        let credential = self.cluster.secret_name(settings.user.as_str());
        let number = |name, number: i32| literal(name, &number.to_string());
        let mut all = vec![
            literal("PGHOST", &names::service(&self.cluster.identity.name, self.role)),
            literal("PGPORT", &port),
            secret_ref("PGUSER", &credential, USERNAME_KEY),
            literal("PGSCHEMA", &settings.schema),
            secret_ref("PGPASSWORD", &credential, PASSWORD_KEY),
            literal("CONNECTION_POOLER_PORT", &port),
            literal("CONNECTION_POOLER_MODE", &settings.mode),
            number("CONNECTION_POOLER_DEFAULT_SIZE", settings.sizes.default),
            number("CONNECTION_POOLER_MIN_SIZE", settings.sizes.least),
            number("CONNECTION_POOLER_RESERVE_SIZE", settings.sizes.reserve),
            literal("CONNECTION_POOLER_MAX_CLIENT_CONN", MAX_CLIENTS),
            number("CONNECTION_POOLER_MAX_DB_CONN", settings.sizes.most),
        ];
        let roles = self.cluster.roles.roles.iter().filter(|role| role.origin == Origin::Infrastructure);
        let mut names: Vec<&str> = roles.map(|role| role.name.as_str()).collect();
        names.sort_unstable(); // upstream's order is another one after each start
        if !names.is_empty() {
            all.push(literal("INFRASTRUCTURE_ROLES", &names.join(",")));
        }
        if let Some(tls) = &self.cluster.pod.tls {
            all.push(literal("CONNECTION_POOLER_CLIENT_TLS_CRT", &tls.certificate));
            all.push(literal("CONNECTION_POOLER_CLIENT_TLS_KEY", &tls.private_key));
            all.extend(tls.ca.iter().map(|path| literal("CONNECTION_POOLER_CLIENT_CA_FILE", path)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::References;
    use crate::config::OperatorConfig;
    use crate::roles::infrastructure::{self, Sources};

    #[test]
    fn a_quote_in_a_password_does_not_end_the_list() {
        let user = "pooler".parse().unwrap();
        assert_eq!(user_list([(&user, "a\"b")]), "\"pooler\" \"a\"\"b\"\n");
    }

    #[test]
    fn the_pooler_is_told_who_may_read_its_statistics() {
        let manifest = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "demo", "namespace": "a"},
            "spec": {"teamId": "acid", "numberOfInstances": 1, "enableConnectionPooler": true,
                     "volume": {"size": "1Gi"}, "postgresql": {"version": "17"}},
        }))
        .unwrap();
        let config = OperatorConfig::default();
        let given = Sources {
            secret: Some(
                ["user1", "password1", "user2", "password2"]
                    .map(|key| (key.to_owned(), format!("a-{key}")))
                    .into(),
            ),
            config_map: [("robot".to_owned(), "user_flags: [createdb]".to_owned())].into(),
        };
        let mut numbered = config.clone();
        numbered.kubernetes.infrastructure_roles_secret_name = Some("roles".parse().unwrap());
        let definitions = infrastructure::definitions(&numbered);
        let read = infrastructure::read(definitions.iter().map(|definition| (definition, &given)));
        let references = References { infrastructure_roles: read.roles, ..References::unread() };
        let variable = |references: &References| {
            let cluster = Cluster::resolve(&manifest, &config, references).unwrap();
            let pod = poolers(&cluster).remove(0).deployment.unwrap().spec.unwrap().template.spec.unwrap();
            let env = pod.containers.into_iter().next().unwrap().env.unwrap();
            env.into_iter()
                .find(|variable| variable.name == "INFRASTRUCTURE_ROLES")
                .and_then(|found| found.value)
        };
        assert_eq!(variable(&references).as_deref(), Some("a-user1,a-user2"));
        assert_eq!(variable(&References::unread()), None, "where there are none, upstream leaves it out");
    }
}
