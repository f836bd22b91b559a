//! A client that speaks HTTP by hand, so that tests can send what no library would.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::Running;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// Status and type of an error.
    pub fn error(&self) -> (u16, &str) {
        (self.status, self.body["error"]["type"].as_str().unwrap_or_default())
    }

    /// The body of an answer that must be good.
    pub fn good(self) -> Value {
        assert!(self.status < 300, "{self:?}");
        self.body
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    address: std::net::SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Nobody.
    pub fn unknown(running: &Running) -> Client {
        Client { address: running.server.addresses().http, headers: Vec::new() }
    }

    pub async fn of(running: &Running, user: &str, password: &str) -> Client {
        let nobody = Client::unknown(running);
        let token = nobody.token(user, password).await.good();
        nobody.with("Authorization", &format!("Bearer {}", token["access_token"].as_str().expect("a token")))
    }

    pub async fn superuser(running: &Running) -> Client {
        Client::of(running, "tarn", "").await
    }

    /// The same caller, at a server that has started again.
    pub fn at(&self, running: &Running) -> Client {
        Client { address: running.server.addresses().http, ..self.clone() }
    }

    pub fn with(&self, name: &str, value: &str) -> Client {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    pub async fn token(&self, user: &str, password: &str) -> Answer {
        let form = format!("grant_type=client_credentials&client_id={user}&client_secret={password}");
        self.send("POST", "/v1/oauth/tokens", form.as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }

    pub async fn head(&self, path: &str) -> u16 {
        self.send("HEAD", path, b"").await.status
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, b"").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body.to_string().as_bytes()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("the server listens");
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let request = [request.as_bytes(), body].concat();
        stream.write_all(&request).await.expect("it takes a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
        Answer { status, head: head.to_owned(), body }
    }
}

/// The path of a namespace, or of what is in it.
pub fn path(rest: &str) -> String {
    format!("/v1/lake/namespaces/{rest}")
}

/// A table with the columns `id` and `name`.
pub fn new_table(name: &str) -> Value {
    json!({
        "name": name,
        "schema": { "type": "struct", "schema-id": 0, "fields": [
            { "id": 1, "name": "id", "required": false, "type": "long" },
            { "id": 2, "name": "name", "required": false, "type": "string" },
        ] },
    })
}
