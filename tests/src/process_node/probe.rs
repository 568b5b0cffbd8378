//! Readiness: one HTTP request to the pod's address.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    port: u16,
    path: String,
}

impl Question {
    /// What the container's readiness probe asks; `None` where there is none over HTTP: such a container is ready when
    /// it runs, as everywhere in Kubernetes.
    pub fn of(container: &Container) -> Option<Self> {
        let HTTPGetAction { path, port, .. } = container.readiness_probe.as_ref()?.http_get.as_ref()?;
        let number = match port {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => {
                let ports = container.ports.as_deref().unwrap_or_default();
                ports.iter().find(|port| port.name.as_ref() == Some(name))?.container_port
            }
        };
        Some(Self { port: number.try_into().ok()?, path: path.clone().unwrap_or_else(|| "/".to_owned()) })
    }

    /// Whether the answer is a good one (200 to 399).
    pub async fn ask(&self, address: &str) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.status(address)).await, Ok(Ok(Some(200..400))))
    }

    async fn status(&self, address: &str) -> std::io::Result<Option<u16>> {
        let mut stream = TcpStream::connect((address, self.port)).await?;
        let request = format!("GET {} HTTP/1.0\r\nHost: {address}\r\n\r\n", self.path);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(64).read_to_end(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        Ok(text.split_whitespace().nth(1).and_then(|status| status.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question(port: serde_json::Value) -> Option<Question> {
        let container = json!({
            "name": "c",
            "ports": [{"name": "probes", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": port}},
        });
        Question::of(&serde_json::from_value(container).unwrap())
    }

    #[test]
    fn ports_have_numbers_or_names() {
        let expected = |port| Some(Question { port, path: "/readyz".to_owned() });
        assert_eq!(question(json!(8008)), expected(8008));
        assert_eq!(question(json!("probes")), expected(8080));
        assert_eq!(question(json!("other")), None);
    }

    #[tokio::test]
    async fn good_answers_count_and_others_do_not() {
        for (answer, good) in [("HTTP/1.0 200 OK\r\n\r\n", true), ("HTTP/1.0 503 No\r\n\r\n", false)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let question = Question { port: listener.local_addr().unwrap().port(), path: "/".to_owned() };
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 256]).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let (_, ready) = tokio::join!(serve, question.ask("127.0.0.1"));
            assert_eq!(ready, good);
        }
    }
}
