//! Names and values made of what breaks out of quotes: each statement stays one statement, and each name arrives as it is.

use std::collections::BTreeSet;

use operator::database::Database;
use shared::roles::contents::{ObjectKind, Privilege, Table};
use shared::roles::{
    ContentStatement, ParameterName, ParameterValue, RoleName, SchemaName, Statement, Verifier,
};

use super::{Running, catalog, created, flags, name, on_every_server};

const PIECES: &[&str] = &[
    "\"",
    "'",
    "\\",
    ";",
    "--",
    "/*",
    "*/",
    "$$",
    "$a$",
    "\n",
    " ",
    "E'",
    "U&\"",
    "DROP ROLE x",
    "); ",
    "ü",
    "%",
    "\u{1}",
    ".",
    ",",
    "a",
    "\u{2019}",
    "\u{feff}",
    "NULL",
];

/// PostgreSQL keeps 63 bytes of a name, and some names get a prefix here.
const LONGEST: usize = 55;

/// Texts of up to seven pieces; the same ones each time.
fn hostile_texts(count: usize) -> BTreeSet<String> {
    let mut state = 7_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut texts = BTreeSet::new();
    while texts.len() < count {
        let pieces = 1 + below(7);
        let text: String = (0..pieces).map(|_| PIECES[below(PIECES.len())]).collect();
        if text.len() <= LONGEST {
            texts.insert(text);
        }
    }
    texts
}

/// One statement of each kind, every name and value in it being `text`.
fn every_kind(text: &str) -> Vec<Statement> {
    let (role, verifier) = (name::<RoleName>(text), Verifier::stored(text.to_owned()));
    let schema: SchemaName = name(text);
    let database = || name(text);
    let mut statements = vec![
        Statement::CreateRole { name: role.clone(), flags: flags(&[]), verifier: Some(verifier.clone()) },
        Statement::AlterRoleFlags { name: role.clone(), flags: flags(&["nologin"]) },
        Statement::AlterRolePassword { name: role.clone(), verifier },
        Statement::GrantMembership { role: role.clone(), member: role.clone() },
        Statement::GrantAdmin { role: role.clone(), admin: role.clone() },
        Statement::RevokeMembership { role: role.clone(), member: role.clone() },
        Statement::DropRole { name: role.clone() },
        Statement::RenameRole { from: role.clone(), to: role.clone() },
        Statement::MarkRole { name: role.clone() },
        Statement::SetParameter {
            role: role.clone(),
            parameter: ParameterName::new("app.note"),
            value: ParameterValue::Text(text.to_owned()),
        },
        Statement::SetParameter {
            role: role.clone(),
            parameter: ParameterName::new("search_path"),
            value: ParameterValue::List(vec![text.to_owned(), text.to_owned()]),
        },
        Statement::CreateDatabase { name: database(), owner: role.clone() },
        Statement::AlterDatabaseOwner { name: database(), owner: role.clone() },
    ];
    let tables: BTreeSet<Table> = [Table { schema: schema.clone(), name: name(text) }].into();
    let inside = [
        ContentStatement::CreateSchema { name: schema.clone(), owner: role.clone() },
        ContentStatement::AlterSchemaOwner { name: schema.clone(), owner: role.clone() },
        ContentStatement::GrantUsage { schema: schema.clone(), role: role.clone() },
        ContentStatement::GrantDefaults {
            maker: role.clone(),
            schema: Some(schema.clone()),
            kind: ObjectKind::Tables,
            grantee: role.clone(),
            privileges: [Privilege::Select, Privilege::Insert].into(),
        },
        ContentStatement::CreateExtension { name: name(text), schema: schema.clone() },
        ContentStatement::MoveExtension { name: name(text), schema: schema.clone() },
        ContentStatement::PutLookup { schema: schema.clone() },
        ContentStatement::AlterLookupOwner { schema: schema.clone(), owner: role.clone() },
        ContentStatement::CloseLookup { schema: schema.clone() },
        ContentStatement::GrantLookup { schema, role },
        ContentStatement::CreatePublication { name: name(text), tables: tables.clone() },
        ContentStatement::SetTables { name: name(text), tables },
        ContentStatement::DropPublication { name: name(text) },
    ];
    statements.extend(inside.map(Statement::Inside));
    statements
}

/// Whether the server reads `sql` as one statement. It looks no further: nothing is carried out.
async fn is_one_statement(client: &tokio_postgres::Client, sql: &str) -> Result<(), String> {
    match client.prepare_typed(sql, &[]).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}: {:?}", error.as_db_error())),
    }
}

#[tokio::test]
async fn ten_thousand_names_and_values_make_one_statement_each() {
    on_every_server(async |running| {
        let client = running.server.client("postgres", "postgres").await;
        client.batch_execute("BEGIN").await.unwrap();
        for (number, text) in hostile_texts(10_000).iter().enumerate() {
            let kinds = every_kind(text);
            // Each kind meets several hundred texts; all kinds for all texts would only take longer.
            for offset in [0, 7, 14] {
                let statement = &kinds[(number + offset) % kinds.len()];
                let sql = statement.to_sql();
                let read = is_one_statement(&client, &sql).await;
                assert_eq!(read, Ok(()), "{text:?}: {sql}");
            }
        }
        client.batch_execute("ROLLBACK").await.unwrap();
        assert!(
            is_one_statement(&client, "SELECT 1; SELECT 2").await.is_err(),
            "the server would have noticed"
        );
    })
    .await;
}

#[tokio::test]
async fn whatever_a_role_or_a_setting_is_called_it_arrives_as_it_is() {
    on_every_server(async |Running { postgres, at, .. }| {
        let texts = hostile_texts(400);
        let mut statements = Vec::new();
        for text in &texts {
            let value = ParameterValue::Text(text.clone());
            statements.push(created(text, &["nologin"]));
            statements.push(Statement::GrantMembership { role: name(text), member: name("postgres") });
            statements.push(Statement::SetParameter {
                role: name(text),
                parameter: ParameterName::new("app.note"),
                value,
            });
        }
        let failures = postgres.run(at, &statements).await.unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
        let catalog = catalog(postgres, at).await;
        for text in &texts {
            assert_eq!(catalog.roles[&name(text)].parameters[&ParameterName::new("app.note")], *text);
            assert!(catalog.roles[&name("postgres")].member_of.contains_key(&name(text)));
        }
        assert_eq!(catalog.roles.len(), texts.len() + 1);
    })
    .await;
}

#[tokio::test]
async fn whatever_a_schema_or_a_table_is_called_it_arrives_as_it_is() {
    on_every_server(async |running| {
        let (texts, owner) = (hostile_texts(200), name::<RoleName>("postgres"));
        let mut statements = vec![created("reader", &["nologin"])];
        let client = running.server.client("postgres", "postgres").await;
        for text in &texts {
            let schema: SchemaName = name(text);
            let quoted = format!("\"{}\"", text.replace('"', "\"\""));
            client.batch_execute(&format!("CREATE TABLE {quoted} ()")).await.unwrap();
            let table = Table { schema: name("public"), name: name(text) };
            let publication = format!("fes_{text}");
            statements.extend(
                [
                    ContentStatement::CreateSchema { name: schema.clone(), owner: owner.clone() },
                    ContentStatement::GrantUsage { schema: schema.clone(), role: name("reader") },
                    ContentStatement::GrantDefaults {
                        maker: owner.clone(),
                        schema: Some(schema.clone()),
                        kind: ObjectKind::Types,
                        grantee: name("reader"),
                        privileges: [Privilege::Usage].into(),
                    },
                    ContentStatement::PutLookup { schema },
                    ContentStatement::CreatePublication { name: name(&publication), tables: [table].into() },
                ]
                .map(Statement::Inside),
            );
        }
        let failures = running.postgres.run(&running.at, &statements).await.unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
        let existing = running.contents("postgres").await;
        for text in &texts {
            assert!(existing.schemas.contains_key(&name(text)));
            assert!(existing.usage.contains(&(name(text), name("reader"))));
            assert!(existing.lookups.contains_key(&name(text)));
            let tables = &existing.publications[&name(&format!("fes_{text}"))];
            assert_eq!(*tables, [Table { schema: name("public"), name: name(text) }].into());
        }
        assert_eq!(existing.schemas.len(), texts.len() + 1, "public, and nothing that broke out");
        let given = existing.defaults.iter().filter(|default| default.grantee == name("reader")).count();
        assert_eq!(given, texts.len());
    })
    .await;
}
