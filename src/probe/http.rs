//! The http probe: one GET on a fresh connection, never through a proxy, never along a redirect.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::plain::{self, Failure};
use super::{connect, words};
use crate::domain::Outcome;
use crate::domain::text;

/// What a probe calls itself.
pub(super) const AGENT: &str = concat!("pilotlight/", env!("CARGO_PKG_VERSION"));

/// The most bytes of a body that are read; text that must be in it is looked for in these.
const BODY_LIMIT: usize = 64 * 1024;

/// What passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'e> {
    /// Statuses, as inclusive ranges.
    pub status: &'e [(u16, u16)],
    /// Text that the body must contain.
    pub body: Option<&'e str>,
}

/// A client for what is [not asked plainly](plain::can_ask), which keeps no connection and asks no proxy.
/// Certificates of https URLs are not verified: the question is whether the service answers, and local services mostly
/// sign their own.
///
/// # Errors
/// When the TLS library can't be set up.
pub(super) fn client() -> reqwest::Result<Client> {
    builder().build()
}

/// What [`client`] is made of.
pub(super) fn builder() -> ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    // Tells the service that nothing more will come, so that it need not wait for it.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let builder = Client::builder()
        .user_agent(AGENT)
        .default_headers(headers)
        .no_proxy()
        .redirect(Policy::none())
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(Loopback));
    with_tls(builder)
}

#[cfg(feature = "https")]
fn with_tls(builder: ClientBuilder) -> ClientBuilder {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.tls_danger_accept_invalid_certs(true)
}

#[cfg(not(feature = "https"))]
fn with_tls(builder: ClientBuilder) -> ClientBuilder {
    builder
}

/// What can be asked at `url`, or why nothing can.
pub(super) fn target(url: &str) -> Result<Url, String> {
    let shown = || text::first_line(url, words::SHOWN);
    let url = Url::parse(url).map_err(|error| format!("not a URL: {} ({error})", shown()))?;
    match url.scheme() {
        "http" => Ok(url),
        "https" if cfg!(feature = "https") => Ok(url),
        "https" => Err("https probes need a build with the feature `https`".to_owned()),
        // Schemes are open-ended.
        other => Err(format!("http probes know no {other} URLs")),
    }
}

/// Asks once, and judges the answer; plainly, or by `client`.
pub(super) async fn probe(client: Option<&Client>, url: Url, expected: Expected<'_>, patience: Duration) -> Outcome {
    let mut answered = None;
    let judged = timeout(patience, async {
        let answer = match client {
            None => plain::get(&url).await.map(Answer::Plain),
            Some(client) => client.get(url).send().await.map(Answer::Whole).map_err(nameless),
        };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Outcome::Fail(words::innermost(&*error)),
        };
        let status = answer.status();
        answered = Some(status);
        match read_body(&mut answer).await {
            Ok(body) => judge(status, answer.headers(), &body, expected),
            Err(error) => {
                let error = words::innermost(&*error);
                Outcome::Fail(format!("answered {}, then broke off: {error}", status.as_u16()))
            }
        }
    });
    match (judged.await, answered) {
        (Ok(outcome), _) => outcome,
        (Err(_elapsed), None) => Outcome::Fail(format!("no answer within {}", words::span(patience))),
        (Err(_elapsed), Some(status)) => {
            Outcome::Fail(format!("answered {}, but to no end within {}", status.as_u16(), words::span(patience)))
        }
    }
}

/// An answer, however it was asked for.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and there is one for each question under way"
)]
enum Answer {
    Plain(plain::Answer),
    Whole(Response),
}

impl Answer {
    fn status(&self) -> StatusCode {
        match self {
            Self::Plain(answer) => answer.status,
            Self::Whole(answer) => answer.status(),
        }
    }

    fn headers(&self) -> &HeaderMap {
        match self {
            Self::Plain(answer) => &answer.headers,
            Self::Whole(answer) => answer.headers(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Plain(answer) => answer.chunk().await,
            Self::Whole(answer) => answer.chunk().await.map_err(nameless),
        }
    }
}

/// The error without the URL, which is known.
fn nameless(error: reqwest::Error) -> Failure {
    error.without_url().into()
}

/// Reads to the end where there is one, so that the service sees no connection broken off.
async fn read_body(answer: &mut Answer) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    if is_endless(answer.headers()) {
        return Ok(body);
    }
    while let Some(chunk) = answer.chunk().await? {
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

/// Whether the body is a stream that ends when the client goes.
fn is_endless(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["text/event-stream", "multipart/x-mixed-replace"].iter().any(|endless| kind.starts_with(endless))
}

pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], expected: Expected<'_>) -> Outcome {
    let code = status.as_u16();
    if !expected.status.iter().any(|(from, to)| (*from..=*to).contains(&code)) {
        let said = if status.is_redirection()
            && let Some(place) = headers.get(LOCATION)
        {
            format!("redirects to {}", String::from_utf8_lossy(place.as_bytes()))
        } else if let Some(object) = object(body) {
            message(&object).unwrap_or_else(|| Value::Object(object).to_string())
        } else {
            String::from_utf8_lossy(body).into_owned()
        };
        let said = text::first_line(&said, words::SHOWN);
        return Outcome::Fail(if said.is_empty() {
            format!("answered {code}")
        } else {
            format!("answered {code} ({said})")
        });
    }
    if let Some(wanted) = expected.body
        && !contains(body, wanted.as_bytes())
    {
        return Outcome::Fail(format!("answered {code} without \"{}\"", text::first_line(wanted, 60)));
    }
    match status.is_success().then(|| degraded(body)).flatten() {
        Some(said) => Outcome::Degraded(said),
        None => Outcome::Pass,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// What a JSON object says of itself if its `status` is "degraded".
fn degraded(body: &[u8]) -> Option<String> {
    let mut object = object(body)?;
    let status = object.shift_remove("status")?;
    if !status.as_str()?.eq_ignore_ascii_case("degraded") {
        return None;
    }
    Some(match message(&object) {
        Some(message) => message,
        None if object.is_empty() => "says that it is degraded".to_owned(),
        None => text::first_line(&Value::Object(object).to_string(), words::SHOWN),
    })
}

/// The body, if it is a JSON object.
fn object(body: &[u8]) -> Option<Map<String, Value>> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// What a JSON object says in words, by the keys that are common for it.
fn message(object: &Map<String, Value>) -> Option<String> {
    ["message", "detail", "reason", "error", "description"]
        .iter()
        .filter_map(|key| object.get(*key)?.as_str())
        .map(|said| text::first_line(said, words::SHOWN))
        .find(|said| !said.is_empty())
}

/// Finds hosts as the other probes do.
#[derive(Debug)]
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = connect::addresses(name.as_str()).await?;
            // Port 0 stands for the one of the URL.
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| (ip, 0).into()));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: u16, body: &str, wanted: Option<&str>) -> Outcome {
        let expected = Expected { status: &[(200, 299), (418, 418)], body: wanted };
        judge(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), body.as_bytes(), expected)
    }

    fn fail(text: &str) -> Outcome {
        Outcome::Fail(text.to_owned())
    }

    #[test]
    fn a_status_passes_within_its_ranges() {
        for code in [200, 204, 299, 418] {
            assert_eq!(judged(code, "", None), Outcome::Pass, "{code}");
        }
        assert_eq!(judged(503, "", None), fail("answered 503"));
        assert_eq!(judged(404, "\n <h1>\u{1b}[31mnope</h1>\r\nmore", None), fail("answered 404 (<h1>nope</h1>)"));
        assert_eq!(judged(500, &"x".repeat(5000), None), fail(&format!("answered 500 ({}…)", "x".repeat(159))));
    }

    #[test]
    fn a_failure_is_told_in_the_words_of_the_service() {
        for (body, said) in [
            ("{\n  \"status\": \"unhealthy\",\n  \"error\": \"the disk is full\\nmore\"\n}", "the disk is full"),
            ("{\n  \"db\": false\n}", r#"{"db":false}"#),
            ("{\n", "{"),
        ] {
            assert_eq!(judged(503, body, None), fail(&format!("answered 503 ({said})")), "{body}");
        }
    }

    #[test]
    fn a_redirect_tells_where_it_leads() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/login"));
        let expected = Expected { status: &[(200, 299)], body: None };
        assert_eq!(judge(StatusCode::FOUND, &headers, b"moved", expected), fail("answered 302 (redirects to /login)"));
    }

    #[test]
    fn the_body_must_contain_what_is_asked() {
        assert_eq!(judged(200, "all is well", Some("is")), Outcome::Pass);
        assert_eq!(judged(200, "all is well", Some("")), Outcome::Pass);
        assert_eq!(judged(200, "all", Some("ready")), fail("answered 200 without \"ready\""));
    }

    #[test]
    fn a_service_may_say_that_it_is_degraded() {
        for (body, said) in [
            (r#"{"status": "degraded", "message": "cache is cold", "x": 1}"#, "cache is cold"),
            (r#" {"status": "DEGRADED", "detail": "", "reason": "slow\u001b[31m"}"#, "slow"),
            (
                r#"{"status": "degraded", "checks": {"db": "ok", "cache": "down"}}"#,
                r#"{"checks":{"db":"ok","cache":"down"}}"#,
            ),
            (r#"{"status": "degraded"}"#, "says that it is degraded"),
        ] {
            assert_eq!(judged(200, body, None), Outcome::Degraded(said.to_owned()), "{body}");
        }
        for body in
            [r#"{"status": "ok"}"#, r#"{"status": 7}"#, r#"["degraded"]"#, r#"{"status": "degraded""#, "degraded", ""]
        {
            assert_eq!(judged(200, body, None), Outcome::Pass, "{body}");
        }
        // Only a success can be a degraded one.
        assert_eq!(judged(418, r#"{"status": "degraded"}"#, None), Outcome::Pass);
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        assert!(target("http://localhost:1/x").is_ok());
        assert!(target("nonsense").unwrap_err().starts_with("not a URL: nonsense"));
        assert_eq!(target("ftp://x").unwrap_err(), "http probes know no ftp URLs");
    }

    #[cfg(not(feature = "https"))]
    #[test]
    fn https_needs_a_build_that_has_it() {
        assert_eq!(target("https://x").unwrap_err(), "https probes need a build with the feature `https`");
    }

    #[cfg(feature = "https")]
    #[tokio::test]
    async fn a_certificate_of_the_services_own_passes() {
        use std::io::{Read, Write};

        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};

        let client = client().unwrap();
        let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/key.pem")).unwrap();
        let config =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut connection);
            let read = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            read
        });
        let expected = Expected { status: &[(200, 200)], body: Some("ok") };
        let outcome = probe(Some(&client), target(&url).unwrap(), expected, Duration::from_secs(60)).await;
        assert_eq!(outcome, Outcome::Pass);
        assert!(serving.join().unwrap() > 0);
    }
}
