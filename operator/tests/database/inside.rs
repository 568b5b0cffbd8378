//! What is inside databases: who may do what in a prepared one, the pooler's lookup function, publications.

use std::collections::BTreeMap;

use operator::database::Database;
use shared::roles::contents::{Publications, Table};
use shared::roles::{
    PreparedDatabase, PreparedDatabases, PreparedSchema, RoleInputs, RoleSet, Statement, desired,
};

use super::{inputs, name, on_every_server, passwords};

/// PostgreSQL's code for a missing right.
const DENIED: &str = "42501";

/// Nothing but the superuser, and what a test adds.
fn bare() -> RoleInputs {
    RoleInputs {
        users: BTreeMap::new(),
        databases: BTreeMap::new(),
        users_admin: None,
        additional_owner_roles: Default::default(),
        pooler: None,
        stream_user: None,
        prepared: PreparedDatabases::default(),
        ..inputs()
    }
}

fn prepared(schemas: &[(&str, PreparedSchema)], default_users: bool) -> RoleSet {
    let schemas = schemas.iter().map(|(schema, kind)| (name(schema), *kind)).collect();
    let database = PreparedDatabase { schemas, default_users, ..PreparedDatabase::default() };
    let databases = [(name("d"), database)].into();
    desired(&RoleInputs { prepared: PreparedDatabases { admin: None, databases }, ..bare() })
}

#[tokio::test]
async fn readers_read_writers_write_and_owners_own_what_is_made_later() {
    on_every_server(async |running| {
        let schemas = [("data", PreparedSchema::RolesAndUsers), ("plain", PreparedSchema::NoRoles)];
        running.settle_for_good(&prepared(&schemas, true)).await;
        let server = &running.server;
        for (owner, table) in
            [("d_owner_user", "data.a"), ("d_data_owner_user", "data.b"), ("d_owner_user", "plain.c")]
        {
            server.sql(owner, "d", &format!("CREATE TABLE {table} (id serial, word text)")).await;
            server.sql("d_reader_user", "d", &format!("SELECT * FROM {table}")).await;
            let insert = format!("INSERT INTO {table} (word) VALUES ('x')");
            assert_eq!(
                server.try_sql("d_reader_user", "d", &insert).await,
                Err(DENIED.to_owned()),
                "{table}"
            );
            server.sql("d_writer_user", "d", &insert).await;
            server
                .sql("d_writer_user", "d", &format!("UPDATE {table} SET word = 'y'; DELETE FROM {table}"))
                .await;
            let drop = format!("DROP TABLE {table}");
            assert_eq!(server.try_sql("d_writer_user", "d", &drop).await, Err(DENIED.to_owned()), "{table}");
        }
        for table in ["a", "b"] {
            server.sql("d_data_reader_user", "d", &format!("SELECT * FROM {table}")).await;
            server.sql("d_data_writer_user", "d", &format!("INSERT INTO {table} (word) VALUES ('z')")).await;
        }
        assert_eq!(
            server.try_sql("d_data_reader_user", "d", "SELECT * FROM plain.c").await,
            Err(DENIED.to_owned()),
            "a schema's reader reads that schema"
        );
        for schema in ["data", "plain"] {
            let create = format!("CREATE TABLE {schema}.mine ()");
            assert_eq!(server.try_sql("d_writer_user", "d", &create).await, Err(DENIED.to_owned()));
        }
        server.sql("d_owner_user", "d", "CREATE SCHEMA later; CREATE TABLE later.t ()").await;
        server.sql("d_reader_user", "d", "SELECT * FROM later.t").await;
        let function = "CREATE FUNCTION plain.f() RETURNS int LANGUAGE sql AS 'SELECT 1'";
        server
            .sql("d_owner_user", "d", &format!("{function}; REVOKE ALL ON FUNCTION plain.f() FROM PUBLIC"))
            .await;
        server.sql("d_reader_user", "d", "SELECT plain.f()").await;
    })
    .await;
}

#[tokio::test]
async fn roles_and_users_that_are_asked_for_later_get_what_the_first_ones_have() {
    on_every_server(async |running| {
        running.settle_for_good(&prepared(&[("data", PreparedSchema::NoRoles)], false)).await;
        running.settle_for_good(&prepared(&[("data", PreparedSchema::RolesAndUsers)], true)).await;
        let owner: &str = &running.contents("d").await.schemas[&name("data")].to_string();
        assert_eq!(owner, "d_data_owner", "the schema goes to its own owner");
        running.server.sql("d_data_owner_user", "d", "CREATE TABLE data.t ()").await;
        for reader in ["d_reader_user", "d_data_reader_user"] {
            running.server.sql(reader, "d", "SELECT * FROM data.t").await;
        }
        let schemas = [("data", PreparedSchema::RolesAndUsers), ("more", PreparedSchema::Roles)];
        let done = running.settle_for_good(&prepared(&schemas, true)).await;
        assert!(
            done.iter().any(|sql| sql == r#"CREATE SCHEMA "more" AUTHORIZATION "d_more_owner""#),
            "{done:#?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_schema_of_somebody_else_keeps_its_owner_and_opens_to_the_roles() {
    on_every_server(async |running| {
        running.settle(&prepared(&[], false)).await;
        running
            .server
            .sql("postgres", "d", "CREATE ROLE stranger; CREATE SCHEMA s AUTHORIZATION stranger")
            .await;
        running
            .settle_for_good(&prepared(
                &[("s", PreparedSchema::Roles), ("public", PreparedSchema::NoRoles)],
                false,
            ))
            .await;
        assert_eq!(running.contents("d").await.schemas[&name("s")], name("stranger"));
    })
    .await;
}

#[tokio::test]
async fn an_extension_is_made_in_its_schema_moved_and_never_dropped() {
    on_every_server(async |running| {
        let with = |extensions: &[(&str, &str)]| {
            let mut roles = prepared(&[("data", PreparedSchema::NoRoles)], false);
            let database = roles.contents.prepared.get_mut(&name("d")).unwrap();
            database.extensions = extensions.iter().map(|(one, schema)| (name(one), name(schema))).collect();
            roles
        };
        running.settle_for_good(&with(&[("hstore", "data"), ("dict_int", "public")])).await;
        let moved = running.settle_for_good(&with(&[("hstore", "public"), ("dict_int", "public")])).await;
        assert_eq!(moved, [r#"ALTER EXTENSION "hstore" SET SCHEMA "public""#]);
        assert_eq!(running.settle(&with(&[])).await, [""; 0]);

        let (done, failures) =
            running.look(&with(&[("no_such", "data"), ("citext", "data")]), &Default::default()).await;
        assert_eq!((done.len(), failures.len()), (2, 1), "{failures:#?}");
        assert!(
            running.contents("d").await.extensions.contains_key(&name("citext")),
            "one failure stops nothing"
        );
    })
    .await;
}

fn pooled() -> RoleInputs {
    let users = [(name("app"), super::flags(&[]))].into();
    let databases = [(name("foo"), name("app"))].into();
    RoleInputs { users, databases, pooler: inputs().pooler, ..bare() }
}

#[tokio::test]
async fn the_pooler_finds_every_password_in_every_database_and_nobody_else_does() {
    on_every_server(async |running| {
        running.server.sql("postgres", "postgres", "CREATE DATABASE closed ALLOW_CONNECTIONS false").await;
        running.server.sql("postgres", "postgres", "CREATE DATABASE by_hand").await;
        let roles = desired(&pooled());
        running.settle_for_good(&roles).await;
        let catalog = super::catalog(&running.postgres, &running.at).await;
        let stored = catalog.roles[&name("app")].verifier.clone().unwrap();
        for database in ["postgres", "foo", "by_hand"] {
            let client = running.server.client("pooler", database).await;
            let row =
                client.query_one("SELECT uname, phash FROM pooler.user_lookup('app')", &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>("uname"), "app");
            assert_eq!(shared::roles::Verifier::stored(row.get("phash")), stored);
            let nobody =
                client.query_one("SELECT uname FROM pooler.user_lookup('nobody')", &[]).await.unwrap();
            assert_eq!(nobody.get::<_, Option<&str>>("uname"), None);
            let lookup = "SELECT * FROM pooler.user_lookup('postgres')";
            assert_eq!(running.server.try_sql("app", database, lookup).await, Err(DENIED.to_owned()));
        }
    })
    .await;
}

/// A lookup function as other operators leave it: the same signature, no search path, open to all.
const ADOPTED: &str = "
    CREATE SCHEMA pooler;
    CREATE FUNCTION pooler.user_lookup(i_username text, OUT uname text, OUT phash text) RETURNS record AS
        'BEGIN SELECT usename, passwd FROM pg_shadow WHERE usename = i_username INTO uname, phash; RETURN; END'
        LANGUAGE plpgsql SECURITY DEFINER;
    CREATE ROLE mallory;
    ALTER FUNCTION pooler.user_lookup(text) OWNER TO mallory;";

#[tokio::test]
async fn an_adopted_lookup_function_is_made_safe_in_place() {
    on_every_server(async |running| {
        running.server.sql("postgres", "postgres", ADOPTED).await;
        let done = running.settle_for_good(&desired(&pooled())).await;
        let of_postgres: Vec<&str> =
            done.iter().map(String::as_str).filter(|sql| sql.starts_with("ALTER FUNCTION")).collect();
        assert_eq!(of_postgres, [r#"ALTER FUNCTION "pooler".user_lookup(text) OWNER TO "postgres""#]);
        running.server.sql("pooler", "postgres", "SELECT phash FROM pooler.user_lookup('app')").await;
        let lookup = "SELECT phash FROM pooler.user_lookup('app')";
        assert_eq!(running.server.try_sql("mallory", "postgres", lookup).await, Err("28000".to_owned()));
        running.server.sql("postgres", "postgres", "ALTER ROLE mallory LOGIN").await;
        assert_eq!(running.server.try_sql("mallory", "postgres", lookup).await, Err(DENIED.to_owned()));
    })
    .await;
}

/// Streams of database `foo`: publications with their tables.
fn streaming(publications: &[(&str, &[(&str, &str)])], spared: &[&str]) -> RoleSet {
    let table = |(schema, table): &(&str, &str)| Table { schema: name(schema), name: name(table) };
    let of_foo: BTreeMap<_, _> = publications
        .iter()
        .map(|(publication, tables)| (name(publication), tables.iter().map(table).collect()))
        .collect();
    let wanted = if of_foo.is_empty() { BTreeMap::new() } else { [(name("foo"), of_foo)].into() };
    let publications = Publications { wanted, spared: spared.iter().map(|text| name(text)).collect() };
    let stream_user = (!publications.wanted.is_empty()).then(|| name("fes_user"));
    let users = [(name("app"), super::flags(&[]))].into();
    let databases = [(name("foo"), name("app"))].into();
    desired(&RoleInputs { users, databases, stream_user, publications, ..bare() })
}

#[tokio::test]
async fn publications_follow_the_streams_and_leave_other_peoples_alone() {
    on_every_server(async |running| {
        running.settle(&streaming(&[], &[])).await;
        running
            .server
            .sql(
                "postgres",
                "foo",
                "CREATE TABLE public.plain (id int PRIMARY KEY); CREATE SCHEMA data; CREATE TABLE data.\"Odd \"\"one\" ();
                 CREATE TABLE data.parts (id int) PARTITION BY RANGE (id);
                 CREATE TABLE data.part1 PARTITION OF data.parts FOR VALUES FROM (0) TO (9);
                 CREATE PUBLICATION fes_foo_mine; CREATE PUBLICATION other FOR ALL TABLES; CREATE PUBLICATION fes_gone;
                 CREATE ROLE stranger SUPERUSER; CREATE PUBLICATION fes_strangers; ALTER PUBLICATION fes_strangers OWNER TO stranger",
            )
            .await;
        let tables: &[(&str, &str)] = &[("public", "plain"), ("data", "Odd \"one"), ("data", "parts")];
        running.settle_for_good(&streaming(&[("fes_foo_app", tables)], &["fes_foo_mine"])).await;
        let publications = running.contents("foo").await.publications;
        let names: Vec<&str> = publications.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["fes_foo_app", "fes_foo_mine"]);
        assert_eq!(publications[&name("fes_foo_app")].len(), 3);

        let done = running.settle_for_good(&streaming(&[("fes_foo_app", &tables[..1])], &["fes_foo_mine"])).await;
        assert_eq!(done, [r#"ALTER PUBLICATION "fes_foo_app" SET TABLE "public"."plain""#]);
        let done = running.settle_for_good(&streaming(&[], &["fes_foo_mine"])).await;
        assert_eq!(done, [r#"DROP PUBLICATION "fes_foo_app""#], "streams that are gone take their publication along");
        let client = running.server.client("postgres", "foo").await;
        let left = client.query("SELECT pubname::text FROM pg_publication ORDER BY 1", &[]).await.unwrap();
        let left: Vec<&str> = left.iter().map(|row| row.get(0)).collect();
        assert_eq!(left, ["fes_foo_mine", "fes_strangers", "other"]);
    })
    .await;
}

#[tokio::test]
async fn a_publication_of_a_missing_table_fails_alone() {
    on_every_server(async |running| {
        let roles =
            streaming(&[("fes_foo_a", &[("public", "missing")]), ("fes_foo_b", &[("public", "there")])], &[]);
        let passwords = passwords(&roles, |_| "x".into());
        running.look(&roles, &passwords).await;
        running.server.sql("postgres", "foo", "CREATE TABLE public.there ()").await;
        let (done, failures) = running.look(&roles, &passwords).await;
        assert_eq!((done.len(), failures.len()), (2, 1), "{done:#?}");
        assert!(failures[0].contains("42P01"), "{failures:?}");
        assert!(running.contents("foo").await.publications.contains_key(&name("fes_foo_b")));
    })
    .await;
}

#[tokio::test]
async fn one_database_that_cannot_be_read_is_told_and_nothing_else() {
    on_every_server(async |running| {
        let gone = running.at.in_database(&name("gone"));
        assert_eq!(running.postgres.contents(&gone).await.unwrap_err().category(), "rejected");
        let nothing: &[Statement] = &[];
        assert!(running.postgres.run(&gone, nothing).await.unwrap().is_empty());
    })
    .await;
}
