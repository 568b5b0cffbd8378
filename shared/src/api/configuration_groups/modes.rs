//! Settings that are one of a few words. The words are the API's; the variants are ours.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares enumerations with their words, once for serde, schema and default alike.
macro_rules! modes {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word that stands for it in a configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

modes! {
    /// Which clusters the operator upgrades to a new major version by itself.
    MajorVersionUpgradeMode {
        /// None, except those of the teams in `major_version_upgrade_team_allow_list`.
        Off = "off",
        /// Those whose manifest asks for a newer version than is running.
        #[default] Manual = "manual",
        /// As `manual`, and also every cluster older than `minimal_major_version`, to `target_major_version`.
        Full = "full",
    }

    /// How a larger volume in a manifest is carried out.
    StorageResizeMode {
        /// By changing the persistent volume claims.
        #[default] Pvc = "pvc",
        /// By asking AWS for larger EBS volumes, then resizing the file systems.
        Ebs = "ebs",
        /// EBS for what claims cannot express (throughput, iops, type); claims for the size.
        Mixed = "mixed",
        /// Not at all.
        Off = "off",
    }

    /// How `node_readiness_label` joins a manifest's own required node affinity.
    NodeReadinessLabelMerge {
        /// A node must satisfy both.
        And = "AND",
        /// A node must satisfy one of them.
        #[default] Or = "OR",
    }

    /// In which order a StatefulSet starts pods.
    PodManagementPolicy {
        /// One after another.
        #[default] OrderedReady = "ordered_ready",
        /// All at once.
        Parallel = "parallel",
    }

    /// A step of an update that disturbs those who use the database.
    Disruption {
        /// PostgreSQL restarts in place, in any member.
        #[default] Restart = "restart",
        /// A replica's pod is recreated.
        RecreateReplica = "recreate_replica",
        /// The primary hands over; where it is alone, its pod is recreated.
        Switchover = "switchover",
        /// The data directory is upgraded to another major version.
        MajorUpgrade = "major_upgrade",
    }

    /// What becomes of persistent volume claims that a StatefulSet no longer needs.
    RetentionPolicy {
        /// They stay.
        #[default] Retain = "retain",
        /// They are deleted.
        Delete = "delete",
    }

    /// `externalTrafficPolicy` of services of type LoadBalancer and NodePort.
    ExternalTrafficPolicy {
        /// Any node forwards.
        #[default] Cluster = "Cluster",
        /// Only nodes with a pod of the service receive traffic; the client's address is kept.
        Local = "Local",
    }

    /// Where logical backups are stored.
    BackupProvider {
        /// Azure Blob Storage.
        Az = "az",
        /// Google Cloud Storage.
        Gcs = "gcs",
        /// S3 or what speaks its protocol.
        #[default] S3 = "s3",
    }

    /// How long a pooler lends a server connection.
    PoolerMode {
        /// For the client's whole session.
        Session = "session",
        /// For one transaction.
        #[default] Transaction = "transaction",
    }
}
