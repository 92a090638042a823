//! Tells a playing service how to behave, so that nobody needs curl.

use std::time::Duration;

use reqwest::{Client, Url};

use super::options::{Behaviour, Wish};

/// Tells it, prints what came of it, and returns the exit status.
pub async fn tell(wish: &Wish) -> u8 {
    match post(wish).await {
        Ok(()) => {
            println!("told the service on port {} to {}", wish.port, word(wish.behaviour));
            0
        }
        Err(error) => {
            eprintln!("error: failed to tell the service on port {}: {error}", wish.port);
            1
        }
    }
}

async fn post(wish: &Wish) -> Result<(), String> {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().map_err(|e| e.to_string())?;
    let mut url = Url::parse(&format!("http://127.0.0.1:{}/demo/{}", wish.port, word(wish.behaviour)))
        .map_err(|error| error.to_string())?;
    match wish.behaviour {
        Behaviour::Slow => drop(url.query_pairs_mut().append_pair("ms", &wish.ms.to_string())),
        Behaviour::Crash => drop(url.query_pairs_mut().append_pair("code", &wish.code.to_string())),
        Behaviour::Fail | Behaviour::Degrade => {
            if let Some(reason) = &wish.reason {
                url.query_pairs_mut().append_pair("reason", reason);
            }
        }
        Behaviour::Hang | Behaviour::Recover => {}
    }
    let answer = client
        .post(url)
        .send()
        .await
        .map_err(|error| if error.is_connect() { "nobody listens there".to_owned() } else { error.to_string() })?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answers {status}; is it a demo service?")),
    }
}

fn word(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::Fail => "fail",
        Behaviour::Hang => "hang",
        Behaviour::Slow => "slow",
        Behaviour::Crash => "crash",
        Behaviour::Degrade => "degrade",
        Behaviour::Recover => "recover",
    }
}
