//! Rotation over the days: who is rotated, when, under which name, and what is dropped.

use super::*;
use crate::roles::ParameterName;
use crate::roles::catalog::Membership;

const DAY: &str = "2026-11-22T08:00:00Z";

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn role(text: &str, origin: Origin) -> Role {
    Role {
        name: name(text),
        flags: RoleFlags::new([(Attribute::Login, true), (Attribute::CreateDb, true)]),
        member_of: vec![name("group")],
        admin: None,
        parameters: BTreeMap::new(),
        origin,
        wants_password: true,
        keeper: if origin == Origin::System { Keeper::Patroni } else { Keeper::Operator },
        owns_databases: false,
        secret_namespace: None,
    }
}

fn rotation() -> Rotation {
    Rotation { everyone: true, interval: 90, retention: 180, ..Rotation::default() }
}

fn login(username: &str, next: Option<&str>) -> Login {
    Login { username: name(username), next: next.map(at), rotated_once: next.is_some() }
}

fn decided(mode: Mode, login: &Login) -> Decision {
    decide(&name("app"), mode, login, &rotation(), at(DAY)).unwrap()
}

#[test]
fn everyone_means_users_of_the_manifest_and_of_prepared_databases_that_own_nothing() {
    let modes = [
        (Origin::Manifest, Mode::NewUser),
        (Origin::Prepared, Mode::NewUser),
        (Origin::Infrastructure, Mode::Off),
        (Origin::Team, Mode::Off),
        (Origin::System, Mode::Off),
        (Origin::Pooler, Mode::Off),
        (Origin::Stream, Mode::Off),
    ];
    for (origin, mode) in modes {
        assert_eq!(rotation().mode(&role("app", origin)), mode, "{origin:?}");
    }
    let owner = Role { owns_databases: true, ..role("app", Origin::Manifest) };
    assert_eq!(rotation().mode(&owner), Mode::Off);
    let group = Role { wants_password: false, ..role("app", Origin::Manifest) };
    assert_eq!(rotation().mode(&group), Mode::Off);
}

#[test]
fn a_name_in_a_list_decides_and_the_list_of_the_exempt_is_the_strongest() {
    let lists = |new_user: &[&str], in_place: &[&str], exempt: &[&str]| Rotation {
        everyone: false,
        new_user: new_user.iter().map(|text| name(text)).collect(),
        in_place: in_place.iter().map(|text| name(text)).collect(),
        exempt: exempt.iter().map(|text| name(text)).collect(),
        ..rotation()
    };
    let owner = Role { owns_databases: true, ..role("app", Origin::Manifest) };
    assert_eq!(lists(&[], &[], &[]).mode(&owner), Mode::Off);
    assert_eq!(lists(&["app"], &[], &[]).mode(&owner), Mode::NewUser);
    assert_eq!(lists(&["app"], &["app"], &[]).mode(&owner), Mode::InPlace);
    assert_eq!(lists(&["app"], &["app"], &["app"]).mode(&owner), Mode::Off);
    assert_eq!(lists(&["app"], &[], &[]).mode(&role("app", Origin::Pooler)), Mode::InPlace);
    assert_eq!(lists(&["app"], &["app"], &[]).mode(&role("app", Origin::System)), Mode::Off);
}

#[test]
fn a_secret_without_a_date_gets_one_and_a_shorter_interval_brings_it_nearer() {
    let later = at("2027-02-20T08:00:00Z");
    for mode in [Mode::NewUser, Mode::InPlace] {
        assert_eq!(decided(mode, &login("app", None)), Decision::Date(later));
        assert_eq!(decided(mode, &login("app", Some("2028-01-01T00:00:00Z"))), Decision::Date(later));
        assert_eq!(decided(mode, &login("app", Some("2027-02-20T08:00:00Z"))), Decision::Keep);
        assert_eq!(decided(mode, &login("app", Some(DAY))), Decision::Keep);
    }
}

#[test]
fn on_its_day_a_new_user_takes_over_or_the_password_changes() {
    let next = at("2027-02-20T08:00:00Z");
    let past = Some("2026-11-22T07:59:59Z");
    let new_user = Decision::Rotate { username: name("app261122"), next };
    assert_eq!(decided(Mode::NewUser, &login("app", past)), new_user);
    assert_eq!(decided(Mode::NewUser, &login("app260824", past)), new_user);
    let in_place = Decision::Rotate { username: name("app"), next };
    assert_eq!(decided(Mode::InPlace, &login("app", past)), in_place);
    assert_eq!(decided(Mode::InPlace, &login("app260824", Some("2028-01-01T00:00:00Z"))), in_place);
}

#[test]
fn switched_off_the_user_itself_logs_in_again() {
    assert_eq!(decided(Mode::Off, &login("app260824", None)), Decision::Return);
    assert_eq!(decided(Mode::Off, &login("app", Some("2020-01-01T00:00:00Z"))), Decision::Keep);
}

#[test]
fn a_name_without_room_for_the_day_is_refused() {
    let long = name(&"a".repeat(58));
    let past = Login { username: long.clone(), ..login("app", Some("2020-01-01T00:00:00Z")) };
    let refused = decide(&long, Mode::NewUser, &past, &rotation(), at(DAY));
    assert_eq!(refused, Err(InvalidName::TooLong(64)));
}

#[test]
fn only_six_digits_that_are_a_day_make_a_rotated_name() {
    let day = |text: &str| made_on(&name("app"), &name(text)).map(|day| day.to_string());
    assert_eq!(day("app261122"), Some("2026-11-22".to_owned()));
    for other in
        ["app", "app26112", "app2611220", "app_261122", "app261322", "app260230", "appx61122", "other261122"]
    {
        assert_eq!(day(other), None, "{other}");
    }
}

fn existing(member_of: &[&str]) -> ExistingRole {
    let member_of = member_of.iter().map(|role| (name(role), Membership::Member)).collect();
    let parameters = [(ParameterName::new("search_path"), r#""$user", data"#.to_owned())].into();
    ExistingRole { member_of, parameters, ..ExistingRole::default() }
}

fn server(roles: &[(&str, &[&str])]) -> Catalog {
    let roles = roles.iter().map(|(role, member_of)| (name(role), existing(member_of)));
    Catalog { roles: roles.collect(), ..Catalog::default() }
}

#[test]
fn a_stand_in_is_a_member_of_its_user_with_the_users_attributes_and_settings() {
    let set = RoleSet { roles: vec![role("app", Origin::Manifest)], ..RoleSet::default() };
    let logins = [(name("app"), login("app261122", Some(DAY)))].into();
    let set = with_stand_ins(&set, &logins, &server(&[("app", &[])]));
    let [user, stand_in] = &set.roles[..] else { panic!("{set:?}") };
    assert!(!user.wants_password && stand_in.wants_password);
    assert_eq!(stand_in.name, name("app261122"));
    assert_eq!(stand_in.member_of, [name("app")]);
    assert_eq!(stand_in.flags, user.flags);
    let path = ParameterValue::List(vec!["$user".to_owned(), "data".to_owned()]);
    assert_eq!(stand_in.parameters, [(ParameterName::new("search_path"), path)].into());
}

#[test]
fn only_stand_ins_past_their_time_are_dropped() {
    let server = server(&[
        ("app", &[]),
        ("app260101", &["app"]),
        ("app260525", &["app"]),
        ("app260526", &["app"]),
        ("app250101", &["group"]),
        ("app_x_210101", &["app"]),
        ("app210101", &["app"]),
        ("app220101", &["app"]),
        ("other210101", &["other"]),
    ]);
    let roles = RoleSet {
        roles: vec![role("app", Origin::Manifest), role("app210101", Origin::Manifest)],
        ..RoleSet::default()
    };
    let mut logins: BTreeMap<_, _> = [(name("app"), login("app220101", Some(DAY)))].into();
    logins.insert(name("other"), login("other", None));
    let dropped: Vec<String> =
        expired(&roles, &logins, &server, &rotation(), at(DAY)).iter().map(Statement::to_sql).collect();
    assert_eq!(dropped, [r#"DROP ROLE "app260101""#, r#"DROP ROLE "app260525""#]);
    let mut owning = server.clone();
    owning.roles.values_mut().for_each(|role| role.has_belongings = true);
    assert_eq!(expired(&roles, &logins, &owning, &rotation(), at(DAY)), [], "it cannot log in any more");
    let stand_in = owning.roles.get_mut(&name("app260101")).unwrap();
    stand_in.attributes.insert(Attribute::Login);
    let ended = expired(&roles, &logins, &owning, &rotation(), at(DAY));
    assert_eq!(ended[0].to_sql(), r#"ALTER ROLE "app260101" NOLOGIN"#);
    let long = Rotation { interval: 1000, ..rotation() };
    assert_eq!(expired(&roles, &logins, &server, &long, at(DAY)), []);
}
