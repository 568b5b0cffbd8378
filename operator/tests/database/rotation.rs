//! Rotation in a real server: stand-ins log in, belong to their user, and go when their time is up.

use std::collections::BTreeMap;

use operator::database::Database;
use shared::roles::password::{Credential, Encryption};
use shared::roles::rotation::{self, Login};
use shared::roles::{Passwords, RoleInputs, RoleName, RoleSet, Rotation, Statement, desired, plan};

use super::{Running, catalog, flags, inputs, logs_in, name, on_every_server};

fn roles() -> RoleSet {
    let users = [(name("app"), flags(&["createdb"])), (name("app_x"), flags(&[]))].into();
    let databases = [(name("foo"), name("app_x"))].into();
    let bare = RoleInputs { users_admin: None, additional_owner_roles: Default::default(), ..inputs() };
    desired(&RoleInputs {
        users,
        databases,
        pooler: None,
        stream_user: None,
        prepared: Default::default(),
        ..bare
    })
}

fn logins(username: &str) -> BTreeMap<RoleName, Login> {
    [(name("app"), Login { username: name(username), next: None, rotated_once: true })].into()
}

/// One look with what the Secrets say: who logs in with which password.
async fn look(running: &Running, username: &str, now: &str) -> Vec<String> {
    let found = catalog(&running.postgres, &running.at).await;
    let wanted = rotation::with_stand_ins(&roles(), &logins(username), &found);
    let credential =
        |role: &RoleName| Credential { password: format!("of {role}"), salt: [3; 16], proven: None };
    let wanting = wanted.roles.iter().filter(|role| role.wants_password);
    let of = wanting.map(|role| (role.name.clone(), credential(&role.name))).collect();
    let mut statements = plan(&wanted, &Passwords { encryption: Encryption::default(), of }, &found);
    let rules = Rotation { interval: 30, retention: 60, ..Rotation::default() };
    statements.extend(rotation::expired(&wanted, &logins(username), &found, &rules, now.parse().unwrap()));
    let failures = running.postgres.run(&running.at, &statements).await.unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
    statements.iter().map(Statement::redacted).collect()
}

#[tokio::test]
async fn a_stand_in_takes_over_while_the_last_one_still_works_and_the_one_before_goes() {
    on_every_server(async |running| {
        let (postgres, at) = (&running.postgres, &running.at);
        look(running, "app", "2026-09-01T00:00:00Z").await;
        running.server.sql("postgres", "postgres", "ALTER ROLE app SET search_path = '$user', data").await;
        running.server.sql("postgres", "postgres", "CREATE ROLE app_x_210101; CREATE ROLE app210101").await;

        let done = look(running, "app260901", "2026-09-01T00:00:00Z").await;
        assert_eq!(
            done,
            [
                r#"CREATE ROLE "app260901" CREATEDB LOGIN PASSWORD '…'"#,
                r#"ALTER ROLE "app260901" SET "search_path" TO '$user', 'data'"#,
                r#"GRANT "app" TO "app260901""#,
            ]
        );
        assert_eq!(look(running, "app260901", "2026-09-01T00:00:00Z").await, [""; 0]);
        for user in ["app", "app260901"] {
            assert!(logs_in(postgres, at, user, &format!("of {user}"), "postgres").await, "{user}");
        }

        look(running, "app261001", "2026-10-01T00:00:00Z").await;
        assert!(logs_in(postgres, at, "app260901", "of app260901", "postgres").await, "it is still kept");
        let done = look(running, "app261101", "2026-11-02T00:00:00Z").await;
        assert!(done.contains(&r#"DROP ROLE "app260901""#.to_owned()), "{done:#?}");
        assert!(!done.iter().any(|sql| sql.contains("app210101") || sql.contains("app_x")), "{done:#?}");
        assert_eq!(look(running, "app261101", "2026-11-02T00:00:00Z").await, [""; 0]);

        let done = look(running, "app", "2026-11-02T00:00:00Z").await;
        assert_eq!(done, [""; 0], "switched off, the user is back with the password that its Secret holds");
        assert!(logs_in(postgres, at, "app", "of app", "postgres").await);
    })
    .await;
}

#[tokio::test]
async fn a_stand_in_that_owns_something_loses_its_login_and_stays_until_it_owns_nothing() {
    on_every_server(async |running| {
        let late = "2026-12-24T00:00:00Z";
        look(running, "app260901", "2026-09-01T00:00:00Z").await;
        running.server.sql("postgres", "foo", "CREATE TABLE t (); ALTER TABLE t OWNER TO app260901").await;
        let done = look(running, "app261201", late).await;
        assert!(done.contains(&r#"ALTER ROLE "app260901" NOLOGIN"#.to_owned()), "{done:#?}");
        assert_eq!(look(running, "app261201", late).await, [""; 0]);
        running.server.sql("postgres", "foo", "REASSIGN OWNED BY app260901 TO app").await;
        assert_eq!(look(running, "app261201", late).await, [r#"DROP ROLE "app260901""#]);
    })
    .await;
}

#[tokio::test]
async fn a_user_that_a_restored_server_lacks_is_made_without_a_password() {
    on_every_server(async |running| {
        let done = look(running, "app260901", "2026-09-01T00:00:00Z").await;
        assert_eq!(done[0], r#"CREATE ROLE "app" CREATEDB LOGIN PASSWORD NULL"#);
        assert!(!logs_in(&running.postgres, &running.at, "app", "", "postgres").await);
        assert!(logs_in(&running.postgres, &running.at, "app260901", "of app260901", "postgres").await);
    })
    .await;
}
