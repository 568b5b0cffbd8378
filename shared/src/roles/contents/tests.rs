//! What a database should hold, what it lacks, and which databases are looked into.

use super::*;
use crate::roles::catalog::{Catalog, ExistingDatabase, ExistingRole};
use crate::roles::prepared::PreparedSchema;
use crate::roles::{RoleSet, Statement};

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn prepared(schemas: &[(&str, PreparedSchema)], default_users: bool) -> RoleSet {
    let schemas = schemas.iter().map(|(schema, kind)| (name(schema), *kind)).collect();
    let database = PreparedDatabase { schemas, default_users, ..PreparedDatabase::default() };
    let contents = Contents { prepared: [(name("d"), database)].into(), ..Contents::default() };
    RoleSet { contents, ..RoleSet::default() }
}

fn lookup() -> Lookup {
    Lookup { schema: name("pooler"), user: name("pooler"), owner: name("postgres") }
}

/// A server with these roles and databases; a database in brackets cannot be visited.
fn server(roles: &[&str], databases: &[&str]) -> Catalog {
    let database = |text: &&str| {
        let can_be_visited = !text.starts_with('[');
        let existing = ExistingDatabase { owner: name("postgres"), can_be_visited };
        (name(text.trim_matches(['[', ']'])), existing)
    };
    Catalog {
        roles: roles.iter().map(|role| (name(role), ExistingRole::default())).collect(),
        databases: databases.iter().map(database).collect(),
    }
}

fn everyone() -> Catalog {
    let parts = ["owner", "reader", "writer", "owner_user", "reader_user", "writer_user"];
    let roles: Vec<String> =
        ["d", "d_s"].iter().flat_map(|p| parts.map(|part| format!("{p}_{part}"))).collect();
    let mut names: Vec<&str> = roles.iter().map(String::as_str).collect();
    names.extend(["pooler", "postgres"]);
    server(&names, &["d"])
}

fn planned(wanted: &Wanted, catalog: &Catalog, existing: &Existing) -> Vec<String> {
    plan(wanted, catalog, existing).iter().map(ContentStatement::to_string).collect()
}

#[test]
fn a_prepared_database_gets_upstreams_schemas_and_grants() {
    let wanted = wanted(&prepared(&[("s", PreparedSchema::Roles)], false), &name("d"));
    let to = |maker: &str, inside: &str, prefix: &str| {
        let grant = |what: &str, role: &str| {
            format!(
                r#"ALTER DEFAULT PRIVILEGES FOR ROLE "{maker}"{inside} GRANT {what} TO "{prefix}_{role}""#
            )
        };
        let mut grants = Vec::new();
        if inside.is_empty() {
            grants.extend([grant("USAGE ON SCHEMAS", "reader"), grant("USAGE ON SCHEMAS", "writer")]);
        }
        grants.extend([
            grant("SELECT ON TABLES", "reader"),
            grant("INSERT, UPDATE, DELETE ON TABLES", "writer"),
            grant("SELECT ON SEQUENCES", "reader"),
            grant("UPDATE, USAGE ON SEQUENCES", "writer"),
            grant("EXECUTE ON FUNCTIONS", "reader"),
            grant("EXECUTE ON FUNCTIONS", "writer"),
            grant("USAGE ON TYPES", "reader"),
            grant("USAGE ON TYPES", "writer"),
        ]);
        grants
    };
    let inside = r#" IN SCHEMA "s""#;
    let mut expected: Vec<String> = [r#"CREATE SCHEMA "s" AUTHORIZATION "d_s_owner""#.to_owned()].into();
    expected.extend(
        ["d_reader", "d_s_reader", "d_s_writer", "d_writer"]
            .map(|role| format!(r#"GRANT USAGE ON SCHEMA "s" TO "{role}""#)),
    );
    expected.extend(to("d_owner", "", "d"));
    expected.extend(to("d_owner", inside, "d_s"));
    expected.extend(to("d_s_owner", inside, "d"));
    expected.extend(to("d_s_owner", inside, "d_s"));
    let mut found = planned(&wanted, &everyone(), &Existing::default());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_has_been_made_is_not_made_again() {
    for kind in [PreparedSchema::NoRoles, PreparedSchema::Roles, PreparedSchema::RolesAndUsers] {
        for users in [false, true] {
            let mut roles = prepared(&[("s", kind)], users);
            roles.contents.lookup = Some(lookup());
            let wanted = wanted(&roles, &name("d"));
            assert_ne!(planned(&wanted, &everyone(), &Existing::default()), [""; 0]);
            assert_eq!(planned(&wanted, &everyone(), &made(&wanted)), [""; 0], "{kind:?} {users}");
        }
    }
}

#[test]
fn login_roles_of_owners_are_makers_too() {
    let makers = |kind, users| -> BTreeSet<String> {
        let wanted = wanted(&prepared(&[("s", kind)], users), &name("d"));
        wanted.defaults.iter().map(|default| default.maker.to_string()).collect()
    };
    let set = |names: &[&str]| names.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(makers(PreparedSchema::NoRoles, false), set(&["d_owner"]));
    assert_eq!(makers(PreparedSchema::NoRoles, true), set(&["d_owner", "d_owner_user"]));
    assert_eq!(
        makers(PreparedSchema::RolesAndUsers, true),
        set(&["d_owner", "d_owner_user", "d_s_owner", "d_s_owner_user"])
    );
}

#[test]
fn a_role_that_is_not_there_holds_up_only_what_needs_it() {
    let mut roles = prepared(&[("s", PreparedSchema::NoRoles)], false);
    roles.contents.lookup = Some(lookup());
    let wanted = wanted(&roles, &name("d"));
    assert_eq!(planned(&wanted, &server(&[], &["d"]), &Existing::default()), [""; 0]);
    let catalog = server(&["d_owner", "d_reader", "postgres"], &["d"]);
    let found = planned(&wanted, &catalog, &Existing::default());
    assert!(found.contains(&r#"GRANT USAGE ON SCHEMA "s" TO "d_reader""#.to_owned()), "{found:#?}");
    assert!(!found.iter().any(|sql| sql.contains("writer") || sql.contains("pooler")), "{found:#?}");
}

#[test]
fn the_lookup_function_is_closed_before_its_schema_opens() {
    let wanted = Wanted { lookup: Some(lookup()), ..Wanted::default() };
    let expected = [
        r#"CREATE SCHEMA "pooler" AUTHORIZATION "postgres""#,
        r#"CREATE OR REPLACE FUNCTION "pooler".user_lookup(text)"#,
        r#"REVOKE ALL ON FUNCTION "pooler".user_lookup(text) FROM PUBLIC"#,
        r#"GRANT EXECUTE ON FUNCTION "pooler".user_lookup(text) TO "pooler""#,
        r#"GRANT USAGE ON SCHEMA "pooler" TO "pooler""#,
    ];
    assert_eq!(planned(&wanted, &everyone(), &Existing::default()), expected);
}

#[test]
fn a_lookup_function_that_is_less_safe_than_ours_is_replaced() {
    let wanted = Wanted { lookup: Some(lookup()), ..Wanted::default() };
    let changes: [fn(&mut ExistingLookup); 4] = [
        |function| function.settings.clear(),
        |function| function.definer = false,
        |function| function.body.push_str(" -- changed"),
        |function| function.language = "sql".to_owned(),
    ];
    for change in changes {
        let mut existing = made(&wanted);
        existing.lookups.values_mut().for_each(change);
        let put = [r#"CREATE OR REPLACE FUNCTION "pooler".user_lookup(text)"#];
        assert_eq!(planned(&wanted, &everyone(), &existing), put);
    }
    let mut existing = made(&wanted);
    existing.lookups.values_mut().for_each(|function| function.open_to_all = true);
    let close = [r#"REVOKE ALL ON FUNCTION "pooler".user_lookup(text) FROM PUBLIC"#];
    assert_eq!(planned(&wanted, &everyone(), &existing), close);
}

#[test]
fn only_databases_where_something_can_be_wanted_are_visited() {
    let visited = |roles: &RoleSet, catalog: &Catalog| -> Vec<String> {
        visits(roles, catalog).iter().map(ToString::to_string).collect()
    };
    let databases = ["a", "d", "[locked]", "[template0]"];
    let plain = server(&["app"], &databases);
    assert_eq!(visited(&RoleSet::default(), &plain), [""; 0]);
    assert_eq!(visited(&prepared(&[], false), &plain), ["d"]);
    assert_eq!(visited(&RoleSet::default(), &server(&[STREAM_USER], &databases)), ["a", "d"]);
    let mut pooled = RoleSet::default();
    pooled.contents.lookup = Some(lookup());
    assert_eq!(visited(&pooled, &plain), ["a", "d"]);
}

#[test]
fn a_log_of_a_statement_inside_a_database_reads_like_the_others() {
    let statement = Statement::Inside(ContentStatement::DropPublication { name: name("fes_a") });
    assert_eq!(statement.to_string(), r#"DROP PUBLICATION "fes_a""#);
}
