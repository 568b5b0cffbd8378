//! The webhook's certificates: issue, renew, publish.
//!
//! Run as a job, asked by nobody else. The webhook faces the network and therefore holds neither the authority's key
//! nor the right to change webhook configurations; this program has both, and listens to nobody.
//!
//! ```text
//!            certificate   what a certificate says          (pure)
//!            authority     make an authority, make a leaf   (pure but for randomness)
//!            rotation      what is due, given what is seen  (pure)
//!            replicas      what the pods serve               (handshakes)
//!            publish       Secrets and caBundles: look, act (Kubernetes)
//!            ensure        look, take one step, look again
//!            rotate        a rotation on demand, from beginning to end
//! ```

pub mod args;
pub mod authority;
pub mod certificate;
pub mod ensure;
pub mod publish;
pub mod replicas;
pub mod rotate;
pub mod rotation;
