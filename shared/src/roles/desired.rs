//! Every role and database a cluster should have, from what its manifest and the configuration say.
//!
//! `build` asks it, for the Secrets as well as for the SQL. Surprising: the superuser and the replication user are in the
//! set although Patroni creates them: their Secrets are ours.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::Contents;
use super::flags::{Attribute, RoleFlags};
use super::former::Former;
use super::infrastructure::GivenRole;
use super::name::{DatabaseName, RoleName};
use super::prepared;
use super::team::Standing;
use super::{Database, Keeper, Origin, Role, RoleInputs, RoleSet, Skipped};

/// Every role and database that `inputs` ask for.
pub fn desired(inputs: &RoleInputs) -> RoleSet {
    let mut chosen = Chosen::default();
    chosen.system(inputs);
    chosen.prepared(inputs);
    for (name, flags) in &inputs.users {
        chosen.manifest_user(name, flags, inputs);
    }
    for (name, given) in &inputs.infrastructure {
        chosen.infrastructure(name, given, inputs);
    }
    chosen.humans(inputs);
    chosen.databases(inputs);
    RoleSet {
        roles: chosen.roles.into_values().collect(),
        databases: chosen.databases,
        contents: Contents {
            prepared: inputs.prepared.databases.clone(),
            lookup: inputs.pooler.clone().filter(|lookup| !patronis(&lookup.user, inputs)),
            publications: inputs.publications.clone(),
        },
        former: former(inputs),
        skipped: chosen.skipped,
        lacks_some: false,
    }
}

/// What becomes of former members, where the configuration says that something does.
fn former(inputs: &RoleInputs) -> Option<Former> {
    let humans = &inputs.humans;
    let (suffix, group) = (humans.suffix.clone()?, humans.group.clone()?);
    Some(Former { suffix, group, spared: inputs.protected.clone(), complete: humans.people.complete })
}

/// Whether Patroni keeps the role of that name.
fn patronis(name: &RoleName, inputs: &RoleInputs) -> bool {
    [&inputs.superuser, &inputs.replication_user].contains(&name)
}

/// The set while it is being put together.
#[derive(Default)]
struct Chosen {
    roles: BTreeMap<RoleName, Role>,
    databases: Vec<Database>,
    skipped: Vec<Skipped>,
}

impl Chosen {
    /// Adds a role; of two with one name the larger origin wins, and the newer of equals.
    fn add(&mut self, role: Role) {
        if self.roles.get(&role.name).is_none_or(|present| present.origin <= role.origin) {
            self.roles.insert(role.name.clone(), role);
        }
    }

    fn system(&mut self, inputs: &RoleInputs) {
        let patroni = |name: &RoleName, attribute| {
            let flags = RoleFlags::new([(attribute, true), (Attribute::Login, true)]);
            Role { keeper: Keeper::Patroni, ..role(name, flags, Origin::System) }
        };
        self.add(patroni(&inputs.replication_user, Attribute::Replication));
        self.add(patroni(&inputs.superuser, Attribute::Superuser));
        let login = || RoleFlags::new([(Attribute::Login, true)]);
        let replication = || RoleFlags::new([(Attribute::Login, true), (Attribute::Replication, true)]);
        let pooler = inputs.pooler.iter().map(|pooler| role(&pooler.user, login(), Origin::Pooler));
        let stream = inputs.stream_user.iter().map(|name| role(name, replication(), Origin::Stream));
        for ours in pooler.chain(stream) {
            // A pooler that logs in as the superuser would turn the superuser into an ordinary role here.
            if self.roles.get(&ours.name).is_some_and(|present| present.keeper == Keeper::Patroni) {
                self.skipped.push(Skipped::ReservedUser(ours.name));
            } else {
                self.add(ours);
            }
        }
    }

    /// The default roles of prepared databases: never in place of the superuser, Patroni's or a protected role.
    fn prepared(&mut self, inputs: &RoleInputs) {
        for role in prepared::roles(&inputs.prepared) {
            match role {
                Ok(role) if inputs.protected.contains(&role.name) || self.roles.contains_key(&role.name) => {
                    self.skipped.push(Skipped::ReservedUser(role.name));
                }
                Ok(mut role) => {
                    if prepared::is_owner(&role) {
                        own(&mut role, &inputs.additional_owner_roles);
                    }
                    self.add(role);
                }
                Err(skipped) => self.skipped.push(skipped),
            }
        }
    }

    fn manifest_user(&mut self, name: &RoleName, flags: &RoleFlags, inputs: &RoleInputs) {
        if inputs.protected.contains(name) || self.roles.contains_key(name) {
            self.skipped.push(Skipped::ReservedUser(name.clone()));
            return;
        }
        let admin = inputs.users_admin.clone().filter(|admin| admin != name);
        let namespace = name.as_str().split_once('.').filter(|_| inputs.users_name_namespaces);
        let secret_namespace = namespace.map(|(namespace, _)| namespace.to_owned());
        self.add(Role { admin, secret_namespace, ..role(name, flags.clone(), Origin::Manifest) });
    }

    /// Whether nobody of this origin may define a role of this name; that is told.
    fn is_reserved(&mut self, name: &RoleName, origin: Origin, inputs: &RoleInputs) -> bool {
        let higher = self.roles.get(name).is_some_and(|present| present.origin > origin);
        let reserved = higher || inputs.protected.contains(name);
        if reserved {
            self.skipped.push(Skipped::ReservedUser(name.clone()));
        }
        reserved
    }

    fn infrastructure(&mut self, name: &RoleName, given: &GivenRole, inputs: &RoleInputs) {
        if self.is_reserved(name, Origin::Infrastructure, inputs) {
            return;
        }
        self.add(Role {
            member_of: given.member_of.iter().filter(|role| *role != name).cloned().collect(),
            admin: given.admin.clone().filter(|admin| admin != name && !given.member_of.contains(admin)),
            parameters: given.parameters.clone(),
            ..role(name, given.flags.clone(), Origin::Infrastructure)
        });
    }

    /// The people: they log in by a token, so that they have neither password nor Secret.
    fn humans(&mut self, inputs: &RoleInputs) {
        let humans = &inputs.humans;
        for (name, standing) in &humans.people.members {
            if self.is_reserved(name, Origin::Team, inputs) {
                continue;
            }
            let mut flags = vec![(Attribute::Login, true)];
            let mut member_of: BTreeSet<RoleName> = humans.group.iter().cloned().collect();
            match standing {
                Standing::Superuser => flags.push((Attribute::Superuser, true)),
                Standing::Member => member_of.extend(humans.admin.clone()),
            }
            self.add(Role {
                wants_password: false,
                member_of: member_of.into_iter().filter(|role| role != name).collect(),
                parameters: humans.parameters.clone(),
                ..role(name, RoleFlags::new(flags), Origin::Team)
            });
        }
        self.skipped.extend(humans.people.unfit.iter().cloned().map(Skipped::UnfitName));
    }

    fn databases(&mut self, inputs: &RoleInputs) {
        let prepared = inputs
            .prepared
            .databases
            .keys()
            .filter_map(|name| Some((name.clone(), prepared::owner(name).ok()?)));
        let mut wanted: BTreeMap<DatabaseName, RoleName> = prepared.collect();
        // Named in both sections, a database belongs to whom `spec.databases` says.
        wanted.extend(inputs.databases.clone());
        for (name, owner) in &wanted {
            let database = Database { name: name.clone(), owner: owner.clone() };
            let Some(owner) = self.roles.get_mut(owner) else {
                self.skipped.push(Skipped::UnknownOwner(database));
                continue;
            };
            own(owner, &inputs.additional_owner_roles);
            self.databases.push(database);
        }
    }
}

/// Makes a database owner a member of the additional owner roles. Such a role cannot be the owner's admin too: two roles
/// may not be members of each other.
fn own(owner: &mut Role, additional: &BTreeSet<RoleName>) {
    let members: BTreeSet<RoleName> = owner.member_of.iter().chain(additional).cloned().collect();
    owner.member_of = members.into_iter().filter(|role| *role != owner.name).collect();
    owner.owns_databases = true;
    owner.admin = owner.admin.take().filter(|admin| !owner.member_of.contains(admin));
}

/// A role that the operator keeps, with a password if it may log in.
fn role(name: &RoleName, flags: RoleFlags, origin: Origin) -> Role {
    Role {
        name: name.clone(),
        wants_password: flags.login(),
        flags,
        member_of: Vec::new(),
        admin: None,
        parameters: BTreeMap::new(),
        origin,
        keeper: Keeper::Operator,
        owns_databases: false,
        secret_namespace: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::PreparedDatabase;
    use crate::roles::contents::Lookup;
    use crate::roles::infrastructure::{self, Sources};
    use crate::roles::team::{Humans, People};

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn inputs(users: &[(&str, &[&str])], databases: &[(&str, &str)]) -> RoleInputs {
        let users = users.iter().map(|(user, flags)| (name(user), RoleFlags::parse(flags).unwrap()));
        RoleInputs {
            users: users.collect(),
            databases: databases.iter().map(|(database, owner)| (name(database), name(owner))).collect(),
            protected: [name("admin"), name("cron_admin")].into(),
            ..RoleInputs::bare(name("postgres"), name("standby"))
        }
    }

    fn lookup(user: &str) -> Lookup {
        Lookup { schema: name("pooler"), user: name(user), owner: name("postgres") }
    }

    fn names(set: &RoleSet) -> Vec<&str> {
        set.roles.iter().map(|role| role.name.as_str()).collect()
    }

    #[test]
    fn the_minimal_manifest_gives_its_users_its_databases_and_patronis_two() {
        let set = desired(&inputs(
            &[("zalando", &["superuser", "createdb"]), ("foo_user", &[])],
            &[("foo", "zalando")],
        ));
        assert_eq!(names(&set), ["foo_user", "postgres", "standby", "zalando"]);
        assert_eq!(set.databases, [Database { name: name("foo"), owner: name("zalando") }]);
        assert_eq!(set.skipped, []);
        let patroni = |role: &&Role| role.keeper == Keeper::Patroni && role.origin == Origin::System;
        assert_eq!(set.roles.iter().filter(patroni).count(), 2);
        assert!(set.roles.iter().all(|role| role.wants_password));
    }

    #[test]
    fn a_user_that_cannot_log_in_wants_no_password() {
        let set = desired(&inputs(&[("reporting", &["nologin"])], &[]));
        assert!(!set.role(&name("reporting")).unwrap().wants_password);
    }

    #[test]
    fn a_reserved_name_is_skipped_and_said() {
        let mut inputs = inputs(
            &[("admin", &[]), ("postgres", &[]), ("standby", &[]), ("pooler", &[]), ("app", &[])],
            &[],
        );
        inputs.pooler = Some(lookup("pooler"));
        let set = desired(&inputs);
        assert_eq!(names(&set), ["app", "pooler", "postgres", "standby"]);
        assert_eq!(
            set.skipped,
            ["admin", "pooler", "postgres", "standby"].map(|user| Skipped::ReservedUser(name(user)))
        );
        assert_eq!(set.role(&name("pooler")).unwrap().origin, Origin::Pooler);
    }

    #[test]
    fn a_pooler_never_takes_the_superusers_name() {
        let set = desired(&RoleInputs { pooler: Some(lookup("postgres")), ..inputs(&[], &[]) });
        assert_eq!(set.role(&name("postgres")).unwrap().keeper, Keeper::Patroni);
        assert_eq!(set.skipped, [Skipped::ReservedUser(name("postgres"))]);
        assert_eq!(set.contents.lookup, None);
    }

    #[test]
    fn a_user_with_a_namespace_in_its_name_has_its_secret_there_only_where_that_is_configured() {
        let mut inputs = inputs(&[("appspace.db_user", &[]), ("plain", &[])], &[]);
        let namespace =
            |inputs: &RoleInputs, user| desired(inputs).role(&name(user)).unwrap().secret_namespace.clone();
        assert_eq!(namespace(&inputs, "appspace.db_user"), None);
        inputs.users_name_namespaces = true;
        assert_eq!(namespace(&inputs, "appspace.db_user"), Some("appspace".to_owned()));
        assert_eq!(namespace(&inputs, "plain"), None);
    }

    #[test]
    fn a_database_of_an_unknown_owner_is_skipped_and_said() {
        let set =
            desired(&inputs(&[("app", &[])], &[("foo", "nobody"), ("bar", "app"), ("baz", "postgres")]));
        assert_eq!(set.databases.len(), 2);
        assert_eq!(
            set.skipped,
            [Skipped::UnknownOwner(Database { name: name("foo"), owner: name("nobody") })]
        );
    }

    #[test]
    fn database_owners_join_the_additional_owner_roles_and_others_do_not() {
        let mut inputs = inputs(&[("owner", &[]), ("other", &[])], &[("foo", "owner"), ("bar", "owner")]);
        inputs.additional_owner_roles = [name("cron_admin"), name("audit"), name("owner")].into();
        let set = desired(&inputs);
        assert_eq!(set.role(&name("owner")).unwrap().member_of, [name("audit"), name("cron_admin")]);
        assert_eq!(set.role(&name("other")).unwrap().member_of, []);
    }

    #[test]
    fn every_manifest_user_has_the_admin_unless_that_would_be_a_circle() {
        let mut inputs = inputs(&[("owner", &[]), ("other", &[])], &[("foo", "owner")]);
        inputs.users_admin = Some(name("admin"));
        inputs.additional_owner_roles = [name("admin")].into();
        let set = desired(&inputs);
        assert_eq!(set.role(&name("other")).unwrap().admin, Some(name("admin")));
        assert_eq!(set.role(&name("owner")).unwrap().admin, None);
        assert_eq!(set.role(&name("postgres")).unwrap().admin, None);
    }

    #[test]
    fn the_streams_user_may_replicate() {
        let set = desired(&RoleInputs { stream_user: Some(name("fes_user")), ..inputs(&[], &[]) });
        assert_eq!(set.role(&name("fes_user")).unwrap().flags.words(), ["LOGIN", "REPLICATION"]);
    }
    #[test]
    fn a_prepared_database_belongs_to_its_owner_role_unless_the_manifest_names_another() {
        let database = || PreparedDatabase { default_users: true, ..PreparedDatabase::default() };
        let mut inputs = inputs(&[("app", &[]), ("bar_writer", &[])], &[("foo", "app")]);
        inputs.prepared.databases = [(name("foo"), database()), (name("bar"), database())].into();
        inputs.additional_owner_roles = [name("cron_admin")].into();
        let set = desired(&inputs);
        let owners: Vec<String> =
            set.databases.iter().map(|it| format!("{} of {}", it.name, it.owner)).collect();
        assert_eq!(owners, ["bar of bar_owner", "foo of app"]);
        let cron: Vec<&str> = set
            .roles
            .iter()
            .filter(|role| role.member_of.contains(&name("cron_admin")))
            .map(|role| role.name.as_str())
            .collect();
        assert_eq!(cron, ["app", "bar_owner", "bar_owner_user", "foo_owner", "foo_owner_user"]);
        assert_eq!(set.skipped, [Skipped::ReservedUser(name("bar_writer"))]);
    }

    fn given(name: &str) -> BTreeMap<RoleName, GivenRole> {
        let yaml = format!("{{secretname: s, userkey: u, passwordkey: p, defaultuservalue: {name}}}");
        let secret = [("p".to_owned(), "x".to_owned())].into();
        let sources = Sources { secret: Some(secret), ..Sources::default() };
        infrastructure::read([(&serde_saphyr::from_str(&yaml).unwrap(), &sources)]).roles
    }

    fn humans(people: &[(&str, Standing)]) -> Humans {
        let members = people.iter().map(|(person, standing)| (name(person), *standing)).collect();
        let people = People { members, unfit: vec!["x".repeat(64)], complete: true };
        let (group, admin) = (Some(name("zalandos")), Some(name("admin")));
        Humans { people, group, admin, parameters: BTreeMap::new(), suffix: None }
    }

    #[test]
    fn of_two_roles_with_one_name_the_higher_origin_wins() {
        let all = |inputs: RoleInputs| {
            let set = desired(&RoleInputs { humans: humans(&[("ann", Standing::Member)]), ..inputs });
            set.role(&name("ann")).map(|role| (role.origin, role.wants_password))
        };
        let manifest = inputs(&[("ann", &[])], &[]);
        let infrastructure = RoleInputs { infrastructure: given("ann"), ..manifest.clone() };
        assert_eq!(desired(&infrastructure).role(&name("ann")).unwrap().origin, Origin::Infrastructure);
        assert_eq!(all(manifest), Some((Origin::Team, false)));
        assert_eq!(all(infrastructure.clone()), Some((Origin::Team, false)));
        let pooled = RoleInputs { pooler: Some(lookup("ann")), ..infrastructure.clone() };
        assert_eq!(all(pooled), Some((Origin::Pooler, true)));
        assert_eq!(all(RoleInputs { protected: [name("ann")].into(), ..infrastructure }), None);
    }

    #[test]
    fn nobody_becomes_the_superuser_by_being_called_like_it() {
        let humans = humans(&[("postgres", Standing::Member), ("standby", Standing::Superuser)]);
        let set = desired(&RoleInputs { humans, infrastructure: given("postgres"), ..inputs(&[], &[]) });
        assert!(set.roles.iter().all(|role| role.keeper == Keeper::Patroni));
        let reserved = |skipped: &&Skipped| matches!(skipped, Skipped::ReservedUser(_));
        assert_eq!(set.skipped.iter().filter(reserved).count(), 3);
        assert!(set.skipped.contains(&Skipped::UnfitName("x".repeat(64))));
    }

    #[test]
    fn members_get_the_admin_role_and_superusers_do_not_need_it() {
        let people = [("ann", Standing::Member), ("root", Standing::Superuser)];
        let set = desired(&RoleInputs { humans: humans(&people), ..inputs(&[], &[("foo", "ann")]) });
        let role = |who: &str| set.role(&name(who)).unwrap().clone();
        assert_eq!(role("ann").member_of, [name("admin"), name("zalandos")]);
        assert_eq!(role("root").member_of, [name("zalandos")]);
        assert!(role("root").flags.iter().any(|flag| flag == (Attribute::Superuser, true)));
        assert_eq!(set.databases.len(), 1, "a person may own a database");
    }
}
