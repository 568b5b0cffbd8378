//! Infrastructure roles and people: who gets in, who leaves, who comes back.

use shared::roles::infrastructure::{self, Sources};
use shared::roles::team::{Humans, People, Standing};
use shared::roles::{Attribute, RoleInputs, RoleSet, Statement, desired, plan};

use super::{catalog, logs_in, name, on_every_server, sync};

fn bare() -> RoleInputs {
    RoleInputs::bare(name("postgres"), name("standby"))
}

/// A cluster whose team has these members.
fn team(members: &[(&str, Standing)]) -> RoleSet {
    let members = members.iter().map(|(person, standing)| (name(person), *standing)).collect();
    let people = People { members, unfit: Vec::new(), complete: true };
    let mut humans = Humans {
        people,
        group: Some(name("zalandos")),
        admin: Some(name("admin")),
        suffix: Some("_deleted".to_owned()),
        ..Humans::default()
    };
    let parameter = shared::roles::ParameterName::new("log_statement");
    humans.parameters.insert(parameter.clone(), shared::roles::ParameterValue::parse(&parameter, "all"));
    desired(&RoleInputs { humans, ..bare() })
}

fn sql(statements: &[Statement]) -> Vec<String> {
    statements.iter().map(Statement::to_sql).collect()
}

#[tokio::test]
async fn infrastructure_roles_log_in_with_their_own_password_and_belong_to_their_groups() {
    on_every_server(async |running| {
        let (postgres, at) = (&running.postgres, &running.at);
        running.server.sql("postgres", "postgres", "CREATE ROLE readers; CREATE ROLE boss").await;
        let definition =
            "{secretname: infra, userkey: user, passwordkey: password, rolekey: inrole, template: true}";
        let given = |password: &str| {
            let secret =
                [("user1", "robot"), ("password1", password), ("inrole1", "readers"), ("metrics", "brick")];
            let metrics =
                "inrole: [readers]\nuser_flags: [createdb]\ndb_parameters: {work_mem: 8MB}\nadmin_role: boss";
            let owned = |(key, text): (&str, &str)| (key.to_owned(), text.to_owned());
            let sources = Sources {
                secret: Some(secret.map(owned).into()),
                config_map: [owned(("metrics", metrics))].into(),
            };
            let read = infrastructure::read([(&serde_saphyr::from_str(definition).unwrap(), &sources)]);
            assert_eq!(read.problems, [""; 0]);
            let set = desired(&RoleInputs { infrastructure: read.roles.clone(), ..bare() });
            let password =
                |role: &str| read.roles.get(&name(role)).map(|given| given.password.as_str().to_owned());
            let passwords = super::passwords(&set, |role| password(role).unwrap_or_default());
            (set, passwords)
        };
        let (set, passwords) = given("first");
        sync(postgres, at, &set, &passwords).await;
        assert!(logs_in(postgres, at, "robot", "first", "postgres").await);
        assert!(logs_in(postgres, at, "metrics", "brick", "postgres").await);
        let seen = catalog(postgres, at).await;
        for role in ["robot", "metrics"] {
            assert!(seen.roles[&name(role)].member_of.contains_key(&name("readers")), "{role}");
        }
        assert!(seen.roles[&name("metrics")].attributes.contains(&Attribute::CreateDb));
        assert!(seen.roles[&name("boss")].member_of.contains_key(&name("metrics")));
        assert_eq!(sql(&plan(&set, &passwords, &seen)), [""; 0], "a second look must find nothing");

        let (set, passwords) = given("second");
        sync(postgres, at, &set, &passwords).await;
        assert!(logs_in(postgres, at, "robot", "second", "postgres").await);
        assert!(!logs_in(postgres, at, "robot", "first", "postgres").await);
    })
    .await;
}

#[tokio::test]
async fn a_member_who_leaves_is_renamed_and_locked_out_and_gets_everything_back_on_return() {
    on_every_server(async |running| {
        let (postgres, at, server) = (&running.postgres, &running.at, &running.server);
        // Spilo makes these two.
        server.sql("postgres", "postgres", "CREATE ROLE zalandos; CREATE ROLE admin CREATEDB").await;
        let stranger = "CREATE ROLE stranger LOGIN IN ROLE zalandos; COMMENT ON ROLE stranger IS 'mine'";
        server.sql("postgres", "postgres", stranger).await;

        let both = team(&[("ann@example.org", Standing::Member), ("root", Standing::Superuser)]);
        running.settle_for_good(&both).await;
        let seen = catalog(postgres, at).await;
        let ann = &seen.roles[&name("ann@example.org")];
        assert!(ann.attributes.contains(&Attribute::Login) && ann.verifier.is_none());
        assert_eq!(ann.member_of.keys().map(ToString::to_string).collect::<Vec<_>>(), ["admin", "zalandos"]);
        assert!(seen.roles[&name("root")].attributes.contains(&Attribute::Superuser));
        server.sql("ann@example.org", "postgres", "SET ROLE admin").await;

        let left = running.settle_for_good(&team(&[("root", Standing::Superuser)])).await;
        let expected = [
            r#"ALTER ROLE "ann@example.org" NOLOGIN"#,
            r#"ALTER ROLE "ann@example.org" RENAME TO "ann@example.org_deleted""#,
        ];
        assert_eq!(left, expected);
        let refused = server.try_sql("ann@example.org_deleted", "postgres", "SELECT 1").await;
        assert_eq!(refused, Err("28000".to_owned()), "not permitted to log in");
        assert!(catalog(postgres, at).await.roles.contains_key(&name("stranger")));

        let back = running.settle_for_good(&both).await;
        let expected = [
            r#"ALTER ROLE "ann@example.org_deleted" RENAME TO "ann@example.org""#,
            r#"ALTER ROLE "ann@example.org" LOGIN"#,
        ];
        assert_eq!(back, expected);
        server.sql("ann@example.org", "postgres", "SET ROLE admin").await;
    })
    .await;
}

#[tokio::test]
async fn where_the_new_name_is_taken_only_the_login_goes() {
    on_every_server(async |running| {
        let server = &running.server;
        server.sql("postgres", "postgres", "CREATE ROLE zalandos; CREATE ROLE admin").await;
        running.settle_for_good(&team(&[("ann", Standing::Member)])).await;
        server.sql("postgres", "postgres", "CREATE ROLE ann_deleted").await;
        assert_eq!(running.settle_for_good(&team(&[])).await, [r#"ALTER ROLE "ann" NOLOGIN"#]);
        let back = running.settle_for_good(&team(&[("ann", Standing::Member)])).await;
        assert_eq!(back, [r#"ALTER ROLE "ann" LOGIN"#]);
    })
    .await;
}
