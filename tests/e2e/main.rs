//! The program, driven as a user would: an empty home, real files, real processes; every wait is for a condition.

mod absence;
mod actions;
mod adoption;
mod bad_input;
mod blind;
mod completions;
mod crash_card;
mod critical;
mod damage;
mod deaths;
mod desk;
#[path = "../support/dice.rs"]
mod dice;
mod example;
mod foreign;
mod include;
mod life;
mod load;
mod logs;
mod pixsim7;
mod plan;
mod reload;
mod saves;
#[path = "../support/saving.rs"]
mod saving;
mod secrets;
mod supervision;
mod sweep;
mod terminal;
mod trees;
mod watch;
mod working_day;
