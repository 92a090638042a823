//! What a service answers to a probe: judged by status, text and health JSON, in words that steer nothing; as bytes of
//! HTTP, however they are cut.
//!
//! The first byte tells which; then come a status and a body, or where to cut and the bytes of an answer.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pilotlight::domain::Outcome;
use pilotlight::probe::fuzzing::{Healthy, judge, probe};
use reqwest::Url;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

const STATUS: &[(u16, u16)] = &[(200, 299), (418, 418)];

fuzz_target!(|data: &[u8]| {
    let [how, first, second, bytes @ ..] = data else { return };
    let wanted = (how & 2 != 0).then_some("ok");
    if how & 1 == 0 {
        let code = u16::from_be_bytes([*first, *second]) % 1000;
        let location = (how & 4 != 0).then_some(bytes);
        judged(code, location, bytes, (STATUS, wanted));
    } else {
        let at = usize::from(u16::from_be_bytes([*first, *second])).min(bytes.len());
        answered(bytes, at, (STATUS, wanted));
    }
});

fn judged(code: u16, location: Option<&[u8]>, body: &[u8], healthy: Healthy<'_>) {
    let Some(outcome) = judge(code, location, body, healthy) else {
        assert!(!(100..1000).contains(&code));
        return;
    };
    is_fit_to_show(&outcome);
    let fits = (200..300).contains(&code) || code == 418;
    let has = healthy.1.is_none_or(|wanted| body.windows(wanted.len()).any(|part| part == wanted.as_bytes()));
    let says = serde_json::from_slice::<Value>(body).ok();
    let status = says.as_ref().and_then(|says| says.as_object()?.get("status")?.as_str());
    let degraded = code < 300 && status.is_some_and(|status| status.eq_ignore_ascii_case("degraded"));
    match outcome {
        Outcome::Pass => assert!(fits && has && !degraded),
        Outcome::Degraded(_) => assert!(fits && has && degraded),
        Outcome::Fail(_) => assert!(!fits || !has),
    }
}

fn answered(bytes: &[u8], cut: usize, healthy: Healthy<'_>) {
    let whole = exchange(bytes, bytes.len(), healthy);
    is_fit_to_show(&whole);
    match &whole {
        Outcome::Pass | Outcome::Degraded(_) => {
            assert!([&b" 2"[..], b" 418"].iter().any(|code| bytes.windows(code.len()).any(|part| part == *code)));
        }
        Outcome::Fail(_) => {}
    }
    if cut < bytes.len() {
        assert_eq!(exchange(bytes, cut, healthy), whole, "cut at {cut}");
    }
}

/// Asks a service that answers with `bytes`, in two pieces, and hangs up.
fn exchange(bytes: &[u8], cut: usize, healthy: Healthy<'_>) -> Outcome {
    let World { runtime, listener, url } = world();
    runtime.block_on(async {
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut asked).await.unwrap() > 0, "a question has an end");
            }
            // Whoever asks may have heard enough and gone.
            let _ = stream.write_all(&bytes[..cut]).await;
            tokio::task::yield_now().await;
            let _ = stream.write_all(&bytes[cut..]).await;
            let _ = stream.shutdown().await;
        };
        let asking = probe(url.clone(), healthy, Duration::from_secs(8));
        let ((), outcome) = tokio::join!(serving, asking);
        if let Outcome::Fail(reason) = &outcome {
            assert!(!reason.contains("within 8 s"), "it hung: {reason}");
        }
        outcome
    })
}

/// One line of bounded length without anything that steers; and never without a word.
fn is_fit_to_show(outcome: &Outcome) {
    let (Outcome::Fail(said) | Outcome::Degraded(said)) = outcome else { return };
    assert!(!said.is_empty());
    assert!(said.chars().count() <= 240, "{said:?}");
    let steers =
        |c: char| c != '\t' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!said.contains(steers) && !said.contains(['\u{2028}', '\u{2029}']), "{said:?}");
}

struct World {
    runtime: Runtime,
    listener: TcpListener,
    url: Url,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        World { runtime, listener, url: Url::parse(&url).unwrap() }
    })
}
