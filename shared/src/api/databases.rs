//! Prepared databases: a database with owner, reader and writer roles.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// A database that is made with roles, schemas and extensions.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreparedDatabase {
    /// Its schemas; one named `data` where absent.
    pub schemas: Option<BTreeMap<String, PreparedSchema>>,
    /// Also make a login role for each default role.
    pub default_users: Option<bool>,
    /// Extensions, each with the schema it is made in.
    pub extensions: Option<BTreeMap<String, String>>,
    /// The namespace of the login roles' Secrets; the cluster's where absent.
    pub secret_namespace: Option<String>,
}

/// A schema of a prepared database.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreparedSchema {
    /// Make owner, reader and writer roles for the schema; yes where absent.
    pub default_roles: Option<bool>,
    /// Also make a login role for each of them.
    pub default_users: Option<bool>,
}
