//! The liveness probe: one way to ask, of something that can be asked, in sensible times.

use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

fn path() -> FieldPath {
    FieldPath::spec().field("livenessProbe")
}

/// A probe asks in exactly one way.
pub(super) fn one_way(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(probe) = &manifest.spec.liveness_probe else { return };
    let ways =
        [probe.exec.is_some(), probe.grpc.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        errors.invalid(path(), "needs exactly one of exec, grpc, httpGet and tcpSocket");
    }
    for (name, number) in [
        ("failureThreshold", probe.failure_threshold),
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
    ] {
        if let Some(number) = number.filter(|number| *number < 0) {
            errors.invalid(path().field(name), format!("{number} is negative; write 0 or more"));
        }
    }
    if probe.success_threshold.is_some_and(|number| number > 1) {
        errors.invalid(path().field("successThreshold"), "must be 1 for a liveness probe");
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds < 1) {
        errors
            .invalid(path().field("terminationGracePeriodSeconds"), format!("{seconds} must be at least 1"));
    }
}

/// What is asked can be asked.
pub(super) fn targets(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(probe) = &manifest.spec.liveness_probe else { return };
    if probe.exec.as_ref().is_some_and(|exec| exec.command.as_ref().is_none_or(Vec::is_empty)) {
        errors.required(path().field("exec").field("command"), "is required: a program and its arguments");
    }
    if let Some(get) = &probe.http_get {
        let path = path().field("httpGet");
        port(&path.field("port"), &get.port, errors);
        if let Some(scheme) = get.scheme.as_deref().filter(|scheme| !["HTTP", "HTTPS"].contains(scheme)) {
            let message = format!("\"{scheme}\" is not supported; choose HTTP or HTTPS");
            errors.not_supported(path.field("scheme"), message);
        }
        for (index, header) in get.http_headers.iter().flatten().enumerate() {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if header.name.is_empty() || !header.name.chars().all(is_name) {
                let message =
                    format!("\"{}\" cannot name a header; use letters, digits and dashes", header.name);
                errors.invalid(path.field("httpHeaders").index(index).field("name"), message);
            }
        }
    }
    if let Some(socket) = &probe.tcp_socket {
        port(&path().field("tcpSocket").field("port"), &socket.port, errors);
    }
    grpc(probe, errors);
}

fn grpc(probe: &Probe, errors: &mut FieldErrors) {
    let number = probe.grpc.as_ref().map(|grpc| grpc.port);
    if let Some(number) = number.filter(|number| !(1..=65_535).contains(number)) {
        let message = format!("{number} is not a port; write 1 to 65535");
        errors.invalid(path().field("grpc").field("port"), message);
    }
}

/// A number: the ports of the database's container have no names.
fn port(path: &FieldPath, port: &IntOrString, errors: &mut FieldErrors) {
    match port {
        IntOrString::Int(number) if (1..=65_535).contains(number) => {}
        IntOrString::Int(number) => {
            errors.invalid(path.clone(), format!("{number} is not a port; write 1 to 65535"));
        }
        IntOrString::String(name) => {
            let message = match name.parse::<u16>() {
                Ok(number) => {
                    format!("\"{name}\" is text, and so the name of a port; write {number} without quotes")
                }
                Err(_) => format!(
                    "\"{name}\" is no port of the database, whose ports have no names; write 5432 or 8008"
                ),
            };
            errors.invalid(path.clone(), message);
        }
    }
}
