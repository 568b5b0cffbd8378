//! What a single database holds: schemas, privileges, extensions, the pooler's lookup function, publications.
//!
//! Roles and databases belong to the server and are compared once (`roles::plan`); these belong to one database, and
//! PostgreSQL shows them only to who is connected to it. So the operator asks [`wanted`] for each database it has to
//! visit, reads [`Existing`] there, and runs what [`plan`] says. Surprising: which databases to visit is a question of
//! its own ([`visits`]), because every connection costs, in a fleet, and most clusters need none.

mod desired;
mod plan;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

pub use desired::{made, visits, wanted};
pub use plan::plan;
pub use statement::ContentStatement;

use super::name::{DatabaseName, ExtensionName, PublicationName, RoleName, SchemaName, TableName};
use super::prepared::PreparedDatabase;

/// The role that event streams read with. Where it exists, streams are wanted or once were.
pub const STREAM_USER: &str = "fes_user";
/// How the names of the event streams' publications begin.
pub const PUBLICATION_PREFIX: &str = "fes_";

/// What the databases of a cluster should hold, before it is known which databases there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The prepared databases.
    pub prepared: BTreeMap<DatabaseName, PreparedDatabase>,
    /// The pooler's lookup function, in every database.
    pub lookup: Option<Lookup>,
    /// What event streams read from.
    pub publications: Publications,
}

/// What event streams read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publications {
    /// The publications of each database, each with its tables.
    pub wanted: BTreeMap<DatabaseName, BTreeMap<PublicationName, BTreeSet<Table>>>,
    /// Slots that the manifest itself defines: a publication of such a name is not ours to drop.
    pub spared: BTreeSet<PublicationName>,
}

/// What one database should hold. Roles in it may be missing on the server: what needs them waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The schemas to make, each with its owner.
    pub schemas: BTreeMap<SchemaName, RoleName>,
    /// Who may look into which schema.
    pub usage: BTreeSet<(SchemaName, RoleName)>,
    /// What roles get on objects that will be made.
    pub defaults: BTreeSet<DefaultPrivilege>,
    /// The extensions, each with its schema.
    pub extensions: BTreeMap<ExtensionName, SchemaName>,
    /// The pooler's lookup function.
    pub lookup: Option<Lookup>,
    /// The publications of event streams, each with its tables.
    pub publications: BTreeMap<PublicationName, BTreeSet<Table>>,
    /// Names under which a publication is left as it is although nobody asks for it.
    pub spared: BTreeSet<PublicationName>,
}

/// What one database holds, as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// All schemas but PostgreSQL's own, each with its owner.
    pub schemas: BTreeMap<SchemaName, RoleName>,
    /// Who was granted `USAGE` on which schema.
    pub usage: BTreeSet<(SchemaName, RoleName)>,
    /// The default privileges in force.
    pub defaults: BTreeSet<DefaultPrivilege>,
    /// The extensions, each with its schema.
    pub extensions: BTreeMap<ExtensionName, SchemaName>,
    /// The functions that could be a pooler's lookup function, by schema.
    pub lookups: BTreeMap<SchemaName, ExistingLookup>,
    /// The publications for event streams that belong to whoever reads this, each with its tables.
    pub publications: BTreeMap<PublicationName, BTreeSet<Table>>,
}

/// Something a role gets on each object that another role makes (`ALTER DEFAULT PRIVILEGES`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultPrivilege {
    /// Whose objects.
    pub maker: RoleName,
    /// In which schema; `None`: in any.
    pub schema: Option<SchemaName>,
    /// Which kind of object.
    pub kind: ObjectKind,
    /// Who gets it.
    pub grantee: RoleName,
    /// What.
    pub privilege: Privilege,
}

/// The kinds of object that have default privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// Schemas; never inside a schema.
    Schemas,
    /// Tables and views.
    Tables,
    /// Sequences.
    Sequences,
    /// Functions and procedures.
    Functions,
    /// Types and domains.
    Types,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Schemas, Self::Tables, Self::Sequences, Self::Functions, Self::Types];

    /// As `ALTER DEFAULT PRIVILEGES` writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Schemas => "SCHEMAS",
            Self::Tables => "TABLES",
            Self::Sequences => "SEQUENCES",
            Self::Functions => "FUNCTIONS",
            Self::Types => "TYPES",
        }
    }

    /// As `pg_default_acl.defaclobjtype` has it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Schemas => "n",
            Self::Tables => "r",
            Self::Sequences => "S",
            Self::Functions => "f",
            Self::Types => "T",
        }
    }
}

/// The privileges that prepared databases hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Read rows.
    Select,
    /// Add rows.
    Insert,
    /// Change rows, or set a sequence.
    Update,
    /// Remove rows.
    Delete,
    /// Look into a schema, use a type, draw from a sequence.
    Usage,
    /// Call a function.
    Execute,
}

impl Privilege {
    /// Every privilege.
    pub const ALL: [Self; 6] =
        [Self::Select, Self::Insert, Self::Update, Self::Delete, Self::Usage, Self::Execute];

    /// As SQL writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Usage => "USAGE",
            Self::Execute => "EXECUTE",
        }
    }
}

/// A table of an event stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// Its schema.
    pub schema: SchemaName,
    /// Its name.
    pub name: TableName,
}

/// The function that PgBouncer looks passwords up with, as its image calls it: `<schema>.user_lookup(text)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Its schema, in lower case: PgBouncer's configuration names it without quotes.
    pub schema: SchemaName,
    /// The one role that may call it.
    pub user: RoleName,
    /// Its owner, with whose rights it reads `pg_shadow`: the superuser.
    pub owner: RoleName,
}

/// A function `user_lookup(text)` as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingLookup {
    /// Its owner.
    pub owner: RoleName,
    /// Its language.
    pub language: String,
    /// Its text.
    pub body: String,
    /// Whether it runs with its owner's rights.
    pub definer: bool,
    /// Its settings, each `name=value`.
    pub settings: Vec<String>,
    /// Whether anyone may call it.
    pub open_to_all: bool,
    /// The roles that may call it.
    pub callers: BTreeSet<RoleName>,
}

#[cfg(test)]
mod tests;
