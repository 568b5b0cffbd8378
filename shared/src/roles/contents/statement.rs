//! Typed SQL for the inside of one database.
//!
//! `plan` makes it, the operator runs what [`ContentStatement::to_sql`] renders, connected to that very database: nothing
//! here names one. None of it is secret.

use std::collections::BTreeSet;
use std::fmt;

use crate::roles::name::{ExtensionName, PublicationName, RoleName, SchemaName};
use crate::roles::quote::{identifier, literal};

use super::{ObjectKind, Privilege, Table};

/// The name of the lookup function, which PgBouncer's image expects.
pub(super) const LOOKUP: &str = "user_lookup";
/// The language of the lookup function.
pub(super) const LOOKUP_LANGUAGE: &str = "plpgsql";
/// What the lookup function does: the login role of that name, or nulls. The view is qualified and the search path
/// fixed, so that nobody can slip an object of their own in front of PostgreSQL's.
pub(super) const LOOKUP_BODY: &str = "
BEGIN
    SELECT shadow.usename, shadow.passwd INTO uname, phash
      FROM pg_catalog.pg_shadow AS shadow
     WHERE shadow.usename = i_username;
END
";
/// The search path of the lookup function, as the catalog has it.
pub(super) const LOOKUP_SETTING: &str = "search_path=pg_catalog, pg_temp";

/// One SQL statement about the inside of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentStatement {
    /// `CREATE SCHEMA`.
    CreateSchema {
        /// The new schema.
        name: SchemaName,
        /// Its owner.
        owner: RoleName,
    },
    /// `ALTER SCHEMA … OWNER TO`.
    AlterSchemaOwner {
        /// The schema.
        name: SchemaName,
        /// Its new owner.
        owner: RoleName,
    },
    /// `GRANT USAGE ON SCHEMA`.
    GrantUsage {
        /// The schema.
        schema: SchemaName,
        /// The role that may look into it.
        role: RoleName,
    },
    /// `ALTER DEFAULT PRIVILEGES … GRANT`.
    GrantDefaults {
        /// Whose objects.
        maker: RoleName,
        /// In which schema; `None`: in any.
        schema: Option<SchemaName>,
        /// Which kind of object.
        kind: ObjectKind,
        /// Who gets them.
        grantee: RoleName,
        /// What they get; never empty.
        privileges: BTreeSet<Privilege>,
    },
    /// `CREATE EXTENSION`.
    CreateExtension {
        /// The new extension.
        name: ExtensionName,
        /// Its schema.
        schema: SchemaName,
    },
    /// `ALTER EXTENSION … SET SCHEMA`.
    MoveExtension {
        /// The extension.
        name: ExtensionName,
        /// Its new schema.
        schema: SchemaName,
    },
    /// Makes the pooler's lookup function, or makes it what it should be.
    PutLookup {
        /// Its schema.
        schema: SchemaName,
    },
    /// Gives the lookup function to another owner.
    AlterLookupOwner {
        /// Its schema.
        schema: SchemaName,
        /// Its new owner.
        owner: RoleName,
    },
    /// Closes the lookup function: every function is open to all when it is made.
    CloseLookup {
        /// Its schema.
        schema: SchemaName,
    },
    /// Lets a role call the lookup function.
    GrantLookup {
        /// Its schema.
        schema: SchemaName,
        /// The role.
        role: RoleName,
    },
    /// `CREATE PUBLICATION`, of inserts and updates.
    CreatePublication {
        /// The new publication.
        name: PublicationName,
        /// Its tables; never empty.
        tables: BTreeSet<Table>,
    },
    /// `ALTER PUBLICATION … SET TABLE`.
    SetTables {
        /// The publication.
        name: PublicationName,
        /// Its new tables; never empty.
        tables: BTreeSet<Table>,
    },
    /// `DROP PUBLICATION`.
    DropPublication {
        /// The publication.
        name: PublicationName,
    },
}

impl ContentStatement {
    /// The SQL.
    pub fn to_sql(&self) -> String {
        match self {
            Self::CreateSchema { name, owner } => {
                format!("CREATE SCHEMA {} AUTHORIZATION {}", identifier(name.as_str()), role(owner))
            }
            Self::AlterSchemaOwner { name, owner } => {
                format!("ALTER SCHEMA {} OWNER TO {}", identifier(name.as_str()), role(owner))
            }
            Self::GrantUsage { schema, role: to } => {
                format!("GRANT USAGE ON SCHEMA {} TO {}", identifier(schema.as_str()), role(to))
            }
            Self::GrantDefaults { maker, schema, kind, grantee, privileges } => {
                let words: Vec<&str> = privileges.iter().map(|one| one.word()).collect();
                let inside = schema.as_ref().map(|name| format!(" IN SCHEMA {}", identifier(name.as_str())));
                format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {}{} GRANT {} ON {} TO {}",
                    role(maker),
                    inside.unwrap_or_default(),
                    words.join(", "),
                    kind.word(),
                    role(grantee)
                )
            }
            Self::CreateExtension { name, schema } => {
                let (name, schema) = (identifier(name.as_str()), identifier(schema.as_str()));
                format!("CREATE EXTENSION {name} SCHEMA {schema}")
            }
            Self::MoveExtension { name, schema } => {
                let (name, schema) = (identifier(name.as_str()), identifier(schema.as_str()));
                format!("ALTER EXTENSION {name} SET SCHEMA {schema}")
            }
            Self::PutLookup { schema } => put_lookup(schema),
            Self::AlterLookupOwner { schema, owner } => {
                format!("ALTER FUNCTION {} OWNER TO {}", lookup(schema), role(owner))
            }
            Self::CloseLookup { schema } => {
                format!("REVOKE ALL ON FUNCTION {} FROM PUBLIC", lookup(schema))
            }
            Self::GrantLookup { schema, role: to } => {
                format!("GRANT EXECUTE ON FUNCTION {} TO {}", lookup(schema), role(to))
            }
            Self::CreatePublication { name, tables } => format!(
                "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = 'insert, update')",
                identifier(name.as_str()),
                listed(tables)
            ),
            Self::SetTables { name, tables } => {
                format!("ALTER PUBLICATION {} SET TABLE {}", identifier(name.as_str()), listed(tables))
            }
            Self::DropPublication { name } => format!("DROP PUBLICATION {}", identifier(name.as_str())),
        }
    }
}

impl fmt::Display for ContentStatement {
    /// In one line, and without the text of a function.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutLookup { schema } => write!(f, "CREATE OR REPLACE FUNCTION {}", lookup(schema)),
            other => f.write_str(&other.to_sql()),
        }
    }
}

fn role(name: &RoleName) -> String {
    identifier(name.as_str())
}

fn lookup(schema: &SchemaName) -> String {
    format!("{}.{LOOKUP}(text)", identifier(schema.as_str()))
}

/// The names of the parameters are upstream's: a function that is there cannot get others.
fn put_lookup(schema: &SchemaName) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {}.{LOOKUP}(IN i_username text, OUT uname text, OUT phash text) RETURNS record \
         LANGUAGE {LOOKUP_LANGUAGE} SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS {}",
        identifier(schema.as_str()),
        literal(LOOKUP_BODY)
    )
}

fn listed(tables: &BTreeSet<Table>) -> String {
    let names = tables
        .iter()
        .map(|table| format!("{}.{}", identifier(table.schema.as_str()), identifier(table.name.as_str())));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_is_written_as_postgres_reads_it() {
        let tables =
            || [("data", "a"), ("data", "B\"")].map(|(s, t)| Table { schema: name(s), name: name(t) });
        let defaults = |schema: Option<&str>| ContentStatement::GrantDefaults {
            maker: name("d_owner"),
            schema: schema.map(name),
            kind: ObjectKind::Tables,
            grantee: name("d_writer"),
            privileges: [Privilege::Delete, Privilege::Insert].into(),
        };
        let table = [
            (
                ContentStatement::CreateSchema { name: name("s"), owner: name("o") },
                r#"CREATE SCHEMA "s" AUTHORIZATION "o""#,
            ),
            (
                defaults(None),
                r#"ALTER DEFAULT PRIVILEGES FOR ROLE "d_owner" GRANT INSERT, DELETE ON TABLES TO "d_writer""#,
            ),
            (
                defaults(Some("s")),
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"d_owner\" IN SCHEMA \"s\" GRANT INSERT, DELETE ON TABLES \
                 TO \"d_writer\"",
            ),
            (
                ContentStatement::MoveExtension { name: name("uuid-ossp"), schema: name("s") },
                r#"ALTER EXTENSION "uuid-ossp" SET SCHEMA "s""#,
            ),
            (
                ContentStatement::CloseLookup { schema: name("pooler") },
                r#"REVOKE ALL ON FUNCTION "pooler".user_lookup(text) FROM PUBLIC"#,
            ),
            (
                ContentStatement::CreatePublication { name: name("fes_d_a"), tables: tables().into() },
                r#"CREATE PUBLICATION "fes_d_a" FOR TABLE "data"."B""", "data"."a" WITH (publish = 'insert, update')"#,
            ),
        ];
        for (statement, sql) in table {
            assert_eq!(statement.to_sql(), sql);
        }
    }

    #[test]
    fn a_log_does_not_repeat_the_text_of_a_function() {
        let put = ContentStatement::PutLookup { schema: name("pooler") };
        assert_eq!(put.to_string(), r#"CREATE OR REPLACE FUNCTION "pooler".user_lookup(text)"#);
        assert!(put.to_sql().contains("SECURITY DEFINER SET search_path TO pg_catalog, pg_temp"));
    }
}
