//! Typed SQL about roles and databases; what is inside a database has its own (`contents`).
//!
//! `plan` makes statements, the operator's adapter runs what [`Statement::to_sql`] renders. Surprising: two renderings
//! exist. The one for logs ([`Statement::redacted`], also `Display` and `Debug`) never holds a password's verifier.

use std::fmt;

use super::contents::ContentStatement;
use super::flags::RoleFlags;
use super::former::MARK;
use super::name::{DatabaseName, RoleName};
use super::parameter::{ParameterName, ParameterValue};
use super::password::Verifier;
use super::quote::{identifier, literal};

/// One SQL statement.
#[derive(Clone, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE ROLE`.
    CreateRole {
        /// The new role.
        name: RoleName,
        /// Its attributes; what is not mentioned gets PostgreSQL's default.
        flags: RoleFlags,
        /// Its password; `None` means it can never log in by password.
        verifier: Option<Verifier>,
    },
    /// `ALTER ROLE` for attributes.
    AlterRoleFlags {
        /// The role.
        name: RoleName,
        /// The attributes that change.
        flags: RoleFlags,
    },
    /// `ALTER ROLE … PASSWORD`.
    AlterRolePassword {
        /// The role.
        name: RoleName,
        /// Its new password.
        verifier: Verifier,
    },
    /// `GRANT <role> TO <member>`.
    GrantMembership {
        /// The role whose rights are given.
        role: RoleName,
        /// The role that gets them.
        member: RoleName,
    },
    /// `GRANT <role> TO <admin> WITH ADMIN OPTION`.
    GrantAdmin {
        /// The role whose rights are given.
        role: RoleName,
        /// The role that gets them and may grant them on.
        admin: RoleName,
    },
    /// `DROP ROLE`: of a login role that a rotation made and that is past its time, nothing else.
    DropRole {
        /// The role.
        name: RoleName,
    },
    /// `ALTER ROLE … RENAME TO`: of a former member of a team, or of one who returns.
    RenameRole {
        /// The role.
        from: RoleName,
        /// Its new name.
        to: RoleName,
    },
    /// `COMMENT ON ROLE`: says that the role is a team member's.
    MarkRole {
        /// The role.
        name: RoleName,
    },
    /// `REVOKE <role> FROM <member>`.
    RevokeMembership {
        /// The role whose rights are taken.
        role: RoleName,
        /// The role that loses them.
        member: RoleName,
    },
    /// `ALTER ROLE … SET`.
    SetParameter {
        /// The role.
        role: RoleName,
        /// The setting.
        parameter: ParameterName,
        /// Its new value.
        value: ParameterValue,
    },
    /// `CREATE DATABASE`; it cannot run inside a transaction.
    CreateDatabase {
        /// The new database.
        name: DatabaseName,
        /// Its owner.
        owner: RoleName,
    },
    /// `ALTER DATABASE … OWNER TO`.
    AlterDatabaseOwner {
        /// The database.
        name: DatabaseName,
        /// Its new owner.
        owner: RoleName,
    },
    /// Something inside the database that we are connected to.
    Inside(ContentStatement),
}

impl Statement {
    /// The SQL, passwords included: for the database only.
    pub fn to_sql(&self) -> String {
        self.render(|verifier| literal(verifier.as_str()))
    }

    /// The SQL without passwords: for logs, events and the status.
    pub fn redacted(&self) -> String {
        match self {
            Self::Inside(statement) => statement.to_string(),
            _ => self.render(|_| "'…'".to_owned()),
        }
    }

    /// Whether `role` could not log in as it should without this.
    pub fn is_needed_to_log_in(&self, role: &RoleName) -> bool {
        match self {
            Self::CreateRole { name, .. }
            | Self::AlterRolePassword { name, .. }
            | Self::GrantMembership { member: name, .. } => name == role,
            Self::AlterRoleFlags { .. }
            | Self::GrantAdmin { .. }
            | Self::DropRole { .. }
            | Self::RenameRole { .. }
            | Self::MarkRole { .. }
            | Self::RevokeMembership { .. }
            | Self::SetParameter { .. }
            | Self::CreateDatabase { .. }
            | Self::AlterDatabaseOwner { .. }
            | Self::Inside(_) => false,
        }
    }

    fn render(&self, secret: impl Fn(&Verifier) -> String) -> String {
        match self {
            Self::CreateRole { name, flags, verifier } => {
                let password = verifier.as_ref().map_or_else(|| "NULL".to_owned(), secret);
                let flags = if flags.is_empty() { String::new() } else { format!("{flags} ") };
                format!("CREATE ROLE {} {flags}PASSWORD {password}", identifier(name.as_str()))
            }
            Self::AlterRoleFlags { name, flags } => {
                format!("ALTER ROLE {} {flags}", identifier(name.as_str()))
            }
            Self::AlterRolePassword { name, verifier } => {
                format!("ALTER ROLE {} PASSWORD {}", identifier(name.as_str()), secret(verifier))
            }
            Self::GrantMembership { role, member } => {
                format!("GRANT {} TO {}", identifier(role.as_str()), identifier(member.as_str()))
            }
            Self::GrantAdmin { role, admin } => {
                let (role, admin) = (identifier(role.as_str()), identifier(admin.as_str()));
                format!("GRANT {role} TO {admin} WITH ADMIN OPTION")
            }
            Self::RevokeMembership { role, member } => {
                format!("REVOKE {} FROM {}", identifier(role.as_str()), identifier(member.as_str()))
            }
            Self::SetParameter { role, parameter, value } => {
                format!(
                    "ALTER ROLE {} SET {} TO {}",
                    identifier(role.as_str()),
                    setting(parameter),
                    setting_value(value)
                )
            }
            Self::DropRole { name } => format!("DROP ROLE {}", identifier(name.as_str())),
            Self::RenameRole { from, to } => {
                format!("ALTER ROLE {} RENAME TO {}", identifier(from.as_str()), identifier(to.as_str()))
            }
            Self::MarkRole { name } => {
                format!("COMMENT ON ROLE {} IS {}", identifier(name.as_str()), literal(MARK))
            }
            Self::CreateDatabase { name, owner } => {
                format!("CREATE DATABASE {} OWNER {}", identifier(name.as_str()), identifier(owner.as_str()))
            }
            Self::AlterDatabaseOwner { name, owner } => {
                let (name, owner) = (identifier(name.as_str()), identifier(owner.as_str()));
                format!("ALTER DATABASE {name} OWNER TO {owner}")
            }
            Self::Inside(statement) => statement.to_sql(),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// A setting's name: each part of `extension.setting` by itself.
fn setting(name: &ParameterName) -> String {
    name.as_str().split('.').map(identifier).collect::<Vec<_>>().join(".")
}

fn setting_value(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Text(text) => literal(text),
        ParameterValue::List(members) if members.is_empty() => literal(""),
        ParameterValue::List(members) => members.iter().map(|m| literal(m)).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::password::Verifier;

    const HOSTILE: &[&str] = &[
        "x\"; DROP ROLE postgres; --",
        "\"",
        "\"\"",
        "'; --",
        "back\\slash",
        "\\'; DROP ROLE postgres; --",
        "/* */ -- $$ $tag$",
        "line\nbreak;",
        "U&\"\\0022;\"",
        "ünï;cøde\u{201d};",
    ];

    fn role(text: &str) -> RoleName {
        text.parse().unwrap()
    }

    fn database(text: &str) -> DatabaseName {
        text.parse().unwrap()
    }

    fn flags(list: &[&str]) -> RoleFlags {
        RoleFlags::parse(list).unwrap()
    }

    fn set(parameter: &str, value: ParameterValue) -> Statement {
        Statement::SetParameter { role: role("a"), parameter: ParameterName::new(parameter), value }
    }

    /// One of each kind, every name and value being `text`.
    fn every_kind(text: &str) -> Vec<Statement> {
        let verifier = Verifier::stored(text.to_owned());
        let (name, owner) = (database(text), role(text));
        vec![
            Statement::CreateRole { name: role(text), flags: flags(&[]), verifier: Some(verifier.clone()) },
            Statement::AlterRoleFlags { name: role(text), flags: flags(&["nologin"]) },
            Statement::AlterRolePassword { name: role(text), verifier },
            Statement::GrantMembership { role: role(text), member: role(text) },
            Statement::GrantAdmin { role: role(text), admin: role(text) },
            Statement::RevokeMembership { role: role(text), member: role(text) },
            Statement::DropRole { name: role(text) },
            Statement::RenameRole { from: role(text), to: role(text) },
            Statement::SetParameter {
                role: role(text),
                parameter: ParameterName::new(text),
                value: ParameterValue::List(vec![text.to_owned(), text.to_owned()]),
            },
            set("work_mem", ParameterValue::Text(text.to_owned())),
            Statement::CreateDatabase { name: name.clone(), owner: owner.clone() },
            Statement::AlterDatabaseOwner { name, owner },
        ]
    }

    /// What is left of a statement outside its quotes, read as PostgreSQL's lexer reads it.
    fn outside_quotes(sql: &str) -> String {
        let (mut outside, mut characters) = (String::new(), sql.chars().peekable());
        while let Some(quote) = characters.next() {
            if quote != '"' && quote != '\'' {
                outside.push(quote);
                continue;
            }
            let escapes = quote == '\'' && outside.ends_with('E');
            loop {
                match characters.next().expect("a quote that never ends") {
                    '\\' if escapes => drop(characters.next()),
                    found if found == quote && characters.next_if_eq(&quote).is_none() => break,
                    _ => {}
                }
            }
        }
        outside
    }

    #[test]
    fn no_name_or_value_gets_out_of_its_quotes() {
        for text in HOSTILE {
            for (hostile, harmless) in every_kind(text).iter().zip(every_kind("x")) {
                let outside = outside_quotes(&hostile.to_sql()).replace(" E", " ").replace('.', "");
                assert_eq!(outside, outside_quotes(&harmless.to_sql()), "{hostile}");
            }
        }
    }

    #[test]
    fn each_kind_is_written_as_postgres_reads_it() {
        let expected = [
            r#"CREATE ROLE "x" LOGIN PASSWORD 'x'"#,
            r#"ALTER ROLE "x" NOLOGIN"#,
            r#"ALTER ROLE "x" PASSWORD 'x'"#,
            r#"GRANT "x" TO "x""#,
            r#"GRANT "x" TO "x" WITH ADMIN OPTION"#,
            r#"REVOKE "x" FROM "x""#,
            r#"DROP ROLE "x""#,
            r#"ALTER ROLE "x" RENAME TO "x""#,
            r#"ALTER ROLE "x" SET "x" TO 'x', 'x'"#,
            r#"ALTER ROLE "a" SET "work_mem" TO 'x'"#,
            r#"CREATE DATABASE "x" OWNER "x""#,
            r#"ALTER DATABASE "x" OWNER TO "x""#,
        ];
        assert_eq!(every_kind("x").iter().map(Statement::to_sql).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn values_are_quoted_whatever_is_in_them() {
        let text = |value: &str| ParameterValue::Text(value.to_owned());
        let table = [
            (set("work_mem", text("")), r#"ALTER ROLE "a" SET "work_mem" TO ''"#),
            (set("app.note", text("a=b")), r#"ALTER ROLE "a" SET "app"."note" TO 'a=b'"#),
            (set("app.note", text("it's \\")), r#"ALTER ROLE "a" SET "app"."note" TO E'it''s \\'"#),
            (set("search_path", ParameterValue::List(vec![])), r#"ALTER ROLE "a" SET "search_path" TO ''"#),
        ];
        for (statement, sql) in table {
            assert_eq!(statement.to_sql(), sql);
        }
    }

    #[test]
    fn logs_never_show_a_verifier() {
        let verifier = Verifier::stored("SCRAM-SHA-256$secret".to_owned());
        let created =
            Statement::CreateRole { name: role("a"), flags: flags(&[]), verifier: Some(verifier.clone()) };
        let altered = Statement::AlterRolePassword { name: role("a"), verifier };
        assert_eq!(created.to_string(), r#"CREATE ROLE "a" LOGIN PASSWORD '…'"#);
        assert_eq!(format!("{altered:?}"), r#"ALTER ROLE "a" PASSWORD '…'"#);
    }
}
