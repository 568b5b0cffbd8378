//! Reads what one database holds: five queries, sent together, one round trip.
//!
//! Surprising: an access list that was never touched is stored as nothing at all, and then means PostgreSQL's default;
//! hence each `acldefault`.

use std::collections::BTreeSet;

use shared::roles::contents::{
    DefaultPrivilege, Existing, ExistingLookup, ObjectKind, PUBLICATION_PREFIX, Privilege, Table,
};
use shared::roles::{ExtensionName, RoleName, SchemaName};
use tokio_postgres::{Client, Row};

use super::DatabaseError;
use super::read::{get, name};

const SCHEMAS: &str = "
    SELECT nspname::text AS schema, pg_get_userbyid(nspowner)::text AS owner,
           ARRAY(SELECT pg_get_userbyid(grantee)::text
                   FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
                  WHERE privilege_type = 'USAGE' AND grantee <> 0) AS users
      FROM pg_namespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'";

const DEFAULTS: &str = "
    SELECT pg_get_userbyid(defaclrole)::text AS maker, nspname::text AS schema, defaclobjtype::text AS kind,
           pg_get_userbyid(grantee)::text AS grantee, privilege_type AS privilege
      FROM pg_default_acl
     CROSS JOIN LATERAL aclexplode(defaclacl)
      LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace
     WHERE grantee <> 0";

const EXTENSIONS: &str = "
    SELECT extname::text AS extension, nspname::text AS schema
      FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace";

const LOOKUPS: &str = "
    SELECT nspname::text AS schema, pg_get_userbyid(proowner)::text AS owner, lanname::text AS language,
           prosrc AS body, prosecdef AS definer, coalesce(proconfig, '{}') AS settings,
           EXISTS (SELECT FROM aclexplode(acl) WHERE grantee = 0) AS open_to_all,
           ARRAY(SELECT pg_get_userbyid(grantee)::text FROM aclexplode(acl) WHERE grantee <> 0) AS callers
      FROM pg_proc
      JOIN pg_namespace ON pg_namespace.oid = pronamespace
      JOIN pg_language ON pg_language.oid = prolang
     CROSS JOIN LATERAL coalesce(proacl, acldefault('f', proowner)) AS acl
     WHERE proname = 'user_lookup' AND pronargs = 1 AND proargtypes[0] = 'text'::regtype";

/// Only of whoever asks: others may publish under such names, too. Partitions are not listed one by one.
const PUBLICATIONS: &str = "
    SELECT pubname::text AS publication, nspname::text AS schema, relname::text AS \"table\"
      FROM pg_publication
      LEFT JOIN (pg_publication_rel
                 JOIN pg_class ON pg_class.oid = prrelid
                 JOIN pg_namespace ON pg_namespace.oid = relnamespace) ON prpubid = pg_publication.oid
     WHERE pg_get_userbyid(pubowner) = current_user";

/// All that the database behind `client` holds.
pub(super) async fn contents(client: &Client) -> Result<Existing, DatabaseError> {
    let (schemas, defaults, extensions, lookups, publications) = futures::try_join!(
        client.query_typed(SCHEMAS, &[]),
        client.query_typed(DEFAULTS, &[]),
        client.query_typed(EXTENSIONS, &[]),
        client.query_typed(LOOKUPS, &[]),
        client.query_typed(PUBLICATIONS, &[]),
    )
    .map_err(DatabaseError::Catalog)?;
    let mut existing = Existing::default();
    for row in &schemas {
        let schema: SchemaName = name(row, "schema")?;
        existing.usage.extend(roles(row, "users")?.into_iter().map(|role| (schema.clone(), role)));
        existing.schemas.insert(schema, name(row, "owner")?);
    }
    for row in &defaults {
        existing.defaults.extend(default_privilege(row)?);
    }
    for row in &extensions {
        existing.extensions.insert(name::<ExtensionName>(row, "extension")?, name(row, "schema")?);
    }
    for row in &lookups {
        existing.lookups.insert(name(row, "schema")?, lookup(row)?);
    }
    for row in &publications {
        publication(row, &mut existing)?;
    }
    Ok(existing)
}

/// The roles in a column; one that has just been dropped has no name any more.
fn roles(row: &Row, column: &str) -> Result<BTreeSet<RoleName>, DatabaseError> {
    let names: Vec<String> = get(row, column)?;
    Ok(names.iter().filter_map(|text| text.parse().ok()).collect())
}

/// A default privilege, unless it is of a kind that nobody here hands out.
fn default_privilege(row: &Row) -> Result<Option<DefaultPrivilege>, DatabaseError> {
    let (letter, word): (&str, &str) = (get(row, "kind")?, get(row, "privilege")?);
    let kind = ObjectKind::ALL.into_iter().find(|kind| kind.letter() == letter);
    let privilege = Privilege::ALL.into_iter().find(|privilege| privilege.word() == word);
    let (Some(kind), Some(privilege)) = (kind, privilege) else { return Ok(None) };
    let schema: Option<&str> = get(row, "schema")?;
    let schema = schema.map(|_| name(row, "schema")).transpose()?;
    let (maker, grantee) = (name(row, "maker")?, name(row, "grantee")?);
    Ok(Some(DefaultPrivilege { maker, schema, kind, grantee, privilege }))
}

fn lookup(row: &Row) -> Result<ExistingLookup, DatabaseError> {
    Ok(ExistingLookup {
        owner: name(row, "owner")?,
        language: get(row, "language")?,
        body: get(row, "body")?,
        definer: get(row, "definer")?,
        settings: get(row, "settings")?,
        open_to_all: get(row, "open_to_all")?,
        callers: roles(row, "callers")?,
    })
}

fn publication(row: &Row, existing: &mut Existing) -> Result<(), DatabaseError> {
    let text: &str = get(row, "publication")?;
    if !text.starts_with(PUBLICATION_PREFIX) {
        return Ok(());
    }
    let tables = existing.publications.entry(name(row, "publication")?).or_default();
    let schema: Option<&str> = get(row, "schema")?;
    if schema.is_some() {
        tables.insert(Table { schema: name(row, "schema")?, name: name(row, "table")? });
    }
    Ok(())
}
