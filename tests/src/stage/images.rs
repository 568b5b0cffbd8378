//! Which database images the nodes have.

/// The image that the operator is configured with, and that has a client's tools.
pub fn image() -> String {
    std::env::var("E2E_IMAGE").unwrap_or_else(|_| "localhost/spilo:1".to_owned())
}

/// The image that dumps a cluster's databases.
pub fn backup_image() -> String {
    std::env::var("E2E_BACKUP_IMAGE").unwrap_or_else(|_| "localhost/logical-backup:1".to_owned())
}

/// Another one, to change to.
pub fn other_image() -> String {
    std::env::var("E2E_OTHER_IMAGE").unwrap_or_else(|_| "localhost/spilo:2".to_owned())
}
