//! What is inside one database, and what statements make of it. Privileges and owners as PostgreSQL leaves them.

use shared::roles::ContentStatement as Inside;
use shared::roles::contents::{DefaultPrivilege, Existing, ExistingLookup};

/// A database that was just made.
pub(crate) fn fresh() -> Existing {
    let mut existing = Existing::default();
    existing.schemas.insert("public".parse().unwrap(), "pg_database_owner".parse().unwrap());
    existing
}

/// Runs one statement.
pub(crate) fn execute(at: &mut Existing, statement: &Inside) -> Result<(), &'static str> {
    let missing = "function does not exist";
    match statement {
        Inside::CreateSchema { name, owner } | Inside::AlterSchemaOwner { name, owner } => {
            drop(at.schemas.insert(name.clone(), owner.clone()));
        }
        Inside::GrantUsage { schema, role } => _ = at.usage.insert((schema.clone(), role.clone())),
        Inside::GrantDefaults { maker, schema, kind, grantee, privileges } => {
            let granted = privileges.iter().map(|privilege| DefaultPrivilege {
                maker: maker.clone(),
                schema: schema.clone(),
                kind: *kind,
                grantee: grantee.clone(),
                privilege: *privilege,
            });
            at.defaults.extend(granted);
        }
        Inside::CreateExtension { name, schema } | Inside::MoveExtension { name, schema } => {
            drop(at.extensions.insert(name.clone(), schema.clone()));
        }
        Inside::PutLookup { schema } => {
            let made = lookup(&statement.to_sql()).ok_or("syntax error")?;
            let before = at.lookups.get(schema).cloned();
            let made = match before {
                // Replacing a function keeps its owner and its privileges.
                Some(ExistingLookup { owner, open_to_all, callers, .. }) => {
                    ExistingLookup { owner, open_to_all, callers, ..made }
                }
                None => made,
            };
            drop(at.lookups.insert(schema.clone(), made));
        }
        Inside::AlterLookupOwner { schema, owner } => {
            at.lookups.get_mut(schema).ok_or(missing)?.owner = owner.clone();
        }
        Inside::CloseLookup { schema } => at.lookups.get_mut(schema).ok_or(missing)?.open_to_all = false,
        Inside::GrantLookup { schema, role } => {
            at.lookups.get_mut(schema).ok_or(missing)?.callers.insert(role.clone());
        }
        Inside::CreatePublication { name, tables } | Inside::SetTables { name, tables } => {
            drop(at.publications.insert(name.clone(), tables.clone()));
        }
        Inside::DropPublication { name } => drop(at.publications.remove(name)),
    }
    Ok(())
}

/// A function as `CREATE FUNCTION` makes it: the superuser's, and open to everybody.
fn lookup(sql: &str) -> Option<ExistingLookup> {
    let (head, body) = sql.split_once(" AS '")?;
    let (_, rest) = head.split_once("LANGUAGE ")?;
    let (_, path) = rest.split_once("search_path TO ")?;
    Some(ExistingLookup {
        owner: "postgres".parse().unwrap(),
        language: rest.split(' ').next()?.to_owned(),
        body: body.strip_suffix('\'')?.replace("''", "'"),
        definer: rest.contains("SECURITY DEFINER"),
        settings: vec![format!("search_path={path}")],
        open_to_all: true,
        callers: Default::default(),
    })
}
