//! What the stand-in needs: asked only when somebody asks how it is.

use std::str::FromStr;
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::net::TcpStream;

/// Enough for a neighbour on the same machine, and less than probes wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that must be reachable: asked by GET if it is a `http` URL, else by connecting.
#[derive(Clone, Debug)]
pub struct Need {
    /// What it is called.
    pub name: String,
    url: Url,
    address: (String, u16),
}

impl Need {
    /// Says what is wrong with it; nothing if it is there.
    pub async fn trouble(&self, client: &Client) -> Option<String> {
        match tokio::time::timeout(PATIENCE, self.ask(client)).await {
            Ok(answer) => answer.err(),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn ask(&self, client: &Client) -> Result<(), String> {
        if self.url.scheme() != "http" {
            let (host, port) = &self.address;
            return TcpStream::connect((host.as_str(), *port)).await.map(drop).map_err(|error| innermost(&error));
        }
        let answer = client.get(self.url.clone()).send().await.map_err(|error| innermost(&error))?;
        match answer.status() {
            status if status.is_server_error() => Err(format!("answers {}", status.as_u16())),
            _ => Ok(()),
        }
    }
}

impl FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains("://") => (Some(name), url),
            _ => (None, text),
        };
        let url = Url::parse(url).map_err(|error| format!("no URL: {error}"))?;
        let host = url.host_str().ok_or("the URL names no host")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or("the URL names no port")?;
        let name = name.map_or_else(|| format!("{host}:{port}"), str::to_owned);
        Ok(Self { name, url, address: (host, port) })
    }
}

/// The last of an error's causes, which is the one that tells something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    // What the system says ends with its number for it, which helps nobody here.
    let text = cause.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    text.chars().take(1).flat_map(char::to_lowercase).chain(text.chars().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_in_words_without_numbers() {
        let refused = std::io::Error::from_raw_os_error(111);
        assert_eq!(innermost(&std::io::Error::other(refused)), "connection refused");
    }

    #[test]
    fn a_need_is_a_url_with_or_without_a_name() {
        let need: Need = "db=http://localhost:47110/health".parse().unwrap();
        assert_eq!((need.name.as_str(), need.url.as_str()), ("db", "http://localhost:47110/health"));
        let need: Need = "http://localhost:1/a?b=c".parse().unwrap();
        assert_eq!((need.name.as_str(), need.url.as_str()), ("localhost:1", "http://localhost:1/a?b=c"));
        let need: Need = "redis://[::1]:6379".parse().unwrap();
        assert_eq!(need.address, ("::1".to_owned(), 6379));
        for text in ["", "db", "db=", "redis://localhost", "mailto:x"] {
            assert!(text.parse::<Need>().is_err(), "{text}");
        }
    }
}
