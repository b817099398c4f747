//! A client of NATS that does no more than the tests of the server need.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::nkey::Nkey;

/// How the client proves who it is.
pub enum Proof<'a> {
    /// Not at all.
    None,
    /// By name and password.
    Password(&'a str, &'a str),
    /// By signing what the server says.
    Nkey(&'a Nkey),
}

/// A connection. The server answers with JSON.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects. The error is what the server says.
    pub async fn connect(addr: SocketAddr, proof: Proof<'_>) -> Result<Self, String> {
        let stream = BufReader::new(TcpStream::connect(addr).await.unwrap());
        let mut client = Self { stream };
        let info = client.line().await;
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        let mut options = json!({"verbose": false, "pedantic": false});
        match proof {
            Proof::None => {}
            Proof::Password(user, password) => {
                options["user"] = json!(user);
                options["pass"] = json!(password);
            }
            Proof::Nkey(key) => {
                let nonce = info["nonce"].as_str().unwrap();
                options["nkey"] = json!(key.public());
                options["sig"] = json!(BASE64_URL_SAFE_NO_PAD.encode(key.sign(nonce.as_bytes())));
            }
        }
        client
            .send(&format!("CONNECT {options}\r\nSUB _INBOX.test 1\r\nPING\r\n"))
            .await;
        match client.line().await.as_str() {
            "PONG" => Ok(client),
            refusal => Err(refusal.to_owned()),
        }
    }

    /// Sends a message and returns the answer. The error is what the server says.
    pub async fn request(&mut self, subject: &str, body: &str) -> Result<Value, String> {
        let text = format!("PUB {subject} _INBOX.test {}\r\n{body}\r\n", body.len());
        self.send(&text).await;
        let line = self.line().await;
        if !line.starts_with("MSG ") {
            return Err(line);
        }
        let length: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        let mut answer = vec![0; length + 2];
        self.stream.read_exact(&mut answer).await.unwrap();
        Ok(serde_json::from_slice(&answer[..length]).unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line. The server asks now and then whether the client is there.
    async fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).await.unwrap();
            assert!(read > 0, "the server has closed the connection");
            match line.trim_end() {
                "PING" => self.send("PONG\r\n").await,
                line => return line.to_owned(),
            }
        }
    }
}
