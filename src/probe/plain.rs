//! A GET without TLS, on a connection of its own: with nothing around it that outlives one question, it costs half of
//! what a client with a pool does. It judges nothing and follows nothing.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::Request;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, Connection};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use reqwest::{StatusCode, Url};
use tokio::net::TcpStream;

use super::connect;
use super::http::AGENT;

/// Why there is no answer, or no end of it.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Whether `url` can be asked without what only a whole client has: TLS, and credentials.
pub(super) fn can_ask(url: &Url) -> bool {
    url.scheme() == "http" && url.username().is_empty() && url.password().is_none()
}

/// An answer, as far as it has come.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    line: Line,
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let Self { body, line, .. } = self;
        poll_fn(|context| {
            line.attend(context);
            loop {
                return match Pin::new(&mut *body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => Poll::Ready(Ok(Some(data))),
                        // Headers behind the body say nothing that is asked.
                        Err(_trailers) => continue,
                    },
                    Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error.into())),
                    Poll::Ready(None) => Poll::Ready(Ok(None)),
                    Poll::Pending => Poll::Pending,
                };
            }
        })
        .await
    }
}

/// Asks for `url`, which [can be asked](can_ask); the answer's body may still have to come.
pub(super) async fn get(url: &Url) -> Result<Answer, Failure> {
    let request = request(url)?;
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let stream = connect::reach(host, url.port_or_known_default().unwrap_or(80)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut line = Line { connection, is_over: false };
    let mut answer = pin!(sender.send_request(request));
    let answer = poll_fn(|context| {
        line.attend(context);
        answer.as_mut().poll(context)
    });
    let (head, body) = answer.await?.into_parts();
    Ok(Answer { status: head.status, headers: head.headers, body, line })
}

fn request(url: &Url) -> Result<Request<Nothing>, Failure> {
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}"))?,
        None => HeaderValue::try_from(host)?,
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let request = Request::get(target)
        .header(HOST, host)
        .header(USER_AGENT, HeaderValue::from_static(AGENT))
        .header(ACCEPT, HeaderValue::from_static("*/*"))
        // Tells the service that nothing more will come, so that it need not wait for it.
        .header(CONNECTION, HeaderValue::from_static("close"));
    Ok(request.body(Nothing)?)
}

/// The connection, which goes on only while somebody attends to it.
struct Line {
    connection: Connection<TokioIo<TcpStream>, Nothing>,
    is_over: bool,
}

impl Line {
    fn attend(&mut self, context: &mut Context<'_>) {
        // How it ended is told by what was waited for.
        self.is_over = self.is_over || Pin::new(&mut self.connection).poll(context).is_ready();
    }
}

/// The body of a question.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_certificates_are_left_to_a_whole_client() {
        for (url, can) in [
            ("http://localhost:8000/health?deep=1", true),
            ("http://[::1]/", true),
            ("http://user@localhost/", false),
            ("http://user:word@localhost/", false),
            ("https://localhost/", false),
        ] {
            assert_eq!(can_ask(&Url::parse(url).unwrap()), can, "{url}");
        }
    }

    #[test]
    fn a_question_names_the_host_as_the_url_does() {
        for (url, host, target) in [
            ("http://localhost:8000/health?deep=1#part", "localhost:8000", "/health?deep=1"),
            ("http://LOCALHOST:80", "localhost", "/"),
            ("http://[::1]:81/a b", "[::1]:81", "/a%20b"),
        ] {
            let request = request(&Url::parse(url).unwrap()).unwrap();
            assert_eq!((request.headers()[HOST].to_str().unwrap(), &*request.uri().to_string()), (host, target));
        }
    }
}
