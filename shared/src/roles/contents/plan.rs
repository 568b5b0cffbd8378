//! The difference between what a database should hold and what it holds.
//!
//! The operator runs what comes out, in this order. As with roles, nothing is taken away, but two things: that anyone may
//! call the lookup function, and a publication of an event stream that is wanted no more (it would keep naming tables
//! that then cannot be replicated elsewhere). A role that is not there yet holds up what needs it and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::roles::catalog::Catalog;
use crate::roles::name::{RoleName, SchemaName};

use super::statement::{LOOKUP_BODY, LOOKUP_LANGUAGE, LOOKUP_SETTING};
use super::{ContentStatement, DefaultPrivilege, Existing, ExistingLookup, Lookup, Wanted};

/// What to run, connected to the database, so that it holds what is wanted.
pub fn plan(wanted: &Wanted, catalog: &Catalog, existing: &Existing) -> Vec<ContentStatement> {
    let there = |role: &RoleName| catalog.roles.contains_key(role);
    let mut statements = Vec::new();
    let mut schemas: BTreeSet<&SchemaName> = existing.schemas.keys().collect();
    for (name, owner) in wanted.schemas.iter().filter(|(_, owner)| there(owner)) {
        schemas.insert(name);
        statements.extend(schema(name, owner, wanted, existing));
    }
    let usage = wanted.usage.difference(&existing.usage);
    let usage = usage.filter(|(schema, role)| schemas.contains(schema) && there(role));
    statements.extend(
        usage.map(|(schema, role)| ContentStatement::GrantUsage {
            schema: schema.clone(),
            role: role.clone(),
        }),
    );
    let defaults = wanted.defaults.difference(&existing.defaults).filter(|default| {
        let inside = default.schema.as_ref().is_none_or(|schema| schemas.contains(schema));
        inside && there(&default.maker) && there(&default.grantee)
    });
    statements.extend(grants(defaults));
    statements.extend(extensions(wanted, existing));
    if let Some(wanted) = wanted.lookup.as_ref().filter(|lookup| there(&lookup.user)) {
        statements.extend(lookup(wanted, schemas.contains(&wanted.schema), existing));
    }
    statements.extend(publications(wanted, existing));
    statements
}

/// What makes a schema exist. Its owner changes only from the database's owner to the schema's own: the manifest has
/// given it roles since. Whoever else owns a schema keeps it.
fn schema(
    name: &SchemaName,
    owner: &RoleName,
    wanted: &Wanted,
    existing: &Existing,
) -> Option<ContentStatement> {
    let (name, owner) = (name.clone(), owner.clone());
    let Some(present) = existing.schemas.get(&name) else {
        return Some(ContentStatement::CreateSchema { name, owner });
    };
    let makers = |default: &DefaultPrivilege| default.schema.is_none() && default.maker == *present;
    let of_the_database = present.as_str().ends_with("_owner") && wanted.defaults.iter().any(makers);
    (*present != owner && of_the_database).then_some(ContentStatement::AlterSchemaOwner { name, owner })
}

/// One statement for all that one role gets on one kind of another's objects.
fn grants<'a>(missing: impl Iterator<Item = &'a DefaultPrivilege>) -> Vec<ContentStatement> {
    let mut grouped: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for DefaultPrivilege { maker, schema, kind, grantee, privilege } in missing {
        grouped.entry((maker, schema, *kind, grantee)).or_default().insert(*privilege);
    }
    let statement = |((maker, schema, kind, grantee), privileges): (
        (&RoleName, &Option<SchemaName>, _, &RoleName),
        _,
    )| {
        ContentStatement::GrantDefaults {
            maker: maker.clone(),
            schema: schema.clone(),
            kind,
            grantee: grantee.clone(),
            privileges,
        }
    };
    grouped.into_iter().map(statement).collect()
}

fn extensions(wanted: &Wanted, existing: &Existing) -> Vec<ContentStatement> {
    let differing = wanted.extensions.iter().filter_map(|(name, schema)| {
        let (name, schema) = (name.clone(), schema.clone());
        match existing.extensions.get(&name) {
            None => Some(ContentStatement::CreateExtension { name, schema }),
            Some(present) if *present != schema => Some(ContentStatement::MoveExtension { name, schema }),
            Some(_) => None,
        }
    });
    differing.collect()
}

/// The lookup function, its owner, and who may call it. It reads every password's verifier, so it is closed before its
/// schema is opened to anyone.
fn lookup(wanted: &Lookup, has_schema: bool, existing: &Existing) -> Vec<ContentStatement> {
    let Lookup { schema, user, owner } = wanted;
    let present = existing.lookups.get(schema);
    let mut statements = Vec::new();
    if !has_schema {
        statements.push(ContentStatement::CreateSchema { name: schema.clone(), owner: owner.clone() });
    }
    if !present.is_some_and(is_ours) {
        statements.push(ContentStatement::PutLookup { schema: schema.clone() });
    }
    if present.is_some_and(|function| function.owner != *owner) {
        let (schema, owner) = (schema.clone(), owner.clone());
        statements.push(ContentStatement::AlterLookupOwner { schema, owner });
    }
    if present.is_none_or(|function| function.open_to_all) {
        statements.push(ContentStatement::CloseLookup { schema: schema.clone() });
    }
    if !present.is_some_and(|function| function.callers.contains(user)) {
        statements.push(ContentStatement::GrantLookup { schema: schema.clone(), role: user.clone() });
    }
    if !existing.usage.contains(&(schema.clone(), user.clone())) {
        statements.push(ContentStatement::GrantUsage { schema: schema.clone(), role: user.clone() });
    }
    statements
}

/// Whether a function does what ours does, and as safely: upstream's has no search path of its own.
fn is_ours(function: &ExistingLookup) -> bool {
    function.definer
        && function.language == LOOKUP_LANGUAGE
        && function.body == LOOKUP_BODY
        && function.settings == [LOOKUP_SETTING]
}

fn publications(wanted: &Wanted, existing: &Existing) -> Vec<ContentStatement> {
    let mut statements = Vec::new();
    for (name, tables) in wanted.publications.iter().filter(|(_, tables)| !tables.is_empty()) {
        let (name, tables) = (name.clone(), tables.clone());
        match existing.publications.get(&name) {
            None => statements.push(ContentStatement::CreatePublication { name, tables }),
            Some(present) if *present != tables => {
                statements.push(ContentStatement::SetTables { name, tables })
            }
            Some(_) => {}
        }
    }
    let kept = |name| wanted.publications.contains_key(name) || wanted.spared.contains(name);
    let gone = existing.publications.keys().filter(|name| !kept(name));
    statements.extend(gone.map(|name| ContentStatement::DropPublication { name: name.clone() }));
    statements
}
