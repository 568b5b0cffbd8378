//! What a database should hold, from what the manifest says about it.
//!
//! Whoever owns a database or a schema makes its objects, so the default privileges are set *for* each owner: readers
//! read and writers write what owners will make. Surprising: an owner's login role is a maker of its own, because
//! PostgreSQL looks at who makes an object, not at whose member that is.

use std::collections::BTreeSet;

use crate::roles::RoleSet;
use crate::roles::catalog::{Catalog, ExistingDatabase};
use crate::roles::name::{DatabaseName, RoleName, SchemaName};
use crate::roles::prepared::{PreparedDatabase, PreparedSchema};

use super::statement::{LOOKUP_BODY, LOOKUP_LANGUAGE, LOOKUP_SETTING};
use super::{DefaultPrivilege, Existing, ExistingLookup, ObjectKind, Privilege, STREAM_USER, Wanted};

/// The databases to look into, of those that are there.
///
/// A lookup function belongs into every database that can be connected to, and publications that nobody wants any more
/// can be in any, but only where streams have ever been.
pub fn visits(roles: &RoleSet, catalog: &Catalog) -> Vec<DatabaseName> {
    let contents = &roles.contents;
    let streams = catalog.roles.keys().any(|role| role.as_str() == STREAM_USER);
    let everywhere = contents.lookup.is_some() || streams || !contents.publications.wanted.is_empty();
    let open = catalog.databases.iter().filter(|(_, existing)| existing.can_be_visited);
    let visited =
        |(name, _): &(&DatabaseName, &ExistingDatabase)| everywhere || contents.prepared.contains_key(*name);
    open.filter(visited).map(|(name, _)| name.clone()).collect()
}

/// What the database of that name should hold.
pub fn wanted(roles: &RoleSet, database: &DatabaseName) -> Wanted {
    let contents = &roles.contents;
    let mut wanted = Wanted {
        lookup: contents.lookup.clone(),
        publications: contents.publications.wanted.get(database).cloned().unwrap_or_default(),
        spared: contents.publications.spared.clone(),
        ..Wanted::default()
    };
    if let Some(prepared) = contents.prepared.get(database) {
        wanted.extensions = prepared.extensions.clone();
        wanted.prepare(database, prepared);
    }
    wanted
}

/// What a database holds once everything that is wanted has been made in it: the other side of a preview.
pub fn made(wanted: &Wanted) -> Existing {
    let lookup = wanted.lookup.iter().map(|lookup| {
        let function = ExistingLookup {
            owner: lookup.owner.clone(),
            language: LOOKUP_LANGUAGE.to_owned(),
            body: LOOKUP_BODY.to_owned(),
            definer: true,
            settings: vec![LOOKUP_SETTING.to_owned()],
            open_to_all: false,
            callers: [lookup.user.clone()].into(),
        };
        (lookup.schema.clone(), function)
    });
    let mut existing = Existing {
        schemas: wanted.schemas.clone(),
        usage: wanted.usage.clone(),
        defaults: wanted.defaults.clone(),
        extensions: wanted.extensions.clone(),
        lookups: lookup.collect(),
        publications: wanted.publications.clone(),
    };
    if let Some(lookup) = &wanted.lookup {
        existing.schemas.entry(lookup.schema.clone()).or_insert_with(|| lookup.owner.clone());
        existing.usage.insert((lookup.schema.clone(), lookup.user.clone()));
    }
    existing
}

/// Owner, reader and writer of a database or of one of its schemas, as far as their names fit.
struct Trio {
    /// The owner, and its login role where there is one: whoever makes objects.
    makers: Vec<RoleName>,
    reader: Option<RoleName>,
    writer: Option<RoleName>,
}

impl Trio {
    fn of(prefix: &str, login_roles: bool) -> Self {
        let role = |suffix: &str| format!("{prefix}_{suffix}").parse::<RoleName>().ok();
        let login = login_roles.then(|| role("owner_user")).flatten();
        Self {
            makers: role("owner").into_iter().chain(login).collect(),
            reader: role("reader"),
            writer: role("writer"),
        }
    }

    fn owner(&self) -> Option<&RoleName> {
        self.makers.first()
    }

    /// What reader and writer get on each kind of object.
    fn grants(&self) -> Vec<(ObjectKind, Privilege, &RoleName)> {
        use ObjectKind::{Functions, Schemas, Sequences, Tables, Types};
        use Privilege::{Delete, Execute, Insert, Select, Update, Usage};
        let mut grants = Vec::new();
        for (reader, writer, kind, privileges) in [
            (true, true, Schemas, &[Usage] as &[_]),
            (true, false, Tables, &[Select]),
            (true, false, Sequences, &[Select]),
            (false, true, Tables, &[Insert, Update, Delete]),
            (false, true, Sequences, &[Usage, Update]),
            (true, true, Functions, &[Execute]),
            (true, true, Types, &[Usage]),
        ] {
            let readers = self.reader.iter().filter(|_| reader);
            for role in readers.chain(self.writer.iter().filter(|_| writer)) {
                grants.extend(privileges.iter().map(|privilege| (kind, *privilege, role)));
            }
        }
        grants
    }
}

impl Wanted {
    fn prepare(&mut self, database: &DatabaseName, prepared: &PreparedDatabase) {
        let trio = Trio::of(database.as_str(), prepared.default_users);
        self.defaults(&trio.makers, None, &trio);
        for (schema, kind) in &prepared.schemas {
            match kind {
                PreparedSchema::NoRoles => self.schema(schema, &trio, &trio),
                PreparedSchema::Roles => self.schema_of_its_own(database, schema, &trio, false),
                PreparedSchema::RolesAndUsers => self.schema_of_its_own(database, schema, &trio, true),
            }
        }
    }

    /// A schema with roles of its own: they use it beside the database's, and its owners make objects beside the
    /// database's owners.
    fn schema_of_its_own(&mut self, database: &DatabaseName, name: &SchemaName, whole: &Trio, users: bool) {
        let own = Trio::of(&format!("{database}_{name}"), users);
        self.schema(name, &own, whole);
        let makers: Vec<RoleName> = whole.makers.iter().chain(&own.makers).cloned().collect();
        self.look_into(name, &own);
        self.defaults(&makers, Some(name), &own);
    }

    /// A schema that the first of `own` owns; what its makers make is for `readers`.
    fn schema(&mut self, name: &SchemaName, own: &Trio, readers: &Trio) {
        let Some(owner) = own.owner() else { return };
        self.schemas.insert(name.clone(), owner.clone());
        self.look_into(name, readers);
        self.defaults(&own.makers, Some(name), readers);
    }

    fn look_into(&mut self, schema: &SchemaName, trio: &Trio) {
        let roles = trio.reader.iter().chain(&trio.writer);
        self.usage.extend(roles.map(|role| (schema.clone(), role.clone())));
    }

    fn defaults(&mut self, makers: &[RoleName], schema: Option<&SchemaName>, trio: &Trio) {
        // Inside a schema there are no schemas.
        let grants =
            trio.grants().into_iter().filter(|(kind, ..)| schema.is_none() || *kind != ObjectKind::Schemas);
        let grants: Vec<_> = grants.collect();
        for maker in makers {
            let defaults: BTreeSet<DefaultPrivilege> = grants
                .iter()
                .map(|(kind, privilege, grantee)| DefaultPrivilege {
                    maker: maker.clone(),
                    schema: schema.cloned(),
                    kind: *kind,
                    grantee: (*grantee).clone(),
                    privilege: *privilege,
                })
                .collect();
            self.defaults.extend(defaults);
        }
    }
}
