//! The table: a line for each thing that was measured, with its floor and its aim.

use std::time::Duration;

/// Prints what the columns are.
pub fn heading() {
    println!("{:<48} {:>10} {:>10} {:>7}   aim", "", "bare", "agent", "ratio");
}

/// Prints a time beside its floor; `aim` times the floor is good enough.
pub fn line(what: &str, bare: Duration, agent: Duration, aim: f64) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let ratio = ms(agent) / ms(bare);
    println!("{what:<48} {:>7.2} ms {:>7.2} ms {ratio:>6.2}×   {aim}×", ms(bare), ms(agent));
}

/// Prints something that has no floor.
pub fn value(what: &str, agent: &str, aim: &str) {
    println!("{what:<48} {:>10} {agent:>10} {:>7}   {aim}", "", "");
}

/// The one in the middle.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
