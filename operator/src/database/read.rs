//! Reads the server's catalog: three queries, sent together, one round trip.
//!
//! Surprising: a membership can be granted several times since PostgreSQL 16 (once per grantor), hence the `bool_or`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use shared::roles::catalog::{Catalog, ExistingDatabase, ExistingRole, Membership};
use shared::roles::{Attribute, DatabaseName, ParameterName, RoleName, Verifier};
use tokio_postgres::{Client, Row};

use super::DatabaseError;

const ROLES: &str = "
    SELECT rolname::text, rolbypassrls, rolcreatedb, rolcreaterole, rolinherit, rolcanlogin, rolreplication, rolsuper,
           rolpassword, shobj_description(pg_authid.oid, 'pg_authid') AS comment, coalesce(setconfig, '{}') AS setconfig,
           EXISTS (SELECT FROM pg_shdepend
                    WHERE refclassid = 'pg_authid'::regclass AND refobjid = pg_authid.oid) AS has_belongings
      FROM pg_authid LEFT JOIN pg_db_role_setting ON setrole = pg_authid.oid AND setdatabase = 0
     WHERE rolname !~ '^pg_'";

const MEMBERSHIPS: &str = "
    SELECT member.rolname::text AS member, role.rolname::text AS role, bool_or(admin_option) AS admin
      FROM pg_auth_members
      JOIN pg_authid member ON member.oid = pg_auth_members.member
      JOIN pg_authid role ON role.oid = pg_auth_members.roleid
     GROUP BY 1, 2";

/// A limit of -2 connections marks a database whose removal was interrupted.
const DATABASES: &str = "
    SELECT datname::text, pg_get_userbyid(datdba)::text AS owner,
           datallowconn AND datconnlimit <> -2 AND datname NOT IN ('template0', 'template1') AS can_be_visited
      FROM pg_database";

/// The whole catalog of the server behind `client`.
pub(super) async fn catalog(client: &Client) -> Result<Catalog, DatabaseError> {
    let (roles, memberships, databases) = futures::try_join!(
        client.query_typed(ROLES, &[]),
        client.query_typed(MEMBERSHIPS, &[]),
        client.query_typed(DATABASES, &[]),
    )
    .map_err(DatabaseError::Catalog)?;
    let mut catalog = Catalog {
        roles: roles.iter().map(role).collect::<Result<_, _>>()?,
        databases: databases.iter().map(database).collect::<Result<_, _>>()?,
    };
    for row in &memberships {
        let (member, role) = (name::<RoleName>(row, "member")?, name(row, "role")?);
        let admin: bool = get(row, "admin")?;
        if let Some(existing) = catalog.roles.get_mut(&member) {
            existing.member_of.insert(role, if admin { Membership::Admin } else { Membership::Member });
        }
    }
    Ok(catalog)
}

fn role(row: &Row) -> Result<(RoleName, ExistingRole), DatabaseError> {
    let mut attributes = BTreeSet::new();
    for attribute in Attribute::ALL {
        if get(row, column(attribute))? {
            attributes.insert(attribute);
        }
    }
    let settings: Vec<String> = get(row, "setconfig")?;
    let parameters = settings
        .iter()
        .filter_map(|setting| setting.split_once('='))
        .map(|(name, value)| (ParameterName::new(name), value.to_owned()));
    let verifier: Option<String> = get(row, "rolpassword")?;
    let existing = ExistingRole {
        attributes,
        member_of: BTreeMap::new(),
        parameters: parameters.collect(),
        comment: get(row, "comment")?,
        verifier: verifier.map(Verifier::stored),
        has_belongings: get(row, "has_belongings")?,
    };
    Ok((name(row, "rolname")?, existing))
}

/// The column of `pg_authid` that holds an attribute.
fn column(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::BypassRls => "rolbypassrls",
        Attribute::CreateDb => "rolcreatedb",
        Attribute::CreateRole => "rolcreaterole",
        Attribute::Inherit => "rolinherit",
        Attribute::Login => "rolcanlogin",
        Attribute::Replication => "rolreplication",
        Attribute::Superuser => "rolsuper",
    }
}

fn database(row: &Row) -> Result<(DatabaseName, ExistingDatabase), DatabaseError> {
    let (owner, can_be_visited) = (name(row, "owner")?, get(row, "can_be_visited")?);
    Ok((name(row, "datname")?, ExistingDatabase { owner, can_be_visited }))
}

pub(super) fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    column: &str,
) -> Result<T, DatabaseError> {
    row.try_get(column).map_err(DatabaseError::Catalog)
}

pub(super) fn name<T: FromStr<Err: std::fmt::Display>>(row: &Row, column: &str) -> Result<T, DatabaseError> {
    let text: &str = get(row, column)?;
    text.parse().map_err(|error| DatabaseError::Unreadable(format!("{column} {text:?} {error}")))
}
