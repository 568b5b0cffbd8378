//! Roles and databases: made, changed, kept; and the connection itself.

use std::collections::BTreeSet;
use std::time::Duration;

use operator::database::{Binding, Database, DatabaseError, Endpoint, Limits, Postgres};
use shared::roles::password::Encryption;
use shared::roles::{
    Attribute, ParameterName, ParameterValue, Passwords, RoleInputs, Statement, Surplus, desired, plan,
    surplus,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{
    HOSTILE, Running, catalog, created, flags, inputs, logs_in, name, on_every_server, passwords, sync,
};

#[tokio::test]
async fn a_second_pass_finds_nothing_to_do() {
    on_every_server(async |Running { postgres, at, .. }| {
        let bootstrap = ["admin", "cron_admin"].map(|role| created(role, &["nologin"]));
        assert!(postgres.run(at, &bootstrap).await.unwrap().is_empty());
        let mut roles = desired(&inputs());
        let search_path = ParameterValue::List(vec!["$user".into(), "Data, \"x\"".into()]);
        for role in &mut roles.roles {
            role.parameters.insert(ParameterName::new("search_path"), search_path.clone());
            role.parameters.insert(ParameterName::new("DateStyle"), ParameterValue::Text("ISO, MDY".into()));
            role.parameters
                .insert(ParameterName::new("app.note"), ParameterValue::Text("it's a=b \\".into()));
            role.parameters
                .insert(ParameterName::new("log_line_prefix_x.y"), ParameterValue::Text(String::new()));
        }
        let passwords = passwords(&roles, |role| format!("secret of {role} \u{2168}"));

        let first = sync(postgres, at, &roles, &passwords).await;
        assert!(first.len() > 20, "{first:#?}");
        assert_eq!(sync(postgres, at, &roles, &passwords).await, []);
        assert_eq!(surplus(&roles, &catalog(postgres, at).await, &BTreeSet::new()), []);

        let other_salts = passwords_with_salt(&passwords, [8; 16]);
        assert_eq!(plan(&roles, &other_salts, &catalog(postgres, at).await), []);
    })
    .await;
}

fn passwords_with_salt(passwords: &Passwords, salt: [u8; 16]) -> Passwords {
    let mut passwords = passwords.clone();
    passwords.of.values_mut().for_each(|credential| credential.salt = salt);
    passwords
}

#[tokio::test]
async fn a_new_user_logs_in_over_tls_with_the_password_of_its_secret() {
    on_every_server(async |Running { postgres, at, .. }| {
        let inputs = RoleInputs { users_admin: None, additional_owner_roles: BTreeSet::new(), ..inputs() };
        let roles = desired(&inputs);
        sync(postgres, at, &roles, &passwords(&roles, |_| "first".into())).await;
        assert!(logs_in(postgres, at, "zalando", "first", "foo").await);
        assert!(logs_in(postgres, at, HOSTILE, "first", HOSTILE).await);
        assert!(!logs_in(postgres, at, "zalando", "wrong", "foo").await);
        assert!(!logs_in(postgres, at, "reporting", "first", "foo").await);

        let changed = sync(postgres, at, &roles, &passwords(&roles, |_| "second".into())).await;
        assert!(changed.iter().all(|statement| matches!(statement, Statement::AlterRolePassword { .. })));
        assert!(!logs_in(postgres, at, "zalando", "first", "foo").await);
        assert!(logs_in(postgres, at, "zalando", "second", "foo").await);
    })
    .await;
}

#[tokio::test]
async fn what_left_the_manifest_is_revoked_where_that_is_asked_for_and_a_strangers_role_is_left_alone() {
    on_every_server(async |Running { postgres, at, .. }| {
        let bootstrap = ["admin", "cron_admin", "stranger"].map(|role| created(role, &[]));
        assert!(postgres.run(at, &bootstrap).await.unwrap().is_empty());
        let roles = desired(&inputs());
        sync(postgres, at, &roles, &passwords(&roles, |_| "secret".into())).await;

        let users = inputs().users.into_iter().filter(|(user, _)| user.as_str() != "foo_user");
        let users = users.map(|(user, given)| match user.as_str() {
            "zalando" => (user, flags(&["createdb"])),
            _ => (user, given),
        });
        let fewer =
            RoleInputs { users: users.collect(), additional_owner_roles: BTreeSet::new(), ..inputs() };
        let fewer = desired(&fewer);
        let former = BTreeSet::from([name("foo_user")]);
        let found = surplus(&fewer, &catalog(postgres, at).await, &former);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected = [
            "role zalando has SUPERUSER that it is not given",
            "role foo_user can still log in though nobody asks for it any more",
        ];
        assert_eq!(told, expected);
        let statements: Vec<Statement> = found.iter().map(Surplus::revoked).collect();
        assert!(postgres.run(at, &statements).await.unwrap().is_empty());
        assert_eq!(surplus(&fewer, &catalog(postgres, at).await, &former), []);
        assert!(!logs_in(postgres, at, "foo_user", "secret", "foo").await);
    })
    .await;
}

#[tokio::test]
async fn an_md5_verifier_is_recognised_and_kept() {
    on_every_server(async |Running { postgres, at, .. }| {
        let inputs = RoleInputs { users_admin: None, additional_owner_roles: BTreeSet::new(), ..inputs() };
        let roles = desired(&inputs);
        let scram = passwords(&roles, |role| format!("of {role}"));
        let md5 = Passwords { encryption: Encryption::Md5, ..scram.clone() };
        sync(postgres, at, &roles, &md5).await;
        assert_eq!(plan(&roles, &scram, &catalog(postgres, at).await), []);
        let preferred = Endpoint { binding: Binding::Preferred, ..at.clone() };
        assert!(logs_in(postgres, &preferred, "foo_user", "of foo_user", "foo").await);
        let bound = Endpoint { user: "foo_user".into(), password: "of foo_user".into(), ..at.clone() };
        let refused = postgres.catalog(&bound).await.unwrap_err();
        assert_eq!(refused.category(), "connect", "nothing binds MD5 to the server");
    })
    .await;
}

#[tokio::test]
async fn what_changed_by_hand_or_in_the_manifest_is_made_right() {
    on_every_server(async |Running { postgres, at, .. }| {
        let mut inputs =
            RoleInputs { users_admin: None, additional_owner_roles: BTreeSet::new(), ..inputs() };
        let before = desired(&inputs);
        sync(postgres, at, &before, &passwords(&before, |_| "x".into())).await;
        inputs.users.insert(name("foo_user"), flags(&["createdb", "nologin"]));
        inputs.databases.insert(name("foo"), name("foo_user"));
        inputs.users.remove(&name("reporting"));
        let roles = desired(&inputs);
        let passwords = passwords(&roles, |_| "x".into());

        let statements = sync(postgres, at, &roles, &passwords).await;
        let sql: Vec<String> = statements.iter().map(Statement::to_sql).collect();
        assert_eq!(
            sql,
            [r#"ALTER ROLE "foo_user" CREATEDB NOLOGIN"#, r#"ALTER DATABASE "foo" OWNER TO "foo_user""#]
        );
        let after = catalog(postgres, at).await;
        assert!(after.roles[&name("foo_user")].attributes.contains(&Attribute::CreateDb));
        assert!(after.roles.contains_key(&name("reporting")));
        assert_eq!(plan(&roles, &passwords, &after), []);
    })
    .await;
}

#[tokio::test]
async fn an_additional_owner_role_is_granted_even_where_the_reverse_was() {
    on_every_server(async |Running { postgres, at, .. }| {
        let roles = desired(&RoleInputs { users_admin: None, ..inputs() });
        let wrong = Statement::GrantMembership { role: name("zalando"), member: name("cron_admin") };
        let bootstrap = [created("cron_admin", &["nologin"]), created("zalando", &[]), wrong];
        assert!(postgres.run(at, &bootstrap).await.unwrap().is_empty());
        let passwords = passwords(&roles, |_| "x".into());
        let sql: Vec<String> =
            sync(postgres, at, &roles, &passwords).await.iter().map(Statement::to_sql).collect();
        assert!(sql.contains(&r#"REVOKE "zalando" FROM "cron_admin""#.to_owned()), "{sql:#?}");
        assert_eq!(sync(postgres, at, &roles, &passwords).await, []);
    })
    .await;
}

#[tokio::test]
async fn one_refused_statement_does_not_stop_the_others() {
    on_every_server(async |Running { postgres, at, .. }| {
        let statements = [created("app", &[]), created("postgres", &[]), created("last", &[])];
        let failures = postgres.run(at, &statements).await.unwrap();
        assert_eq!(failures.len(), 1);
        assert!(matches!(&failures[0].source, DatabaseError::Refused { code, .. } if code == "42710"));
        assert_eq!(failures[0].to_string(), r#"could not run CREATE ROLE "postgres" LOGIN PASSWORD NULL"#);
        assert!(catalog(postgres, at).await.roles.contains_key(&name("last")));
    })
    .await;
}

/// Where a test itself plays the server.
fn pretended(listener: &TcpListener) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
        database: "postgres".into(),
        user: "postgres".into(),
        password: "x".into(),
        server_name: "demo".into(),
        binding: Binding::Preferred,
    }
}

#[tokio::test]
async fn whoever_does_not_answer_costs_a_deadline_only() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits =
        Limits { connections: 1, connect: Duration::from_millis(200), statement: Duration::from_secs(1) };
    let (postgres, at) = (Postgres::new(limits).unwrap(), pretended(&silent));
    let (first, second) = futures::join!(postgres.catalog(&at), postgres.catalog(&at));
    assert_eq!([first.unwrap_err().category(), second.unwrap_err().category()], ["deadline"; 2]);
}

#[tokio::test]
async fn a_server_without_tls_hears_no_name_and_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (postgres, at) = (Postgres::new(Limits::default()).unwrap(), pretended(&listener));
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).await.unwrap();
        stream.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        rest
    };
    let (answer, heard) = futures::join!(postgres.catalog(&at), server);
    assert_eq!(answer.unwrap_err().category(), "connect");
    assert_eq!(heard, b"");
}
